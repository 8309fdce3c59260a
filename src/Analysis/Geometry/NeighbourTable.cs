using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>The nearest other rows of every row, found once for the largest k: the first k of a row are its k nearest.</summary>
public sealed class NeighbourTable : IDisposable
{
    private readonly Matrix<int> _indices;

    private NeighbourTable(Matrix<int> indices) => _indices = indices;

    public int Rows => _indices.Rows;

    public ComputeDevice Device => _indices.Device;

    /// <summary>The nearest <paramref name="k"/> rows of a row, nearest first.</summary>
    public ReadOnlySpan<int> Of(int row, int k) => _indices.Row(row)[..k];

    /// <summary>Finds the neighbours, Euclidean by default; ties by lower row number.</summary>
    /// <exception cref="UsageException">There are not enough rows for k neighbours each.</exception>
    public static NeighbourTable Build(Matrix<double> x, int largestK, DistanceMetric metric = DistanceMetric.Euclidean)
    {
        if (largestK < 1) throw new UsageException($"k = {largestK}: a neighbourhood has at least one neighbour.");
        if (largestK >= x.Rows) throw new UsageException($"k = {largestK} needs at least {largestK + 1} rows; there are {x.Rows}.");
        Matrix<int> indices = x.Device.AllocateMatrix<int>(x.Rows, largestK);
        using Matrix<double> distances = x.Device.AllocateMatrix<double>(x.Rows, largestK);
        KNearestNeighbours.SearchSelf(metric, x.View, indices.View, distances.View);
        return new NeighbourTable(indices);
    }

    public void Dispose() => _indices.Dispose();
}
