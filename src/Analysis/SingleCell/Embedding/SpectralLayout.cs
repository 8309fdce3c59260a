using System.Numerics.Tensors;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>
/// The layout from which UMAP starts: the eigenvectors of the smallest eigenvalues of the normalised Laplacian I − D^-½ W D^-½ but the trivial one. Components are laid out one by one
/// and placed apart at the corners of a cross, or, when there are more than corners, on a circle.
/// </summary>
internal static class SpectralLayout
{
    /// <summary>Half the width of the result.</summary>
    private const double Extent = 10;

    /// <summary>Residual of the eigenvectors; what umap-learn asks of ARPACK. A layout that is moved hundreds of times needs no digits.</summary>
    private const double Tolerance = 1e-4;

    /// <param name="device">Whose host threads do the work.</param>
    /// <param name="graph">Symmetric, not negative.</param>
    /// <param name="dimensions">Coordinates of the layout.</param>
    /// <param name="seed">Decides the places within components that are too small to have eigenvectors.</param>
    /// <param name="cancel">Ends the search.</param>
    /// <returns>[cells × dimensions], the largest magnitude 10.</returns>
    public static double[] Compute(CpuDevice device, CellGraph graph, int dimensions, ulong seed, CancellationToken cancel)
    {
        int[] component = graph.Components(out int count);
        double[] layout = new double[graph.Cells * dimensions];
        CounterRandom random = new(seed, stream: 0x53706563UL);
        double[,] centre = Centres(count, dimensions);
        double room = count == 1 ? 1 : 0.5 * SmallestDistance(centre);
        int[][] members = new int[count][];
        foreach (IGrouping<int, int> group in Enumerable.Range(0, graph.Cells).GroupBy(i => component[i])) members[group.Key] = [.. group];
        int[] place = new int[graph.Cells];
        foreach (int[] part in members) for (int i = 0; i < part.Length; i++) place[part[i]] = i;
        for (int c = 0; c < count; c++)
        {
            double[] own = members[c].Length <= 2 * dimensions ? Scattered(members[c].Length * dimensions, ref random)
                : Eigenvectors(device, count == 1 ? graph : Part(graph, members[c], place), dimensions, cancel);
            double largest = own.Max(Math.Abs);
            for (int i = 0; i < members[c].Length; i++)
                for (int d = 0; d < dimensions; d++) layout[members[c][i] * dimensions + d] = centre[c, d] + (largest > 0 ? room * own[i * dimensions + d] / largest : 0);
        }
        double widest = layout.Length == 0 ? 0 : layout.Max(Math.Abs);
        for (int i = 0; i < layout.Length; i++) layout[i] *= widest > 0 ? Extent / widest : 1;
        return layout;
    }

    private static double[] Scattered(int length, ref CounterRandom random)
    {
        double[] values = new double[length];
        for (int i = 0; i < length; i++) values[i] = 2 * random.NextDouble() - 1;
        return values;
    }

    private static double[] Eigenvectors(CpuDevice device, CellGraph graph, int dimensions, CancellationToken cancel)
    {
        ScaledGraph map = ScaledGraph.Adjacency(device, graph);
        using Matrix<double> trivial = Matrix<double>.From(device, 1, graph.Cells, map.Trivial);
        TensorPrimitives.Multiply(trivial.Row(0), 1 / Math.Sqrt(TensorPrimitives.SumOfSquares(trivial.Row(0))), trivial.Row(0));
        (double[] _, Matrix<double> vectors) = LanczosEigen.Find(device, map, dimensions, SpectrumEnd.Algebraic, trivial, seed: 0, cancel, Tolerance);
        using (vectors)
        {
            double[] layout = new double[graph.Cells * dimensions];
            for (int d = 0; d < dimensions; d++)
            {
                Span<double> vector = vectors.Row(d);
                DiffusionMap.FixSign(vector);
                for (int i = 0; i < vector.Length; i++) layout[i * dimensions + d] = vector[i];
            }
            return layout;
        }
    }

    private static CellGraph Part(CellGraph graph, int[] members, int[] place)
    {
        int[] start = new int[members.Length + 1];
        List<int> columns = [];
        List<float> values = [];
        for (int i = 0; i < members.Length; i++)
        {
            // Members ascend, so the columns of a row stay in order.
            foreach (int j in graph.Neighbours(members[i])) columns.Add(place[j]);
            values.AddRange(graph.Values(members[i]));
            start[i + 1] = columns.Count;
        }
        return new CellGraph(start, [.. columns], [.. values]);
    }

    private static double[,] Centres(int count, int dimensions)
    {
        double[,] centre = new double[count, dimensions];
        if (count == 1) return centre;
        if (count <= 2 * dimensions)
        {
            for (int c = 0; c < count; c++) centre[c, c % dimensions] = c < dimensions ? 1 : -1;
            return centre;
        }
        for (int c = 0; c < count; c++) (centre[c, 0], centre[c, Math.Min(1, dimensions - 1)]) = (Math.Cos(2 * Math.PI * c / count), Math.Sin(2 * Math.PI * c / count));
        return centre;
    }

    private static double SmallestDistance(double[,] centre)
    {
        double smallest = double.PositiveInfinity;
        for (int a = 0; a < centre.GetLength(0); a++)
            for (int b = 0; b < a; b++)
            {
                double square = 0;
                for (int d = 0; d < centre.GetLength(1); d++) square += Math.Pow(centre[a, d] - centre[b, d], 2);
                smallest = Math.Min(smallest, square);
            }
        return Math.Sqrt(smallest);
    }
}
