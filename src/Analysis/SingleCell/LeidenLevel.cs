namespace BioSup.Analysis.SingleCell;

/// <summary>
/// The graph at one level of aggregation. Self loops are left out: they change no gain, and their weight is kept inside the strengths.
/// Rows may have room after them, and the arrays may be longer than the graph, so that rows can be written by several threads and levels again and again in the same memory.
/// </summary>
internal sealed class LeidenLevel
{
    public int Nodes;

    /// <summary>[nodes]: where each row begins, and its end.</summary>
    public int[] Start = [], End = [];
    public int[] Neighbour = [];
    public double[] Weight = [];
    public double[] Strength = [];

    public static LeidenLevel Of(LeidenGraph graph) => new()
    {
        Nodes = graph.Nodes, Start = graph.StartArray, End = graph.StartArray[1..], Neighbour = graph.NeighbourArray, Weight = graph.WeightArray, Strength = graph.StrengthArray,
    };

    /// <summary>The graph with node <c>order[i]</c> as node i.</summary>
    public static LeidenLevel Of(LeidenGraph graph, int[] order)
    {
        int n = graph.Nodes, entries = 0;
        int[] place = new int[n];
        for (int i = 0; i < n; i++) place[order[i]] = i;
        LeidenLevel level = new();
        level.Reserve(n, graph.NeighbourArray.Length);
        for (int i = 0; i < n; i++)
        {
            ReadOnlySpan<int> neighbours = graph.Neighbours(order[i]);
            level.Start[i] = entries;
            level.Strength[i] = graph.Strength[order[i]];
            graph.Weights(order[i]).CopyTo(level.Weight.AsSpan(entries));
            foreach (int neighbour in neighbours) level.Neighbour[entries++] = place[neighbour];
            level.End[i] = entries;
        }
        return level;
    }

    public ReadOnlySpan<int> Neighbours(int node) => Neighbour.AsSpan(Start[node]..End[node]);

    public ReadOnlySpan<double> Weights(int node) => Weight.AsSpan(Start[node]..End[node]);

    /// <summary>Makes room for a graph; what was in it is lost.</summary>
    public void Reserve(int nodes, int entries)
    {
        Nodes = nodes;
        if (Start.Length < nodes) (Start, End, Strength) = (new int[nodes], new int[nodes], new double[nodes]);
        if (Neighbour.Length < entries) (Neighbour, Weight) = (new int[entries], new double[entries]);
    }
}
