using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>Shape of the learning rate after its warm-up.</summary>
public enum LearningRateSchedule
{
    Cosine,
    Linear,
    Constant,

    /// <summary>Warm-up, stable, decay: constant until the last part of the run, there linear to 0 (Hu et al. 2024, arXiv 2404.06395).</summary>
    Wsd,
}

/// <summary>Where the dictionary starts.</summary>
public enum SaeInitialisation
{
    /// <summary>Encoder entries from a normal distribution, decoder rows the transposed encoder with unit length.</summary>
    Transpose,

    /// <summary>Decoder rows are centroids of a sample of tokens (k-means on the unit sphere), the encoder their transpose, scaled as above.</summary>
    Centroids,
}

/// <summary>Widths of nested dictionaries, equal when their numbers are.</summary>
public sealed record SaePrefixes(params IReadOnlyList<int> Widths)
{
    public bool Equals(SaePrefixes? other) => other is not null && Widths.SequenceEqual(other.Widths);

    public override int GetHashCode() => Widths.Aggregate(0, HashCode.Combine);
}

/// <summary>What happens to tokens before they reach the autoencoder.</summary>
public enum TokenNormalisation
{
    None,

    /// <summary>Centre, then scale every token to unit norm.</summary>
    Paper,
}

/// <summary>Which mean is subtracted by <see cref="TokenNormalisation.Paper"/>.</summary>
public enum TokenCentring
{
    /// <summary>Of all training tokens, computed once and stored with the model: an encoded token does not depend on its neighbours.</summary>
    Fixed,

    /// <summary>Of the batch at hand, as the reference does.</summary>
    Batch,
}

/// <summary>Everything that defines a training run besides tokens, seed, order and number of steps. Defaults are those of the preset "default".</summary>
public sealed partial record SaeConfig
{
    public string Preset { get; init; } = "default";

    public SaeArchitecture Architecture { get; init; }

    /// <summary>Latents; 0 takes eight per input dimension.</summary>
    public int Latents { get; init; }

    public bool Tied { get; init; } = true;

    /// <summary>Tokens per step; 0 takes 2,048, or all tokens when there are fewer.</summary>
    public int Batch { get; init; }

    public int Epochs { get; init; } = 8;
    /// <summary>Largest learning rate; null takes 2e-4 · √(16,384 / d_sae), the rule of Gao et al. 2024 (arXiv 2406.04093) with the constant of EleutherAI's sparsify.</summary>
    public double? LearningRate { get; init; }

    public double WeightDecay { get; init; } = 1e-4;
    public double Beta1 { get; init; } = 0.9;
    public double Beta2 { get; init; } = 0.999;
    public LearningRateSchedule Schedule { get; init; } = LearningRateSchedule.Cosine;
    public double WarmupFraction { get; init; } = 0.1;

    /// <summary>λ at the end of its ramp.</summary>
    public double SparsityCoefficient { get; init; } = 0.1;

    public SparsityScale SparsityScale { get; init; } = SparsityScale.PerToken;
    public int SparsityWarmupSteps { get; init; } = 100;
    public double SparsityRampFraction { get; init; } = 0.1;
    public double AuxCoefficient { get; init; } = 0.03125;
    public int AuxLatents { get; init; } = 32;
    public bool AuxDoubleBias { get; init; }
    public double GradientClip { get; init; } = 1.0;
    public double UsageDecay { get; init; } = 0.99;

    /// <summary>Standard deviation of the encoder's entries at the start; 0 takes 1/√d_in, columns of about unit length.</summary>
    public double InitialScale { get; init; } = 0.02;

    public SaeInitialisation Initialisation { get; init; }
    public StraightThrough StraightThrough { get; init; } = StraightThrough.Exact;
    /// <summary>Width of the window around a threshold; null takes twice the deviation of the tokens (<see cref="WithDeviation"/>).</summary>
    public double? Bandwidth { get; init; }

    /// <summary>k of the TopK family.</summary>
    public int ActiveLatents { get; init; } = 32;

    /// <summary>The encoder sees x − b_dec.</summary>
    public bool SubtractDecoderBias { get; init; }

    public DecoderNorm DecoderNorm { get; init; }

    /// <summary>Active latents per token that λ is steered to (<see cref="SparsityController"/>), or the target of the quadratic JumpReLU loss; 0 leaves λ alone.</summary>
    public double TargetL0 { get; init; }

    public JumpReluLoss JumpReluLoss { get; init; }
    public double TanhScale { get; init; } = 4;
    public double PreActivationCoefficient { get; init; } = 3e-6;

    /// <summary>θ of JumpReLU at the start; null takes twice the deviation of the tokens.</summary>
    public double? InitialThreshold { get; init; }

    /// <summary>Widths of the nested dictionaries of Matryoshka; null takes d_sae divided by 16, 8, 4, 2 and 1.</summary>
    public SaePrefixes? Prefixes { get; init; }

    /// <summary>p of the ReLU penalty Σ aᵖ at the end; it falls from 1 over the second half of the run.</summary>
    public double SparsityExponentEnd { get; init; } = 1;

    /// <summary>A latent without an active token among so many is dead; 0 takes a tenth of the run's tokens, at most 10 million.</summary>
    public long DeadAfterTokens { get; init; }

    /// <summary>Steps between resamplings of dead latents; 0 never resamples.</summary>
    public int ResampleEvery { get; init; }

