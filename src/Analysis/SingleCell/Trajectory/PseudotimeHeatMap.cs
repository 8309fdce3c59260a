using BioSup.Analysis.Geometry;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>Settings of a heat map along pseudotime.</summary>
public sealed record HeatMapOptions
{
    /// <summary>Bins with equally many cells; one per cell where there are fewer cells.</summary>
    public int Bins { get; init; } = 100;

    /// <summary>Standard deviation of the smoothing, in bins; 0 for none.</summary>
    public double Sigma { get; init; } = 1.5;

    /// <summary>Neighbours of a feature among the profiles, itself included; cut to one less than the features.</summary>
    public int Neighbours { get; init; } = 15;

    /// <summary>Of the communities of features.</summary>
    public double Resolution { get; init; } = 1;

    /// <summary>Decides every random choice of the community search.</summary>
    public ulong Seed { get; init; }
}

/// <summary>
/// Features along pseudotime: cells in the order of time are cut into bins of equal numbers, each feature is averaged in each bin, standardised over the bins and smoothed;
/// features with similar profiles form clusters (exact neighbours of the profiles, UMAP weights, Leiden), clusters stand in the order in which their mean profile peaks, and
/// features inside a cluster in that of their own peak.
/// </summary>
/// <param name="Profiles">[features shown][bins] smoothed z values, in the order of drawing.</param>
/// <param name="Features">[features shown] column of each.</param>
/// <param name="Clusters">[features shown] number of each one's cluster, 0 for the first drawn.</param>
/// <param name="BinTimes">[bins] mean pseudotime of the cells of each bin.</param>
/// <param name="BinCells">[bins] number of cells.</param>
/// <param name="Constant">Features left out because no bin differs from another.</param>
public sealed record PseudotimeHeatMap(double[][] Profiles, int[] Features, int[] Clusters, double[] BinTimes, int[] BinCells, int Constant)
{
    /// <summary>Reach of the smoothing in standard deviations (SciPy's <c>truncate</c>).</summary>
    private const double Reach = 4;

    /// <summary>What the published pipeline adds to a standard deviation before it divides by it.</summary>
    private const double Floor = 1e-8;

    /// <summary>Fewest features among which clusters are looked for.</summary>
    private const int FewestToCluster = 4;

    /// <param name="device">Where neighbours are searched.</param>
    /// <param name="x">[cells, features], in memory that the host can read.</param>
    /// <param name="time">[cells] pseudotime; cells that are not finite are left out.</param>
    /// <param name="options">Bins, smoothing and clusters.</param>
    /// <param name="cancel">Ends the work.</param>
    /// <exception cref="UsageException">A setting is out of range, there are fewer than two cells with a finite time, or no feature varies.</exception>
    public static PseudotimeHeatMap Compute(ComputeDevice device, Matrix<float> x, ReadOnlySpan<double> time, HeatMapOptions? options = null, CancellationToken cancel = default)
    {
        options ??= new HeatMapOptions();
        Check(x, time, options);
        double[] times = time.ToArray();
        int[] order = [.. Enumerable.Range(0, times.Length).Where(i => double.IsFinite(times[i])).OrderBy(i => times[i])];
        if (order.Length < 2) throw new UsageException($"A heat map along pseudotime needs at least two cells with a finite time; there {(order.Length == 1 ? "is one" : "are none")}.");
        int[] ends = Ends(order.Length, Math.Min(options.Bins, order.Length));
        double[][] profiles = Means(x, order, ends);
        int[] varying = [.. Enumerable.Range(0, profiles.Length).Where(f => profiles[f].AsSpan().ContainsAnyExcept(profiles[f][0]))];
        if (varying.Length == 0) throw new UsageException($"None of the {profiles.Length} features differs between the bins of pseudotime.");
        cancel.ThrowIfCancellationRequested();
        double[][] shown = [.. varying.Select(f => Smooth(Standardise(profiles[f]), options.Sigma))];
        int[] cluster = FindClusters(device, shown, options, cancel), drawn = Order(shown, cluster, out int[] rank);
        double[] binTimes = new double[ends.Length];
        int[] binCells = new int[ends.Length];
        for (int b = 0, begin = 0; b < ends.Length; begin = ends[b++])
            (binTimes[b], binCells[b]) = (order[begin..ends[b]].Average(i => times[i]), ends[b] - begin);
        return new PseudotimeHeatMap([.. drawn.Select(i => shown[i])], [.. drawn.Select(i => varying[i])], [.. drawn.Select(i => rank[cluster[i]])], binTimes, binCells, profiles.Length - varying.Length);
    }

