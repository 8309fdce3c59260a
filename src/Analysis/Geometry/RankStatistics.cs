using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>Result of a one-sided Wilcoxon signed-rank test.</summary>
/// <param name="Statistic">Sum of the ranks of the positive differences.</param>
/// <param name="P">p-value; 0 where it is below the smallest double.</param>
/// <param name="Log10P">Its decimal logarithm, finite in every tail.</param>
public sealed record SignedRankTest(double Statistic, double P, double Log10P);

/// <summary>Result of a two-sided Mann–Whitney test.</summary>
/// <param name="U">U of the first sample: pairs in which it is the larger, ties counting half.</param>
/// <param name="P">p-value; 0 where it is below the smallest double.</param>
/// <param name="Log10P">Its decimal logarithm, finite in every tail.</param>
public sealed record RankSumTest(double U, double P, double Log10P);

/// <summary>Result of a Kruskal–Wallis test.</summary>
/// <param name="H">Statistic, corrected for ties.</param>
/// <param name="P">p-value; 0 where it is below the smallest double.</param>
/// <param name="Log10P">Its decimal logarithm, finite in every tail.</param>
public sealed record KruskalTest(double H, double P, double Log10P);

/// <summary>Ranks, correlations and rank tests, in SciPy's conventions.</summary>
public static class RankStatistics
{
    private const int LargestExact = 50;

    /// <summary>Ranks from 1, equal values sharing their average (<c>scipy.stats.rankdata</c>).</summary>
    public static double[] AverageRanks(ReadOnlySpan<double> values)
    {
        double[] sorted = values.ToArray();
        int[] order = [.. Enumerable.Range(0, sorted.Length)];
        Array.Sort(sorted, order);
        double[] ranks = new double[sorted.Length];
        for (int start = 0; start < sorted.Length;)
        {
            int end = start + 1;
            while (end < sorted.Length && sorted[end] == sorted[start]) end++;
            for (int i = start; i < end; i++) ranks[order[i]] = (start + 1 + end) / 2.0;
            start = end;
        }
        return ranks;
    }

    /// <summary>Pearson's correlation; NaN when one side is constant.</summary>
    public static double Pearson(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        if (x.Length != y.Length) throw new ArgumentException($"{x.Length} and {y.Length} values have no correlation.");
        double meanX = Mean(x), meanY = Mean(y), xx = 0, yy = 0, xy = 0;
        for (int i = 0; i < x.Length; i++)
        {
            double dx = x[i] - meanX, dy = y[i] - meanY;
            xx += dx * dx;
            yy += dy * dy;
            xy += dx * dy;
        }
        return xx > 0 && yy > 0 ? Math.Clamp(xy / Math.Sqrt(xx) / Math.Sqrt(yy), -1, 1) : double.NaN;
    }

    /// <summary>Spearman's correlation: Pearson's of the average ranks.</summary>
    public static double Spearman(ReadOnlySpan<double> x, ReadOnlySpan<double> y) => Pearson(AverageRanks(x), AverageRanks(y));

    /// <summary>
    /// Tests that the differences lie below 0 (<c>scipy.stats.wilcoxon(d, alternative="less")</c>): zeros are dropped; the exact distribution
    /// up to 50 differences without ties or zeros, otherwise the normal one with tie correction and no continuity correction.
    /// </summary>
    /// <exception cref="UsageException">Every difference is zero.</exception>
    public static SignedRankTest SignedRankLess(ReadOnlySpan<double> differences)
    {
        double[] kept = differences.ToArray().Where(d => d != 0).ToArray();
        int n = kept.Length;
        if (n == 0) throw new UsageException("The signed-rank test needs at least one difference that is not zero.");
        double[] sizes = Array.ConvertAll(kept, Math.Abs), ranks = AverageRanks(sizes);
        double positive = 0;
        for (int i = 0; i < n; i++) if (kept[i] > 0) positive += ranks[i];
        double ties = TieTerm(sizes);
        if (n <= LargestExact && ties == 0 && n == differences.Length) return Exact(n, positive);
        double mean = n * (n + 1.0) / 4, variance = n * (n + 1.0) * (2 * n + 1.0) / 24 - ties / 48;
        double z = (positive - mean) / Math.Sqrt(variance);
        return new SignedRankTest(positive, NormalTail.Upper(-z), NormalTail.Log10Upper(-z));
    }

