using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>How the step function of the gate is differentiated.</summary>
public enum StraightThrough
{
    /// <summary>The derivative of the sigmoid at every pair with a positive magnitude pre-activation, as the paper trains.</summary>
    Exact,

    /// <summary>A rectangle of the given bandwidth around the threshold (Rajamanoharan et al. 2024, eq. 11), zero elsewhere.</summary>
    Windowed,
}

/// <summary>How active latents are turned into a reconstruction.</summary>
public enum SaeDecoding
{
    /// <summary>As a product with every latent: for the first steps, where half of all pairs are active.</summary>
    Dense,

    /// <summary>From the decoder rows of active latents alone.</summary>
    Sparse,
}

/// <summary>What the sparsity penalty is divided by.</summary>
public enum SparsityScale
{
    /// <summary>Mean over tokens and latents: the strength per token falls with the width of the dictionary.</summary>
    Mean,

    /// <summary>Sum over latents, mean over tokens: dictionaries of different width are comparable.</summary>
    PerToken,
}

/// <summary>What keeps a JumpReLU autoencoder sparse.</summary>
public enum JumpReluLoss
{
    /// <summary>λ · L0; its gradient reaches the thresholds through a rectangle of the bandwidth (arXiv 2407.14435).</summary>
    L0,

    /// <summary>λ · Σ tanh(c a ‖W_dec‖), and a pre-activation loss on dead latents (Anthropic, January 2025).</summary>
    Tanh,

    /// <summary>λ · (L0 / target − 1)², the mean L0 of the batch.</summary>
    QuadraticL0,
}

/// <summary>Which latents the auxiliary reconstruction of the residual may use.</summary>
public enum AuxiliaryChoice
{
    /// <summary>Latents whose gate is closed for the token, whatever their usage; decoder held constant. The paper's; no auxiliary loss where there is no gate.</summary>
    ClosedGate,

    /// <summary>Latents that fired on no recent token (<see cref="SaeWorkspace.Dead"/>); encoder and decoder learn from it (AuxK of arXiv 2406.04093).</summary>
    Dead,
}

/// <summary>What holds the rows of the decoder.</summary>
public enum DecoderNorm
{
    /// <summary>Unit length: the gradient loses its part along the row, the row is scaled after the update.</summary>
    Unit,

    /// <summary>Free; penalties weigh an activation by its row's length, and the length learns from it.</summary>
    Free,
}

