using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class SaeStep
{
    /// <summary>What architectures and objectives beside the paper's exact ones do otherwise.</summary>
    private ref partial struct CudaPass
    {
        private const int Rounds = 3, TokensOfCount = 8;

        public readonly bool SelectsFromBatch => _ranked && _shape.Architecture != SaeArchitecture.TopK;

        private readonly SaeAuxiliary Chosen => new(State.AuxChosen, State.AuxIndex, State.AuxCount, State.AuxGradient, State.Words, Kept, _dead ? 1 : 0);

        /// <summary>The residuals that the decoder's bias follows.</summary>
        private readonly DevicePointer Followed => _prefixes is null ? State.Error : State.Rules.Nested(_prefixes.Count);

        private readonly SaeTokenSums TokenSums => _prefixes is null ? State.TokenSums : State.TokenSums with { Nested = State.Rules.NestedSums };

        /// <summary>Sums of the batch, with the penalty of the rule.</summary>
        private readonly SaeLatentSums Totals => _penalised ? State.LatentTotals with { Penalty = State.Rules.Penalty } : State.LatentTotals;

        private void SetRules(int tokens, in SaeObjective objective, SaeWorkspace workspace)
        {
            _shape = State.Shape;
            bool gated = _shape.Architecture == SaeArchitecture.Gated, jump = _shape.Architecture == SaeArchitecture.JumpRelu, windowed = gated && objective.StraightThrough == StraightThrough.Windowed;
            _ranked = _shape.HasActiveLatents && (Backward || _shape.Architecture == SaeArchitecture.TopK);
            _ruled = !gated || (windowed && Backward && !Dense);
            _sparse = _ruled && Backward && !Dense;
            _dead = objective.AuxChoice == AuxiliaryChoice.Dead;
            _openGates = _shape.Architecture == SaeArchitecture.GatedOriginal && Backward && objective.AuxCoefficient > 0;
            _penalised = _shape.Architecture == SaeArchitecture.Relu || (jump && objective.JumpReluLoss == JumpReluLoss.Tanh);
            _free = Backward && objective.DecoderNorm == DecoderNorm.Free && !_shape.HasActiveLatents && (!jump || objective.JumpReluLoss == JumpReluLoss.Tanh);
            _prefixes = SaeCudaState.PrefixesOf(_shape, objective) > 1 ? objective.Prefixes : null;
            _target = objective.TargetL0;
            float below = SaeCudaState.Below(_shape, objective, Backward) ? (float)(objective.PreActivationCoefficient / tokens) : 0;
            _rule = new SaeRule(_shape.Architecture, objective.JumpReluLoss, jump ? (float)objective.Bandwidth : windowed ? Bandwidth : 0, (float)objective.TanhScale, below, workspace.Dead.View.Address);
            if (Backward)
                _vectors = new(Gradients.EncoderBias.Address, _shape.HasGateBias ? Gradients.GateBias.Address : DevicePointer.Null,
                    _shape.HasMagnitudeScale ? Gradients.MagnitudeScale.Address : DevicePointer.Null, _shape.HasThreshold ? Gradients.Threshold.Address : DevicePointer.Null, Gradients.DecoderBias.Address);
        }

        /// <summary>Which of the batch's pairs are the largest: three rounds of counting over its tiles, then the order of equal ones.</summary>
        public void SelectFromBatch(MatrixView<float> tokens, int tile)
        {
            SaeRuleState rules = State.Rules;
            if ((long)tokens.Rows * State.Latents > uint.MaxValue)
                throw new DeviceException($"Selecting from a batch of {tokens.Rows} tokens x {State.Latents} latents is too much at once; expected at most {uint.MaxValue} pairs: take smaller batches, or the architecture topk.");
            (_kept, _equal) = (rules.Batch(tokens.Rows), rules.Equal(tokens.Rows));
            for (int round = 0; round < Rounds; round++)
            {
                for (int start = 0; start < tokens.Rows; start += tile)
                {
                    At(tokens, start, tile);
                    Project(again: round > 0);
                    State.Kernels.BatchCount.Launch(Stream, new LaunchShape((Count + TokensOfCount - 1) / TokensOfCount, SquareThreads), _tile, rules.Cut, round, rules.Histogram);
                }
                State.Kernels.BatchCut.Launch(Stream, new LaunchShape(1, SquareThreads), rules.Cut, rules.Histogram, round, (long)tokens.Rows * _shape.ActiveLatents, State.Statistics);
            }
            for (int start = 0; start < tokens.Rows; start += tile)
            {
                At(tokens, start, tile);
                Project(again: true);
                State.Kernels.BatchEqual.Launch(Stream, new LaunchShape((Count + TokensOfCount - 1) / TokensOfCount, SquareThreads), _tile, rules.Cut, OfTile(_equal, sizeof(uint)));
            }
            State.Kernels.BatchBefore.Launch(Stream, new LaunchShape(1, SquareThreads), rules.Cut, tokens.Rows, _equal);
        }

        /// <summary>Pre-activations of the tile, <paramref name="again"/> only where those of the batch are not kept.</summary>
        private void Project(bool again)
        {
            bool keeps = _kept != DevicePointer.Null;
            DevicePointer place = keeps ? OfTile(_kept, State.Stride * (long)sizeof(float)) : State.Encoder;
            if (!again || !keeps)
            {
                _input = EncoderInput(State, Tokens, Parameters);
                Product(Transpose.No, Transpose.No, 1, _input, Parameters.Encoder, 0, Tile(State, place, Count), Precision);
            }
            _tile = Describe(State, Count, Parameters, place, thresholds: false);
        }

        private readonly DevicePointer OfTile(DevicePointer batch, long bytesOfToken) => new(batch.Address + (ulong)(_start * bytesOfToken));

        /// <summary>Pre-activations, and active pairs by their rank.</summary>
        private void EncodeRanked()
        {
            _fused = false;
            bool batch = SelectsFromBatch;
            Project(again: batch);
            // What the tile before has left is of other tokens.
            if (batch && _kept != DevicePointer.Null) _input = EncoderInput(State, Tokens, Parameters);
            if (batch) State.Kernels.BatchTake.Launch(Stream, new LaunchShape(Count, SquareThreads), _tile, State.Rules.Cut, OfTile(_equal, sizeof(uint)), State.ByToken, State.Words);
            else SelectByToken(State, _tile);
            State.Kernels.Turn.Launch(Stream, Squares, _tile, State.ByToken, State.ByLatent, State.TokenWords, State.LatentPartials);
        }

        /// <summary>Penalties along active pairs, and which other pairs have a gradient.</summary>
        private readonly void Rules()
        {
            SaeRuleState rules = State.Rules;
            if (_penalised)
                State.Kernels.Penalty.Launch(Stream, new LaunchShape(State.Latents, RowThreads), _tile, _rule, State.ByLatent, State.TokenWords, State.Norms, Coefficients, rules.Penalty, rules.Sums, FirstTile ? 1 : 0);
            if (HasWindow && (_sparse || _openGates))
                State.Kernels.Window.Launch(Stream, Squares, _tile, _rule, _openGates ? rules.Open : DevicePointer.Null, rules.Window, State.TokenWords);
        }

        private readonly bool HasWindow => _shape.Architecture is SaeArchitecture.Gated or SaeArchitecture.GatedOriginal or SaeArchitecture.JumpRelu;

        private readonly void DecodeNested()
        {
            int count = _prefixes!.Count;
            State.Kernels.NestedDecode.Launch(Stream, new LaunchShape(Count, RowThreads), _tile, State.ByToken, Parameters.Decoder.Address, Parameters.Decoder.Stride, Parameters.DecoderBias.Address,
                Tokens.Address, Tokens.Stride, State.Width, State.Error, State.Rules.Prefixes(_prefixes), count, State.Rules.Nested(count), NestedStride, TokenSums);
        }

        private readonly long NestedStride => (long)State.TileTokens * State.Width;

        /// <summary>What the reconstruction by open gates alone leaves of the tokens.</summary>
        private readonly void OpenGates()
        {
            SaeRuleState rules = State.Rules;
            SaeTile gates = _tile with { EncoderBias = _tile.GateBias, Scale = DevicePointer.Null };
            SaeTokenSums sums = State.TokenSums with { SquaredError = State.TokenSums.Auxiliary, Squares = rules.Unused, Any = State.TokenSums.AuxiliaryAny };
            if (Dense)
            {
                State.Kernels.Activations.Launch(Stream, Pairs(State, Count), gates, DevicePointer.Null, State.Work, (long)State.Stride);
                Product(Transpose.No, Transpose.No, 1, Work, Parameters.Decoder, 0, new MatrixView<float>((float*)rules.AuxError.Address, Count, State.Width, State.Width, State.Device), Precision);
                State.Kernels.Residual.Launch(Stream, new LaunchShape(Count, RowThreads), rules.Open, State.Words, Parameters.DecoderBias.Address, Tokens.Address, Tokens.Stride,
                    State.Width, rules.AuxError, (long)State.Width, sums);
                return;
            }
            State.Kernels.Decode.Launch(Stream, new LaunchShape(Count, RowThreads), gates, rules.Open, Parameters.Decoder.Address, Parameters.Decoder.Stride,
                Parameters.DecoderBias.Address, Tokens.Address, Tokens.Stride, State.Width, rules.AuxError, (long)State.Width, sums);
        }

        /// <summary>Gradients from active pairs, those of the window and auxiliary ones.</summary>
        private readonly void SparseGradient()
        {
            SaeRuleState rules = State.Rules;
            SaeBackward backward = new()
            {
                Active = State.ByLatent,
                Window = HasWindow ? rules.Window : DevicePointer.Null,
                Auxiliary = Kept > 0 ? rules.AuxByLatent : DevicePointer.Null,
                TokenWords = State.TokenWords,
                Width = State.Width,
                Tokens = _input.Address,
                TokenStride = _input.Stride,
                Error = Followed,
                Second = _openGates ? rules.AuxError : DevicePointer.Null,
                ErrorStride = State.Width,
                Decoder = Parameters.Decoder.Address,
                DecoderStride = Parameters.Decoder.Stride,
                Prefixes = _prefixes is null ? DevicePointer.Null : rules.Prefixes(_prefixes),
                GroupStride = NestedStride,
                Groups = _prefixes?.Count ?? 1,
                FirstTile = FirstTile ? 1 : 0,
                Scale = ResidualScale,
                SecondScale = AuxScale,
                Norms = State.Norms,
                Coefficients = Coefficients,
                ToDecoder = Gradients.Decoder.Address,
                ToDecoderStride = Gradients.Decoder.Stride,
                ToEncoder = rules.EncoderRows,
                ToGate = Parameters.Tied ? DevicePointer.Null : rules.GateRows,
            };
            State.Kernels.SparseBackward.Launch(Stream, new LaunchShape(State.Latents, RowThreads), _tile, _rule, backward, Chosen, rules.Sums);
        }

        /// <summary>The gradient of all pre-activations of a dense tile, in the place of the products that it is made of.</summary>
        private readonly void RuledGradient(in SaeAuxiliary auxiliary)
        {
            SaeRuleState rules = State.Rules;
            MatrixView<float> second = default;
            if (_openGates)
            {
                second = Tile(State, rules.Second, Count);
                Product(Transpose.No, Transpose.Yes, AuxScale, new MatrixView<float>((float*)rules.AuxError.Address, Count, State.Width, State.Width, State.Device), Parameters.Decoder, 0, second, Precision);
            }
            Product(Transpose.No, Transpose.Yes, ResidualScale, Error, Parameters.Decoder, 0, Work, Precision);
            State.Kernels.Differentiate.Launch(Stream, new LaunchShape(State.Words, SquareThreads), _tile, _rule, State.Work, _openGates ? second.Address : DevicePointer.Null, State.Norms, Coefficients,
                auxiliary, rules.Sums, FirstTile ? 1 : 0);
        }

        /// <summary>What the reconstruction of the residual by dead latents asks of their decoder rows.</summary>
        private readonly void AuxiliaryDecoder() =>
            State.Kernels.DecoderGradient.Launch(Stream, new LaunchShape(State.Latents, RowThreads), _tile, State.Rules.AuxByLatent, State.TokenWords, State.Rules.AuxError, (long)State.Width, State.Width,
                AuxScale, Gradients.Decoder.Address, Gradients.Decoder.Stride, 0);

        /// <summary>After the last tile: sums of the batch, gradients of vectors, and what is known of a matrix only then.</summary>
        public readonly void Finish(int tokens)
        {
            LaunchShape one = new(1, SquareThreads);
            if (_ruled)
                State.Kernels.RuleFinish.Launch(Stream, one, _rule, Totals, State.Rules.Sums, State.Norms, State.Latents, State.TokenTotals, State.ErrorTotals, State.Width, (double)tokens,
                    2.0 / tokens, _target, Coefficients, _vectors, State.Statistics);
            else
                State.Kernels.Finish.Launch(Stream, one, State.LatentTotals, State.Norms, State.Latents, State.TokenTotals, State.ErrorTotals,
                    State.Width, (double)tokens, 2.0 / tokens, _vectors.EncoderBias, _vectors.GateBias, _vectors.DecoderBias, State.Statistics);
            if (!Backward) return;
            if (_sparse)
            {
                Transposed(State.Rules.EncoderRows, Gradients.Encoder);
                if (!Parameters.Tied) Transposed(State.Rules.GateRows, Gradients.Gate);
            }
            if (_free)
                State.Kernels.Length.Launch(Stream, new LaunchShape(State.Latents, RowThreads), _rule, Totals.Penalty, State.Rules.Sums, State.Norms, Coefficients,
                    Parameters.Decoder.Address, Parameters.Decoder.Stride, State.Width, Gradients.Decoder.Address, Gradients.Decoder.Stride);
            if (_shape.SubtractDecoderBias) CentreGradient();
        }

        /// <summary>The decoder's bias is in the encoder's input too.</summary>
        private readonly void CentreGradient()
        {
            DevicePointer encoder = _ruled ? State.Rules.Sums.Encoder : State.LatentTotals.Encoder, gate = _ruled ? State.Rules.Sums.Gate : State.LatentTotals.Gate;
            LaunchShape rows = new(State.Width, RowThreads);
            State.Kernels.CentreGradient.Launch(Stream, rows, Parameters.Encoder.Address, Parameters.Encoder.Stride, State.Latents, encoder, _tile.Scale, gate,
                Parameters.Tied && _shape.HasGateBias ? 1 : 0, Gradients.DecoderBias.Address);
            if (!Parameters.Tied)
                State.Kernels.CentreGradient.Launch(Stream, rows, Parameters.Gate.Address, Parameters.Gate.Stride, State.Latents, gate, DevicePointer.Null, gate, 0, Gradients.DecoderBias.Address);
        }

        private readonly void Transposed(DevicePointer rows, MatrixView<float> target) =>
            State.Kernels.Transposed.Launch(Stream, new LaunchShape(new Extent((State.Width + SaeCudaState.Side - 1) / SaeCudaState.Side, State.Words), SquareThreads), rows, State.Latents, State.Width,
                target.Address, target.Stride);
    }
}