    /// <summary>
    /// Tests whether one sample tends to be larger than the other (<c>scipy.stats.mannwhitneyu(x, y, method="asymptotic")</c>): normal distribution with tie and
    /// continuity correction. Two samples of one value have P = 1.
    /// </summary>
    /// <exception cref="UsageException">A sample is empty.</exception>
    public static RankSumTest MannWhitney(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        if (x.Length == 0 || y.Length == 0) throw new UsageException("The Mann–Whitney test needs values on both sides.");
        int[] labels = new int[x.Length + y.Length];
        double[] values = new double[labels.Length];
        long[] zeros = new long[2];
        int count = 0;
        bool single = true;
        Take(x, 0);
        Take(y, 1);
        ReadOnlySpan<ulong> sorted = new ColumnOrder(count).Sort(values.AsSpan(0, count), labels.AsSpan(0, count), single, out int negative);
        RankSums ranks = new([x.Length, y.Length], 1);
        ranks.Count(sorted, negative, zeros);
        double u = ranks.U(0), logP = LogMannWhitney(u, x.Length, y.Length, ranks.Ties(0));
        return new RankSumTest(u, Math.Exp(logP), logP / Math.Log(10));

        void Take(ReadOnlySpan<double> sample, int label)
        {
            foreach (double value in sample)
            {
                if (value == 0)
                {
                    zeros[label]++;
                    continue;
                }
                (values[count], labels[count++]) = (value, label);
                single &= (float)value == value;
            }
        }
    }

    /// <summary>ln of the two-sided p-value of U: normal distribution with tie and continuity correction, as SciPy forms it.</summary>
    /// <param name="u">U of either sample.</param>
    /// <param name="n1">Size of the one sample.</param>
    /// <param name="n2">Size of the other.</param>
    /// <param name="ties">Σ (t³ - t) over the groups of t equal values of both samples together.</param>
    internal static double LogMannWhitney(double u, double n1, double n2, double ties)
    {
        double n = n1 + n2, larger = Math.Max(u, n1 * n2 - u), variance = n1 * n2 / 12 * (n + 1 - ties / (n * (n - 1)));
        double z = variance > 0 ? (larger - n1 * n2 / 2 - 0.5) / Math.Sqrt(variance) : double.NegativeInfinity;
        return Math.Min(0, Math.Log(2) + NormalTail.LogUpper(z));
    }

    /// <summary>
    /// Tests whether the values of all groups come from one distribution (<c>scipy.stats.kruskal</c>): H with tie correction against χ² with one degree of freedom less than groups.
    /// Values that are all equal have H = 0 and P = 1, where SciPy refuses.
    /// </summary>
    /// <param name="groups">Two groups or more, none empty.</param>
    /// <exception cref="UsageException">There are fewer groups, or one is empty.</exception>
    public static KruskalTest KruskalWallis(IReadOnlyList<double[]> groups)
    {
        if (groups.Count < 2 || groups.Any(g => g.Length == 0)) throw new UsageException("The Kruskal–Wallis test needs at least two groups, each with values.");
        double[] all = [.. groups.SelectMany(g => g)], ranks = AverageRanks(all);
        double n = all.Length, sum = 0, correction = 1 - TieTerm(all) / (n * (n * n - 1));
        if (!(correction > 0)) return new KruskalTest(0, 1, 0);
        int start = 0;
        foreach (double[] group in groups)
        {
            double own = 0;
            foreach (double rank in ranks.AsSpan(start, group.Length)) own += rank - 0.5 * (n + 1);
            sum += own * own / group.Length;
            start += group.Length;
        }
        // From the deviations of the ranks rather than from the ranks, which would cancel; the two are equal because the ranks add up to n (n + 1) / 2.
        double h = 12 / (n * (n + 1)) * sum / correction, logP = ChiSquareTail.LogUpper(h, groups.Count - 1);
        return new KruskalTest(h, Math.Exp(logP), logP / Math.Log(10));
    }

    internal static double Mean(ReadOnlySpan<double> values)
    {
        double sum = 0;
        foreach (double value in values) sum += value;
        return sum / values.Length;
    }

    /// <summary>Standard deviation with divisor n.</summary>
    internal static double PopulationDeviation(ReadOnlySpan<double> values)
    {
        double mean = Mean(values), sum = 0;
        foreach (double value in values) sum += (value - mean) * (value - mean);
        return Math.Sqrt(sum / values.Length);
    }

    internal static double Median(ReadOnlySpan<double> values)
    {
        double[] sorted = values.ToArray();
        Array.Sort(sorted);
        int middle = sorted.Length / 2;
        return sorted.Length == 0 ? double.NaN : sorted.Length % 2 == 1 ? sorted[middle] : 0.5 * (sorted[middle - 1] + sorted[middle]);
    }

    /// <summary>Σ (t³ - t) over groups of t equal values.</summary>
    private static double TieTerm(double[] values) => values.GroupBy(v => v).Sum(g => Math.Pow(g.Count(), 3) - g.Count());

    private static SignedRankTest Exact(int n, double statistic)
    {
        // Number of subsets of {1 … n} with each sum.
        double[] subsets = new double[n * (n + 1) / 2 + 1];
        subsets[0] = 1;
        for (int rank = 1; rank <= n; rank++)
            for (int sum = rank * (rank + 1) / 2; sum >= rank; sum--) subsets[sum] += subsets[sum - rank];
        double below = 0;
        for (int sum = 0; sum <= (int)statistic; sum++) below += subsets[sum];
        double p = below / Math.Pow(2, n);
        return new SignedRankTest(statistic, p, Math.Log10(p));
    }
}
