using BioSup.Analysis.SingleCell;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.SingleCell;

public sealed class LeidenTests
{
    public static TheoryData<string, double> Graphs => new()
    {
        { "karate", 1 }, { "karate", 0.25 }, { "karate", 3 }, { "ring", 1 }, { "ring", 0.1 }, { "planted", 1 }, { "planted", 0.08 }, { "planted", 2.5 }, { "sparse", 1 }, { "sparse", 0 },
    };

    private static EdgeList Named(string name) => name switch
    {
        "karate" => LeidenGraphs.Karate(),
        "ring" => LeidenGraphs.RingOfCliques(30, 5),
        "planted" => LeidenGraphs.Planted(240, 6, 0.25, 0.03, 5),
        _ => LeidenGraphs.Planted(300, 3, 0.008, 0.002, 6),
    };

    [Theory]
    [MemberData(nameof(Graphs))]
    public void Communities_are_connected_sorted_by_size_and_no_node_gains_by_moving(string name, double resolution)
    {
        LeidenGraph graph = Named(name).Graph;
        for (ulong seed = 0; seed < 5; seed++)
        {
            LeidenResult result = Leiden.Run(graph, new LeidenOptions { Resolution = resolution, Seed = seed });
            Assert.True(result.Converged);
            Assert.Equal(result.Sizes.Sum(), graph.Nodes);
            Assert.Equal(result.Sizes.OrderDescending(), result.Sizes);
            int[] first = [.. Enumerable.Range(0, result.Sizes.Length).Select(c => Array.IndexOf(result.Community, c))];
            for (int c = 0; c < result.Sizes.Length; c++)
            {
                Assert.Equal(result.Sizes[c], result.Community.Count(x => x == c));
                if (c > 0 && result.Sizes[c] == result.Sizes[c - 1]) Assert.True(first[c - 1] < first[c]);
                Assert.Equal(result.Sizes[c], Reached(graph, result.Community, first[c]));
            }
            Assert.Equal(Definition(graph, result.Community, resolution), result.Modularity, 12);
            Assert.True(LargestGain(graph, result.Community, resolution) <= 1e-10, $"seed {seed}: a node gains {LargestGain(graph, result.Community, resolution):R}");
        }
    }

    [Fact]
    public void Karate_club_reaches_its_known_optimum()
    {
        LeidenResult result = Leiden.Run(LeidenGraphs.Karate().Graph, new LeidenOptions { Runs = 10 });
        Assert.Equal(0.41979, result.Modularity, 5);
        Assert.Equal(4, result.Sizes.Length);
    }

    [Fact]
    public void Cliques_of_a_ring_are_found_and_merge_only_at_the_resolution_limit()
    {
        int[] cliques = [.. Enumerable.Range(0, 150).Select(v => v / 5)];
        LeidenGraph graph = LeidenGraphs.RingOfCliques(30, 5).Graph;
        // 330 edges; at γ = 2 apart is better: merging two cliques gains 1/m − 2γ (22/2m)² < 0. At γ = 1 it gains: 1/330 − 2 (22/660)² > 0 (Fortunato and Barthélemy 2007).
        Assert.Equal(cliques, Leiden.Run(graph, new LeidenOptions { Resolution = 2 }).Community);
        Assert.True(Leiden.Run(graph, new LeidenOptions { Resolution = 1 }).Sizes.Length < 30);
    }

    [Fact]
    public void Modularity_counts_loops_and_parallel_edges_as_igraph()
    {
        // igraph 0.10.2: Graph([(0,1),(1,2),(0,1),(2,2)]).modularity([0,0,1], weights=[1,2,.5,3], resolution=r)
        LeidenGraph graph = LeidenGraph.FromEdges(3, [0, 1, 0, 2], [1, 2, 1, 2], [1, 2, 0.5, 3]);
        Assert.Equal(6.5, graph.TotalWeight);
        Assert.Equal([1.5, 3.5, 8], graph.Strength.ToArray());
        Assert.Equal(4.5 / 6.5 - (25 + 64) / 169.0, Leiden.Modularity(graph, [0, 0, 1]), 15);
        Assert.Equal(4.5 / 6.5 - 0.3 * (25 + 64) / 169.0, Leiden.Modularity(graph, [0, 0, 1], 0.3), 15);
    }

