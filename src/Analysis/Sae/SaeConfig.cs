using System.Globalization;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>Shape of the learning rate after its warm-up.</summary>
public enum LearningRateSchedule { Cosine, Linear, Constant }

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
public sealed record SaeConfig
{
    public string Preset { get; init; } = "default";

    /// <summary>Latents; 0 takes eight per input dimension.</summary>
    public int Latents { get; init; }

    public bool Tied { get; init; } = true;

    /// <summary>Tokens per step; 0 takes 2,048, or all tokens when there are fewer.</summary>
    public int Batch { get; init; }

    public int Epochs { get; init; } = 8;
    public double LearningRate { get; init; } = 3e-4;
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
    public double InitialScale { get; init; } = 0.02;
    public StraightThrough StraightThrough { get; init; } = StraightThrough.Exact;
    public double Bandwidth { get; init; } = 0.01;
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
        SparsityCoefficient = 800,
        SparsityScale = SparsityScale.Mean,
        AuxDoubleBias = true,
        Centring = TokenCentring.Batch,
    };

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
        Bandwidth = Bandwidth,
    };

    /// <summary>Learning rate of step 0, 1, … of <paramref name="total"/>: 0 at step 0, linear over the warm-up, then the schedule.</summary>
    public double LearningRateAt(long step, long total)
    {
        long warm = (long)(WarmupFraction * total);
        if (step < warm) return LearningRate * step / warm;
        double progress = (double)(step - warm) / Math.Max(1, total - warm);
        return Schedule switch
        {
            LearningRateSchedule.Cosine => 0.5 * LearningRate * (1 + Math.Cos(Math.PI * progress)),
            LearningRateSchedule.Linear => LearningRate * (1 - progress),
            _ => LearningRate,
        };
    }

    /// <summary>λ of a step: 0 over the warm-up, then a linear ramp over a fraction of all steps.</summary>
    public double SparsityAt(long step, long total)
    {
        if (step < SparsityWarmupSteps) return 0;
        long ramp = (long)(SparsityRampFraction * total);
        return ramp == 0 ? SparsityCoefficient : SparsityCoefficient * Math.Min(1, (double)(step - SparsityWarmupSteps) / ramp);
    }

    /// <summary>Refuses values that cannot be meant.</summary>
    /// <exception cref="UsageException">Names the key, the value and what was expected.</exception>
    public void Validate(string source)
    {
        Check(Latents >= 0, "d_sae", Latents, "at least 1");
        Check(Batch >= 0, "batch", Batch, "at least 1");
        Check(Epochs >= 1, "epochs", Epochs, "at least 1");
        Check(LearningRate >= 0 && double.IsFinite(LearningRate), "lr", LearningRate, "at least 0");
        Check(WeightDecay >= 0 && double.IsFinite(WeightDecay), "weight_decay", WeightDecay, "at least 0");
        Check(Beta1 is >= 0 and < 1, "betas", Beta1, "two numbers from 0 up to, not including, 1");
        Check(Beta2 is >= 0 and < 1, "betas", Beta2, "two numbers from 0 up to, not including, 1");
        Check(WarmupFraction is >= 0 and <= 1, "lr_warmup_fraction", WarmupFraction, "0 to 1");
        Check(SparsityCoefficient >= 0 && double.IsFinite(SparsityCoefficient), "sparsity_coeff", SparsityCoefficient, "at least 0");
        Check(SparsityWarmupSteps >= 0, "sparsity_warmup_steps", SparsityWarmupSteps, "at least 0");
        Check(SparsityRampFraction is >= 0 and <= 1, "sparsity_ramp_fraction", SparsityRampFraction, "0 to 1");
        Check(AuxCoefficient >= 0 && double.IsFinite(AuxCoefficient), "aux_coeff", AuxCoefficient, "at least 0");
        Check(AuxLatents >= 0, "aux_k", AuxLatents, "at least 0");
        Check(GradientClip >= 0, "grad_clip", GradientClip, "at least 0 (0 does not clip)");
        Check(UsageDecay is >= 0 and < 1, "usage_ema", UsageDecay, "0 up to, not including, 1");
        Check(InitialScale > 0 && double.IsFinite(InitialScale), "init_scale", InitialScale, "more than 0");
        Check(Bandwidth > 0 && double.IsFinite(Bandwidth), "ste_bandwidth", Bandwidth, "more than 0");
        Check(LogEvery >= 1, "log_every", LogEvery, "at least 1");
        Check(CheckpointEvery >= 0, "checkpoint_every", CheckpointEvery, "at least 0");

        void Check(bool condition, string key, double value, string expected)
        {
            if (!condition) throw new UsageException($"{source}: '{key}' is {value.ToString(CultureInfo.InvariantCulture)}; expected {expected}.");
        }
    }
}
