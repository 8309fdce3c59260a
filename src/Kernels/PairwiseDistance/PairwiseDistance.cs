using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Distances between all rows of two matrices, with scipy's and scikit-learn's conventions (<see cref="DistanceMetric"/>).
/// The value of a pair depends on its two rows alone: not on the other rows, its place in the batch, or the number of threads.
/// </summary>
public static partial class PairwiseDistance
{
    /// <summary>distances[i, j] = metric(row i of x, row j of y).</summary>
    /// <param name="metric">Which distance.</param>
    /// <param name="x">[n, d], finite.</param>
    /// <param name="y">[m, d], finite.</param>
    /// <param name="distances">[n, m], overwritten; must not overlap x or y.</param>
    /// <param name="form">Fast or from coordinate differences.</param>
    /// <param name="precision">How a GPU forms the products of the expanded form; one in bf16 errs by up to (|x|² + |y|²) / 256 in the squared distance, at most a sixteenth of it.</param>
    /// <exception cref="ArgumentException">The shapes or devices do not fit together.</exception>
    public static void Compute(DistanceMetric metric, MatrixView<float> x, MatrixView<float> y, MatrixView<float> distances, DistanceForm form = DistanceForm.Expanded,
        GemmPrecision precision = GemmPrecision.Single) =>
        ComputeCore(metric, x, y, distances, form, precision, self: false);

    /// <inheritdoc cref="Compute(DistanceMetric, MatrixView{float}, MatrixView{float}, MatrixView{float}, DistanceForm, GemmPrecision)"/>
    public static void Compute(DistanceMetric metric, MatrixView<double> x, MatrixView<double> y, MatrixView<double> distances, DistanceForm form = DistanceForm.Expanded) =>
        ComputeCore(metric, x, y, distances, form, GemmPrecision.Single, self: false);

    /// <summary>distances[i, j] = metric(row i of x, row j of x): each pair once, so symmetric to the last bit, with a diagonal of zeros.</summary>
    /// <param name="metric">Which distance.</param>
    /// <param name="x">[n, d], finite.</param>
    /// <param name="distances">[n, n], overwritten; must not overlap x.</param>
    /// <param name="form">Fast or from coordinate differences.</param>
    /// <param name="precision">How a GPU forms the products of the expanded form; one in bf16 errs by up to (|x|² + |y|²) / 256 in the squared distance, at most a sixteenth of it.</param>
    /// <exception cref="ArgumentException">The shapes or devices do not fit together.</exception>
    public static void ComputeSelf(DistanceMetric metric, MatrixView<float> x, MatrixView<float> distances, DistanceForm form = DistanceForm.Expanded, GemmPrecision precision = GemmPrecision.Single) =>
        ComputeCore(metric, x, x, distances, form, precision, self: true);

    /// <inheritdoc cref="ComputeSelf(DistanceMetric, MatrixView{float}, MatrixView{float}, DistanceForm, GemmPrecision)"/>
    public static void ComputeSelf(DistanceMetric metric, MatrixView<double> x, MatrixView<double> distances, DistanceForm form = DistanceForm.Expanded) =>
        ComputeCore(metric, x, x, distances, form, GemmPrecision.Single, self: true);

    private static void ComputeCore<T>(DistanceMetric metric, MatrixView<T> x, MatrixView<T> y, MatrixView<T> distances, DistanceForm form, GemmPrecision precision, bool self)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (!Enum.IsDefined(metric)) throw new ArgumentOutOfRangeException(nameof(metric));
        if (!Enum.IsDefined(form)) throw new ArgumentOutOfRangeException(nameof(form));
        if (!Enum.IsDefined(precision)) throw new ArgumentOutOfRangeException(nameof(precision));
        if (x.Columns != y.Columns) throw new ArgumentException($"Rows of {x.Columns} and {y.Columns} coordinates have no distance.", nameof(y));
        if (distances.Rows != x.Rows || distances.Columns != y.Rows)
            throw new ArgumentException($"The distances of {x.Rows} rows to {y.Rows} rows need a {x.Rows} x {y.Rows} matrix, not {distances.Rows} x {distances.Columns}.", nameof(distances));
        if (!ReferenceEquals(x.Device, y.Device) || !ReferenceEquals(x.Device, distances.Device))
            throw new ArgumentException("Operands lie on different devices.", nameof(distances));
        if (x.Rows == 0 || y.Rows == 0) return;
        if (x.Device is CpuDevice cpu) ComputeCpu(cpu, metric, x, y, distances, form, self);
        else if (x.Device is CudaDevice cuda) ComputeCuda(cuda, metric, x, y, distances, form, precision, self);
        else throw new DeviceException($"Pairwise distances have no kernel for the device {x.Device.Name}.");
    }
}
