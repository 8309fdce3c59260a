using BioSup.Analysis.Geometry;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>A one-sided test of Jonckheere and Terpstra for a falling trend over ordered groups.</summary>
/// <param name="Statistic">J = Σ over groups i before j of #(value of i &gt; value of j) + ½ #(equal).</param>
/// <param name="Mean">Of J without a trend, (N² − Σ n²) / 4.</param>
/// <param name="Variance">Of J without a trend, with the full tie correction (Hollander, Wolfe and Chicken 2014, equation 6.19).</param>
/// <param name="Z">(J − mean ∓ ½) / √variance, ½ towards 0 as correction for continuity.</param>
/// <param name="P">P(Z ≥ z): small when the values fall; 0 where it is below the smallest double.</param>
/// <param name="Log10P">Its decimal logarithm, finite in every tail.</param>
/// <param name="PartialTies">The same test as the published pipeline computes it, with the first of the three tie terms alone.</param>
public sealed record JonckheereTest(double Statistic, double Mean, double Variance, double Z, double P, double Log10P, JonckheereTest? PartialTies = null);

/// <summary>Tests of a trend over ordered groups, and the size of a difference between two.</summary>
public static class OrderedTrend
{
    /// <summary>Tests that the values fall from the first to the last group.</summary>
    /// <param name="groups">Two or more groups in their order, each with at least one finite value.</param>
    /// <exception cref="UsageException">There are fewer than two groups, or one is empty.</exception>
    public static JonckheereTest JonckheereFalling(IReadOnlyList<double[]> groups)
    {
        if (groups.Count < 2) throw new UsageException($"A trend over groups needs at least two of them; there is {groups.Count}.");
        for (int g = 0; g < groups.Count; g++)
            if (groups[g].Length == 0) throw new UsageException($"Group {g} of {groups.Count} has no values; a trend over groups needs values in each.");
        double statistic = 0;
        for (int i = 0; i < groups.Count; i++)
            for (int j = i + 1; j < groups.Count; j++) statistic += RankStatistics.MannWhitney(groups[i], groups[j]).U;
        double[] sizes = [.. groups.Select(g => (double)g.Length)], ties = [.. groups.SelectMany(g => g).GroupBy(v => v).Select(g => (double)g.Count())];
        double n = sizes.Sum(), mean = (n * n - sizes.Sum(s => s * s)) / 4;
        double partial = (Cubic(n) - sizes.Sum(Cubic) - ties.Sum(Cubic)) / 72;
        double triples = n > 2 ? sizes.Sum(Triples) * ties.Sum(Triples) / (36 * Triples(n)) : 0, pairs = sizes.Sum(Pairs) * ties.Sum(Pairs) / (8 * Pairs(n));
        return Test(statistic, mean, partial + triples + pairs) with { PartialTies = Test(statistic, mean, partial) };
    }

    /// <summary>Cliff's δ = P(x &gt; y) − P(x &lt; y), −1 to 1.</summary>
    /// <exception cref="UsageException">A side is empty.</exception>
    public static double CliffsDelta(ReadOnlySpan<double> x, ReadOnlySpan<double> y) => 2 * RankStatistics.MannWhitney(x, y).U / ((double)x.Length * y.Length) - 1;

    /// <summary>The usual word for the size of δ (Romano et al. 2006): below 0.147 negligible, below 0.33 small, below 0.474 medium, else large.</summary>
    public static string Magnitude(double delta) => Math.Abs(delta) switch { < 0.147 => "negligible", < 0.33 => "small", < 0.474 => "medium", _ => "large" };

    private static JonckheereTest Test(double statistic, double mean, double variance)
    {
        double beyond = statistic - mean, corrected = Math.CopySign(Math.Max(Math.Abs(beyond) - 0.5, 0), beyond);
        // Without a variance every value is the same: there is no trend to see.
        double z = variance > 0 ? corrected / Math.Sqrt(variance) : 0;
        return new JonckheereTest(statistic, mean, variance, z, NormalTail.Upper(z), NormalTail.Log10Upper(z));
    }

    private static double Pairs(double n) => n * (n - 1);

    private static double Triples(double n) => n * (n - 1) * (n - 2);

    private static double Cubic(double n) => n * (n - 1) * (2 * n + 5);
}
