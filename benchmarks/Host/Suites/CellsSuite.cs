using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Benchmarks;

/// <summary>
/// Neighbours and diffusion maps of cells against scikit-learn and SciPy, the peer's process between two runs of ours. A further argument "10000x512" takes one size;
/// for neighbours, "cosine" takes one metric.
/// </summary>
internal static class CellsSuite
{
    private const int Threads = 2, K = 15, Components = 15, Rounds = 3;
    private static readonly (int Cells, int Coordinates)[] s_sizes = [(10_000, 512), (50_000, 50)];
    private static readonly string[] s_metrics = ["euclidean", "cosine"];

    public static void RunNeighbours(SuiteOptions options)
    {
        ResultTable table = new("Exact nearest neighbours of cells against scikit-learn",
            $"k = {K}, the cell itself included; clusters and paths between them, float32; {Threads} threads; ours: best of {Rounds} before and {Rounds} after the peer, from the matrix to the lists; single: distances in float32,",
            "double: in float64, as the peer sums them. Peer: benchmarks/peers/cells_knn.py, brute force and, for euclidean, a k-d tree asked for 1000 cells and scaled to all.",
            "Floor: n² d operations (every pair once) at the rate measured in this run.");
        table.Header("cells", "metric", "floor s", "single s", "double s", "brute s", "k-d tree s", "ratio of single", "of double", "relative difference of the sums", "peer core");
        double peak = PeakRate.SingleThread() * Threads;
        string versions = "";
        foreach ((int n, int d) in Sizes(options))
            foreach (string metric in s_metrics.Where(m => options.Rest.Contains(m) || !options.Rest.Exists(s_metrics.Contains)))
                versions = CompareNeighbours(table, n, d, metric, peak);
        table.Line("");
        table.Line($"Peer: {versions}.");
        table.Write(options.Output);
    }

    public static void RunDiffusionMaps(SuiteOptions options)
    {
        ResultTable table = new("Diffusion maps of cells against SciPy's eigsh",
            $"{Components} components of the umap graph with k = {K}; {Threads} threads; ours: best of {Rounds} before and {Rounds} after the peer, from the graph to the map, the check for missed eigenvalues included.",
            "Peer: benchmarks/peers/cells_diffmap.py, as scanpy calls it.");
        table.Header("cells", "entries", "components", "ours s", "peer s", "ratio", "largest difference of an eigenvalue", "15th eigenvalue", "peer core");
        string versions = "";
        foreach ((int n, int d) in Sizes(options)) versions = CompareMaps(table, n, d);
        table.Line("");
        table.Line($"Peer: {versions}.");
        table.Write(options.Output);
    }

    private static IEnumerable<(int Cells, int Coordinates)> Sizes(SuiteOptions options) => options.Quick ? [(3000, 50)]
        : s_sizes.Where(s => options.Rest.Contains($"{s.Cells}x{s.Coordinates}") || !options.Rest.Exists(r => s_sizes.Any(o => r == $"{o.Cells}x{o.Coordinates}")));

    private static string CompareNeighbours(ResultTable table, int n, int d, string metric, double peak)
    {
        using CpuDevice device = new(Threads);
        using Matrix<float> x = Cells(device, n, d);
        using Matrix<double> wide = device.AllocateMatrix<double>(n, d);
        ElementwiseCopy(x, wide);
        DistanceMetric which = DistanceMetrics.Parse(metric);
        double single = double.MaxValue, both = double.MaxValue, sum = 0;
        Own();
        using JsonDocument peer = WithFile(path =>
        {
            NpyFile.Write(path, x.View);
            return PythonPeer.Run("cells_knn.py", path, $"{K}", metric);
        }, ".npy");
        Own();
        JsonElement found = peer.RootElement;
        double brute = found.GetProperty("brute").GetDouble(), tree = found.TryGetProperty("kd_tree", out JsonElement t) ? t.GetDouble() : double.PositiveInfinity, best = Math.Min(brute, tree);
        table.Row($"{n} × {d}", metric, F((double)n * n * d / peak, "F3"), F(single, "F3"), F(both, "F3"), F(brute, "F2"), double.IsFinite(tree) ? F(tree, "F1") : "-", F(best / single, "F1"), F(best / both, "F1"),
            F(Math.Abs(sum / found.GetProperty("sum").GetDouble() - 1), "e1"), found.GetProperty("core").GetString()!);
        return Versions(found, "sklearn", "numpy");

        void Own()
        {
            for (int round = 0; round < Rounds; round++)
            {
                NearestCells? nearest = null;
                single = Math.Min(single, Seconds(() => nearest = NearestCells.Find(x, K, which)));
                sum = Enumerable.Range(0, n).Sum(i => nearest!.Distances(i).ToArray().Sum(v => (double)v));
                both = Math.Min(both, Seconds(() => NearestCells.Find(wide, K, which)));
            }
        }
    }

