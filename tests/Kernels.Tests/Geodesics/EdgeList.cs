using BioSup.Runtime;

namespace BioSup.Kernels.Tests.ShortestPaths;

/// <summary>An undirected graph of a kind that shortest paths may stumble over, its vertices numbered at random.</summary>
internal sealed class EdgeList
{
    private readonly List<(int To, double Length)>[] _edges;
    private readonly int[] _number;

    private EdgeList(int n, CounterRandom random)
    {
        _edges = [.. Enumerable.Range(0, n).Select(_ => new List<(int, double)>())];
        _number = [.. Enumerable.Range(0, n)];
        for (int i = n - 1; i > 0; i--)
        {
            int j = random.NextInt32(i + 1);
            (_number[i], _number[j]) = (_number[j], _number[i]);
        }
    }

    public int Count => _edges.Length;

    public static EdgeList Make(string kind, int n)
    {
        CounterRandom random = new(17);
        EdgeList graph = new(n, random);
        int side = (int)Math.Sqrt(n);
        for (int v = 1; v < n; v++)
            switch (kind)
            {
                case "random": graph.Attach(v, v, 1, 4, () => 0.1 + random.NextDouble(), random); break;
                case "pieces": graph.Attach(v, v, 3, 2, () => random.NextDouble(), random); break;
                case "isolated": break;
                case "chain": graph.Join(v, v - 1, random.NextDouble()); break;
                case "even chain": graph.Join(v, v - 1, 0.1); break;
                case "star": graph.Join(v, 0, random.NextDouble()); break;
                case "ring":
                    graph.Join(v, v - 1, 0.3);
                    if (v == n - 1) graph.Join(v, 0, 0.3);
                    break;
                case "grid":
                    if (v % side != 0) graph.Join(v, v - 1, 0.7);
                    if (v >= side) graph.Join(v, v - side, 0.7);
                    break;
                case "ties": graph.Attach(v, v, 1, 4, () => 1 + random.NextInt32(3), random); break;
                case "zeros": graph.Attach(v, v, 1, 4, () => Math.Max(0, random.NextDouble() - 0.5), random); break;
                case "all zeros": graph.Attach(v, v, 2, 3, () => 0, random); break;
                case "complete":
                    for (int to = 0; to < v; to++) graph.Join(v, to, 0.5 + random.NextDouble());
                    break;
                case "twice":
                    graph.Join(v, v / 2, 0.5);
                    graph.Join(v, v / 2, 0.25 + random.NextDouble());
                    graph.Join(v, v, 0.1);
                    break;
                case "wide range": graph.Attach(v, v, 1, 4, () => Math.Exp(40 * random.NextDouble() - 20), random); break;
                default: throw new ArgumentException(kind);
            }
        return graph;
    }

    public CompressedGraph Compress(ComputeDevice device)
    {
        int[] start = new int[Count + 1];
        for (int v = 0; v < Count; v++) start[v + 1] = start[v] + _edges[v].Count;
        return new CompressedGraph(device, start, [.. _edges.SelectMany(e => e.Select(edge => edge.To))], [.. _edges.SelectMany(e => e.Select(edge => edge.Length))]);
    }

    /// <summary>Dijkstra's algorithm from one source after another, as the textbook has it.</summary>
    public double[] Dijkstra()
    {
        double[] all = new double[Count * Count];
        Array.Fill(all, double.PositiveInfinity);
        for (int source = 0; source < Count; source++)
        {
            Span<double> label = all.AsSpan(source * Count, Count);
            bool[] done = new bool[Count];
            label[source] = 0;
            while (true)
            {
                int nearest = -1;
                for (int v = 0; v < Count; v++)
                    if (!done[v] && !double.IsPositiveInfinity(label[v]) && (nearest < 0 || label[v] < label[nearest])) nearest = v;
                if (nearest < 0) break;
                done[nearest] = true;
                foreach ((int to, double length) in _edges[nearest]) label[to] = Math.Min(label[to], label[nearest] + length);
            }
        }
        return all;
    }

    /// <summary>Edges from a vertex to random earlier ones with the same remainder.</summary>
    private void Attach(int vertex, int earlier, int pieces, int edges, Func<double> length, CounterRandom random)
    {
        if (earlier < pieces) return;
        for (int e = 0; e < edges; e++) Join(vertex, random.NextInt32(earlier / pieces) * pieces + vertex % pieces, length());
    }

    private void Join(int one, int other, double length)
    {
        _edges[_number[one]].Add((_number[other], length));
        if (one != other) _edges[_number[other]].Add((_number[one], length));
    }
}
