using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class Geodesics
{
    /// <summary>The oracle: Bellman and Ford's iteration, every edge offered to every source until no label falls any more.</summary>
    private static void Reference(CompressedGraph graph, MatrixView<double> distances, bool hops)
    {
        int n = graph.Count;
        for (int source = 0; source < n; source++)
        {
            Span<double> label = distances.Row(source);
            label.Fill(double.PositiveInfinity);
            label[source] = 0;
            for (bool fallen = true; fallen;)
            {
                fallen = false;
                for (int from = 0; from < n; from++)
                    for (int e = graph.Start.Pointer[from]; e < graph.Start.Pointer[from + 1]; e++)
                    {
                        double offer = label[from] + (hops ? 1 : graph.Length.Pointer[e]);
                        if (offer >= label[graph.Neighbour.Pointer[e]]) continue;
                        label[graph.Neighbour.Pointer[e]] = offer;
                        fallen = true;
                    }
            }
        }
    }
}
