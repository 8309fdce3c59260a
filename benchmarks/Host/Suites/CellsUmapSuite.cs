using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Benchmarks;

/// <summary>
/// UMAP layouts against umap-learn, on its threads and with a seed, which takes its threads away: from given neighbours, and from the cells. Further arguments such as 10000x512 replace the sizes.
/// </summary>
internal static class CellsUmapSuite
{
    private const int Threads = 2, K = 15, TrustRows = 2000;

    public static void Run(SuiteOptions options)
    {
        (int N, int D)[] sizes = options.Rest.Count > 0 ? [.. options.Rest.Select(r => r.Split('x')).Select(r => (int.Parse(r[0], CultureInfo.InvariantCulture), int.Parse(r[1], CultureInfo.InvariantCulture)))]
            : options.Quick ? [(3000, 50)] : [(10_000, 512), (50_000, 50)];
        ResultTable table = new("UMAP layouts against umap-learn",
            $"{K} neighbours, least distance 0.5, two dimensions; 500 passes up to 10,000 cells, 200 beyond, for all. From neighbours: the exact lists are given, weights, spectral start and passes are timed; from cells: the search too",
            $"(ours exact, umap-learn's approximate). Trustworthiness: {K} neighbours, {TrustRows} cells against all. Ours before and after the peers (benchmarks/peers/cells_umap.py), its compiled functions warm.");
        table.Header("cells", "search", "threads", "from neighbours, s", "ratio", "from cells, s", "ratio", "trustworthiness");
        string versions = "";
        foreach ((int n, int d) in sizes) versions = Compare(table, n, d);
        table.Line("");
        table.Line($"Peer: {versions}.");
        table.Write(options.Output);
    }

    private static string Compare(ResultTable table, int n, int d)
    {
        using CpuDevice device = new(Threads);
        using Matrix<float> x = CellsSuite.Cells(device, n, d);
        double given = double.MaxValue, whole = double.MaxValue, trust = 0;
        NearestCells nearest = NearestCells.Find(x, K);
        Own();
        DirectoryInfo folder = Directory.CreateTempSubdirectory("biosup-umap-");
        try
        {
            string path = Path.Combine(folder.FullName, "cells.npz");
            using (Matrix<int> indices = WithSelf(device, nearest, nearest.Of, i => i))
            using (Matrix<float> distances = WithSelf(device, nearest, nearest.Distances, _ => 0f))
            {
                NpzFile.Write(path, npz =>
                {
                    npz.Add("x", x.View);
                    npz.Add("indices", indices.View);
                    npz.Add("distances", distances.View);
                });
            }
            (JsonDocument Found, double Trust) parallel = Peer(device, x, folder, path, "none"), seeded = Peer(device, x, folder, path, "0");
            Own();
            table.Row($"{n} × {d}", "ours", $"{Threads}", F(given, "F2"), "1", F(whole, "F2"), "1", F(trust, "F4"));
            Row("umap-learn", Threads, parallel);
            Row("umap-learn with a seed", 1, seeded);
            return parallel.Found.RootElement.GetProperty("versions").GetString()!;
        }
        finally
        {
            folder.Delete(recursive: true);
        }

        void Own()
        {
            Stopwatch clock = Stopwatch.StartNew();
            using (Matrix<float> layout = Umap.Run(device, Connectivities.Umap(nearest), new UmapOptions()))
            {
                given = Math.Min(given, clock.Elapsed.TotalSeconds);
                if (trust == 0) trust = SampledTrustworthiness.Of(x, layout, K, TrustRows);
            }
            clock.Restart();
            Umap.Run(device, Connectivities.Umap(NearestCells.Find(x, K)), new UmapOptions()).Dispose();
            whole = Math.Min(whole, clock.Elapsed.TotalSeconds);
        }

        void Row(string name, int threads, (JsonDocument Found, double Trust) peer)
        {
            double theirs = peer.Found.RootElement.GetProperty("given").GetDouble(), all = peer.Found.RootElement.GetProperty("whole").GetDouble();
            table.Row($"{n} × {d}", name, $"{threads}", F(theirs, "F2"), F(theirs / given, "F1"), F(all, "F2"), F(all / whole, "F1"), F(peer.Trust, "F4"));
        }
    }

    private static (JsonDocument Found, double Trust) Peer(CpuDevice device, Matrix<float> x, DirectoryInfo folder, string path, string seed)
    {
        string result = Path.Combine(folder.FullName, $"layout-{seed}.npz");
        JsonDocument found = PythonPeer.Run("cells_umap.py", path, result, seed, $"{Threads}");
        using Matrix<float> layout = MatrixReader.ReadSingle(device, result + ":layout");
        return (found, SampledTrustworthiness.Of(x, layout, K, TrustRows));
    }

    private static Matrix<T> WithSelf<T>(CpuDevice device, NearestCells nearest, Func<int, ReadOnlySpan<T>> row, Func<int, T> self) where T : unmanaged
    {
        Matrix<T> full = device.AllocateMatrix<T>(nearest.Cells, nearest.Others + 1);
        for (int i = 0; i < nearest.Cells; i++)
        {
            full.Row(i)[0] = self(i);
            row(i).CopyTo(full.Row(i)[1..]);
        }
        return full;
    }

    private static string F(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}