    /// <summary>Gaussian smoothing of a series as SciPy's <c>gaussian_filter1d</c> does it: the kernel ends at 4 σ and the series is mirrored with its ends repeated (<c>mode="reflect"</c>).</summary>
    internal static double[] Smooth(double[] series, double sigma)
    {
        if (sigma == 0) return series;
        int radius = (int)(Reach * sigma + 0.5), n = series.Length;
        double[] weights = [.. Enumerable.Range(-radius, 2 * radius + 1).Select(d => Math.Exp(-0.5 * d * d / (sigma * sigma)))];
        double total = weights.Sum();
        double[] smooth = new double[n];
        for (int i = 0; i < n; i++)
            for (int d = -radius; d <= radius; d++)
            {
                int at = ((i + d) % (2 * n) + 2 * n) % (2 * n);
                smooth[i] += weights[d + radius] / total * series[at < n ? at : 2 * n - 1 - at];
            }
        return smooth;
    }

    private static void Check(Matrix<float> x, ReadOnlySpan<double> time, HeatMapOptions options)
    {
        if (time.Length != x.Rows) throw new ArgumentException($"{time.Length} times do not fit {x.Rows} cells.");
        if (options.Bins < 2) throw new UsageException($"{options.Bins} bins of pseudotime were asked for; 2 are the fewest.");
        if (!(options.Sigma >= 0 && options.Sigma <= 1000)) throw new UsageException($"The smoothing of the heat map is {options.Sigma} bins; 0 to 1000 was expected.");
        if (options.Neighbours < 2) throw new UsageException($"{options.Neighbours} neighbours of a feature were asked for; they count itself, so 2 are the fewest.");
    }

    /// <summary>Where each bin ends, the first ones one cell larger where the number does not divide (NumPy's <c>array_split</c>).</summary>
    private static int[] Ends(int cells, int bins) => [.. Enumerable.Range(1, bins).Select(b => b * (cells / bins) + Math.Min(b, cells % bins))];

    /// <summary>[features][bins] means.</summary>
    private static double[][] Means(Matrix<float> x, int[] order, int[] ends)
    {
        double[][] profiles = [.. Enumerable.Range(0, x.Columns).Select(_ => new double[ends.Length])];
        double[] sum = new double[x.Columns];
        for (int b = 0, begin = 0; b < ends.Length; begin = ends[b++])
        {
            Array.Clear(sum);
            for (int i = begin; i < ends[b]; i++)
            {
                ReadOnlySpan<float> row = x.Row(order[i]);
                for (int f = 0; f < row.Length; f++) sum[f] += row[f];
            }
            for (int f = 0; f < sum.Length; f++) profiles[f][b] = sum[f] / (ends[b] - begin);
        }
        return profiles;
    }

    private static double[] Standardise(double[] profile)
    {
        double mean = RankStatistics.Mean(profile), deviation = RankStatistics.PopulationDeviation(profile) + Floor;
        return Array.ConvertAll(profile, v => (v - mean) / deviation);
    }

    private static int[] FindClusters(ComputeDevice device, double[][] profiles, HeatMapOptions options, CancellationToken cancel)
    {
        if (profiles.Length < FewestToCluster) return new int[profiles.Length];
        using Matrix<double> points = Matrix<double>.From(device, profiles.Length, profiles[0].Length, [.. profiles.SelectMany(p => p)]);
        CellGraph graph = Connectivities.Umap(NearestCells.Find(points, Math.Min(options.Neighbours, profiles.Length - 1)));
        return Leiden.Run(graph.ToLeiden(), new LeidenOptions { Resolution = options.Resolution, Seed = options.Seed }, cancel: cancel).Community;
    }

    /// <summary>Order of drawing; <paramref name="rank"/> is the place of every cluster.</summary>
    private static int[] Order(double[][] profiles, int[] cluster, out int[] rank)
    {
        int clusters = cluster.Max() + 1;
        int[] peak = new int[clusters];
        for (int c = 0; c < clusters; c++)
        {
            double[][] members = [.. profiles.Where((_, i) => cluster[i] == c)];
            peak[c] = Peak([.. Enumerable.Range(0, profiles[0].Length).Select(b => members.Sum(m => m[b]))]);
        }
        int[] place = new int[clusters], ordered = [.. Enumerable.Range(0, clusters).OrderBy(c => peak[c])];
        for (int i = 0; i < clusters; i++) place[ordered[i]] = i;
        rank = place;
        return [.. Enumerable.Range(0, profiles.Length).OrderBy(i => place[cluster[i]]).ThenBy(i => Peak(profiles[i]))];
    }

    private static int Peak(double[] profile) => Array.IndexOf(profile, profile.Max());
}
