using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Sums, means, variances, norms and maxima over the rows or columns of a matrix. Sums are accumulated in double precision for either type;
/// the order of addition is fixed by the shape alone, so the result does not depend on the number of threads.
/// "Row" results have one element per row, "column" results one per column. A sum over nothing is 0, a mean or variance over nothing NaN, a maximum −∞.
/// NaN in the data gives NaN.
/// </summary>
public static partial class Reductions
{
    /// <summary>Sum of every row: sums[i] = Σⱼ x[i, j].</summary>
    public static void RowSums(MatrixView<float> x, DeviceSpan<double> sums) => RowReduce<SumTerm>(x, default, sums);

    /// <inheritdoc cref="RowSums(MatrixView{float}, DeviceSpan{double})"/>
    public static void RowSums(MatrixView<double> x, DeviceSpan<double> sums) => RowReduce<SumTerm>(x, default, sums);

    /// <summary>Sum of every column: sums[j] = Σᵢ x[i, j].</summary>
    public static void ColumnSums(MatrixView<float> x, DeviceSpan<double> sums) => ColumnReduce<SumTerm>(x, default, sums);

    /// <inheritdoc cref="ColumnSums(MatrixView{float}, DeviceSpan{double})"/>
    public static void ColumnSums(MatrixView<double> x, DeviceSpan<double> sums) => ColumnReduce<SumTerm>(x, default, sums);

    /// <summary>Mean of every row.</summary>
    public static void RowMeans(MatrixView<float> x, DeviceSpan<double> means)
    {
        RowSums(x, means);
        Divide(means, x.Columns);
    }

    /// <inheritdoc cref="RowMeans(MatrixView{float}, DeviceSpan{double})"/>
    public static void RowMeans(MatrixView<double> x, DeviceSpan<double> means)
    {
        RowSums(x, means);
        Divide(means, x.Columns);
    }

    /// <summary>Mean of every column.</summary>
    public static void ColumnMeans(MatrixView<float> x, DeviceSpan<double> means)
    {
        ColumnSums(x, means);
        Divide(means, x.Rows);
    }

    /// <inheritdoc cref="ColumnMeans(MatrixView{float}, DeviceSpan{double})"/>
    public static void ColumnMeans(MatrixView<double> x, DeviceSpan<double> means)
    {
        ColumnSums(x, means);
        Divide(means, x.Rows);
    }

    /// <summary>Mean and variance of every row, in two passes; the divisor of the variance is the number of columns minus <paramref name="ddof"/>.</summary>
    public static void RowVariances(MatrixView<float> x, DeviceSpan<double> means, DeviceSpan<double> variances, int ddof = 0)
    {
        RowMeans(x, means);
        RowReduce<CentredSquareTerm>(x, means, variances);
        Divide(variances, x.Columns - ddof);
    }

    /// <inheritdoc cref="RowVariances(MatrixView{float}, DeviceSpan{double}, DeviceSpan{double}, int)"/>
    public static void RowVariances(MatrixView<double> x, DeviceSpan<double> means, DeviceSpan<double> variances, int ddof = 0)
    {
        RowMeans(x, means);
        RowReduce<CentredSquareTerm>(x, means, variances);
        Divide(variances, x.Columns - ddof);
    }

    /// <summary>Mean and variance of every column, in two passes; the divisor of the variance is the number of rows minus <paramref name="ddof"/>.</summary>
    public static void ColumnVariances(MatrixView<float> x, DeviceSpan<double> means, DeviceSpan<double> variances, int ddof = 0)
    {
        ColumnMeans(x, means);
        ColumnReduce<CentredSquareTerm>(x, means, variances);
        Divide(variances, x.Rows - ddof);
    }

    /// <inheritdoc cref="ColumnVariances(MatrixView{float}, DeviceSpan{double}, DeviceSpan{double}, int)"/>
    public static void ColumnVariances(MatrixView<double> x, DeviceSpan<double> means, DeviceSpan<double> variances, int ddof = 0)
    {
        ColumnMeans(x, means);
        ColumnReduce<CentredSquareTerm>(x, means, variances);
        Divide(variances, x.Rows - ddof);
    }

    /// <summary>Sum of squares of every row.</summary>
    public static void RowSquaredNorms(MatrixView<float> x, DeviceSpan<double> squaredNorms) => RowReduce<SquareTerm>(x, default, squaredNorms);

