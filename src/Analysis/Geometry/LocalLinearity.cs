using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>How smoothly a value varies over a representation, at one neighbourhood size.</summary>
public sealed record LocalLinearityResult
{
    public required int K { get; init; }
    public required int N { get; init; }

    /// <summary>Standard deviation (divisor k) of the value over each row's neighbours / that over all rows (divisor n).</summary>
    public required double[] Ratios { get; init; }

    public required double MeanRatio { get; init; }
    public required double MedianRatio { get; init; }
    public required double GlobalStd { get; init; }

    /// <summary>Wilcoxon signed-rank test of ratio - 1 &lt; 0.</summary>
    public required SignedRankTest Wilcoxon { get; init; }

    public required MoranResult Moran { get; init; }

    /// <summary>(#{permuted mean ratio ≤ observed} + 1) / (permutations + 1); null without permutations.</summary>
    public double? PermutationP { get; init; }
}

/// <summary>Local standard-deviation ratio and Moran's I of a value over a kNN graph, with permutation p-values that share the graph.</summary>
public static class LocalLinearity
{
    /// <param name="neighbours">Neighbours of every row, for at least <paramref name="k"/>.</param>
    /// <param name="values">One finite value per row, not all equal.</param>
    /// <param name="k">Neighbourhood size.</param>
    /// <param name="permutations">How often the values are permuted over the rows; 0 for no permutation p-value.</param>
    /// <param name="seed">Seed of the permutations.</param>
    /// <param name="cancellation">Stops between permutations.</param>
    /// <exception cref="DataException">The values are constant or of another length.</exception>
    public static LocalLinearityResult Measure(NeighbourTable neighbours, ReadOnlySpan<double> values, int k, int permutations = 0, ulong seed = 42,
        CancellationToken cancellation = default)
    {
        int n = neighbours.Rows;
        if (values.Length != n) throw new DataException("value", null, $"there are {values.Length} values for {n} rows.");
        double global = RankStatistics.PopulationDeviation(values);
        if (!(global > 0)) throw new DataException("value", null, "all values are equal (or not finite): nothing can vary over the representation.");
        double[] own = values.ToArray(), ratios = new double[n];
        BlockLoop.Run(neighbours.Device, (n + 255) / 256, block =>
        {
            for (int i = block * 256; i < Math.Min(n, (block + 1) * 256); i++) ratios[i] = LocalDeviation(neighbours.Of(i, k), own) / global;
        });
        double mean = RankStatistics.Mean(ratios);
        MoranResult moran = MoransI.Measure(neighbours, own, k);
        double? ratioP = null;
        if (permutations > 0)
        {
            (int ratioBelow, int moranAbove) = CountNull(neighbours, own, k, permutations, seed, mean * global, moran.I, cancellation);
            ratioP = (ratioBelow + 1.0) / (permutations + 1);
            moran = moran with { PermutationP = (moranAbove + 1.0) / (permutations + 1) };
        }
        return new LocalLinearityResult
        {
            K = k,
            N = n,
            Ratios = ratios,
            MeanRatio = mean,
            MedianRatio = RankStatistics.Median(ratios),
            GlobalStd = global,
            Wilcoxon = RankStatistics.SignedRankLess(Array.ConvertAll(ratios, r => r - 1)),
            Moran = moran,
            PermutationP = ratioP,
        };
    }

    private static (int RatioBelow, int MoranAbove) CountNull(NeighbourTable neighbours, double[] values, int k, int permutations, ulong seed,
        double meanDeviation, double moran, CancellationToken cancellation)
    {
        int n = values.Length;
        bool[] ratioBelow = new bool[permutations], moranAbove = new bool[permutations];
        // An exact tie with the observed value counts as extreme; rounding must not turn it into a miss.
        double slackDeviation = 1e-12 * meanDeviation, slackMoran = 1e-12 * Math.Max(Math.Abs(moran), 1e-3);
        BlockLoop.Run(neighbours.Device, permutations, p =>
        {
            if (cancellation.IsCancellationRequested) return;
            double[] permuted = (double[])values.Clone();
            CounterRandom random = new(seed, 0x5045524D00000000UL | (uint)p);
            random.Shuffle<double>(permuted);
            double sum = 0;
            for (int i = 0; i < n; i++) sum += LocalDeviation(neighbours.Of(i, k), permuted);
            ratioBelow[p] = sum / n <= meanDeviation + slackDeviation;
            moranAbove[p] = MoransI.Statistic(neighbours, permuted, k) >= moran - slackMoran;
        });
        cancellation.ThrowIfCancellationRequested();
        return (ratioBelow.Count(b => b), moranAbove.Count(b => b));
    }

    private static double LocalDeviation(ReadOnlySpan<int> rows, double[] values)
    {
        double mean = 0, sum = 0;
        foreach (int row in rows) mean += values[row];
        mean /= rows.Length;
        foreach (int row in rows) sum += (values[row] - mean) * (values[row] - mean);
        return Math.Sqrt(sum / rows.Length);
    }
}
