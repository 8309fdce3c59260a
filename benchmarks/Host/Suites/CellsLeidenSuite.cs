using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Benchmarks;

/// <summary>
/// Communities of neighbour graphs against igraph and leidenalg on the same graphs: time beside modularity. Sizes are 10,000 and 50,000 cells; further arguments replace them.
/// </summary>
internal static class CellsLeidenSuite
{
    private const int Threads = 2, K = 15, Coordinates = 50, Seeds = 3;

    public static void Run(SuiteOptions options)
    {
        int[] sizes = options.Rest.Count > 0 ? [.. options.Rest.Select(n => int.Parse(n, CultureInfo.InvariantCulture))] : options.Quick ? [3000] : [10_000, 50_000];
        ResultTable table = new("Communities of neighbour graphs against igraph and leidenalg",
            $"UMAP weights of {K} neighbours, cells of {Coordinates} coordinates, resolution 1; {Seeds} seeds, the median of their seconds, the range of their modularity; the search alone, its graph given.",
            "Ours before and after the peers (benchmarks/peers/cells_leiden.py, one thread, they have no other). Passes -1: until nothing changes.");
        table.Header("cells", "edges", "search", "passes", "threads", "seconds", "modularity", "communities");
        string versions = "";
        foreach (int n in sizes) versions = Compare(table, n);
        table.Line("");
        table.Line($"Peers: {versions}.");
        table.Write(options.Output);
    }

    private static string Compare(ResultTable table, int n)
    {
        using CpuDevice device = new(Threads), single = new(1);
        using Matrix<float> x = CellsSuite.Cells(device, n, Coordinates);
        CellGraph graph = Connectivities.Umap(NearestCells.Find(x, K));
        LeidenGraph given = graph.ToLeiden();
        (CpuDevice Device, int Passes)[] ours = [(device, -1), (single, -1), (device, 1)];
        List<double>[] seconds = [[], [], []];
        LeidenResult[][] found = new LeidenResult[ours.Length][];
        Own();
        using JsonDocument peer = Peer(graph);
        Own();
        for (int i = 0; i < ours.Length; i++)
            Row("ours", ours[i].Passes, ours[i].Device.Pool.Threads, [.. seconds[i]], [.. found[i].Select(r => r.Modularity)], $"{found[i].Min(r => r.Sizes.Length)} to {found[i].Max(r => r.Sizes.Length)}");
        foreach ((string name, string key, int passes) in new[] { ("igraph", "igraph", -1), ("igraph", "igraph2", 2), ("leidenalg", "leidenalg", -1) })
        {
            JsonElement theirs = peer.RootElement.GetProperty(key);
            Row(name, passes, 1, Numbers(theirs.GetProperty("seconds")), Numbers(theirs.GetProperty("modularity")), $"{theirs.GetProperty("communities").EnumerateArray().Min(c => c.GetInt32())} to {theirs.GetProperty("communities").EnumerateArray().Max(c => c.GetInt32())}");
        }
        return peer.RootElement.GetProperty("versions").GetString()!;

        void Own()
        {
            for (int i = 0; i < ours.Length; i++)
            {
                found[i] = new LeidenResult[Seeds];
                for (int seed = 0; seed < Seeds; seed++)
                {
                    long start = Stopwatch.GetTimestamp();
                    found[i][seed] = Leiden.Run(given, new LeidenOptions { Seed = (ulong)seed, Iterations = ours[i].Passes }, device: ours[i].Device);
                    seconds[i].Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
                }
            }
        }

        void Row(string search, int passes, int threads, double[] times, double[] quality, string communities) => table.Row($"{n}", $"{given.Edges}", search, $"{passes}", $"{threads}",
            F(Median(times), "F3"), $"{F(quality.Min(), "F5")} to {F(quality.Max(), "F5")}", communities);
    }

    private static JsonDocument Peer(CellGraph graph)
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("biosup-leiden-");
        try
        {
            string path = Path.Combine(folder.FullName, "graph.npz");
            SparseMatrix sparse = graph.ToSparse();
            NpzFile.Write(path, npz =>
            {
                npz.Add("start", sparse.Pointers);
                npz.Add("columns", sparse.Indices);
                npz.Add("values", sparse.Values.As<float>());
            });
            return PythonPeer.Run("cells_leiden.py", path, "1", $"{Seeds}");
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static double[] Numbers(JsonElement array) => [.. array.EnumerateArray().Select(e => e.GetDouble())];

    private static double Median(double[] values) => values.Order().ElementAt(values.Length / 2);

    private static string F(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}
