using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>
/// The nearest other cells of every cell with their distances, nearest first, equal distances by number. As in scanpy's
/// <c>sc.pp.neighbors</c>, "k neighbours" counts the cell itself: k − 1 others are kept.
/// </summary>
public sealed class NearestCells
{
    private readonly int[] _indices;
    private readonly float[] _distances;

    private NearestCells(ComputeDevice device, int cells, int others, int[] indices, float[] distances)
    {
        (Device, Cells, Others) = (device, cells, others);
        (_indices, _distances) = (indices, distances);
    }

    /// <summary>Where the search was made; what follows on the host uses its threads.</summary>
    public ComputeDevice Device { get; }

    public int Cells { get; }

    /// <summary>k − 1.</summary>
    public int Others { get; }

    /// <summary>The others of a cell, nearest first.</summary>
    public ReadOnlySpan<int> Of(int cell) => _indices.AsSpan(cell * Others, Others);

    /// <summary>Their distances, ascending.</summary>
    public ReadOnlySpan<float> Distances(int cell) => _distances.AsSpan(cell * Others, Others);

    /// <summary>Exact search among all pairs.</summary>
    /// <param name="x">[cells, coordinates], finite.</param>
    /// <param name="k">Neighbours of each cell, itself included; 2 … cells.</param>
    /// <param name="metric">Which distance.</param>
    /// <exception cref="UsageException">k is out of its range, or there are more than 2³¹ neighbours in all.</exception>
    public static NearestCells Find(Matrix<double> x, int k, DistanceMetric metric = DistanceMetric.Euclidean)
    {
        RequireRange(x.Rows, k);
        using Matrix<int> indices = x.Device.AllocateMatrix<int>(x.Rows, k - 1);
        using Matrix<double> distances = x.Device.AllocateMatrix<double>(x.Rows, k - 1);
        KNearestNeighbours.SearchSelf(metric, x.View, indices.View, distances.View);
        return new NearestCells(x.Device, x.Rows, k - 1, indices.ToArray(), Array.ConvertAll(distances.ToArray(), d => (float)d));
    }

    /// <summary>The first neighbours of each cell: what a search for fewer would have found.</summary>
    public NearestCells Take(int k)
    {
        RequireRange(Cells, k);
        if (k - 1 > Others) throw new UsageException($"{k} neighbours were asked of lists that hold {Others + 1}, the cell itself included.");
        int[] indices = new int[Cells * (k - 1)];
        float[] distances = new float[indices.Length];
        for (int i = 0; i < Cells; i++)
        {
            Of(i)[..(k - 1)].CopyTo(indices.AsSpan(i * (k - 1)));
            Distances(i)[..(k - 1)].CopyTo(distances.AsSpan(i * (k - 1)));
        }
        return new NearestCells(Device, Cells, k - 1, indices, distances);
    }

    /// <summary>Row i holds <paramref name="values"/> of its neighbours; by default their distances, as in <c>obsp['distances']</c>.</summary>
    /// <param name="values">[cells × others], in the order of the lists; null for the distances.</param>
    internal CellGraph ToGraph(float[]? values = null)
    {
        int[] start = [.. Enumerable.Range(0, Cells + 1).Select(i => i * Others)];
        int[] columns = [.. _indices];
        float[] entries = [.. values ?? _distances];
        for (int i = 0; i < Cells; i++) columns.AsSpan(i * Others, Others).Sort(entries.AsSpan(i * Others, Others));
        return new CellGraph(start, columns, entries);
    }

    /// <summary><c>obsp['distances']</c>: k − 1 entries in each row, those at distance 0 among them.</summary>
    public CellGraph ToGraph() => ToGraph(null);

    private static void RequireRange(int cells, int k)
    {
        if (k < 2) throw new UsageException($"{k} neighbours were asked for; they count the cell itself, so 2 are the fewest.");
        if (k > cells) throw new UsageException($"{k} neighbours (the cell itself included) need as many cells; there are {cells}.");
        if ((long)cells * (k - 1) > int.MaxValue) throw new UsageException($"{cells} cells with {k - 1} neighbours each have more than 2^31 - 1 in all.");
    }
}
