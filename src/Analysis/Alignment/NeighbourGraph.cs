using System.Runtime.InteropServices;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>The undirected k-nearest-neighbour graph: an edge wherever either point has the other among its neighbours.</summary>
internal static class NeighbourGraph
{
    /// <returns>The graph in the memory of the points; edges are as long as the distances in the graph's metric.</returns>
    public static CompressedGraph Build(Matrix<double> x, DomainCostOptions options)
    {
        int n = x.Rows, others = options.IncludeSelf ? options.Neighbours - 1 : options.Neighbours;
        options.RequirePoints(n, "this domain");
        using Matrix<int> indices = x.Device.AllocateMatrix<int>(n, others);
        using Matrix<double> distances = x.Device.AllocateMatrix<double>(n, others);
        KNearestNeighbours.SearchSelf(options.GraphMetric, x.View, indices.View, distances.View);
        using PlacedMatrix<int> foundIndices = indices.OnHost();
        using PlacedMatrix<double> foundDistances = distances.OnHost();
        return Symmetrise(x.Device, foundIndices.Matrix, foundDistances.Matrix);
    }

    private static CompressedGraph Symmetrise(ComputeDevice device, Matrix<int> indices, Matrix<double> distances)
    {
        int n = indices.Rows, k = indices.Columns;
        List<(int Neighbour, double Length)>[] edges = new List<(int, double)>[n];
        for (int i = 0; i < n; i++) edges[i] = new List<(int, double)>(2 * k);
        for (int i = 0; i < n; i++)
        {
            ReadOnlySpan<int> index = indices.Row(i);
            ReadOnlySpan<double> distance = distances.Row(i);
            for (int e = 0; e < k; e++)
            {
                edges[i].Add((index[e], distance[e]));
                edges[index[e]].Add((i, distance[e]));
            }
        }
        int[] start = new int[n + 1];
        List<int> neighbour = new(2 * n * k);
        List<double> length = new(2 * n * k);
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