    private static string CompareMaps(ResultTable table, int n, int d)
    {
        using CpuDevice device = new(Threads);
        using Matrix<float> x = Cells(device, n, d);
        CellGraph graph = Connectivities.Umap(NearestCells.Find(x, K));
        double ours = double.MaxValue;
        double[] values = [];
        int parts = 0;
        Own();
        SparseMatrix sparse = graph.ToSparse();
        using JsonDocument peer = WithFile(path =>
        {
            NpzFile.Write(path, npz =>
            {
                npz.Add("start", sparse.Pointers);
                npz.Add("columns", sparse.Indices);
                npz.Add("values", sparse.Values.As<float>());
            });
            return PythonPeer.Run("cells_diffmap.py", path, $"{Components}", "2");
        }, ".npz");
        Own();
        JsonElement found = peer.RootElement;
        double theirs = found.GetProperty("seconds").GetDouble();
        double[] expected = [.. found.GetProperty("values").EnumerateArray().Select(v => v.GetDouble())];
        table.Row($"{n} × {d}", $"{graph.Entries}", $"{parts}", F(ours, "F3"), F(theirs, "F2"), F(theirs / ours, "F1"), F(values.Zip(expected, (a, b) => Math.Abs(a - b)).Max(), "e1"), F(values[^1], "F6"), found.GetProperty("core").GetString()!);
        return Versions(found, "scipy", "numpy");

        void Own()
        {
            for (int round = 0; round < Rounds; round++)
                ours = Math.Min(ours, Seconds(() =>
                {
                    using DiffusionMap map = DiffusionMap.Compute(device, graph, Components);
                    (values, parts) = (map.Eigenvalues, map.ComponentCount);
                }));
        }
    }

    /// <summary>Cells as a principal component analysis shows them: coordinates of falling spread, half the cells in twelve clusters, half on the way from one to the next.</summary>
    internal static Matrix<float> Cells(CpuDevice device, int n, int d)
    {
        const int Clusters = 12;
        CounterRandom random = new(7);
        double[] spread = [.. Enumerable.Range(0, d).Select(j => 1 / Math.Sqrt(1 + j))];
        double[][] centres = [.. Enumerable.Range(0, Clusters).Select(_ => spread.Select(s => 4 * s * random.NextNormal()).ToArray())];
        Matrix<float> x = device.AllocateMatrix<float>(n, d);
        for (int i = 0; i < n; i++)
        {
            int cluster = random.NextInt32(Clusters);
            double along = random.NextDouble() < 0.5 ? 0 : random.NextDouble();
            double[] from = centres[cluster], to = centres[(cluster + 1) % Clusters];
            Span<float> row = x.Row(i);
            for (int j = 0; j < d; j++) row[j] = (float)((1 - along) * from[j] + along * to[j] + spread[j] * random.NextNormal());
        }
        return x;
    }

    private static void ElementwiseCopy(Matrix<float> from, Matrix<double> to)
    {
        for (int i = 0; i < from.Rows; i++)
            for (int j = 0; j < from.Columns; j++) to.Row(i)[j] = from.Row(i)[j];
    }

    private static double Seconds(Action run)
    {
        long start = Stopwatch.GetTimestamp();
        run();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static T WithFile<T>(Func<string, T> use, string extension)
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("biosup-cells-");
        try
        {
            return use(Path.Combine(folder.FullName, "cells" + extension));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static string Versions(JsonElement found, params string[] names) => string.Join(", ", names.Select(name => $"{name} {found.GetProperty(name).GetString()}"));

    private static string F(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}
