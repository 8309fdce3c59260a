using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests;

public sealed class ReductionsTests : IDisposable
{
    private delegate void Reduction<T>(MatrixView<T> x, DeviceSpan<double> result) where T : unmanaged;

    private static readonly KernelVariant[] s_variants = [KernelVariant.Avx512, KernelVariant.Avx2, KernelVariant.Portable];
    private readonly CpuDevice _device = new(2);

    public void Dispose() => _device.Dispose();

    private static (string Name, bool Rows, Reduction<float> Single, Reduction<double> Double, Func<double[], double> Plain)[] Operations() =>
    [
        ("RowSums", true, Reductions.RowSums, Reductions.RowSums, Sum),
        ("ColumnSums", false, Reductions.ColumnSums, Reductions.ColumnSums, Sum),
        ("RowMeans", true, Reductions.RowMeans, Reductions.RowMeans, v => Sum(v) / v.Length),
        ("ColumnMeans", false, Reductions.ColumnMeans, Reductions.ColumnMeans, v => Sum(v) / v.Length),
        ("RowSquaredNorms", true, Reductions.RowSquaredNorms, Reductions.RowSquaredNorms, SumOfSquares),
        ("ColumnSquaredNorms", false, Reductions.ColumnSquaredNorms, Reductions.ColumnSquaredNorms, SumOfSquares),
        ("RowNorms", true, Reductions.RowNorms, Reductions.RowNorms, v => Math.Sqrt(SumOfSquares(v))),
        ("ColumnNorms", false, Reductions.ColumnNorms, Reductions.ColumnNorms, v => Math.Sqrt(SumOfSquares(v))),
        ("RowAbsoluteSums", true, Reductions.RowAbsoluteSums, Reductions.RowAbsoluteSums, v => Sum([.. v.Select(Math.Abs)])),
        ("ColumnAbsoluteSums", false, Reductions.ColumnAbsoluteSums, Reductions.ColumnAbsoluteSums, v => Sum([.. v.Select(Math.Abs)])),
        ("RowMaxima", true, Reductions.RowMaxima, Reductions.RowMaxima, v => v.Length == 0 ? double.NegativeInfinity : v.Max()),
        ("RowAbsoluteMaxima", true, Reductions.RowAbsoluteMaxima, Reductions.RowAbsoluteMaxima, v => v.Select(Math.Abs).DefaultIfEmpty(0).Max()),
        ("RowDots", true, (x, r) => WithHalf(x, r), (x, r) => WithHalf(x, r), v => Sum([.. v.Select(x => x * (0.5 * x - 1))])),
        ("ColumnMaxima", false, Reductions.ColumnMaxima, Reductions.ColumnMaxima, v => v.Length == 0 ? double.NegativeInfinity : v.Max()),
        ("RowVariances", true, (x, r) => Variances(Reductions.RowVariances, x, r), (x, r) => Variances(Reductions.RowVariances, x, r), Variance),
        ("ColumnVariances", false, (x, r) => Variances(Reductions.ColumnVariances, x, r), (x, r) => Variances(Reductions.ColumnVariances, x, r), Variance),
    ];

    /// <summary>Scalar products with half the matrix less one, so that the two operands differ.</summary>
    internal static void WithHalf<T>(MatrixView<T> x, DeviceSpan<double> result) where T : unmanaged, System.Numerics.INumber<T>
    {
        using Matrix<T> y = x.Device.AllocateMatrix<T>(x.Rows, x.Columns);
        Elementwise.Fill(y.View, -T.One);
        Elementwise.AddScaled(0.5, x, y.View);
        Reductions.RowDots(x, y.View, result);
    }

    private delegate void VarianceCall<T>(MatrixView<T> x, DeviceSpan<double> means, DeviceSpan<double> variances, int ddof) where T : unmanaged;

    private static void Variances<T>(VarianceCall<T> call, MatrixView<T> x, DeviceSpan<double> result) where T : unmanaged
    {
        using DeviceBuffer<double> means = x.Device.Allocate<double>(result.Length);
        call(x, means.View, result, 1);
    }

    // The plain loops that the engine's error is measured against.
    private static double Sum(double[] v)
    {
        double sum = 0;
        foreach (double x in v) sum += x;
        return sum;
    }

    private static double SumOfSquares(double[] v)
    {
        double sum = 0;
        foreach (double x in v) sum += x * x;
        return sum;
    }

    private static double Variance(double[] v)
    {
        if (v.Length < 2) return double.NaN;
        double mean = Sum(v) / v.Length;
        return SumOfSquares([.. v.Select(x => x - mean)]) / (v.Length - 1);
    }

    [Fact]
    public void Every_variant_matches_the_compensated_reference()
    {
        foreach (MatrixShape shape in ProblemShapes.Matrices.Append(new MatrixShape(700, 300)))
        {
            using Matrix<float> single = TestMatrices.Normal<float>(_device, shape.Rows, shape.Columns, 4, 3);
            using Matrix<double> wide = TestMatrices.Normal<double>(_device, shape.Rows, shape.Columns, 5, 3);
            foreach (var operation in Operations())
            {
                Check(operation.Name, operation.Rows, operation.Single, operation.Plain, single.Inner(shape.Columns));
                Check(operation.Name, operation.Rows, operation.Double, operation.Plain, wide.Inner(shape.Columns));
            }
        }
    }

