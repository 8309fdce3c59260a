using System.Runtime.InteropServices;
using BioSup.Runtime;

namespace BioSup.Kernels;

// Laid out as in cuda/include/bs/sae.cuh, bs/sae_rule.cuh and the kernels that name them.

/// <summary>Products of one tile [tokens, latents] without their biases.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct SaeTile(DevicePointer Encoder, DevicePointer Gate, DevicePointer EncoderBias, DevicePointer GateBias, DevicePointer Scale, DevicePointer Threshold,
    long Stride, int Tokens, int Latents);

/// <summary>Sums per latent, of chunks of a tile or of the batch.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct SaeLatentSums(DevicePointer Penalty, DevicePointer Encoder, DevicePointer Gate, DevicePointer Usage, DevicePointer Positive, DevicePointer Open);

/// <summary>Sums per token of a tile.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct SaeTokenSums(DevicePointer SquaredError, DevicePointer Squares, DevicePointer Auxiliary, DevicePointer Any, DevicePointer AuxiliaryAny, DevicePointer Nested);

/// <summary>Chosen auxiliary pairs, as bits [tokens, words] and in lists [tokens, kept].</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct SaeAuxiliary(DevicePointer Chosen, DevicePointer Index, DevicePointer Count, DevicePointer Gradient, int Words, int Kept, int Anywhere);

/// <summary>What an architecture does with a pair; <paramref name="Below"/> is the weight of the pre-activation loss of a pair.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct SaeRule(SaeArchitecture Architecture, JumpReluLoss Loss, float Bandwidth, float TanhScale, float Below, DevicePointer Dead);

/// <summary>Sums per latent of the batch by which the rules' gradients and penalties leave it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct SaeRuleSums(DevicePointer Encoder, DevicePointer Gate, DevicePointer Extra, DevicePointer Slope, DevicePointer Closed, DevicePointer Window);

/// <summary>Where gradients of vectors go; null where an architecture has none.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct SaeVectorGradients(DevicePointer EncoderBias, DevicePointer GateBias, DevicePointer Scale, DevicePointer Threshold, DevicePointer DecoderBias);

/// <summary>One tile of the sparse backward pass.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct SaeBackward
{
    public DevicePointer Active, Window, Auxiliary;
    public int TokenWords, Width;
    public DevicePointer Tokens, Error, Second, Decoder;
    public long TokenStride, ErrorStride, DecoderStride;
    public DevicePointer Prefixes;
    public long GroupStride;
    public int Groups, FirstTile;
    public float Scale, SecondScale;
    public DevicePointer Norms, Coefficients, ToDecoder, ToEncoder, ToGate;
    public long ToDecoderStride;
}

/// <summary>What changes from step to step; eight elements of four bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct SaeCoefficients(float penalty, float decay, float rate, float root, int step, float exponent)
{
    /// <summary>Elements of a float array that hold one.</summary>
    public const int Floats = 8;

    public readonly float Penalty = penalty, Decay = decay, Rate = rate, Root = root;
    public readonly int Step = step;
    public readonly float Exponent = exponent;
    private readonly int _unused0, _unused1;

    public static SaeCoefficients Of(in SaeObjective objective, in SaeUpdateOptions update, long tokens, int latents) => new(
        (float)(objective.SparsityCoefficient / (objective.SparsityScale == SparsityScale.Mean ? (double)tokens * latents : tokens)),
        (float)(1 - update.LearningRate * update.WeightDecay),
        (float)(update.LearningRate / (1 - Math.Pow(update.Beta1, update.Step))),
        (float)(1 / Math.Sqrt(1 - Math.Pow(update.Beta2, update.Step))),
        (int)Math.Min(int.MaxValue, update.Step - 1),
        (float)objective.SparsityExponent);
}

