using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>
/// An undirected graph with positive edge weights, stored as compressed rows that name every edge from both of its ends. Parallel edges are one edge with the
/// sum of their weights, edges of weight 0 are no edges, and a self loop of weight w counts twice in its node's strength, as in igraph.
/// </summary>
public sealed class LeidenGraph
{
    private const int MostEntries = int.MaxValue - 63;
    private readonly int[] _start, _neighbour;
    private readonly double[] _weight, _strength, _selfWeight;

    private LeidenGraph(int[] start, int[] neighbour, double[] weight, double[] selfWeight)
    {
        (_start, _neighbour, _weight, _selfWeight) = (start, neighbour, weight, selfWeight);
        _strength = new double[selfWeight.Length];
        double total = 0;
        for (int v = 0; v < _strength.Length; v++)
        {
            double sum = 0;
            for (int e = start[v]; e < start[v + 1]; e++) sum += weight[e];
            _strength[v] = sum + 2 * selfWeight[v];
            total += _strength[v];
        }
        TotalWeight = 0.5 * total;
        if (!double.IsFinite(2 * total)) throw new UsageException("The edge weights of the graph add up to more than a double can hold; divide them all by the largest.");
    }

    /// <summary>Number of nodes.</summary>
    public int Nodes => _selfWeight.Length;

    /// <summary>Number of different edges between two nodes; self loops are not among them.</summary>
    public int Edges => _neighbour.Length / 2;

    /// <summary>m: the sum of all edge weights, self loops included.</summary>
    public double TotalWeight { get; }

    /// <summary>[nodes]: the weights at each node, a self loop counting twice.</summary>
    public ReadOnlySpan<double> Strength => _strength;

    /// <summary>[nodes]: weight of each node's self loop.</summary>
    public ReadOnlySpan<double> SelfWeight => _selfWeight;

    /// <summary>The neighbours of a node, ascending, itself not among them.</summary>
    public ReadOnlySpan<int> Neighbours(int node) => _neighbour.AsSpan(_start[node].._start[node + 1]);

    /// <summary>The weights of the edges to <see cref="Neighbours"/>.</summary>
    public ReadOnlySpan<double> Weights(int node) => _weight.AsSpan(_start[node].._start[node + 1]);

    internal int[] StartArray => _start;

    internal int[] NeighbourArray => _neighbour;

    internal double[] WeightArray => _weight;

    internal double[] StrengthArray => _strength;

    /// <summary>A graph from a list of edges, each named once, in any order and direction.</summary>
    /// <param name="nodes">Number of nodes.</param>
    /// <param name="from">One end of each edge, 0 to nodes − 1.</param>
    /// <param name="to">The other end.</param>
    /// <param name="weights">Weight of each edge, finite and not negative; empty for 1 everywhere.</param>
    /// <exception cref="UsageException">The lengths differ, an end is no node, a weight is negative or not finite, or there are more than 2³⁰ edges.</exception>
    public static LeidenGraph FromEdges(int nodes, ReadOnlySpan<int> from, ReadOnlySpan<int> to, ReadOnlySpan<double> weights = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(nodes);
        if (from.Length != to.Length || (weights.Length != 0 && weights.Length != from.Length))
            throw new UsageException($"A graph's edges need as many first ends as second ends and weights, not {from.Length}, {to.Length} and {weights.Length}.");
        if (from.Length > 1 << 30) throw new UsageException($"The graph has {from.Length} edges; the community search takes 2^30 at most.");
        int[] start = new int[nodes + 1];
        double[] self = new double[nodes];
        for (int e = 0; e < from.Length; e++)
        {
            (int a, int b, double w) = (from[e], to[e], weights.IsEmpty ? 1 : weights[e]);
            if ((uint)a >= (uint)nodes || (uint)b >= (uint)nodes) throw new UsageException($"Edge {e} of the graph joins {a} and {b}; nodes are numbered 0 to {nodes - 1}.");
            if (!(w >= 0) || !double.IsFinite(w)) throw new UsageException($"Edge {e} of the graph, {a} to {b}, has the weight {w}; weights are finite and not negative.");
            if (a == b) self[a] += w;
            else if (w > 0)
            {
                start[a + 1]++;
                start[b + 1]++;
            }
        }
        for (int v = 0; v < nodes; v++) start[v + 1] += start[v];
        int[] neighbour = new int[start[nodes]], next = start[..nodes];
        double[] weight = new double[start[nodes]];
        for (int e = 0; e < from.Length; e++)
        {
            (int a, int b, double w) = (from[e], to[e], weights.IsEmpty ? 1 : weights[e]);
            if (a == b || w == 0) continue;
            (neighbour[next[a]], weight[next[a]++]) = (b, w);
            (neighbour[next[b]], weight[next[b]++]) = (a, w);
        }
        return Merged(start, neighbour, weight, self);
    }

