using System.Runtime.InteropServices;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>The undirected k-nearest-neighbour graph: an edge wherever either point has the other among its neighbours.</summary>
internal static class NeighbourGraph
{
    /// <summary>More components than this are not bridged: every pair of them would get an edge.</summary>
    public const int MostBridged = 1000;

    /// <returns>
    /// The graph in the memory of the points; edges are as long as the distances in the graph's metric. With <see cref="ComponentRule.Bridge"/> the components that the
    /// neighbours leave, and the number of edges added between them.
    /// </returns>
    public static (CompressedGraph Graph, int Components, int Bridges) Build(Matrix<double> x, DomainCostOptions options, string name, CancellationToken cancellation)
    {
        int n = x.Rows, others = options.IncludeSelf ? options.Neighbours - 1 : options.Neighbours;
        options.RequirePoints(n, "this domain");
        List<(int Neighbour, double Length)>[] edges = Edges(x, options.GraphMetric, others);
        if (options.Components != ComponentRule.Bridge)
        {
            CompressedGraph graph = Compress(x.Device, edges);
            return (graph, Geodesics.CountComponents(graph), 0);
        }
        (int[] component, int components) = Label(edges);
        if (components > MostBridged)
            throw new DataException(name, null, $"the {options.Neighbours}-nearest-neighbour graph has {components} components, more than the {MostBridged} that are bridged; raise knn or choose another rule.");
        int bridges = components == 1 ? 0 : Bridge(x, options.GraphMetric, component, components, edges, cancellation);
        return (Compress(x.Device, edges), components, bridges);
    }

    /// <summary>Edges of every point, in any order and possibly twice.</summary>
    private static List<(int Neighbour, double Length)>[] Edges(Matrix<double> x, DistanceMetric metric, int neighbours)
    {
        int n = x.Rows;
        using Matrix<int> indices = x.Device.AllocateMatrix<int>(n, neighbours);
        using Matrix<double> distances = x.Device.AllocateMatrix<double>(n, neighbours);
        KNearestNeighbours.SearchSelf(metric, x.View, indices.View, distances.View);
        using PlacedMatrix<int> foundIndices = indices.OnHost();
        using PlacedMatrix<double> foundDistances = distances.OnHost();
        List<(int Neighbour, double Length)>[] edges = new List<(int, double)>[n];
        for (int i = 0; i < n; i++) edges[i] = new List<(int, double)>(2 * neighbours);
        for (int i = 0; i < n; i++)
        {
            ReadOnlySpan<int> index = foundIndices.Matrix.Row(i);
            ReadOnlySpan<double> distance = foundDistances.Matrix.Row(i);
            for (int e = 0; e < neighbours; e++) Join(edges, i, index[e], distance[e]);
        }
        return edges;
    }

    private static void Join(List<(int Neighbour, double Length)>[] edges, int one, int other, double length)
    {
        edges[one].Add((other, length));
        edges[other].Add((one, length));
    }

    /// <summary>The component of every point, numbered by their first points.</summary>
    private static (int[] Component, int Count) Label(List<(int Neighbour, double Length)>[] edges)
    {
        int[] component = new int[edges.Length];
        Array.Fill(component, -1);
        int count = 0;
        Stack<int> open = new();
        for (int i = 0; i < edges.Length; i++)
        {
            if (component[i] >= 0) continue;
            component[i] = count;
            open.Push(i);
            while (open.TryPop(out int at))
                foreach ((int to, _) in edges[at])
                {
                    if (component[to] >= 0) continue;
                    component[to] = count;
                    open.Push(to);
                }
            count++;
        }
        return (component, count);
    }

    /// <summary>
    /// Joins every pair of components by an edge between their two nearest points (scikit-learn's rule for Isomap; Pamona's idea), of equally near pairs the one with the
    /// lowest indices. Distances are looked at a block of rows at a time.
    /// </summary>
    private static int Bridge(Matrix<double> x, DistanceMetric metric, int[] component, int components, List<(int Neighbour, double Length)>[] edges, CancellationToken cancellation)
    {
        int n = x.Rows, rows = MatchAccuracy.BlockRows(n, n), bridges = 0;
        (double Length, int From, int To)[] nearest = new (double, int, int)[components * components];
        Array.Fill(nearest, (double.PositiveInfinity, -1, -1));
        using Matrix<double> block = x.Device.AllocateMatrix<double>(rows, n);
        double[] row = new double[n];
        for (int start = 0; start < n; start += rows)
        {
            cancellation.ThrowIfCancellationRequested();
            MatrixView<double> distances = block.View.RowBlock(0, Math.Min(rows, n - start));
            PairwiseDistance.Compute(metric, x.View.RowBlock(start, distances.Rows), x.View, distances, DistanceForm.Direct);
            for (int r = 0; r < distances.Rows; r++)
            {
                distances.RowBlock(r, 1).CopyTo(row);
                int from = start + r, own = component[from];
                for (int j = 0; j < n; j++)
                {
                    // Each pair of components once, seen from the one that comes first.
                    if (component[j] <= own) continue;
                    ref (double Length, int From, int To) best = ref nearest[own * components + component[j]];
                    if (row[j] < best.Length) best = (row[j], from, j);
                }
            }
        }
        foreach ((double length, int from, int to) in nearest)
        {
            if (from < 0) continue;
            Join(edges, from, to, length);
            bridges++;
        }
        return bridges;
    }

    private static CompressedGraph Compress(ComputeDevice device, List<(int Neighbour, double Length)>[] edges)
    {
        int n = edges.Length, most = edges.Sum(list => list.Count);
        int[] start = new int[n + 1];
        List<int> neighbour = new(most);
        List<double> length = new(most);
        for (int i = 0; i < n; i++)
        {
            // Both directions may name an edge; of two lengths (they differ by rounding at most) the shorter one stays.
            edges[i].Sort();
            int previous = -1;
            foreach ((int to, double d) in edges[i])
            {
                if (to == previous) continue;
                previous = to;
                neighbour.Add(to);
                length.Add(d);
            }
            start[i + 1] = neighbour.Count;
        }
        return new CompressedGraph(device, start, CollectionsMarshal.AsSpan(neighbour), CollectionsMarshal.AsSpan(length));
    }
}
