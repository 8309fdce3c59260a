using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class Geodesics
{
    /// <summary>The oracle: Floyd and Warshall's three loops.</summary>
    private static void Reference(CompressedGraph graph, MatrixView<double> distances, bool hops)
    {
        int n = graph.Count;
        for (int i = 0; i < n; i++)
        {
            Span<double> row = distances.Row(i);
            row.Fill(double.PositiveInfinity);
            row[i] = 0;
            for (int e = graph.Start.Pointer[i]; e < graph.Start.Pointer[i + 1]; e++)
                row[graph.Neighbour.Pointer[e]] = Math.Min(row[graph.Neighbour.Pointer[e]], hops ? 1 : graph.Length.Pointer[e]);
        }
        for (int k = 0; k < n; k++)
            for (int i = 0; i < n; i++)
                for (int j = 0; j < n; j++) distances.Row(i)[j] = Math.Min(distances.Row(i)[j], distances.Row(i)[k] + distances.Row(k)[j]);
    }
}
