using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>The nearest other rows of every row, found once for the largest k: the first k of a row are its k nearest.</summary>
public sealed class NeighbourTable : IDisposable
{
    private readonly Matrix<int> _indices;

    private NeighbourTable(ComputeDevice device, Matrix<int> indices) => (Device, _indices) = (device, indices);

    public int Rows => _indices.Rows;

    /// <summary>Where the neighbours were found. The table itself is kept on that device's host.</summary>
    public ComputeDevice Device { get; }

    /// <summary>The nearest <paramref name="k"/> rows of a row, nearest first.</summary>
    public ReadOnlySpan<int> Of(int row, int k) => _indices.Row(row)[..k];

    /// <summary>Finds the neighbours, Euclidean by default; ties by lower row number.</summary>
    /// <exception cref="UsageException">There are not enough rows for k neighbours each.</exception>
    public static NeighbourTable Build(Matrix<double> x, int largestK, DistanceMetric metric = DistanceMetric.Euclidean)
    {
        if (largestK < 1) throw new UsageException($"k = {largestK}: a neighbourhood has at least one neighbour.");
        if (largestK >= x.Rows) throw new UsageException($"k = {largestK} needs at least {largestK + 1} rows; there are {x.Rows}.");
        Matrix<int> found = x.Device.AllocateMatrix<int>(x.Rows, largestK);
        using Matrix<double> distances = x.Device.AllocateMatrix<double>(x.Rows, largestK);
        KNearestNeighbours.SearchSelf(metric, x.View, found.View, distances.View);
        Matrix<int> indices = found.ReadableOn(x.Device.Host);
        if (!ReferenceEquals(indices, found)) found.Dispose();
        return new NeighbourTable(x.Device, indices);
    }

    public void Dispose() => _indices.Dispose();
}