    [Fact]
    public void Resolution_zero_gives_the_connected_components()
    {
        LeidenGraph graph = LeidenGraph.FromEdges(8, [0, 1, 4, 5, 7], [1, 2, 5, 6, 7]);
        Assert.Equal([0, 0, 0, 2, 1, 1, 1, 3], Leiden.Run(graph, new LeidenOptions { Resolution = 0 }).Community);
    }

    [Fact]
    public void Graphs_without_edges_are_all_single_nodes()
    {
        Assert.Empty(Leiden.Run(LeidenGraph.FromEdges(0, [], []), new LeidenOptions()).Community);
        LeidenResult result = Leiden.Run(LeidenGraph.FromEdges(4, [1, 2], [1, 3], [5, 0]), new LeidenOptions());
        Assert.Equal([0, 1, 2, 3], result.Community);
        Assert.Equal([1, 1, 1, 1], result.Sizes);
        Assert.True(result.Converged);
        // All weight is in one loop: Q = 1 − γ.
        Assert.Equal(0, result.Modularity, 15);
        Assert.Equal(0, Leiden.Run(LeidenGraph.FromEdges(2, [], []), new LeidenOptions()).Modularity);
    }

    [Fact]
    public void The_same_seed_gives_the_same_partition_in_any_unit_and_order_of_edges()
    {
        EdgeList list = Named("planted");
        LeidenOptions options = new() { Seed = 11, Runs = 2 };
        int[] expected = Leiden.Run(list.Graph, options).Community;
        Assert.Equal(expected, Leiden.Run(list.Graph, options).Community);
        EdgeList turned = new(list.Nodes, [.. list.Edges.Select(e => (e.To, e.From, 4096 * e.Weight)).Reverse()]);
        Assert.Equal(expected, Leiden.Run(turned.Graph, options).Community);
    }

    [Fact]
    public void More_passes_never_lower_the_modularity_and_more_runs_neither()
    {
        LeidenGraph graph = Named("planted").Graph;
        double[] passes = [.. new[] { 1, 2, 3, -1 }.Select(i => Leiden.Run(graph, new LeidenOptions { Iterations = i }).Modularity)];
        double[] runs = [.. new[] { 1, 3, 10 }.Select(i => Leiden.Run(graph, new LeidenOptions { Runs = i }).Modularity)];
        Assert.Equal(passes.Order(), passes);
        Assert.Equal(runs.Order(), runs);
        Assert.Equal(1, Leiden.Run(graph, new LeidenOptions { Iterations = 1 }).Iterations);
    }

