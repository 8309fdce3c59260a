using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// The k nearest rows of every row, exactly: each distance is the value <see cref="PairwiseDistance"/> gives (expanded form), the neighbours
/// are sorted by that value, equal values by index. Distances are consumed tile by tile and never stored as a matrix.
/// </summary>
public static partial class KNearestNeighbours
{
    /// <summary>The k nearest points of every query; k is the number of columns of <paramref name="indices"/>.</summary>
    /// <param name="metric">Which distance.</param>
    /// <param name="queries">[n, d], finite.</param>
    /// <param name="points">[m, d], finite.</param>
    /// <param name="indices">[n, k], rows of <paramref name="points"/>, nearest first; k ≤ m.</param>
    /// <param name="distances">[n, k], their distances.</param>
    /// <param name="precision">How a GPU forms products, as in <see cref="PairwiseDistance"/>.</param>
    /// <exception cref="ArgumentException">The shapes or devices do not fit together, or there are fewer than k points.</exception>
    public static void Search(DistanceMetric metric, MatrixView<float> queries, MatrixView<float> points, MatrixView<int> indices, MatrixView<float> distances,
        GemmPrecision precision = GemmPrecision.Single) =>
        SearchCore(metric, queries, points, indices, distances, precision, self: false);

    /// <inheritdoc cref="Search(DistanceMetric, MatrixView{float}, MatrixView{float}, MatrixView{int}, MatrixView{float}, GemmPrecision)"/>
    public static void Search(DistanceMetric metric, MatrixView<double> queries, MatrixView<double> points, MatrixView<int> indices, MatrixView<double> distances) =>
        SearchCore(metric, queries, points, indices, distances, GemmPrecision.Single, self: false);

    /// <summary>The k nearest other points of every point. A point is left out of its own list by its index: duplicates of it stay in.</summary>
    /// <param name="metric">Which distance.</param>
    /// <param name="points">[n, d], finite.</param>
    /// <param name="indices">[n, k], nearest first; k ≤ n − 1.</param>
    /// <param name="distances">[n, k], their distances.</param>
    /// <param name="precision">How a GPU forms products, as in <see cref="PairwiseDistance"/>.</param>
    /// <exception cref="ArgumentException">The shapes or devices do not fit together, or there are fewer than k other points.</exception>
    public static void SearchSelf(DistanceMetric metric, MatrixView<float> points, MatrixView<int> indices, MatrixView<float> distances, GemmPrecision precision = GemmPrecision.Single) =>
        SearchCore(metric, points, points, indices, distances, precision, self: true);

    /// <inheritdoc cref="SearchSelf(DistanceMetric, MatrixView{float}, MatrixView{int}, MatrixView{float}, GemmPrecision)"/>
    public static void SearchSelf(DistanceMetric metric, MatrixView<double> points, MatrixView<int> indices, MatrixView<double> distances) =>
        SearchCore(metric, points, points, indices, distances, GemmPrecision.Single, self: true);

    private static void SearchCore<T>(DistanceMetric metric, MatrixView<T> queries, MatrixView<T> points, MatrixView<int> indices, MatrixView<T> distances, GemmPrecision precision, bool self)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (!Enum.IsDefined(metric)) throw new ArgumentOutOfRangeException(nameof(metric));
        if (!Enum.IsDefined(precision)) throw new ArgumentOutOfRangeException(nameof(precision));
        if (queries.Columns != points.Columns)
            throw new ArgumentException($"Rows of {queries.Columns} and {points.Columns} coordinates have no distance.", nameof(points));
        if (indices.Rows != queries.Rows || distances.Rows != queries.Rows || distances.Columns != indices.Columns)
            throw new ArgumentException($"{queries.Rows} queries need indices and distances of {queries.Rows} x k, not {indices.Rows} x {indices.Columns} and {distances.Rows} x {distances.Columns}.", nameof(indices));
        if (!ReferenceEquals(queries.Device, points.Device) || !ReferenceEquals(queries.Device, indices.Device) || !ReferenceEquals(queries.Device, distances.Device))
            throw new ArgumentException("Operands lie on different devices.", nameof(points));
        if (queries.Rows == 0 || indices.Columns == 0) return;
        int available = self ? points.Rows - 1 : points.Rows;
        if (indices.Columns > available)
            throw new ArgumentException($"{indices.Columns} neighbours were asked for, but there are only {available} {(self ? "other points" : "points")}.", nameof(indices));
        if (queries.Device is CpuDevice cpu) SearchCpu(cpu, metric, queries, points, indices, distances, self);
        else if (queries.Device is CudaDevice cuda) SearchCuda(cuda, metric, queries, points, indices, distances, precision, self);
        else throw new DeviceException($"Nearest neighbours have no kernel for the device {queries.Device.Name}.");
    }
}