    /// <summary>A graph from a symmetric matrix in compressed rows, as scanpy's connectivities are: (i, j) and (j, i) are one edge, (i, i) is a self loop of that weight.</summary>
    /// <param name="start">[nodes + 1]: where each row begins.</param>
    /// <param name="columns">Column of each entry; a row names a column once.</param>
    /// <param name="values">Weight of each entry, finite and not negative.</param>
    /// <exception cref="UsageException">The rows are malformed, a weight is negative or not finite, the matrix is not exactly symmetric, or it has more than 2³¹ − 64 entries.</exception>
    public static LeidenGraph FromSymmetric(ReadOnlySpan<int> start, ReadOnlySpan<int> columns, ReadOnlySpan<double> values)
    {
        int nodes = start.Length - 1;
        if (nodes < 0 || start[0] != 0 || start[nodes] != columns.Length || values.Length != columns.Length)
            throw new UsageException($"A compressed matrix of {columns.Length} columns and {values.Length} values needs row starts from 0 to that number.");
        if (columns.Length > MostEntries) throw new UsageException($"The graph's matrix has {columns.Length} entries; the community search takes 2^31 - 64 at most.");
        int[] begin = new int[nodes + 1], neighbour = new int[columns.Length];
        double[] weight = new double[columns.Length], self = new double[nodes];
        int kept = 0;
        for (int i = 0; i < nodes; i++)
        {
            if (start[i + 1] < start[i] || start[i + 1] > columns.Length) throw new UsageException($"Row {i} of the compressed matrix ends before it begins, or after the last entry.");
            for (int e = start[i]; e < start[i + 1]; e++)
            {
                if ((uint)columns[e] >= (uint)nodes) throw new UsageException($"Row {i} of the graph's matrix names the column {columns[e]}; nodes are numbered 0 to {nodes - 1}.");
                if (!(values[e] >= 0) || !double.IsFinite(values[e])) throw new UsageException($"The entry ({i}, {columns[e]}) of the graph's matrix is {values[e]}; weights are finite and not negative.");
                if (columns[e] == i) self[i] += values[e];
                else if (values[e] > 0) (neighbour[kept], weight[kept++]) = (columns[e], values[e]);
            }
            begin[i + 1] = kept;
            Span<int> row = neighbour.AsSpan(begin[i]..kept);
            bool ascending = true;
            for (int e = 1; e < row.Length; e++) ascending &= row[e - 1] < row[e];
            if (!ascending) row.Sort(weight.AsSpan(begin[i]..kept));
        }
        if (kept < neighbour.Length)
        {
            Array.Resize(ref neighbour, kept);
            Array.Resize(ref weight, kept);
        }
        RequireSymmetric(begin, neighbour, weight);
        return new LeidenGraph(begin, neighbour, weight, self);
    }

    /// <summary>Weight of the edge between two different nodes, 0 where there is none.</summary>
    public double WeightBetween(int a, int b)
    {
        int at = Neighbours(a).BinarySearch(b);
        return at < 0 ? 0 : Weights(a)[at];
    }

    /// <summary>Rows are ascending, so the rows above a column's diagonal name it in the order in which its own row begins.</summary>
    private static void RequireSymmetric(int[] start, int[] neighbour, double[] weight)
    {
        int nodes = start.Length - 1;
        int[] next = start[..nodes];
        for (int i = 0; i < nodes; i++)
        {
            for (int e = start[i]; e < start[i + 1]; e++)
            {
                int j = neighbour[e];
                if (e > start[i] && j == neighbour[e - 1]) throw new UsageException($"The graph's matrix names the entry ({i}, {j}) twice.");
                if (j < i)
                {
                    // Rows before this one have stepped over every entry that they name.
                    if (e >= next[i]) throw Lopsided(i, j, weight[e], 0);
                    continue;
                }
                int there = next[j]++;
                if (there < start[j + 1] && neighbour[there] < i) throw Lopsided(j, neighbour[there], weight[there], 0);
                if (there >= start[j + 1] || neighbour[there] != i) throw Lopsided(i, j, weight[e], 0);
                if (weight[there] != weight[e]) throw Lopsided(i, j, weight[e], weight[there]);
            }
        }

        static UsageException Lopsided(int i, int j, double here, double there) =>
            new($"The graph's matrix is not symmetric: the entry ({i}, {j}) is {here}, the entry ({j}, {i}) is {there}.");
    }

    /// <summary>Sorts every row and adds up parallel edges, in place.</summary>
    private static LeidenGraph Merged(int[] start, int[] neighbour, double[] weight, double[] self)
    {
        int kept = 0;
        for (int v = 0; v < self.Length; v++)
        {
            int begin = start[v], end = start[v + 1];
            // Equal neighbours are added in the order of their weights, so that the order of the edge list leaves no trace and both directions get the same sum.
            neighbour.AsSpan(begin..end).Sort(weight.AsSpan(begin..end));
            start[v] = kept;
            for (int e = begin; e < end;)
            {
                int last = e + 1;
                while (last < end && neighbour[last] == neighbour[e]) last++;
                if (last - e > 1) weight.AsSpan(e..last).Sort();
                double sum = 0;
                for (int i = e; i < last; i++) sum += weight[i];
                (neighbour[kept], weight[kept]) = (neighbour[e], sum);
                kept++;
                e = last;
            }
        }
        start[self.Length] = kept;
        if (kept < neighbour.Length)
        {
            Array.Resize(ref neighbour, kept);
            Array.Resize(ref weight, kept);
        }
        return new LeidenGraph(start, neighbour, weight, self);
    }
}
