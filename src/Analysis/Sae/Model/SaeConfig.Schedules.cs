using BioSup.Kernels;

namespace BioSup.Analysis.Sae;

public sealed partial record SaeConfig
{
    private const int ExponentStages = 50, DefaultDeadShare = 10, ThresholdHorizon = 5;
    private const long DefaultDeadTokens = 10_000_000;
    private const double LongestThresholdDecay = 0.999, RateOfUnit = 2e-4, UnitLatents = 16_384, WindowDeviations = 2, ThresholdDeviations = 2;

    /// <summary>Learning rate of step 0, 1, … of <paramref name="total"/>: 0 at step 0, linear over the warm-up, then the schedule.</summary>
    public double LearningRateAt(long step, long total)
    {
        long warm = (long)(WarmupFraction * total);
        double rate = LearningRate ?? DefaultRate(Latents);
        if (step < warm) return rate * step / warm;
        double progress = (double)(step - warm) / Math.Max(1, total - warm);
        return Schedule switch
        {
            LearningRateSchedule.Cosine => 0.5 * rate * (1 + Math.Cos(Math.PI * progress)),
            LearningRateSchedule.Linear => rate * (1 - progress),
            LearningRateSchedule.Wsd => rate * Math.Min(1, (total - step) / Math.Max(1, DecayFraction * total)),
            _ => rate,
        };
    }

    /// <summary>The learning rate for so many latents.</summary>
    internal static double DefaultRate(int latents) => RateOfUnit * Math.Sqrt(UnitLatents / Math.Max(1, latents));

    /// <summary>A window is needed whose width, or a threshold whose start, the tokens decide.</summary>
    internal bool NeedsDeviation => Architecture == SaeArchitecture.JumpRelu ? Bandwidth is null || InitialThreshold is null
        : Architecture == SaeArchitecture.Gated && StraightThrough == StraightThrough.Windowed && Bandwidth is null;

    /// <summary>
    /// Fills in what the tokens decide. <paramref name="deviation"/>, the standard deviation of an element of the tokens about their mean, is that of the
    /// projection of a token on a random unit direction: the spread of a pre-activation at the start.
    /// </summary>
    internal SaeConfig WithDeviation(double deviation) => this with
    {
        Bandwidth = Bandwidth ?? WindowDeviations * deviation,
        InitialThreshold = InitialThreshold ?? ThresholdDeviations * deviation,
    };

    /// <summary>λ of a step: 0 over the warm-up, then a linear ramp over a fraction of all steps.</summary>
    public double SparsityAt(long step, long total)
    {
        if (step < SparsityWarmupSteps) return 0;
        long ramp = (long)(SparsityRampFraction * total);
        return ramp == 0 ? SparsityCoefficient : SparsityCoefficient * Math.Min(1, (double)(step - SparsityWarmupSteps) / ramp);
    }

    /// <summary>The first step whose λ is not held down by warm-up and ramp.</summary>
    public long SparsityRampEnd(long total) => SparsityWarmupSteps + (long)(SparsityRampFraction * total);

    /// <summary>p of the ReLU penalty: 1 over the first half of the run, then in fifty equal steps to its end value.</summary>
    public double SparsityExponentAt(long step, long total)
    {
        if (SparsityExponentEnd == 1) return 1;
        double half = 0.5 * total, progress = Math.Clamp((step - half) / half, 0, 1);
        return 1 - (1 - SparsityExponentEnd) * Math.Ceiling(progress * ExponentStages) / ExponentStages;
    }

    /// <summary>Tokens without an active one after which a latent is dead.</summary>
    internal long DeadTokens(long total, int batch) => DeadAfterTokens > 0 ? DeadAfterTokens : Math.Clamp(total * batch / DefaultDeadShare, batch, DefaultDeadTokens);

    /// <summary>0.999, and in runs of less than 5,000 steps less, so that the first steps do not stay in the average.</summary>
    internal static double ThresholdDecay(long total) => Math.Min(LongestThresholdDecay, Math.Max(0, 1 - (double)ThresholdHorizon / total));

    /// <summary>Standard deviation of the encoder's entries at the start.</summary>
    internal double ScaleFor(int inputWidth) => InitialScale > 0 ? InitialScale : 1 / Math.Sqrt(inputWidth);

    /// <summary>Widths of nested dictionaries for so many latents.</summary>
    internal SaePrefixes? ResolvePrefixes() => Architecture != SaeArchitecture.Matryoshka ? null
        : Prefixes ?? new SaePrefixes([.. new[] { 16, 8, 4, 2, 1 }.Select(part => Latents / part).Where(width => width > 0).Distinct()]);
}