/// <summary>The losses of an autoencoder: reconstruction + sparsity + auxiliary.</summary>
public readonly record struct SaeObjective
{
    public SaeObjective() { }

    /// <summary>λ, the weight of the sparsity penalty at this step; ≥ 0.</summary>
    public double SparsityCoefficient { get; init; }

    public SparsityScale SparsityScale { get; init; } = SparsityScale.PerToken;

    /// <summary>Weight of the auxiliary loss; 0 leaves it out.</summary>
    public double AuxCoefficient { get; init; } = 0.03125;

    public AuxiliaryChoice AuxChoice { get; init; }

    /// <summary>Largest admitted pre-activations per token that the auxiliary reconstruction uses; ties by lower index.</summary>
    public int AuxLatents { get; init; } = 32;

    /// <summary>Adds the decoder bias to the auxiliary reconstruction although its target already contains it, as the reference does.</summary>
    public bool AuxDoubleBias { get; init; }

    public StraightThrough StraightThrough { get; init; } = StraightThrough.Exact;

    /// <summary>Width of the window of <see cref="StraightThrough.Windowed"/> and of JumpReLU, in units of the pre-activation; &gt; 0.</summary>
    public double Bandwidth { get; init; } = 0.01;

    /// <summary>p of the penalty Σ aᵖ of <see cref="SaeArchitecture.Relu"/>, 0 &lt; p ≤ 1.</summary>
    public double SparsityExponent { get; init; } = 1;

    public JumpReluLoss JumpReluLoss { get; init; }

    /// <summary>Target of <see cref="JumpReluLoss.QuadraticL0"/>: active latents per token, &gt; 0.</summary>
    public double TargetL0 { get; init; } = 32;

    /// <summary>c of <see cref="JumpReluLoss.Tanh"/>.</summary>
    public double TanhScale { get; init; } = 4;

    /// <summary>Weight of Σ relu(θ − z) ‖W_dec‖ over dead latents, with <see cref="JumpReluLoss.Tanh"/>.</summary>
    public double PreActivationCoefficient { get; init; } = 3e-6;

    /// <summary>Widths of the nested dictionaries of <see cref="SaeArchitecture.Matryoshka"/>, ascending, the last one d_sae; the loss is their mean. Null: d_sae alone.</summary>
    public IReadOnlyList<int>? Prefixes { get; init; }

    public DecoderNorm DecoderNorm { get; init; }

    /// <summary>Auxiliary latents per token that a step of this shape chooses.</summary>
    internal int ChosenAuxiliary(in SaeShape shape)
    {
        if (AuxCoefficient <= 0 || shape.Architecture == SaeArchitecture.GatedOriginal) return 0;
        return AuxChoice == AuxiliaryChoice.ClosedGate && shape.Architecture != SaeArchitecture.Gated ? 0 : Math.Min(AuxLatents, shape.Latents);
    }

    /// <exception cref="ArgumentException">A value is out of range for the shape.</exception>
    internal void Validate(in SaeShape shape)
    {
        bool window = shape.Architecture == SaeArchitecture.JumpRelu || StraightThrough == StraightThrough.Windowed;
        if (window && !(Bandwidth > 0)) throw new ArgumentOutOfRangeException(nameof(Bandwidth), $"The bandwidth is {Bandwidth}; expected a positive number.");
        if (!(SparsityExponent is > 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(SparsityExponent), $"The exponent of the penalty is {SparsityExponent}; expected above 0 and at most 1.");
        if (JumpReluLoss == JumpReluLoss.QuadraticL0 && !(TargetL0 > 0)) throw new ArgumentOutOfRangeException(nameof(TargetL0), $"The target is {TargetL0}; expected a positive number.");
        if (shape.Architecture != SaeArchitecture.Matryoshka || Prefixes is null) return;
        int last = 0;
        for (int i = 0; i < Prefixes.Count; i++)
        {
            if (Prefixes[i] <= last) throw new ArgumentException($"Prefix {i + 1} is {Prefixes[i]}; expected more than {last}: prefixes ascend.", nameof(Prefixes));
            last = Prefixes[i];
        }
        if (last != shape.Latents) throw new ArgumentException($"The last prefix is {last}; expected all {shape.Latents} latents.", nameof(Prefixes));
    }
}

/// <summary>Views of one model's parameters, or of their gradients.</summary>
public readonly ref struct SaeParameters
{
    /// <summary>W_enc [d_in, d_sae]: W_mag of the paper's autoencoder, W_gate of <see cref="SaeArchitecture.GatedOriginal"/>.</summary>
    public required MatrixView<float> Encoder { get; init; }

    /// <summary>W_gate [d_in, d_sae] of an untied model; not set when tied.</summary>
    public MatrixView<float> Gate { get; init; }

    /// <summary>b_enc [d_sae]: b_mag of gated autoencoders.</summary>
    public required DeviceSpan<float> EncoderBias { get; init; }

    /// <summary>b_gate [d_sae] of gated autoencoders; not set otherwise.</summary>
    public DeviceSpan<float> GateBias { get; init; }

    /// <summary>r_mag [d_sae] of <see cref="SaeArchitecture.GatedOriginal"/>.</summary>
    public DeviceSpan<float> MagnitudeScale { get; init; }

    /// <summary>θ [d_sae] where <see cref="SaeShape.HasThreshold"/>.</summary>
    public DeviceSpan<float> Threshold { get; init; }

    /// <summary>W_dec [d_sae, d_in].</summary>
    public required MatrixView<float> Decoder { get; init; }

    /// <summary>b_dec [d_in].</summary>
    public required DeviceSpan<float> DecoderBias { get; init; }

    /// <summary>The gate reads the magnitude weights: one encoder product is enough.</summary>
    public unsafe bool Tied => Gate.Pointer == null;

    public int InputWidth => Encoder.Rows;
    public int Latents => Encoder.Columns;

    internal void Validate(string name, in SaeShape shape)
    {
        int d = shape.InputWidth, latents = shape.Latents;
        if (Encoder.Rows != d || Encoder.Columns != latents) Refuse(name, $"the encoder must be {d} x {latents}, is {Encoder.Rows} x {Encoder.Columns}");
        // The sentences are built only when one is needed: a step allocates nothing.
        if (Decoder.Rows != latents || Decoder.Columns != d) Refuse(name, $"W_dec must be {latents} x {d}, is {Decoder.Rows} x {Decoder.Columns}");
        if (EncoderBias.Length != latents) Refuse(name, $"the encoder bias must have {latents} elements, has {EncoderBias.Length}");
        if (shape.HasGateBias && GateBias.Length != latents) Refuse(name, $"b_gate must have {latents} elements, has {GateBias.Length}");
        if (shape.HasMagnitudeScale && MagnitudeScale.Length != latents) Refuse(name, $"r_mag must have {latents} elements, has {MagnitudeScale.Length}");
        if (shape.HasThreshold && Threshold.Length != latents) Refuse(name, $"the threshold must have {latents} elements, has {Threshold.Length}");
        if (Tied != shape.Tied) Refuse(name, shape.Tied ? "W_gate is set although the model is tied" : "W_gate is missing");
        if (DecoderBias.Length != d) Refuse(name, $"b_dec must have {d} elements, has {DecoderBias.Length}");
        if (!Tied && (Gate.Rows != d || Gate.Columns != latents)) Refuse(name, $"W_gate must be {d} x {latents}, is {Gate.Rows} x {Gate.Columns}");
    }

    private static void Refuse(string name, string problem) => throw new ArgumentException($"{name}: {problem}.", name);
}

/// <summary>Losses and counts of one batch. Reused from step to step.</summary>
public sealed class SaeStatistics
{
    /// <summary>Tokens in the batch.</summary>
    public long Tokens { get; internal set; }

    /// <summary>reconstruction (with Matryoshka the mean over prefixes) + λ·sparsity + α·aux + the pre-activation loss times its weight.</summary>
    public double Loss { get; internal set; }

    /// <summary>Mean over tokens of the squared error summed over dimensions.</summary>
    public double Reconstruction { get; internal set; }

    /// <summary>Penalty before λ, scaled as the objective says; of <see cref="JumpReluLoss.QuadraticL0"/> the squared relative deviation of the batch.</summary>
    public double Sparsity { get; internal set; }

    /// <summary>Auxiliary loss before α.</summary>
    public double Auxiliary { get; internal set; }

    /// <summary>Σ relu(θ − z) ‖W_dec‖ over dead latents, mean over tokens, before its weight; 0 without <see cref="JumpReluLoss.Tanh"/> and outside training.</summary>
    public double PreActivation { get; internal set; }

    /// <summary>Σ ‖reconstruction − token‖².</summary>
    public double SumSquaredError { get; internal set; }

    /// <summary>Σ ‖token‖².</summary>
    public double SumSquares { get; internal set; }

    /// <summary>Σ ‖token − mean token of the batch‖².</summary>
    public double SumSquaredTotal { get; internal set; }

    /// <summary>Set A: the active pairs; of a gated autoencoder those with open gate and positive magnitude.</summary>
    public long Active { get; internal set; }

    /// <summary>Set B: pairs with a positive magnitude that are not active: behind a closed gate (the straight-through estimator sends gradient to them), below a threshold, not among the k largest.</summary>
    public long ClosedGate { get; internal set; }

    /// <summary>Set C: pairs with open gate and no magnitude, which only the sparsity penalty sees; 0 where there is no gate.</summary>
    public long NoMagnitude { get; internal set; }

    /// <summary>Smallest activation a training step of the BatchTopK family selected, 0 when it selected none; NaN elsewhere.</summary>
    public double SmallestActive { get; internal set; } = double.NaN;

    /// <summary>Tokens with at least one active latent.</summary>
    public long TokensWithActive { get; internal set; }

    /// <summary>Fraction of variance unexplained within the batch.</summary>
    public double Fvu => SumSquaredTotal > 0 ? SumSquaredError / SumSquaredTotal : double.NaN;

    /// <summary>Active latents per token.</summary>
    public double L0 => Tokens > 0 ? (double)Active / Tokens : 0;

    /// <summary>Active latents per token with at least one, the paper's count.</summary>
    public double ConditionalL0 => TokensWithActive > 0 ? (double)Active / TokensWithActive : 0;
}
