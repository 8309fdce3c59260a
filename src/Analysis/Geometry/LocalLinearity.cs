using BioSup.Kernels;
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
        double average = RankStatistics.Mean(values);
        double[] own = Array.ConvertAll(values.ToArray(), value => value - average), ratios = new double[n];
        (double[] deviations, double[] products) = neighbours.SumsOver(own, 1, k, ratios);
        for (int i = 0; i < n; i++) ratios[i] /= global;
        MoranResult moran = MoransI.Describe(neighbours, products[0] / (k * HostVectors.Dot(own, own)), k);
        double? ratioP = null;
        if (permutations > 0)
        {
            (int ratioBelow, int moranAbove) = CountNull(neighbours, own, k, permutations, seed, deviations[0], products[0], cancellation);
            ratioP = (ratioBelow + 1.0) / (permutations + 1);
            moran = moran with { PermutationP = (moranAbove + 1.0) / (permutations + 1) };
        }
        return new LocalLinearityResult
        {
            K = k,
            N = n,
            Ratios = ratios,
            MeanRatio = RankStatistics.Mean(ratios),
            MedianRatio = RankStatistics.Median(ratios),
            GlobalStd = global,
            Wilcoxon = RankStatistics.SignedRankLess(Array.ConvertAll(ratios, r => r - 1)),
            Moran = moran,
            PermutationP = ratioP,
        };
    }

    /// <summary>How many permutations have neighbours at most as different, and products at least as large, as the values as they are. Permutations are further columns.</summary>
    private static (int RatioBelow, int MoranAbove) CountNull(NeighbourTable neighbours, double[] values, int k, int permutations, ulong seed,
        double observedDeviation, double observedProduct, CancellationToken cancellation)
    {
        int n = values.Length, ratioBelow = 0, moranAbove = 0;
        double square = HostVectors.Dot(values, values);
        // An exact tie with the observed value counts as extreme; rounding must not turn it into a miss.
        double mostDeviation = observedDeviation * (1 + 1e-12), leastProduct = observedProduct - 1e-12 * Math.Max(Math.Abs(observedProduct), 1e-3 * k * square);
        for (int start = 0; start < permutations; start += NeighbourTable.ColumnsAtOnce)
        {
            cancellation.ThrowIfCancellationRequested();
            int count = Math.Min(NeighbourTable.ColumnsAtOnce, permutations - start);
            double[] columns = new double[n * count];
            BlockLoop.Run(neighbours.Device, count, p =>
            {
                double[] permuted = (double[])values.Clone();
                new CounterRandom(seed, 0x5045524D00000000UL | (uint)(start + p)).Shuffle<double>(permuted);
                for (int i = 0; i < n; i++) columns[i * count + p] = permuted[i];
            });
            (double[] deviations, double[] products) = neighbours.SumsOver(columns, count, k);
            ratioBelow += deviations.Count(d => d <= mostDeviation);
            moranAbove += products.Count(product => product >= leastProduct);
        }
        return (ratioBelow, moranAbove);
    }
}
