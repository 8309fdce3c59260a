namespace BioSup.Analysis.SingleCell;

/// <summary>
/// The graph at one level of aggregation. Self loops are left out: they change no gain, and their weight is kept inside the strengths.
/// The arrays may be longer than the graph, so that levels can be built again and again in the same memory.
/// </summary>
internal sealed class LeidenLevel
{
    public int Nodes;
    public int[] Start = [];
    public int[] Neighbour = [];
    public double[] Weight = [];
    public double[] Strength = [];

    public static LeidenLevel Of(LeidenGraph graph) => new()
    {
        Nodes = graph.Nodes, Start = graph.StartArray, Neighbour = graph.NeighbourArray, Weight = graph.WeightArray, Strength = graph.StrengthArray,
    };

    /// <summary>Makes room for a graph; what was in it is lost.</summary>
    public void Reserve(int nodes, int entries)
    {
        Nodes = nodes;
        if (Start.Length < nodes + 1)
        {
            Start = new int[nodes + 1];
            Strength = new double[nodes];
        }
        if (Neighbour.Length < entries)
        {
            Neighbour = new int[entries];
            Weight = new double[entries];
        }
    }
}