    [Fact]
    public void Further_runs_allocate_nothing_but_their_results()
    {
        LeidenGraph graph = LeidenGraphs.RingOfCliques(400, 5).Graph;
        long Allocated(int runs)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            Leiden.Run(graph, new LeidenOptions { Runs = runs });
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }
        Allocated(1);
        // A result is one community number per node and some arrays of communities, its modularity one sum per node; sweeps and levels are in memory that is there already.
        Assert.InRange((Allocated(9) - Allocated(1)) / 8, 12 * graph.Nodes, 24 * graph.Nodes);
    }

    [Fact]
    public void Symmetric_rows_give_the_graph_of_their_edges()
    {
        LeidenGraph graph = LeidenGraph.FromSymmetric([0, 2, 4, 4, 5], [1, 0, 0, 3, 1], [2, 0.5, 2, 1.5, 1.5]);
        Assert.Equal((4, 2, 4.0), (graph.Nodes, graph.Edges, graph.TotalWeight));
        Assert.Equal([3, 3.5, 0, 1.5], graph.Strength.ToArray());
        Assert.Equal((2.0, 1.5, 0.0), (graph.WeightBetween(1, 0), graph.WeightBetween(3, 1), graph.WeightBetween(0, 2)));
        Assert.Contains("not symmetric", Assert.Throws<UsageException>(() => LeidenGraph.FromSymmetric([0, 1, 2], [1, 0], [1, 2])).Message);
        Assert.Contains("not symmetric", Assert.Throws<UsageException>(() => LeidenGraph.FromSymmetric([0, 1, 1], [1], [1])).Message);
        Assert.Contains("not symmetric", Assert.Throws<UsageException>(() => LeidenGraph.FromSymmetric([0, 0, 1], [0], [1])).Message);
    }

    [Fact]
    public void Untidy_rows_and_edges_are_the_same_graph()
    {
        // Columns in any order, zeros stored, a row that ends the matrix without entries.
        LeidenGraph rows = LeidenGraph.FromSymmetric([0, 4, 6, 8, 10, 10], [3, 0, 2, 1, 0, 2, 1, 0, 0, 3], [4, 0.5, 0, 1, 1, 2, 2, 0, 4, 0]);
        Assert.Equal((5, 3, 7.5), (rows.Nodes, rows.Edges, rows.TotalWeight));
        Assert.Equal([1, 3], rows.Neighbours(0).ToArray());
        Assert.Equal([1, 4], rows.Weights(0).ToArray());
        Assert.Equal([0, 2], rows.Neighbours(1).ToArray());
        Assert.Equal([6, 3, 2, 4, 0], rows.Strength.ToArray());
        Assert.Equal([0.5, 0, 0, 0, 0], rows.SelfWeight.ToArray());
        // Small weights are added before a large one that would swallow each: 2^53 + 2 in any order of the edges, from both ends.
        double large = Math.Pow(2, 53);
        foreach (double[] weights in new double[][] { [large, 1, 1, 0], [1, large, 0, 1], [0, 1, 1, large] })
        {
            LeidenGraph parallel = LeidenGraph.FromEdges(3, [1, 2, 1, 2, 0], [2, 1, 2, 1, 2], [.. weights, 3]);
            Assert.Equal((large + 2, large + 2, 2), (parallel.WeightBetween(1, 2), parallel.WeightBetween(2, 1), parallel.Edges));
            Assert.Equal([0, 1], parallel.Neighbours(2).ToArray());
        }
        Assert.Equal(0, LeidenGraph.FromSymmetric([0], [], []).Nodes);
    }

    [Theory]
    [InlineData("row starts from 0", new int[0], new int[0], new double[0])]
    [InlineData("row starts from 0", new[] { 1, 1 }, new[] { 0 }, new[] { 1.0 })]
    [InlineData("row starts from 0", new[] { 0, 1 }, new[] { 0, 0 }, new[] { 1.0, 1 })]
    [InlineData("row starts from 0", new[] { 0, 1 }, new[] { 0 }, new[] { 1.0, 2 })]
    [InlineData("Row 1 of the compressed matrix ends", new[] { 0, 2, 1, 2 }, new[] { 0, 1 }, new[] { 1.0, 1 })]
    [InlineData("Row 0 of the compressed matrix ends", new[] { 0, 3, 2 }, new[] { 0, 1 }, new[] { 1.0, 1 })]
    [InlineData("names the column 2; nodes are numbered 0 to 1", new[] { 0, 1, 1 }, new[] { 2 }, new[] { 1.0 })]
    [InlineData("names the column -1", new[] { 0, 1, 1 }, new[] { -1 }, new[] { 1.0 })]
    [InlineData("(0, 1) twice", new[] { 0, 2, 4 }, new[] { 1, 1, 0, 0 }, new[] { 1.0, 1, 1, 1 })]
    [InlineData("the entry (2, 0) is 1, the entry (0, 2) is 0", new[] { 0, 1, 3, 5 }, new[] { 1, 0, 2, 0, 1 }, new[] { 1.0, 1, 1, 1, 1 })]
    [InlineData("the entry (0, 2) is 1, the entry (2, 0) is 0", new[] { 0, 2, 4, 5 }, new[] { 1, 2, 0, 2, 1 }, new[] { 1.0, 1, 1, 1, 1 })]
    public void Rows_that_are_no_symmetric_matrix_are_refused(string complaint, int[] start, int[] columns, double[] values) =>
        Assert.Contains(complaint, Assert.Throws<UsageException>(() => LeidenGraph.FromSymmetric(start, columns, values)).Message);

    [Fact]
    public void Other_runs_are_compared_with_the_best_one()
    {
        LeidenGraph graph = Named("planted").Graph;
        double[] agreements = Leiden.Run(graph, new LeidenOptions { Runs = 4, Iterations = 1, Resolution = 3 }).Agreements;
        Assert.Equal(3, agreements.Length);
        Assert.All(agreements, a => Assert.InRange(a, 0.05, 0.9999));
        Assert.Empty(Leiden.Run(graph, new LeidenOptions()).Agreements);
    }

    [Theory]
    [InlineData(-1.0)]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    public void Impossible_weights_are_refused(double weight)
    {
        Assert.Contains("Edge 1", Assert.Throws<UsageException>(() => LeidenGraph.FromEdges(3, [0, 1], [1, 2], [1, weight])).Message);
        Assert.Contains("(0, 1)", Assert.Throws<UsageException>(() => LeidenGraph.FromSymmetric([0, 1, 2], [1, 0], [weight, weight])).Message);
    }

    /// <summary>From 2^14 nodes on the search takes an order of its own; nothing that is promised may depend on it.</summary>
    [Fact]
    public void A_large_graph_keeps_the_promises_on_any_number_of_threads()
    {
        const int Nodes = 17_000, Ring = 500;
        CounterRandom random = new(4);
        List<(int, int, double)> edges = [];
        // Rings whose members know others nearby, strewn over the numbers, with a few edges anywhere.
        int[] name = [.. Enumerable.Range(0, Nodes)];
        random.Shuffle<int>(name);
        for (int v = 0; v < Nodes; v++)
            for (int e = 0; e < 4; e++) edges.Add((name[v], name[e < 3 ? v / Ring * Ring + (v + 1 + random.NextInt32(20)) % Ring : random.NextInt32(Nodes)], 0.1 + random.NextDouble()));
        LeidenGraph graph = new EdgeList(Nodes, edges).Graph;
        int[] rings = new int[Nodes], balls = LeidenOrder.Balls(graph);
        for (int v = 0; v < Nodes; v++) rings[name[v]] = v / Ring;
        Assert.Equal(Enumerable.Range(0, Nodes), balls.Order());
        // A ball is full at 256 nodes, most of one ring.
        Assert.InRange(Enumerable.Range(1, Nodes - 1).Count(i => Array.Exists(graph.Neighbours(balls[i]).ToArray(), u => Array.IndexOf(balls, u, Math.Max(0, i - 256), Math.Min(i, 256)) >= 0)), 0.9 * Nodes, Nodes);
        CounterRandom draw = new(9);
        int[] shuffled = new int[Nodes], again = new int[Nodes];
        LeidenOrder.Shuffle(shuffled, ref draw);
        LeidenOrder.Shuffle(again, ref draw);
        Assert.Equal(Enumerable.Range(0, Nodes), shuffled.Order());
        // Runs of 64 in another order, each in another order within.
        Assert.InRange(Enumerable.Range(0, Nodes).Count(i => shuffled[i] == again[i]), 0, 200);
        Assert.InRange(Enumerable.Range(1, Nodes - 1).Count(i => shuffled[i] / 64 == shuffled[i - 1] / 64), Nodes - Nodes / 64 - 1, Nodes - Nodes / 64 + 20);
        Assert.InRange(Enumerable.Range(1, Nodes - 1).Count(i => shuffled[i] == shuffled[i - 1] + 1), 0, 1500);
        using CpuDevice device = new(3);
        LeidenResult result = Leiden.Run(graph, new LeidenOptions { Seed = 2 }, device: device);
        Assert.Equal(Leiden.Run(graph, new LeidenOptions { Seed = 2 }).Community, result.Community);
        Assert.True(result.Converged);
        Assert.InRange(result.Modularity, Leiden.Modularity(graph, rings) - 0.001, 1);
        Assert.InRange(LargestGain(graph, result.Community, 1), double.NegativeInfinity, 1e-10);
        for (int c = 0; c < result.Sizes.Length; c++) Assert.Equal(result.Sizes[c], Reached(graph, result.Community, Array.IndexOf(result.Community, c)));
    }

    [Fact]
    public void Wrong_numbers_are_refused()
    {
        Assert.Throws<UsageException>(() => LeidenGraph.FromEdges(3, [0, 1], [1]));
        Assert.Throws<UsageException>(() => LeidenGraph.FromEdges(3, [0], [3]));
        Assert.Throws<UsageException>(() => LeidenGraph.FromEdges(3, [-1], [2]));
        Assert.Throws<UsageException>(() => LeidenGraph.FromEdges(2, [0, 0], [1, 1], [1e308, 1e308]));
        LeidenGraph graph = LeidenGraphs.Karate().Graph;
        Assert.Throws<UsageException>(() => Leiden.Run(graph, new LeidenOptions { Resolution = -0.1 }));
        Assert.Throws<UsageException>(() => Leiden.Run(graph, new LeidenOptions { Randomness = 0 }));
        Assert.Throws<UsageException>(() => Leiden.Run(graph, new LeidenOptions { Iterations = 0 }));
        Assert.Throws<UsageException>(() => Leiden.Run(graph, new LeidenOptions { Runs = 0 }));
        Assert.Throws<UsageException>(() => Leiden.Modularity(graph, [0, 1]));
        foreach (double infinite in new[] { double.PositiveInfinity, double.NaN })
        {
            Assert.Throws<UsageException>(() => Leiden.Run(graph, new LeidenOptions { Resolution = infinite }));
            Assert.Throws<UsageException>(() => Leiden.Run(graph, new LeidenOptions { Randomness = infinite }));
        }
        foreach (int wrong in new[] { -1, 34 }) Assert.Contains($"in community {wrong}", Assert.Throws<UsageException>(() => Leiden.Modularity(graph, [.. Enumerable.Repeat(0, 33), wrong])).Message);
        Assert.Contains("first ends", Assert.Throws<UsageException>(() => LeidenGraph.FromEdges(3, [0, 1], [1, 2], [1])).Message);
        Assert.ThrowsAny<OperationCanceledException>(() => Leiden.Run(graph, new LeidenOptions(), cancel: new CancellationToken(canceled: true)));
    }

    /// <summary>1/2m Σ_ij (A_ij − γ k_i k_j / 2m) δ(c_i, c_j), pair by pair.</summary>
    private static double Definition(LeidenGraph graph, int[] community, double resolution)
    {
        double m = graph.TotalWeight, sum = 0;
        for (int i = 0; i < graph.Nodes; i++)
            for (int j = 0; j < graph.Nodes; j++)
                if (community[i] == community[j]) sum += (i == j ? 2 * graph.SelfWeight[i] : graph.WeightBetween(i, j)) - resolution * graph.Strength[i] * graph.Strength[j] / (2 * m);
        return sum / (2 * m);
    }

    /// <summary>The largest gain of modularity that moving one node to another or to an empty community has.</summary>
    private static double LargestGain(LeidenGraph graph, int[] community, double resolution)
    {
        double m = graph.TotalWeight, largest = double.NegativeInfinity;
        double[] strength = new double[graph.Nodes], link = new double[graph.Nodes];
        int communities = community.Max() + 1;
        for (int v = 0; v < graph.Nodes; v++) strength[community[v]] += graph.Strength[v];
        for (int v = 0; v < graph.Nodes; v++)
        {
            for (int e = 0; e < graph.Neighbours(v).Length; e++) link[community[graph.Neighbours(v)[e]]] += graph.Weights(v)[e];
            double k = graph.Strength[v], stay = link[community[v]] - resolution * k * (strength[community[v]] - k) / (2 * m);
            largest = Math.Max(largest, -stay / m);
            for (int c = 0; c < communities; c++)
                if (c != community[v]) largest = Math.Max(largest, (link[c] - resolution * k * strength[c] / (2 * m) - stay) / m);
            Array.Clear(link, 0, communities);
        }
        return largest;
    }

    private static int Reached(LeidenGraph graph, int[] community, int first)
    {
        HashSet<int> seen = [first];
        Stack<int> open = new([first]);
        while (open.TryPop(out int v))
            foreach (int u in graph.Neighbours(v)) if (community[u] == community[first] && seen.Add(u)) open.Push(u);
        return seen.Count;
    }
}
