using System.Globalization;
using BioSup.Analysis.Alignment;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Alignment;

public sealed class DomainCostsTests
{
    [Theory]
    [InlineData(GraphWeights.Hops, true)]
    [InlineData(GraphWeights.Hops, false)]
    [InlineData(GraphWeights.Distance, false)]
    public void Geodesics_equal_floyd_and_warshall(GraphWeights weights, bool includeSelf)
    {
        using CpuDevice device = new(2);
        const int n = 90, k = 5;
        using Matrix<double> x = Clouds.Normal(device, n, 3, 1);
        using DomainCostResult result = DomainCosts.Build(x, new DomainCostOptions
        {
            Neighbours = k, GraphMetric = DistanceMetric.Euclidean, GraphWeights = weights, IncludeSelf = includeSelf, RowNormalisation = RowNormalisation.None, Scale = CostScale.None,
        });
        double[,] expected = FloydWarshall(x, includeSelf ? k - 1 : k, weights, out bool connected);
        double largest = expected.Cast<double>().Where(double.IsFinite).Max();
        Assert.Equal(connected, result.Components == 1);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) Assert.Equal(double.IsFinite(expected[i, j]) ? expected[i, j] : largest, result.Cost.Row(i)[j], 1e-9);
    }

    [Fact]
    public void Separate_components_get_the_largest_finite_distance_or_are_refused()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 40, 2, 2);
        for (int i = 20; i < 40; i++) x.Row(i)[0] += 1e4;
        DomainCostOptions options = new() { Neighbours = 4, GraphMetric = DistanceMetric.Euclidean, RowNormalisation = RowNormalisation.None };
        using DomainCostResult result = DomainCosts.Build(x, options);
        Assert.True(result.Components >= 2);
        Assert.True(result.UnreachablePairs >= 2 * 20 * 20);
        Assert.Equal(1, result.Cost.Row(0)[30]);
        Assert.Contains("components", Assert.Throws<DataException>(() => DomainCosts.Build(x, options with { Components = ComponentRule.Refuse }, "X")).Message);
    }

    [Theory]
    [InlineData(GraphWeights.Hops)]
    [InlineData(GraphWeights.Distance)]
    public void Bridged_components_are_as_far_as_their_nearest_points_by_double_brute_force(GraphWeights weights)
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = ThreeBlobs(device);
        DomainCostOptions options = Blobs(weights, ComponentRule.Bridge);
        using DomainCostResult result = DomainCosts.Build(x, options);
        double[,] expected = FloydWarshall(x, options.Neighbours, weights, out bool connected, bridge: true);
        Assert.True(connected);
        Assert.Equal(3, result.Components);
        Assert.Equal(3, result.Bridges);
        Assert.Equal(0, result.UnreachablePairs);
        for (int i = 0; i < x.Rows; i++)
            for (int j = 0; j < x.Rows; j++) Assert.Equal(expected[i, j], result.Cost.Row(i)[j], 1e-9);
        // A graph that holds together is left alone.
        using DomainCostResult whole = DomainCosts.Build(x, options with { Neighbours = 40 }), same = DomainCosts.Build(x, options with { Neighbours = 40, Components = ComponentRule.LargestFinite });
        Assert.Equal(0, whole.Bridges);
        Assert.Equal(same.Cost.ToArray(), whole.Cost.ToArray());
    }

    [Fact]
    public void Of_equally_near_pairs_the_one_with_the_lowest_indices_is_the_bridge()
    {
        // Two pairs of points on opposite sides of a rectangle: 0 and 2 are as near as 1 and 3.
        using CpuDevice device = new(1);
        using Matrix<double> x = Matrix<double>.From(device, 4, 2, [0, 0, 0, 1, 5, 0, 5, 1]);
        using DomainCostResult result = DomainCosts.Build(x, Blobs(GraphWeights.Distance, ComponentRule.Bridge) with { Neighbours = 1 });
        Assert.Equal((2, 1), (result.Components, result.Bridges));
        Assert.Equal([0, 1, 5, 6, 1, 0, 6, 7], result.Cost.ToArray()[..8]);
    }

    [Fact]
    public void More_components_than_can_be_bridged_are_refused()
    {
        using CpuDevice device = new(2);
        const int Pairs = NeighbourGraph.MostBridged + 1;
        using Matrix<double> x = device.AllocateMatrix<double>(2 * Pairs, 1);
        for (int i = 0; i < x.Rows; i++) x.Row(i)[0] = 10 * (i / 2) + i % 2;
        DomainCostOptions options = Blobs(GraphWeights.Hops, ComponentRule.Bridge) with { Neighbours = 1 };
        Assert.Contains("has 1001 components, more than the 1000 that are bridged", Assert.Throws<DataException>(() => DomainCosts.Build(x, options)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Bridges_and_paths_are_those_of_scikit_learn_and_scipy()
    {
        string? python = Python.Find("import numpy, scipy.sparse.csgraph, sklearn.utils.graph", out string reason);
        Assert.SkipWhen(python is null, reason);
        using CpuDevice device = new(2);
        using Matrix<double> x = ThreeBlobs(device);
        using DomainCostResult result = DomainCosts.Build(x, Blobs(GraphWeights.Distance, ComponentRule.Bridge));
        string path = Path.GetTempFileName();
        try
        {
            MatrixWriter.Write(path + ".npy", x.View);
            string[] rows = Python.Run(python, "-c", """
                import sys, numpy as np
                from scipy.sparse.csgraph import connected_components, dijkstra
                from sklearn.neighbors import kneighbors_graph
                from sklearn.utils.graph import _fix_connected_components
                x = np.load(sys.argv[1])
                graph = kneighbors_graph(x, 5, mode="distance")
                count, labels = connected_components(graph, directed=False)
                graph = _fix_connected_components(x, graph.tolil(), count, labels, mode="distance").tocsr()
                for row in dijkstra(graph, directed=False): print(*row)
                """, path + ".npy").Split('\n', StringSplitOptions.RemoveEmptyEntries);
            Assert.Equal(x.Rows, rows.Length);
            for (int i = 0; i < x.Rows; i++)
            {
                double[] expected = [.. rows[i].Split(' ').Select(value => double.Parse(value, CultureInfo.InvariantCulture))];
                for (int j = 0; j < x.Rows; j++) Assert.Equal(expected[j], result.Cost.Row(i)[j], 1e-9);
            }
        }
        finally
        {
            File.Delete(path);
            File.Delete(path + ".npy");
        }
    }

    private static DomainCostOptions Blobs(GraphWeights weights, ComponentRule rule) => new()
    {
        Neighbours = 5, GraphMetric = DistanceMetric.Euclidean, GraphWeights = weights, IncludeSelf = false, RowNormalisation = RowNormalisation.None, Scale = CostScale.None, Components = rule,
    };

    private static Matrix<double> ThreeBlobs(CpuDevice device)
    {
        Matrix<double> x = Clouds.Normal(device, 60, 3, 12);
        for (int i = 0; i < 60; i++)
        {
            x.Row(i)[0] += i % 3 == 1 ? 40 : 0;
            x.Row(i)[1] += i % 3 == 2 ? 25 : 0;
        }
        return x;
    }

    [Theory]
    [InlineData(CostScale.Max)]
    [InlineData(CostScale.Mean)]
    [InlineData(CostScale.Median)]
    public void Costs_are_scaled_over_all_entries(CostScale scale)
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 15, 3, 3);
        DomainCostOptions options = new() { Cost = DomainCost.Cosine, RowNormalisation = RowNormalisation.None, Scale = scale };
        using DomainCostResult scaled = DomainCosts.Build(x, options), raw = DomainCosts.Build(x, options with { Scale = CostScale.None });
        double[] all = raw.Cost.Buffer.View.Host.ToArray().Order().ToArray();
        double expected = scale switch { CostScale.Max => all[^1], CostScale.Mean => all.Average(), _ => all[all.Length / 2] };
        Assert.Equal(expected, scaled.Divisor, 1e-12);
        Assert.Equal(raw.Cost.Row(2)[7] / expected, scaled.Cost.Row(2)[7], 1e-12);
    }

    [Fact]
    public void Rows_without_a_direction_are_counted_and_impossible_graphs_refused()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 10, 3, 4);
        x.Row(6).Fill(2.5);
        using DomainCostResult counted = DomainCosts.Build(x, DomainCostOptions.Scot(4), "X");
        Assert.Equal(1, counted.DirectionlessRows);
        Assert.Throws<UsageException>(() => DomainCosts.Build(x, DomainCostOptions.GwMap(10), "X"));
        using Matrix<double> same = device.AllocateMatrix<double>(4, 2);
        Assert.Throws<DataException>(() => DomainCosts.Build(same, new DomainCostOptions { Cost = DomainCost.Euclidean }, "X"));
    }

    private static double[,] FloydWarshall(Matrix<double> x, int k, GraphWeights weights, out bool connected, bool bridge = false)
    {
        int n = x.Rows;
        double[,] d = new double[n, n];
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) d[i, j] = i == j ? 0 : double.PositiveInfinity;
        for (int i = 0; i < n; i++)
        {
            double[] distance = [.. Enumerable.Range(0, n).Select(j => Enumerable.Range(0, x.Columns).Sum(c => Math.Pow(x.Row(i)[c] - x.Row(j)[c], 2)))];
            foreach (int j in Enumerable.Range(0, n).Where(j => j != i).OrderBy(j => distance[j]).Take(k))
                d[i, j] = d[j, i] = weights == GraphWeights.Hops ? 1 : Math.Sqrt(distance[j]);
        }
        Close(d);
        if (bridge)
        {
            // Points of one component reach each other now; the nearest two points of every other pair of components get an edge.
            double Distance(int i, int j) => Math.Sqrt(Enumerable.Range(0, x.Columns).Sum(c => Math.Pow(x.Row(i)[c] - x.Row(j)[c], 2)));
            int[] first = [.. Enumerable.Range(0, n).Select(i => Enumerable.Range(0, n).First(j => double.IsFinite(d[i, j])))];
            foreach (IGrouping<(int, int), (int I, int J)> pair in Enumerable.Range(0, n).SelectMany(i => Enumerable.Range(0, n).Select(j => (I: i, J: j))).Where(p => first[p.I] < first[p.J]).GroupBy(p => (first[p.I], first[p.J])).ToArray())
            {
                (int i, int j) = pair.MinBy(p => Distance(p.I, p.J));
                d[i, j] = d[j, i] = weights == GraphWeights.Hops ? 1 : Distance(i, j);
            }
            Close(d);
        }
        connected = !d.Cast<double>().Any(double.IsInfinity);
        return d;
    }

    private static void Close(double[,] d)
    {
        int n = d.GetLength(0);
        for (int via = 0; via < n; via++)
            for (int i = 0; i < n; i++)
                for (int j = 0; j < n; j++) d[i, j] = Math.Min(d[i, j], d[i, via] + d[via, j]);
    }
}
