using BioSup.Runtime;

namespace BioSup.Kernels;

internal static unsafe partial class SaeEngine<TSimd, TVector>
{
    /// <summary>Which latents the auxiliary reconstruction takes.</summary>
    private enum AuxiliaryKind
    {
        None,

        /// <summary>The largest closed-gate magnitudes; only magnitudes learn.</summary>
        Closed,

        /// <summary>The largest magnitudes of dead latents; the decoder learns too.</summary>
        Dead,

        /// <summary>Every open gate, with its gate value; only gates learn.</summary>
        Open,
    }

    /// <summary>Everything a job needs to know; copied into the job.</summary>
    private struct Context
    {
        public SaeWorkspace Space;

        /// <summary>Tokens of the tile, and what the encoder sees of them.</summary>
        public float* Tokens, Input;
        public long TokenStride, InputStride;
        public int TileStart, TileTokens;
        public float* Encoder, Gate, Decoder, DecoderBias;
        public long MagnitudeStride, GateStride, DecoderStride;
        public float* DecoderGradient;
        public long DecoderGradientStride;

        /// <summary>λ by pair; 2/n and 2α/n; of a step in the number of active pairs; of the pre-activation loss by pair.</summary>
        public float SparsityGradient, ResidualScale, AuxScale, StepGradient, BelowGradient;
        public float Bandwidth, Exponent, TanhScale;
        public JumpReluLoss JumpLoss;
        public AuxiliaryKind Auxiliary;
        public int AuxLatents;

        public bool Tied, AuxDoubleBias, Backward, Free, Subtract;

        /// <summary>Gate differentiated by the sigmoid at every positive magnitude: no pair can be left out.</summary>
        public bool Exact;

        /// <summary>Gate differentiated inside a window.</summary>
        public bool Windowed;

        /// <summary>Open where the magnitude exceeds the threshold of its latent.</summary>
        public bool Thresholded;

        /// <summary>A threshold that learns.</summary>
        public bool Jump;

        /// <summary>The k largest are active.</summary>
        public bool Selecting;

        /// <summary>The choice is made over the batch, before the tiles are worked on.</summary>
        public bool BatchSelecting;

        /// <summary>Penalty Σ relu(g) ‖W_dec‖; for architectures without a gate g is the magnitude.</summary>
        public bool Linear;

        /// <summary>Gradients that depend on a pair by more than a linear penalty.</summary>
        public bool Pairwise;

        /// <summary>How the tile decodes (and forms the decoder's gradient), and how it forms q and Tᵀ dz.</summary>
        public bool DenseDecode, DenseProducts;

        /// <summary>No tile before this one was dense in that way.</summary>
        public bool FirstDenseDecode, FirstDenseProducts;

        public readonly int Width => Space.InputWidth;
        public readonly int Panels => Space.PaddedLatents / Panel;
        public readonly long PanelStride => (long)Space.TileTokens * Panel;
        public readonly long PrefixStride => (long)Space.TileTokens * Space.PaddedColumns;

        /// <summary>dL/d(reconstruction) that the decoder rows of a latent receive.</summary>
        public readonly float* Residuals(int latent)
        {
            int prefix = 0;
            while (latent >= Space.PrefixEnds[prefix]) prefix++;
            return Space.ResidualRows + prefix * PrefixStride;
        }
    }

