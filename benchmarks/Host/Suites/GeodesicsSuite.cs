using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using BioSup.Analysis.Alignment;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Benchmarks;

/// <summary>All shortest paths on a 60-nearest-neighbour graph, in hops and in edge lengths, against scipy's Dijkstra on the same graph. The first further argument is n (2000).</summary>
internal static class GeodesicsSuite
{
    private const int Neighbours = 60, Rounds = 3;

    public static void Run(SuiteOptions options)
    {
        int n = options.Rest.Count > 0 ? int.Parse(options.Rest[0], CultureInfo.InvariantCulture) : options.Quick ? 500 : 2000;
        using CpuDevice device = new();
        using Matrix<double> x = GwPointsSuite.Cloud(device, n, 1), distances = device.AllocateMatrix<double>(n, n);
        // One part, as hops through an edge between clusters are what a graph of cells has.
        DomainCostOptions settings = DomainCostOptions.GwMap(Neighbours) with { Components = ComponentRule.Bridge };
        using CompressedGraph graph = NeighbourGraph.Build(x, settings, "points", default).Graph;
        (double hops, double hopSum) = Time(() => Geodesics.Hops(graph, distances.View), distances);
        using JsonDocument peer = Peer(graph);
        (double lengths, double lengthSum) = Time(() => Geodesics.Lengths(graph, distances.View), distances);
        double theirHops = peer.RootElement.GetProperty("hop_seconds").GetDouble(), theirLengths = peer.RootElement.GetProperty("length_seconds").GetDouble();
        double hopDifference = Math.Abs(hopSum - peer.RootElement.GetProperty("hop_sum").GetDouble()), lengthDifference = Math.Abs(lengthSum / peer.RootElement.GetProperty("length_sum").GetDouble() - 1);
        string F(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
        ResultTable table = new($"Shortest paths between all of {n} points, {graph.Neighbour.Length} directed edges ({Neighbours} nearest neighbours)",
            $"Best of {Rounds}, the graph given to both. Peer: benchmarks/peers/scipy_geodesics.py (scipy {peer.RootElement.GetProperty("scipy").GetString()}, scipy.sparse.csgraph.dijkstra on the symmetric graph as a directed one, its faster form; one thread, it has no other).");
        table.Header("paths", "ours, s", "scipy, s", "ratio", "difference of the sums");
        table.Row("hops", F(hops, "F3"), F(theirHops, "F2"), F(theirHops / hops, "F1"), F(hopDifference, "e1"));
        table.Row("edge lengths", F(lengths, "F3"), F(theirLengths, "F2"), F(theirLengths / lengths, "F1"), F(lengthDifference, "e1"));
        table.Write(options.Output);
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

    private static JsonDocument Peer(CompressedGraph graph)
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
            return PythonPeer.Run("scipy_geodesics.py", path, $"{Rounds}");
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
