using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Sums, means, variances, norms and maxima over the rows or columns of a matrix. Sums are accumulated in double precision for either type;
/// the order of addition is fixed by the shape alone, so the result does not depend on the number of threads.
/// "Row" results have one element per row, "column" results one per column. A sum over nothing is 0, a mean or variance over nothing NaN, a maximum −∞.
/// NaN in the data gives NaN. The data are single or double precision.
/// </summary>
public static partial class Reductions
{
    /// <summary>Sum of every row: sums[i] = Σⱼ x[i, j].</summary>
    public static void RowSums<T>(MatrixView<T> x, DeviceSpan<double> sums) where T : unmanaged, INumberBase<T> => RowReduce<SumTerm, T>(x, default, sums);

    /// <summary>Sum of every column: sums[j] = Σᵢ x[i, j].</summary>
    public static void ColumnSums<T>(MatrixView<T> x, DeviceSpan<double> sums) where T : unmanaged, INumberBase<T> => ColumnReduce<SumTerm, T>(x, default, sums);

    /// <summary>Mean of every row.</summary>
    public static void RowMeans<T>(MatrixView<T> x, DeviceSpan<double> means) where T : unmanaged, INumberBase<T>
    {
        RowSums(x, means);
        Divide(means, x.Columns);
    }

    /// <summary>Mean of every column.</summary>
    public static void ColumnMeans<T>(MatrixView<T> x, DeviceSpan<double> means) where T : unmanaged, INumberBase<T>
    {
        ColumnSums(x, means);
        Divide(means, x.Rows);
    }

    /// <summary>Mean and variance of every row, in two passes; the divisor of the variance is the number of columns minus <paramref name="ddof"/>.</summary>
    public static void RowVariances<T>(MatrixView<T> x, DeviceSpan<double> means, DeviceSpan<double> variances, int ddof = 0) where T : unmanaged, INumberBase<T>
    {
        RowMeans(x, means);
        RowReduce<CentredSquareTerm, T>(x, means, variances);
        Divide(variances, x.Columns - ddof);
    }

    /// <summary>Mean and variance of every column, in two passes; the divisor of the variance is the number of rows minus <paramref name="ddof"/>.</summary>
    public static void ColumnVariances<T>(MatrixView<T> x, DeviceSpan<double> means, DeviceSpan<double> variances, int ddof = 0) where T : unmanaged, INumberBase<T>
    {
        ColumnMeans(x, means);
        ColumnReduce<CentredSquareTerm, T>(x, means, variances);
        Divide(variances, x.Rows - ddof);
    }

    /// <summary>Sum of squares of every row.</summary>
    public static void RowSquaredNorms<T>(MatrixView<T> x, DeviceSpan<double> squaredNorms) where T : unmanaged, INumberBase<T> => RowReduce<SquareTerm, T>(x, default, squaredNorms);

    /// <summary>Sum of squares of every column.</summary>
    public static void ColumnSquaredNorms<T>(MatrixView<T> x, DeviceSpan<double> squaredNorms) where T : unmanaged, INumberBase<T> => ColumnReduce<SquareTerm, T>(x, default, squaredNorms);

    /// <summary>Euclidean norm of every row.</summary>
    public static void RowNorms<T>(MatrixView<T> x, DeviceSpan<double> norms) where T : unmanaged, INumberBase<T>
    {
        RowSquaredNorms(x, norms);
        SquareRoots(norms);
    }

    /// <summary>Euclidean norm of every column.</summary>
    public static void ColumnNorms<T>(MatrixView<T> x, DeviceSpan<double> norms) where T : unmanaged, INumberBase<T>
    {
        ColumnSquaredNorms(x, norms);
        SquareRoots(norms);
    }

    /// <summary>Sum of absolute values of every row.</summary>
    public static void RowAbsoluteSums<T>(MatrixView<T> x, DeviceSpan<double> sums) where T : unmanaged, INumberBase<T> => RowReduce<AbsoluteTerm, T>(x, default, sums);

    /// <summary>Sum of absolute values of every column.</summary>
    public static void ColumnAbsoluteSums<T>(MatrixView<T> x, DeviceSpan<double> sums) where T : unmanaged, INumberBase<T> => ColumnReduce<AbsoluteTerm, T>(x, default, sums);

    /// <summary>Largest element of every row.</summary>
    public static void RowMaxima<T>(MatrixView<T> x, DeviceSpan<double> maxima) where T : unmanaged, INumberBase<T> => RowReduce<MaximumTerm, T>(x, default, maxima);

    /// <summary>Largest element of every column.</summary>
    public static void ColumnMaxima<T>(MatrixView<T> x, DeviceSpan<double> maxima) where T : unmanaged, INumberBase<T> => ColumnReduce<MaximumTerm, T>(x, default, maxima);

    /// <summary>Largest absolute value of every row; 0 over nothing.</summary>
    public static void RowAbsoluteMaxima<T>(MatrixView<T> x, DeviceSpan<double> maxima) where T : unmanaged, INumberBase<T> => RowReduce<AbsoluteMaximumTerm, T>(x, default, maxima);

    /// <summary>Scalar product of every row of one matrix with the same row of another: dots[i] = Σⱼ x[i, j] y[i, j].</summary>
    /// <exception cref="ArgumentException">The shapes or devices differ.</exception>
    public static void RowDots<T>(MatrixView<T> x, MatrixView<T> y, DeviceSpan<double> dots) where T : unmanaged, INumberBase<T> => Dots(x, y, dots);

    private static unsafe void Divide(DeviceSpan<double> values, int count)
    {
        if (values.Device is CudaDevice gpu)
        {
            CudaDivide(gpu, values, count);
            return;
        }
        for (long i = 0; i < values.Length; i++) values.Pointer[i] = count > 0 ? values.Pointer[i] / count : double.NaN;
    }

    private static unsafe void SquareRoots(DeviceSpan<double> values)
    {
        if (values.Device is CudaDevice gpu)
        {
            CudaSquareRoots(gpu, values);
            return;
        }
        for (long i = 0; i < values.Length; i++) values.Pointer[i] = Math.Sqrt(values.Pointer[i]);
    }
}