/// <summary>Sums of one batch as the kernels leave them.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct SaeDeviceStatistics
{
    public double SquaredError, Squares, Auxiliary, Sparsity, MeanSquares, Norm;
    public long Active, Positive, Open, WithActive, AuxiliaryAny;

    /// <summary>First step whose losses or norm were not finite; -1 for none.</summary>
    public long Diverged;

    /// <summary>Squared errors of all prefixes, and what dead latents lack to their thresholds times the lengths of their rows.</summary>
    public double Nested, Closed;

    /// <summary>Smallest activation that was selected from the batch.</summary>
    public float Smallest;
    private readonly int _unused;

    public readonly void CopyTo(SaeStatistics statistics, long tokens, in SaeShape shape, in SaeObjective objective, bool training)
    {
        bool selected = training && shape.Architecture is SaeArchitecture.BatchTopK or SaeArchitecture.Matryoshka;
        int prefixes = SaeCudaState.PrefixesOf(shape, objective);
        statistics.Tokens = tokens;
        statistics.Reconstruction = SquaredError / tokens;
        statistics.Sparsity = Penalty(tokens, shape, objective);
        // The reference leaves the term out when the auxiliary reconstruction of the whole batch is zero.
        statistics.Auxiliary = training && objective.AuxCoefficient > 0 && (AuxiliaryAny != 0 || shape.Architecture == SaeArchitecture.GatedOriginal) ? Auxiliary / tokens : 0;
        statistics.PreActivation = SaeCudaState.Below(shape, objective, training) ? Closed / tokens : 0;
        statistics.Loss = (prefixes > 1 ? Nested / prefixes / tokens : statistics.Reconstruction) + objective.SparsityCoefficient * statistics.Sparsity
            + objective.AuxCoefficient * statistics.Auxiliary + objective.PreActivationCoefficient * statistics.PreActivation;
        statistics.SumSquaredError = SquaredError;
        statistics.SumSquares = Squares;
        statistics.SumSquaredTotal = Math.Max(0, Squares - MeanSquares);
        statistics.Active = Active;
        statistics.ClosedGate = Positive - Active;
        statistics.NoMagnitude = shape.HasGateBias ? Open - Active : 0;
        statistics.TokensWithActive = WithActive;
        statistics.SmallestActive = selected ? Smallest : double.NaN;
    }

    private readonly double Penalty(long tokens, in SaeShape shape, in SaeObjective objective)
    {
        if (shape.Architecture == SaeArchitecture.JumpRelu && objective.JumpReluLoss == JumpReluLoss.QuadraticL0) return Math.Pow((double)Active / tokens / objective.TargetL0 - 1, 2);
        return Sparsity / tokens / (objective.SparsityScale == SparsityScale.Mean ? shape.Latents : 1);
    }
}

/// <summary>The arrays of a model beside their gradients and moments, without the decoder.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct SaeSegments
{
    private SaeTensors.Segment _s0, _s1, _s2, _s3, _s4;

    /// <param name="tensors">The arrays.</param>
    /// <param name="matrices">False leaves weight matrices out.</param>
    public static SaeSegments Of(in SaeTensors tensors, bool matrices = true)
    {
        return new() { _s0 = Get(tensors, 0), _s1 = Get(tensors, 1), _s2 = Get(tensors, 2), _s3 = Get(tensors, 3), _s4 = Get(tensors, 4) };

        SaeTensors.Segment Get(in SaeTensors all, int index) => index < all.Count && (matrices || !all.IsMatrix(index)) ? all[index] : default;
    }

    /// <summary>Blocks of <paramref name="run"/> elements, whole ones for every array.</summary>
    public readonly int Blocks(long run)
    {
        return checked((int)(Count(_s0) + Count(_s1) + Count(_s2) + Count(_s3) + Count(_s4)));

        long Count(in SaeTensors.Segment segment) => (segment.Length + run - 1) / run;
    }
}

/// <summary>Constants of AdamW in single precision.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct SaeAdam(in SaeUpdateOptions options)
{
    public readonly float Beta1 = (float)options.Beta1, Rest1 = (float)(1 - options.Beta1), Beta2 = (float)options.Beta2, Rest2 = (float)(1 - options.Beta2), Epsilon = (float)options.Epsilon;
}
