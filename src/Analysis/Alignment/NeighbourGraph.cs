using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>An undirected k-nearest-neighbour graph in compressed rows: an edge wherever either point has the other among its neighbours.</summary>
internal sealed class NeighbourGraph
{
    private NeighbourGraph(int[] start, int[] neighbour, double[] length)
    {
        Start = start;
        Neighbour = neighbour;
        Length = length;
    }

    public int Count => Start.Length - 1;

    /// <summary>Row i holds entries Start[i] .. Start[i + 1] - 1.</summary>
    public int[] Start { get; }
    public int[] Neighbour { get; }

    /// <summary>Edge lengths in the graph's metric.</summary>
    public double[] Length { get; }

    public static NeighbourGraph Build(Matrix<double> x, DomainCostOptions options)
    {
        int n = x.Rows, others = options.IncludeSelf ? options.Neighbours - 1 : options.Neighbours;
        options.RequirePoints(n, "this domain");
        using Matrix<int> indices = x.Device.AllocateMatrix<int>(n, others);
        using Matrix<double> distances = x.Device.AllocateMatrix<double>(n, others);
        KNearestNeighbours.SearchSelf(options.GraphMetric, x.View, indices.View, distances.View);
        using Relocated<int> foundIndices = indices.OnHost();
        using Relocated<double> foundDistances = distances.OnHost();
        return Symmetrise(foundIndices.Matrix, foundDistances.Matrix);
    }

    /// <summary>Number of connected components.</summary>
    public int CountComponents()
    {
        bool[] seen = new bool[Count];
        Stack<int> open = new();
        int components = 0;
        for (int i = 0; i < Count; i++)
        {
            if (seen[i]) continue;
            components++;
            seen[i] = true;
            open.Push(i);
            while (open.TryPop(out int at))
                for (int e = Start[at]; e < Start[at + 1]; e++)
                    if (!seen[Neighbour[e]])
                    {
                        seen[Neighbour[e]] = true;
                        open.Push(Neighbour[e]);
                    }
        }
        return components;
    }

    private static NeighbourGraph Symmetrise(Matrix<int> indices, Matrix<double> distances)
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
        return new NeighbourGraph(start, [.. neighbour], [.. length]);
    }
}
