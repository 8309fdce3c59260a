using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class SaeStep
{
    /// <summary>One tile of tokens after the other, forward and backward.</summary>
    private ref partial struct CudaPass
    {
        public SaeCudaState State;
        public MatrixView<float> Tokens;
        public SaeParameters Parameters, Gradients;
        public bool Backward, Dense, FirstTile;
        public int Kept;
        public GemmPrecision Precision;
        public DevicePointer AuxBias, Coefficients;
        public float AuxScale, ResidualScale, Bandwidth;
        private MatrixView<float> _input;
        private SaeTile _tile;
        private GemmConfig _product;
        private bool _fused;
        private SaeRule _rule;
        private SaeShape _shape;
        private SaeVectorGradients _vectors;
        private IReadOnlyList<int>? _prefixes;
        private int _start;
        private double _target;
        private DevicePointer _kept, _equal;

        // Active pairs are the largest; gradients follow the rule; they are formed of chosen pairs alone; auxiliary latents are dead ones; the gates' own reconstruction.
        private bool _ranked, _ruled, _sparse, _dead, _openGates, _penalised, _free;

        private readonly int Count => Tokens.Rows;
        private readonly int Chunks => (Count + SaeCudaState.Chunk - 1) / SaeCudaState.Chunk;
        private readonly CudaStream Stream => State.Device.Stream;
        private readonly LaunchShape Squares => new(new Extent(State.Words, Chunks), SquareThreads);
        private readonly MatrixView<float> Error => new((float*)State.Error.Address, Count, State.Width, State.Width, State.Device);
        private readonly MatrixView<float> Work => Tile(State, State.Work, Count);

        /// <summary>Sums over tiles: the first one overwrites.</summary>
        private readonly float Onto => FirstTile ? 0 : 1;

        public static CudaPass Of(SaeCudaState state, int tokens, SaeParameters parameters, SaeParameters gradients, bool backward, in SaeObjective objective, SaeWorkspace workspace, DevicePointer coefficients)
        {
            SaeShape shape = state.Shape;
            CudaPass pass = new()
            {
                State = state,
                Parameters = parameters,
                Gradients = gradients,
                Backward = backward,
                // What is chosen by rank is sparse from the first step on.
                Dense = workspace.Decoding == SaeDecoding.Dense && !shape.HasActiveLatents,
                Precision = workspace.Precision,
                Kept = backward ? objective.ChosenAuxiliary(shape) : 0,
                AuxBias = objective.AuxDoubleBias && objective.AuxChoice == AuxiliaryChoice.ClosedGate ? parameters.DecoderBias.Address : DevicePointer.Null,
                AuxScale = (float)(2 * objective.AuxCoefficient / tokens),
                ResidualScale = (float)(2.0 / tokens),
                Bandwidth = objective.StraightThrough == StraightThrough.Windowed ? (float)objective.Bandwidth : 0,
                Coefficients = coefficients,
            };
            pass.SetRules(tokens, objective, workspace);
            return pass;
        }

        /// <summary>Goes to the tile that begins with a token of the batch.</summary>
        public void At(MatrixView<float> tokens, int start, int length)
        {
            _start = start;
            FirstTile = start == 0;
            Tokens = tokens.RowBlock(start, Math.Min(length, tokens.Rows - start));
        }

        public void Run()
        {
            if (_ranked) EncodeRanked();
            else Encode();
            if (_ruled) Rules();
            if (_prefixes is null) Decode();
            else DecodeNested();
            if (Kept > 0) Auxiliary();
            if (_openGates) OpenGates();
            if (_sparse) SparseGradient();
            else if (Backward) Gradient();
            if (Kept > 0 && _dead) AuxiliaryDecoder();
            Join();
        }

        private void Encode()
        {
            _input = EncoderInput(State, Tokens, Parameters);
            bool wide = Wide(_input) + Wide(Error) + Wide(Parameters.Decoder) + Wide(Parameters.Tied ? Parameters.Encoder : Parameters.Gate) == 4;
            _fused = State.Fused(Count, Precision, wide, out _product);
            _tile = Describe(State, Count, Parameters, State.Encoder, thresholds: true);
            if (!Parameters.Tied || !_fused) Product(Transpose.No, Transpose.No, 1, _input, Parameters.Encoder, 0, Tile(State, State.Encoder, Count), Precision);
            if (_fused)
            {
                EncodeFused();
                return;
            }
            if (!Parameters.Tied) Product(Transpose.No, Transpose.No, 1, _input, Parameters.Gate, 0, Tile(State, State.Gate, Count), Precision);
            State.Kernels.Classify.Launch(Stream, Squares, _tile, State.ByToken, State.ByLatent, State.TokenWords, State.LatentPartials);
        }

        /// <summary>The last product of the encoder and the sets of pairs in one kernel.</summary>
        private readonly void EncodeFused()
        {
            MatrixView<float> weights = Parameters.Tied ? Parameters.Encoder : Parameters.Gate;
            CudaKernel kernel = State.Kernels.Product(0, _product);
            if (_product.Warpgroups)
            {
                kernel.Launch(Stream, WarpgroupShape, Lines(_input), TensorMap.Create(weights, TensorElement.Float32, BoxLevels, BoxLines), _input.Address, _input.Stride, weights.Address, weights.Stride,
                    State.Width, _tile, State.Gate, Parameters.Tied ? 1 : 0, State.ByToken, State.Words, State.ByLatent, State.TokenWords, State.LatentPartials);
                return;
            }
            kernel.Launch(Stream, ProductShape(transposed: false), _input.Address, _input.Stride, Wide(_input), weights.Address, weights.Stride, Wide(weights), State.Width,
                _tile, State.Gate, Parameters.Tied ? 1 : 0, State.ByToken, State.Words, State.ByLatent, State.TokenWords, State.LatentPartials);
        }

        /// <summary>Reconstruction minus token, and the decoder's gradient, which a dense tile forms from the same activations.</summary>
        private readonly void Decode()
        {
            if (Dense)
            {
                State.Kernels.Activations.Launch(Stream, Pairs(State, Count), _tile, DevicePointer.Null, State.Work, (long)State.Stride);
                Product(Transpose.No, Transpose.No, 1, Work, Parameters.Decoder, 0, Error, Precision);
                State.Kernels.Residual.Launch(Stream, new LaunchShape(Count, RowThreads), State.ByToken, State.Words, Parameters.DecoderBias.Address, Tokens.Address, Tokens.Stride,
                    State.Width, State.Error, (long)State.Width, State.TokenSums);
                if (Backward) Product(Transpose.Yes, Transpose.No, ResidualScale, Work, Error, Onto, Gradients.Decoder, Precision);
                return;
            }
            State.Kernels.Decode.Launch(Stream, new LaunchShape(Count, RowThreads), _tile, State.ByToken, Parameters.Decoder.Address, Parameters.Decoder.Stride,
                Parameters.DecoderBias.Address, Tokens.Address, Tokens.Stride, State.Width, State.Error, (long)State.Width, State.TokenSums);
            if (Backward && !_sparse)
                State.Kernels.DecoderGradient.Launch(Stream, new LaunchShape(State.Latents, RowThreads), _tile, State.ByLatent, State.TokenWords, State.Error, (long)State.Width, State.Width,
                    ResidualScale, Gradients.Decoder.Address, Gradients.Decoder.Stride, FirstTile ? 1 : 0);
        }

        private readonly void Auxiliary()
        {
            State.Kernels.Select.Launch(Stream, new LaunchShape(Count, SelectWarps * 32, SaeCudaState.SelectBytes * Kept), _tile, _dead ? _rule.Dead : DevicePointer.Null, Kept, State.AuxIndex, State.AuxValue, State.AuxCount);
            State.Kernels.Auxiliary.Launch(Stream, new LaunchShape(Count, RowThreads, State.Width * sizeof(float)), State.AuxIndex, State.AuxValue, State.AuxCount, Kept,
                Parameters.Decoder.Address, Parameters.Decoder.Stride, AuxBias, State.Error, State.Width, AuxScale, State.AuxGradient, State.AuxChosen, State.Words,
                _dead ? State.Rules.AuxError : DevicePointer.Null, State.TokenSums);
            if (_sparse || _dead) State.Kernels.Turn.Launch(Stream, Squares, _tile, State.AuxChosen, State.Rules.AuxByLatent, State.TokenWords, default(SaeLatentSums));
        }

        private readonly void Gradient()
        {
            DevicePointer gate = Parameters.Tied ? DevicePointer.Null : State.Gate;
            SaeAuxiliary auxiliary = Chosen;
            if (_ruled) RuledGradient(auxiliary);
            else if (_fused)
            {
                MatrixView<float> error = Error, decoder = Parameters.Decoder;
                CudaKernel kernel = State.Kernels.Product(1, _product);
                if (_product.Warpgroups)
                    kernel.Launch(Stream, WarpgroupShape, Lines(error), Lines(decoder), error.Address, error.Stride, decoder.Address, decoder.Stride, State.Width, ResidualScale,
                        _tile, State.Work, gate, State.Norms, Coefficients, Bandwidth, auxiliary, State.LatentPartials);
                else kernel.Launch(Stream, ProductShape(transposed: true), error.Address, error.Stride, Wide(error), decoder.Address, decoder.Stride, Wide(decoder), State.Width, ResidualScale,
                    _tile, State.Work, gate, State.Norms, Coefficients, Bandwidth, auxiliary, State.LatentPartials);
            }
            else
            {
                Product(Transpose.No, Transpose.Yes, ResidualScale, Error, Parameters.Decoder, 0, Work, Precision);
                State.Kernels.StraightThrough.Launch(Stream, Squares, _tile, State.Work, gate, State.Norms, Coefficients, Bandwidth, auxiliary, State.LatentPartials);
            }
            Product(Transpose.Yes, Transpose.No, 1, _input, Work, Onto, Gradients.Encoder, Precision);
            if (!Parameters.Tied) Product(Transpose.Yes, Transpose.No, 1, _input, Tile(State, State.Gate, Count), Onto, Gradients.Gate, Precision);
        }

        // Boxes of the copy engine: 128 lines by 32 levels, as in Gemm.
        private const int BoxLines = 128, BoxLevels = 32, WarpgroupThreads = 288;

        private readonly LaunchShape WarpgroupShape => new(
            new Extent((int)GemmConfig.Tiles(Count, _product.Tile), (int)GemmConfig.Tiles(State.Latents, _product.Tile)), WarpgroupThreads, _product.WarpgroupSharedBytes);

        private static TensorMap Lines(MatrixView<float> matrix) => TensorMap.Create(matrix, TensorElement.Float32, BoxLines, BoxLevels, TensorSwizzle.Bytes128);

        private readonly LaunchShape ProductShape(bool transposed)
        {
            int tile = _product.Tile, squares = tile / SaeCudaState.Side;
            // The finished tile, with padded rows, and sums of 20 bytes for each of its columns of squares take the place of the slabs.
            int finished = tile * (tile + 8) * sizeof(float) + squares * tile * (sizeof(double) + 3 * sizeof(int));
            return new LaunchShape(new Extent((int)GemmConfig.Tiles(Count, tile), (int)GemmConfig.Tiles(State.Latents, tile)), 2 * tile,
                Math.Max(finished, _product.SharedBytes(depthIsContiguousInA: true, depthIsContiguousInB: transposed)));
        }

        /// <summary>Adds the sums of the tile to those of the batch.</summary>
        private readonly void Join()
        {
            int chunks = _fused ? (int)GemmConfig.Tiles(Count, _product.Tile) : Chunks;
            State.Kernels.TokenColumns.Launch(Stream, new LaunchShape(new Extent((State.Width + SaeCudaState.Side - 1) / SaeCudaState.Side, Chunks), SquareThreads), Tokens.Address, Tokens.Stride,
                Followed, (long)State.Width, Count, State.Width, State.TokenPartials, State.ErrorPartials);
            State.Kernels.JoinColumns.Launch(Stream, LaunchShape.For((long)State.Latents + State.Width, SquareThreads), State.LatentPartials, State.LatentTotals, State.Latents, State.TokenPartials,
                State.ErrorPartials, State.TokenTotals, State.ErrorTotals, State.Width, chunks, Backward && !_ruled ? chunks : 0, Chunks, FirstTile ? 1 : 0);
            State.Kernels.JoinTokens.Launch(Stream, new LaunchShape(1, SquareThreads), TokenSums, Count, State.Statistics, FirstTile ? 1 : 0, Kept > 0 || _openGates ? 1 : 0);
        }
    }
}
