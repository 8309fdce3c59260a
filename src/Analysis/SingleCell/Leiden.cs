using BioSup.Analysis.Modules;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>Settings of the community search.</summary>
public sealed record LeidenOptions
{
    /// <summary>γ ≥ 0 of the modularity: larger values give more, smaller communities.</summary>
    public double Resolution { get; init; } = 1;

    /// <summary>β > 0: how far the refinement strays from the best merge, in units of the graph's mean edge weight (igraph's unit is the weight itself; the same on an unweighted graph).</summary>
    public double Randomness { get; init; } = 0.01;

    /// <summary>Passes over the whole graph; −1 goes on until a pass changes nothing, which alone makes the result node-optimal.</summary>
    public int Iterations { get; init; } = -1;

    /// <summary>Independent searches, of which the one with the largest modularity is kept (the earliest of equals).</summary>
    public int Runs { get; init; } = 1;

    /// <summary>Decides every random choice.</summary>
    public ulong Seed { get; init; }

    /// <exception cref="UsageException">An option is out of its range.</exception>
    public void Check()
    {
        if (!(Resolution >= 0) || !double.IsFinite(Resolution)) throw new UsageException($"The resolution {Resolution} of the community search is not finite and at least 0.");
        if (!(Randomness > 0) || !double.IsFinite(Randomness)) throw new UsageException($"The randomness {Randomness} of the community search is not finite and positive.");
        if (Iterations is 0 or < -1) throw new UsageException($"The community search cannot make {Iterations} passes: give a number from 1, or -1 to go on until nothing changes.");
        if (Runs < 1) throw new UsageException($"The community search cannot make {Runs} runs; at least 1.");
    }
}

/// <summary>A partition of a graph's nodes.</summary>
/// <param name="Community">[nodes]: number of each node's community; 0 is the largest one, equal sizes are ordered by their first member.</param>
/// <param name="Sizes">[communities], falling.</param>
/// <param name="Modularity">At the resolution asked for; 0 for a graph without edges.</param>
/// <param name="Iterations">Passes made by the run that was kept.</param>
/// <param name="Converged">The last pass changed nothing: no single node can move to another community (or leave for an empty one) with a gain.</param>
public sealed record LeidenResult(int[] Community, int[] Sizes, double Modularity, int Iterations, bool Converged)
{
    /// <summary>Adjusted Rand index of this partition with that of every other run, in their order; empty for a single run.</summary>
    public double[] Agreements { get; init; } = [];
}

/// <summary>
/// Communities of an undirected weighted graph by the Leiden algorithm (Traag, Waltman and van Eck 2019, algorithm A.2): local moving with a queue, refinement
/// with randomness, aggregation, repeated until nothing changes. The quality is modularity with a resolution (igraph's <c>objective_function="modularity"</c>,
/// leidenalg's RBConfigurationVertexPartition): Q = Σ_c [W_c / m − γ (K_c / 2m)²], W_c the weight inside community c, K_c the strength of its nodes.
/// Every community is connected. Nodes are moved one after the other; refinement and aggregation, most of the work, are shared out among threads with the same bytes for any number
/// of them. Memory is linear in nodes and edges.
/// </summary>
public static class Leiden
{
    /// <param name="graph">Any graph, also an empty or a disconnected one. Nodes without edges are communities of their own.</param>
    /// <param name="options">Resolution, randomness, passes, runs and seed.</param>
    /// <param name="progress">Hears of every pass.</param>
    /// <param name="cancel">Ends the search with <see cref="OperationCanceledException"/>.</param>
    /// <param name="device">Whose threads refine and aggregate; null for the calling thread alone.</param>
    /// <exception cref="UsageException">An option is out of its range.</exception>
    public static LeidenResult Run(LeidenGraph graph, LeidenOptions options, IProgressReporter? progress = null, CancellationToken cancel = default, CpuDevice? device = null)
    {
        options.Check();
        using WorkerPool? own = device is null ? new WorkerPool(1) : null;
        LeidenSearch search = new(graph, options, device?.Pool ?? own!, progress ?? SilentProgress.Instance, cancel);
        LeidenResult[] found = new LeidenResult[options.Runs];
        for (int run = 0; run < found.Length; run++) found[run] = search.Run(run);
        // The earliest of equals.
        LeidenResult best = found.MaxBy(result => result.Modularity)!;
        return best with { Agreements = [.. found.Where(other => !ReferenceEquals(other, best)).Select(other => AdjustedRandIndex.Of(best.Community, other.Community))] };
    }

    /// <summary>Modularity of any partition: Q = Σ_c [W_c / m − γ (K_c / 2m)²]; 0 for a graph without edges.</summary>
    /// <param name="graph">The graph.</param>
    /// <param name="community">[nodes], each from 0 to nodes − 1.</param>
    /// <param name="resolution">γ.</param>
    /// <exception cref="UsageException">The partition does not fit the graph.</exception>
    public static double Modularity(LeidenGraph graph, ReadOnlySpan<int> community, double resolution = 1)
    {
        if (community.Length != graph.Nodes) throw new UsageException($"A partition of {graph.Nodes} nodes has {community.Length} entries.");
        double m = graph.TotalWeight, inside = 0;
        if (m == 0) return 0;
        double[] strength = new double[graph.Nodes];
        for (int v = 0; v < graph.Nodes; v++)
        {
            if ((uint)community[v] >= (uint)graph.Nodes) throw new UsageException($"Node {v} is in community {community[v]}; communities are numbered 0 to {graph.Nodes - 1}.");
            strength[community[v]] += graph.Strength[v];
            inside += graph.SelfWeight[v];
            ReadOnlySpan<int> neighbours = graph.Neighbours(v);
            ReadOnlySpan<double> weights = graph.Weights(v);
            // An edge is stored at both of its ends.
            for (int e = 0; e < neighbours.Length; e++) if (community[neighbours[e]] == community[v]) inside += 0.5 * weights[e];
        }
        double squares = 0;
        foreach (double k in strength) squares += k / (2 * m) * (k / (2 * m));
        return inside / m - resolution * squares;
    }
}
