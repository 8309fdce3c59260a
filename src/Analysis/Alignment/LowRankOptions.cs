using System.Globalization;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>How far one step of mirror descent goes.</summary>
public enum LowRankStep
{
    /// <summary>
    /// First so far that the largest exponent is ten, halved where the loss would rise and lengthened where it does not, up to ten times that. It does not depend on the scale of the costs, the loss
    /// falls from step to step, and projections are solved to the end by Newton's method.
    /// </summary>
    Safeguarded,

    /// <summary>POT's and OTT's "rescale": ten over the squared largest gradient, as it comes, stopped by the factors' symmetric Kullback-Leibler change over the squared step.</summary>
    Pot,
}

/// <summary>Where the factors start.</summary>
public enum LowRankStart
{
    /// <summary>
    /// Both domains are cut into as many clusters as the rank (k-means in the costs), the clusters are aligned by their mean costs, and cells go with their cluster: what is far apart in one
    /// domain starts apart.
    /// </summary>
    Clusters,

    /// <summary>Random positive factors (POT's and OTT's default), near the product of the masses, where every gradient is small.</summary>
    Random,

    /// <summary>Two couplings of rank one, nearly the product of the masses (Scetbon, Cuturi and Peyré 2021).</summary>
    RankTwo,
}

/// <summary>Parameters of a low-rank Gromov-Wasserstein solve.</summary>
public sealed record LowRankOptions
{
    /// <summary>Inner dimension of the factors, at least 1; never more than there are points in the smaller domain.</summary>
    public int Rank { get; init; } = 20;
    public LowRankStep Step { get; init; } = LowRankStep.Safeguarded;
    public LowRankStart Start { get; init; } = LowRankStart.Clusters;

    /// <summary>
    /// Which of the starts of this kind: 0 the usual one. From clusters, 1 aligns them from the mirror image of their alignment, and further ones cut other clusters and align them from random
    /// landmarks; random factors are other ones.
    /// </summary>
    public int Variant { get; init; }

    /// <summary>Lower bound of the inner weights g (alpha in the papers), in (0, 1 / rank).</summary>
    public double SmallestWeight { get; init; } = 1e-10;

    /// <summary>
    /// Safeguarded: share of the loss (and of a thousandth of the mean squared costs) by which ten steps must lower it to go on. With POT's step: its stopThr on the factors' change, 1e-4 there.
    /// </summary>
    public double Tolerance { get; init; } = 1e-4;
    public int MaxIterations { get; init; } = 1000;

    /// <summary>With POT's step: L1 error of the row sums at which one projection (Dykstra's iteration) ends; the last one goes to 1e-9.</summary>
    public double ProjectionTolerance { get; init; } = 1e-3;
    public int ProjectionIterations { get; init; } = 10_000;

    /// <summary>Seed of the clusters and of the random factors.</summary>
    public ulong Seed { get; init; }

    /// <summary>Refuses parameters without a meaning.</summary>
    /// <exception cref="UsageException">With what is wrong.</exception>
    public void Validate()
    {
        if (Rank < 1) throw new UsageException($"rank is {Rank}; a coupling has at least rank 1.");
        if (!(SmallestWeight > 0 && SmallestWeight * Rank < 1)) throw new UsageException(Text($"The smallest weight is {SmallestWeight}; it must lie between 0 and 1 / rank, as the weights sum to 1."));
        if (Variant < 0) throw new UsageException($"The variant of the start is {Variant}; it must not be negative.");
        if (!(Tolerance >= 0)) throw new UsageException(Text($"The tolerance is {Tolerance}; it must not be negative."));
        if (MaxIterations < 1 || ProjectionIterations < 1) throw new UsageException("At least one iteration is needed.");
        if (!(ProjectionTolerance > 0)) throw new UsageException(Text($"The tolerance of projections is {ProjectionTolerance}; it must be positive."));
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