    public AuxiliaryChoice AuxChoice { get; init; }
    public SaeOptimiser Optimiser { get; init; }

    /// <summary>Last part of the run over which <see cref="LearningRateSchedule.Wsd"/> decays.</summary>
    public double DecayFraction { get; init; } = 0.2;

    /// <summary>Memory of the window that tokens are shuffled in, in MiB; part of what defines their order (docs/tokens.md).</summary>
    public int ShuffleWindow { get; init; } = (int)(ShuffledTokens.DefaultWindowBytes >> 20);

    public TokenNormalisation Normalisation { get; init; } = TokenNormalisation.None;
    public TokenCentring Centring { get; init; } = TokenCentring.Fixed;
    public int LogEvery { get; init; } = 50;

    /// <summary>Steps between checkpoints; 0 writes one only when the run is interrupted and at its end.</summary>
    public int CheckpointEvery { get; init; } = 1000;

    /// <summary>Writes the measured rate into train_log.csv, whose bytes then differ from run to run.</summary>
    public bool LogRate { get; init; }

    /// <summary>How a GPU forms the products of training; parameters, sums and everything else are in single precision all the same.</summary>
    public GemmPrecision GpuPrecision { get; init; } = GemmPrecision.Single;

    /// <summary>The repaired objective: λ per token, one decoder bias in the auxiliary loss, fixed centring.</summary>
    public static SaeConfig Default { get; } = new();

    /// <summary>The published training as its code runs it, quirks included (docs/sae.md lists them).</summary>
    public static SaeConfig Paper { get; } = new()
    {
        Preset = "paper",
        Latents = 4096,
        Batch = 262_144,
        LearningRate = 3e-4,
        Bandwidth = 0.01,
        SparsityCoefficient = 800,
        SparsityScale = SparsityScale.Mean,
        AuxDoubleBias = true,
        Centring = TokenCentring.Batch,
    };

    /// <summary>λ of a JumpReLU loss: of a count, of what approaches a count from below, of a squared relative deviation.</summary>
    internal static double CoefficientOf(JumpReluLoss loss) => loss switch { JumpReluLoss.Tanh => 0.02, JumpReluLoss.QuadraticL0 => 0.3, _ => 0.01 };

    /// <summary>The defaults of an architecture; those of the paper's are the preset's own (docs/sae.md, "Architectures").</summary>
    public SaeConfig For(SaeArchitecture architecture)
    {
        if (architecture == SaeArchitecture.Gated) return this;
        SaeConfig common = this with { Architecture = architecture, InitialScale = 0, AuxChoice = AuxiliaryChoice.Dead, AuxLatents = 64, SubtractDecoderBias = true };
        return architecture switch
        {
            SaeArchitecture.GatedOriginal => common with { AuxChoice = AuxiliaryChoice.ClosedGate, AuxCoefficient = 1, AuxLatents = 0, SparsityCoefficient = 0.5 },
            SaeArchitecture.JumpRelu => common with { SubtractDecoderBias = false, SparsityCoefficient = CoefficientOf(JumpReluLoss.L0) },
            SaeArchitecture.Relu => common with { SparsityCoefficient = 0.2 },
            _ => common with { SparsityCoefficient = 0, SparsityWarmupSteps = 0, SparsityRampFraction = 0 },
        };
    }

    /// <summary>The preset of that name.</summary>
    public static SaeConfig ForPreset(string name) => name switch
    {
        "default" => Default,
        "paper" => Paper,
        _ => throw new UsageException($"preset '{name}': expected \"default\" or \"paper\"."),
    };

    /// <summary>The objective at a step whose sparsity coefficient is <paramref name="sparsity"/>.</summary>
    public SaeObjective Objective(double sparsity) => new()
    {
        SparsityCoefficient = sparsity,
        SparsityScale = SparsityScale,
        AuxCoefficient = AuxCoefficient,
        AuxLatents = AuxLatents,
        AuxDoubleBias = AuxDoubleBias,
        StraightThrough = StraightThrough,
        Bandwidth = Bandwidth ?? 1,
        AuxChoice = AuxChoice,
        JumpReluLoss = JumpReluLoss,
        TargetL0 = TargetL0 > 0 ? TargetL0 : 32,
        TanhScale = TanhScale,
        PreActivationCoefficient = PreActivationCoefficient,
        Prefixes = Prefixes?.Widths,
        DecoderNorm = DecoderNorm,
    };

    /// <summary>The shape for tokens of a width; d_sae must be known.</summary>
    public SaeShape Shape(int inputWidth) => new()
    {
        Architecture = Architecture,
        InputWidth = inputWidth,
        Latents = Latents,
        Tied = Tied,
        ActiveLatents = HasActiveLatents ? ActiveLatents : 0,
        SubtractDecoderBias = SubtractDecoderBias,
    };

    /// <summary>k takes the place of a penalty.</summary>
    public bool HasActiveLatents => Architecture is SaeArchitecture.TopK or SaeArchitecture.BatchTopK or SaeArchitecture.Matryoshka;

    /// <summary>λ follows the number of active latents.</summary>
    public bool SteersSparsity => TargetL0 > 0 && !HasActiveLatents && !(Architecture == SaeArchitecture.JumpRelu && JumpReluLoss == JumpReluLoss.QuadraticL0);
}
