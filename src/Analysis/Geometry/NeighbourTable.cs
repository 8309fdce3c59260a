using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>The nearest other rows of every row, found once for the largest k: the first k of a row are its k nearest.</summary>
public sealed class NeighbourTable : IDisposable
{
    /// <summary>Columns of values that <see cref="SumsOver"/> takes at once.</summary>
    internal const int ColumnsAtOnce = 64;

    private readonly Matrix<int> _found;
    private readonly PlacedMatrix<int> _readable;

    private NeighbourTable(Matrix<int> found)
    {
        _found = found;
        _readable = found.OnHost();
    }

    public int Rows => _found.Rows;

    public ComputeDevice Device => _found.Device;

    /// <summary>The nearest <paramref name="k"/> rows of a row, nearest first.</summary>
    public ReadOnlySpan<int> Of(int row, int k) => _readable.Matrix.Row(row)[..k];

    /// <summary>Finds the neighbours, Euclidean by default; ties by lower row number.</summary>
    /// <exception cref="UsageException">There are not enough rows for k neighbours each.</exception>
    public static NeighbourTable Build(Matrix<double> x, int largestK, DistanceMetric metric = DistanceMetric.Euclidean)
    {
        if (largestK < 1) throw new UsageException($"k = {largestK}: a neighbourhood has at least one neighbour.");
        if (largestK >= x.Rows) throw new UsageException($"k = {largestK} needs at least {largestK + 1} rows; there are {x.Rows}.");
        Matrix<int> found = x.Device.AllocateMatrix<int>(x.Rows, largestK);
        using Matrix<double> distances = x.Device.AllocateMatrix<double>(x.Rows, largestK);
        KNearestNeighbours.SearchSelf(metric, x.View, found.View, distances.View);
        return new NeighbourTable(found);
    }

    /// <summary>For every column of values: Σᵢ of the deviation among the k nearest of row i (divisor k), and Σᵢ of its value times the sum of theirs.</summary>
    /// <param name="columns">[n, count] values, row by row.</param>
    /// <param name="count">Number of columns.</param>
    /// <param name="k">Neighbourhood size.</param>
    /// <param name="first">n numbers that receive the deviations of the first column, or empty.</param>
    internal (double[] Deviations, double[] Products) SumsOver(double[] columns, int count, int k, Span<double> first = default)
    {
        using Matrix<double> values = Matrix<double>.From(Device, Rows, count, columns);
        using Matrix<double> deviations = Device.AllocateMatrix<double>(Rows, count), products = Device.AllocateMatrix<double>(Rows, count);
        using DeviceBuffer<double> sums = Device.Allocate<double>(2L * count);
        NeighbourMoments.Compute(_found.View.ColumnBlock(0, k), values.View, deviations.View, products.View);
        Reductions.ColumnSums(deviations.View, sums.View.Slice(0, count));
        Reductions.ColumnSums(products.View, sums.View.Slice(count, count));
        if (!first.IsEmpty) deviations.View.ColumnBlock(0, 1).CopyTo(first);
        double[] both = sums.ToArray();
        return (both[..count], both[count..]);
    }

    public void Dispose()
    {
        _readable.Dispose();
        _found.Dispose();
    }
}