    private static Context CreateContext(MatrixView<float> tokens, SaeParameters parameters, SaeParameters gradients, bool backward,
        in SaeObjective objective, SaeWorkspace space)
    {
        SaeShape shape = space.Shape;
        SaeArchitecture architecture = shape.Architecture;
        double pairs = objective.SparsityScale == SparsityScale.Mean ? (double)tokens.Rows * space.Latents : tokens.Rows;
        bool batchChoice = architecture is SaeArchitecture.BatchTopK or SaeArchitecture.Matryoshka, jump = architecture == SaeArchitecture.JumpRelu;
        bool power = architecture == SaeArchitecture.Relu && objective.SparsityExponent != 1;
        Context context = new()
        {
            Space = space,
            TokenStride = tokens.Stride,
            Encoder = parameters.Encoder.Pointer,
            MagnitudeStride = parameters.Encoder.Stride,
            Gate = parameters.Gate.Pointer,
            GateStride = parameters.Gate.Stride,
            Decoder = parameters.Decoder.Pointer,
            DecoderStride = parameters.Decoder.Stride,
            DecoderBias = parameters.DecoderBias.Pointer,
            DecoderGradient = backward ? gradients.Decoder.Pointer : null,
            DecoderGradientStride = backward ? gradients.Decoder.Stride : 0,
            ResidualScale = (float)(2.0 / tokens.Rows),
            AuxScale = (float)(2.0 * objective.AuxCoefficient / tokens.Rows),
            Bandwidth = (float)objective.Bandwidth,
            Exponent = (float)objective.SparsityExponent,
            TanhScale = (float)objective.TanhScale,
            JumpLoss = objective.JumpReluLoss,
            AuxLatents = backward ? Math.Min(objective.ChosenAuxiliary(shape), space.AuxLatents) : 0,
            Tied = shape.Tied,
            AuxDoubleBias = objective.AuxDoubleBias,
            Backward = backward,
            Free = objective.DecoderNorm == DecoderNorm.Free,
            Subtract = shape.SubtractDecoderBias,
            Exact = architecture == SaeArchitecture.Gated && objective.StraightThrough == StraightThrough.Exact,
            Windowed = architecture == SaeArchitecture.Gated && objective.StraightThrough == StraightThrough.Windowed,
            Thresholded = jump || (batchChoice && !backward),
            Jump = jump,
            Selecting = architecture == SaeArchitecture.TopK || (batchChoice && backward),
            BatchSelecting = batchChoice && backward,
            Linear = shape.HasGateBias || (architecture == SaeArchitecture.Relu && !power),
            Pairwise = jump || power,
        };
        if (shape.HasGateBias || architecture == SaeArchitecture.Relu || (jump && objective.JumpReluLoss != JumpReluLoss.QuadraticL0))
            context.SparsityGradient = (float)(objective.SparsityCoefficient / pairs);
        context.StepGradient = jump && objective.JumpReluLoss == JumpReluLoss.L0 ? context.SparsityGradient : 0;
        context.BelowGradient = jump && objective.JumpReluLoss == JumpReluLoss.Tanh ? (float)(objective.PreActivationCoefficient / tokens.Rows) : 0;
        ChooseAuxiliaryKind(ref context, objective, architecture);
        IReadOnlyList<int>? prefixes = architecture == SaeArchitecture.Matryoshka ? objective.Prefixes : null;
        space.RequirePrefixes(prefixes?.Count ?? 1);
        for (int i = 0; i < space.Prefixes; i++) space.PrefixEnds[i] = prefixes?[i] ?? space.Latents;
        // Padding belongs to the last prefix.
        space.PrefixEnds[space.Prefixes - 1] = space.PaddedLatents;
        return context;
    }

    private static void ChooseAuxiliaryKind(ref Context context, in SaeObjective objective, SaeArchitecture architecture)
    {
        SaeWorkspace space = context.Space;
        if (!context.Backward || objective.AuxCoefficient <= 0) return;
        if (architecture == SaeArchitecture.GatedOriginal) context.Auxiliary = AuxiliaryKind.Open;
        else if (context.AuxLatents == 0) return;
        else if (objective.AuxChoice == AuxiliaryChoice.ClosedGate) context.Auxiliary = AuxiliaryKind.Closed;
        else if (space.Dead.View.Host.Contains((byte)1)) context.Auxiliary = AuxiliaryKind.Dead;
        else context.AuxLatents = 0;
        if (context.Auxiliary is AuxiliaryKind.Open or AuxiliaryKind.Dead) space.RequireAuxiliaryRows();
    }
}