    /// <inheritdoc cref="RowSquaredNorms(MatrixView{float}, DeviceSpan{double})"/>
    public static void RowSquaredNorms(MatrixView<double> x, DeviceSpan<double> squaredNorms) => RowReduce<SquareTerm>(x, default, squaredNorms);

    /// <summary>Sum of squares of every column.</summary>
    public static void ColumnSquaredNorms(MatrixView<float> x, DeviceSpan<double> squaredNorms) => ColumnReduce<SquareTerm>(x, default, squaredNorms);

    /// <inheritdoc cref="ColumnSquaredNorms(MatrixView{float}, DeviceSpan{double})"/>
    public static void ColumnSquaredNorms(MatrixView<double> x, DeviceSpan<double> squaredNorms) => ColumnReduce<SquareTerm>(x, default, squaredNorms);

    /// <summary>Euclidean norm of every row.</summary>
    public static void RowNorms(MatrixView<float> x, DeviceSpan<double> norms)
    {
        RowSquaredNorms(x, norms);
        SquareRoots(norms);
    }

    /// <inheritdoc cref="RowNorms(MatrixView{float}, DeviceSpan{double})"/>
    public static void RowNorms(MatrixView<double> x, DeviceSpan<double> norms)
    {
        RowSquaredNorms(x, norms);
        SquareRoots(norms);
    }

    /// <summary>Euclidean norm of every column.</summary>
    public static void ColumnNorms(MatrixView<float> x, DeviceSpan<double> norms)
    {
        ColumnSquaredNorms(x, norms);
        SquareRoots(norms);
    }

    /// <inheritdoc cref="ColumnNorms(MatrixView{float}, DeviceSpan{double})"/>
    public static void ColumnNorms(MatrixView<double> x, DeviceSpan<double> norms)
    {
        ColumnSquaredNorms(x, norms);
        SquareRoots(norms);
    }

    /// <summary>Sum of absolute values of every row.</summary>
    public static void RowAbsoluteSums(MatrixView<float> x, DeviceSpan<double> sums) => RowReduce<AbsoluteTerm>(x, default, sums);

    /// <inheritdoc cref="RowAbsoluteSums(MatrixView{float}, DeviceSpan{double})"/>
    public static void RowAbsoluteSums(MatrixView<double> x, DeviceSpan<double> sums) => RowReduce<AbsoluteTerm>(x, default, sums);

    /// <summary>Sum of absolute values of every column.</summary>
    public static void ColumnAbsoluteSums(MatrixView<float> x, DeviceSpan<double> sums) => ColumnReduce<AbsoluteTerm>(x, default, sums);

    /// <inheritdoc cref="ColumnAbsoluteSums(MatrixView{float}, DeviceSpan{double})"/>
    public static void ColumnAbsoluteSums(MatrixView<double> x, DeviceSpan<double> sums) => ColumnReduce<AbsoluteTerm>(x, default, sums);

    /// <summary>Largest element of every row.</summary>
    public static void RowMaxima(MatrixView<float> x, DeviceSpan<double> maxima) => RowReduce<MaximumTerm>(x, default, maxima);

    /// <inheritdoc cref="RowMaxima(MatrixView{float}, DeviceSpan{double})"/>
    public static void RowMaxima(MatrixView<double> x, DeviceSpan<double> maxima) => RowReduce<MaximumTerm>(x, default, maxima);

    /// <summary>Largest element of every column.</summary>
    public static void ColumnMaxima(MatrixView<float> x, DeviceSpan<double> maxima) => ColumnReduce<MaximumTerm>(x, default, maxima);

    /// <inheritdoc cref="ColumnMaxima(MatrixView{float}, DeviceSpan{double})"/>
    public static void ColumnMaxima(MatrixView<double> x, DeviceSpan<double> maxima) => ColumnReduce<MaximumTerm>(x, default, maxima);

    private static unsafe void Divide(DeviceSpan<double> values, int count)
    {
        for (long i = 0; i < values.Length; i++) values.Pointer[i] = count > 0 ? values.Pointer[i] / count : double.NaN;
    }

    private static unsafe void SquareRoots(DeviceSpan<double> values)
    {
        for (long i = 0; i < values.Length; i++) values.Pointer[i] = Math.Sqrt(values.Pointer[i]);
    }
}
