using BioSup.Analysis.SingleCell;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.SingleCell;

/// <summary>Graphs on which communities are looked for, as lists of edges.</summary>
internal sealed record EdgeList(int Nodes, List<(int From, int To, double Weight)> Edges)
{
    public LeidenGraph Graph => LeidenGraph.FromEdges(Nodes, Edges.Select(e => e.From).ToArray(), Edges.Select(e => e.To).ToArray(), Edges.Select(e => e.Weight).ToArray());
}

internal static class LeidenGraphs
{
    /// <summary>Zachary (1977): 34 members of a karate club, 78 friendships.</summary>
    public static EdgeList Karate()
    {
        const string Friends = "0-1 0-2 0-3 0-4 0-5 0-6 0-7 0-8 0-10 0-11 0-12 0-13 0-17 0-19 0-21 0-31 1-2 1-3 1-7 1-13 1-17 1-19 1-21 1-30 2-3 2-7 2-8 2-9 2-13 2-27 2-28 2-32 " +
            "3-7 3-12 3-13 4-6 4-10 5-6 5-10 5-16 6-16 8-30 8-32 8-33 9-33 13-33 14-32 14-33 15-32 15-33 18-32 18-33 19-33 20-32 20-33 22-32 22-33 23-25 23-27 23-29 23-32 23-33 " +
            "24-25 24-27 24-31 25-31 26-29 26-33 27-33 28-31 28-33 29-32 29-33 30-32 30-33 31-32 31-33 32-33";
        return new EdgeList(34, [.. Friends.Split(' ').Select(edge => edge.Split('-')).Select(ends => (int.Parse(ends[0]), int.Parse(ends[1]), 1.0))]);
    }

    public static EdgeList RingOfCliques(int cliques, int size)
    {
        List<(int, int, double)> edges = [];
        for (int c = 0; c < cliques; c++)
        {
            for (int i = 0; i < size; i++)
                for (int j = i + 1; j < size; j++) edges.Add((c * size + i, c * size + j, 1));
            edges.Add((c * size, (c + 1) % cliques * size + 1, 1));
        }
        return new EdgeList(cliques * size, edges);
    }

    /// <summary>Groups of equal size with weighted edges, denser inside; some self loops, parallel edges and isolated nodes.</summary>
    public static EdgeList Planted(int nodes, int groups, double inside, double across, ulong seed)
    {
        CounterRandom random = new(seed);
        List<(int, int, double)> edges = [];
        for (int i = 0; i < nodes; i++)
            for (int j = i + 1; j < nodes; j++)
                if (random.NextDouble() < (i % groups == j % groups ? inside : across)) edges.Add((i, j, 0.2 + random.NextDouble()));
        for (int i = 0; i < nodes; i += 17)
        {
            edges.Add((i, i, random.NextDouble()));
            if (i + groups < nodes) edges.Add((i + groups, i, 0.3));
        }
        return new EdgeList(nodes + 3, edges);
    }

    /// <summary>The neighbour graph of umap-learn: weights fall from 1 at the nearest neighbour so that a point's k weights add up to log2 k, then a + b − ab.</summary>
    public static EdgeList Neighbours(Matrix<double> points, int k)
    {
        int n = points.Rows;
        using Matrix<int> index = points.Device.AllocateMatrix<int>(n, k - 1);
        using Matrix<double> distance = points.Device.AllocateMatrix<double>(n, k - 1);
        KNearestNeighbours.SearchSelf(DistanceMetric.Euclidean, points.View, index.View, distance.View);
        Dictionary<(int, int), double> weights = [];
        for (int i = 0; i < n; i++)
        {
            double[] excess = [.. distance.Row(i).ToArray().Select(d => d - distance.Row(i)[0])];
            double low = 0, high = double.PositiveInfinity, sigma = 1;
            for (int step = 0; step < 64; step++)
            {
                if (excess.Sum(d => Math.Exp(-d / sigma)) > Math.Log2(k)) high = sigma;
                else low = sigma;
                sigma = double.IsInfinity(high) ? 2 * sigma : 0.5 * (low + high);
            }
            for (int e = 0; e < k - 1; e++)
            {
                (int, int) edge = (Math.Min(i, index.Row(i)[e]), Math.Max(i, index.Row(i)[e]));
                double other = weights.GetValueOrDefault(edge), own = Math.Exp(-excess[e] / sigma);
                weights[edge] = own + other - own * other;
            }
        }
        return new EdgeList(n, [.. weights.Select(w => (w.Key.Item1, w.Key.Item2, w.Value))]);
    }
}
