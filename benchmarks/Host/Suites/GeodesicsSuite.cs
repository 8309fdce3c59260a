using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using BioSup.Analysis.Alignment;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Benchmarks;

/// <summary>
/// All shortest paths on neighbour graphs, in hops and in edge lengths, against scipy's Dijkstra on the same graph: 2000 points with 60 neighbours and 5000 with 30. Further arguments
/// n and k replace these two.
/// </summary>
internal static class GeodesicsSuite
{
    private const int Rounds = 3;

    public static void Run(SuiteOptions options)
    {
        (int N, int Neighbours)[] sizes = options.Rest.Count > 1
            ? [(int.Parse(options.Rest[0], CultureInfo.InvariantCulture), int.Parse(options.Rest[1], CultureInfo.InvariantCulture))]
            : options.Quick ? [(500, 60)] : [(2000, 60), (5000, 30)];
        using CpuDevice device = new();
        ResultTable table = new("Shortest paths between all points of a neighbour graph",
            $"Best of {Rounds} before and {Rounds} after the peer (best of {Rounds}, from 3000 points on one), the graph given to both. Peer: benchmarks/peers/scipy_geodesics.py "
                + "(scipy.sparse.csgraph.dijkstra on the symmetric graph as a directed one, its faster form; one thread, it has no other).");
        table.Header("points", "neighbours", "directed edges", "paths", "ours, s", "scipy, s", "ratio", "relative difference of the sums");
        string peer = "";
        foreach ((int n, int neighbours) in sizes) peer = Compare(device, n, neighbours, table);
        table.Line("");
        table.Line($"scipy {peer}.");
        table.Write(options.Output);
    }

    /// <returns>The version of scipy.</returns>
    private static string Compare(CpuDevice device, int n, int neighbours, ResultTable table)
    {
        using Matrix<double> x = GwPointsSuite.Cloud(device, n, 1), distances = device.AllocateMatrix<double>(n, n);
        // One part, as hops through an edge between clusters are what a graph of cells has.
        DomainCostOptions settings = DomainCostOptions.GwMap(neighbours) with { Components = ComponentRule.Bridge };
        using CompressedGraph graph = NeighbourGraph.Build(x, settings, "points", default).Graph;
        Action hops = () => Geodesics.Hops(graph, distances.View), lengths = () => Geodesics.Lengths(graph, distances.View);
        (double Best, double Sum) hopsBefore = Time(hops, distances), lengthsBefore = Time(lengths, distances);
        using JsonDocument peer = Peer(graph, n < 3000 ? Rounds : 1);
        Row("hops", "hop", hopsBefore, Time(hops, distances));
        Row("edge lengths", "length", lengthsBefore, Time(lengths, distances));
        return peer.RootElement.GetProperty("scipy").GetString()!;

        void Row(string name, string member, (double Best, double Sum) before, (double Best, double Sum) after)
        {
            double ours = Math.Min(before.Best, after.Best), theirs = peer.RootElement.GetProperty(member + "_seconds").GetDouble();
            string F(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
            table.Row($"{n}", $"{neighbours}", $"{graph.Neighbour.Length}", name, F(ours, "F3"), F(theirs, "F2"), F(theirs / ours, "F1"), F(Math.Abs(after.Sum / peer.RootElement.GetProperty(member + "_sum").GetDouble() - 1), "e1"));
        }
    }

    private static (double Best, double Sum) Time(Action run, Matrix<double> distances)
    {
        double best = double.PositiveInfinity;
        for (int round = -1; round < Rounds; round++)
        {
            long start = Stopwatch.GetTimestamp();
            run();
            if (round >= 0) best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        return (best, MatrixElements.Summarise(distances.View).Sum);
    }

    private static JsonDocument Peer(CompressedGraph graph, int rounds)
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("biosup-geodesics-");
        try
        {
            string path = Path.Combine(folder.FullName, "graph.npz");
            NpzFile.Write(path, npz =>
            {
                npz.Add("start", graph.Start.View.Host.ToArray());
                npz.Add("neighbour", graph.Neighbour.View.Host.ToArray());
                npz.Add("length", graph.Length.View.Host.ToArray());
            });
            return PythonPeer.Run("scipy_geodesics.py", path, $"{rounds}");
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