    /// <summary>Error at most twice that of a plain double loop, plus two units in the last place of the largest result.</summary>
    private void Check<T>(string name, bool rows, Reduction<T> operation, Func<double[], double> plain, MatrixView<T> x) where T : unmanaged, System.Numerics.INumber<T>
    {
        int count = rows ? x.Rows : x.Columns;
        using DeviceBuffer<double> exact = _device.Allocate<double>(count), result = _device.Allocate<double>(count);
        using (KernelDispatch.Force(KernelVariant.Reference)) operation(x, exact.View);
        double plainError = 0, largest = 0;
        for (int i = 0; i < count; i++)
        {
            double value = plain(Line(x, rows, i));
            Assert.Equal(double.IsNaN(value), double.IsNaN(exact.View.Host[i]));
            if (!double.IsFinite(value)) continue;
            plainError = Math.Max(plainError, Math.Abs(value - exact.View.Host[i]));
            largest = Math.Max(largest, Math.Abs(exact.View.Host[i]));
        }
        foreach (KernelVariant variant in s_variants)
        {
            result.View.Host.Fill(-77);
            using (KernelDispatch.Force(variant)) operation(x, result.View);
            for (int i = 0; i < count; i++)
            {
                double expected = exact.View.Host[i], actual = result.View.Host[i];
                bool close = expected.Equals(actual) || Math.Abs(expected - actual) <= 2 * plainError + 2.3e-16 * 2 * largest;
                Assert.True(close, $"{name} {variant} {typeof(T).Name} {x.Rows}x{x.Columns}: element {i} is {actual:R}, expected {expected:R}");
            }
        }
    }

    private static double[] Line<T>(MatrixView<T> x, bool rows, int index) where T : unmanaged, System.Numerics.INumber<T>
    {
        double[] line = new double[rows ? x.Columns : x.Rows];
        for (int i = 0; i < line.Length; i++) line[i] = double.CreateTruncating(rows ? x.Row(index)[i] : x.Row(i)[index]);
        return line;
    }

    [Fact]
    public void NaN_in_a_row_or_column_is_not_lost()
    {
        using Matrix<float> x = TestMatrices.Normal<float>(_device, 40, 37, 4);
        x.Row(7)[11] = float.NaN;
        using DeviceBuffer<double> rows = _device.Allocate<double>(40), columns = _device.Allocate<double>(37);
        foreach (KernelVariant variant in KernelDispatch.All)
        {
            using var forced = KernelDispatch.Force(variant);
            foreach (var operation in Operations())
            {
                DeviceBuffer<double> result = operation.Rows ? rows : columns;
                operation.Single(x.View, result.View);
                for (int i = 0; i < result.Length; i++) Assert.Equal(i == (operation.Rows ? 7 : 11), double.IsNaN(result.View.Host[i]));
            }
        }
    }

    [Fact]
    public void Result_does_not_depend_on_the_number_of_threads()
    {
        double[]? first = null;
        foreach (int threads in (int[])[1, 2, 3])
        {
            using CpuDevice device = new(threads);
            using Matrix<float> x = TestMatrices.Normal<float>(device, 3001, 301, 4);
            using DeviceBuffer<double> means = device.Allocate<double>(301), variances = device.Allocate<double>(301), rows = device.Allocate<double>(3001);
            Reductions.ColumnVariances(x.View, means.View, variances.View);
            Reductions.RowNorms(x.View, rows.View);
            double[] all = [.. means.View.Host, .. variances.View.Host, .. rows.View.Host];
            first ??= all;
            Assert.True(first.AsSpan().SequenceEqual(all));
        }
    }

    [Fact]
    public void Warm_reductions_allocate_nothing()
    {
        using Matrix<float> x = TestMatrices.Normal<float>(_device, 1000, 200, 4);
        using DeviceBuffer<double> means = _device.Allocate<double>(200), variances = _device.Allocate<double>(200), rows = _device.Allocate<double>(1000);
        void Step()
        {
            Reductions.ColumnVariances(x.View, means.View, variances.View);
            Reductions.RowNorms(x.View, rows.View);
        }
        Step();
        Step();
        WarmAllocation rounds = new();
        while (rounds.Again()) Step();
        Assert.Equal(0, rounds.Least);
    }

    [Fact]
    public void A_result_of_the_wrong_length_is_refused()
    {
        using Matrix<float> x = _device.AllocateMatrix<float>(3, 4);
        using DeviceBuffer<double> result = _device.Allocate<double>(3);
        Assert.Throws<ArgumentException>(() => Reductions.ColumnSums(x.View, result.View));
        Reductions.RowSums(x.View, result.View);
    }
}
