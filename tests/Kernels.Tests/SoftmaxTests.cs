using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests;

public sealed class SoftmaxTests : IDisposable
{
    private static readonly KernelVariant[] s_variants = [KernelVariant.Avx512, KernelVariant.Avx2, KernelVariant.Portable];
    private readonly CpuDevice _device = new(2);

    public void Dispose() => _device.Dispose();

    /// <summary>Relative error per element: the rounding of x − max (half a unit of that difference, which the exponential passes on) and three roundings more; the double reference adds two of its own.</summary>
    [Fact]
    public void Rows_match_the_reference()
    {
        foreach (MatrixShape shape in ProblemShapes.Matrices)
        {
            using Matrix<float> x = TestMatrices.Normal<float>(_device, shape.Rows, shape.Columns, 8, 2), y = _device.AllocateMatrix<float>(shape.Rows, shape.Columns), exact = _device.AllocateMatrix<float>(shape.Rows, shape.Columns);
            using Matrix<double> xd = TestMatrices.Normal<double>(_device, shape.Rows, shape.Columns, 9, 2), yd = _device.AllocateMatrix<double>(shape.Rows, shape.Columns), exactd = _device.AllocateMatrix<double>(shape.Rows, shape.Columns);
            using (KernelDispatch.Force(KernelVariant.Reference))
            {
                Softmax.Rows(x.Inner(shape.Columns), exact.View);
                Softmax.Rows(xd.Inner(shape.Columns), exactd.View);
            }
            foreach (KernelVariant variant in s_variants)
            {
                using var forced = KernelDispatch.Force(variant);
                Softmax.Rows(x.Inner(shape.Columns), y.View);
                Softmax.Rows(xd.Inner(shape.Columns), yd.View);
                for (int i = 0; i < shape.Rows; i++)
                {
                    for (int j = 0; j < shape.Columns; j++)
                    {
                        double single = (Math.Abs(Spread(x.Inner(shape.Columns), i, j)) / 2 + 3) * 1.2e-7, wide = (Math.Abs(Spread(xd.Inner(shape.Columns), i, j)) / 2 + 5) * 2.3e-16;
                        Assert.True(Math.Abs(y.Row(i)[j] - exact.Row(i)[j]) <= single * exact.Row(i)[j], $"{variant} {shape} ({i}, {j}): {y.Row(i)[j]} against {exact.Row(i)[j]}");
                        Assert.True(Math.Abs(yd.Row(i)[j] - exactd.Row(i)[j]) <= wide * exactd.Row(i)[j], $"{variant} {shape} ({i}, {j}): {yd.Row(i)[j]} against {exactd.Row(i)[j]}");
                    }
                }
            }
        }
    }

    /// <summary>How far an element lies below the largest of its row.</summary>
    private static double Spread<T>(MatrixView<T> x, int row, int column) where T : unmanaged, System.Numerics.INumber<T>
    {
        T largest = x.Row(row)[0];
        foreach (T value in x.Row(row)) largest = T.Max(largest, value);
        return double.CreateTruncating(largest - x.Row(row)[column]);
    }

    [Fact]
    public void Log_sum_exp_matches_the_reference()
    {
        foreach (MatrixShape shape in ProblemShapes.Matrices)
        {
            using Matrix<float> x = TestMatrices.Normal<float>(_device, shape.Rows, shape.Columns, 8, 2);
            using Matrix<double> xd = TestMatrices.Normal<double>(_device, shape.Rows, shape.Columns, 9, 2);
            Check<float>(shape.Rows, r => Softmax.LogSumExpRows(x.Inner(shape.Columns), r.View), 3e-7);
            Check<float>(shape.Columns, r => Softmax.LogSumExpColumns(x.Inner(shape.Columns), r.View), 3e-7);
            Check<double>(shape.Rows, r => Softmax.LogSumExpRows(xd.Inner(shape.Columns), r.View), 1e-15);
            Check<double>(shape.Columns, r => Softmax.LogSumExpColumns(xd.Inner(shape.Columns), r.View), 1e-15);
        }
    }

    /// <summary>Error relative to the larger of one and the result: the rounding of the maximum and of the logarithm.</summary>
    private void Check<T>(int count, Action<DeviceBuffer<T>> operation, double tolerance) where T : unmanaged, System.Numerics.IFloatingPointIeee754<T>
    {
        using DeviceBuffer<T> exact = _device.Allocate<T>(count), result = _device.Allocate<T>(count);
        using (KernelDispatch.Force(KernelVariant.Reference)) operation(exact);
        foreach (KernelVariant variant in s_variants)
        {
            using var forced = KernelDispatch.Force(variant);
            operation(result);
            for (int i = 0; i < count; i++)
            {
                double expected = double.CreateTruncating(exact.View.Host[i]), actual = double.CreateTruncating(result.View.Host[i]);
                Assert.True(expected.Equals(actual) || Math.Abs(expected - actual) <= tolerance * Math.Max(1, Math.Abs(expected)), $"{variant} element {i} of {count}: {actual:R} against {expected:R}");
            }
        }
    }

    [Fact]
    public void Extreme_values_neither_overflow_nor_vanish()
    {
        float[][] rows = [[1000, 1000, -1000], [-1e30f, -1e30f, -1e30f], [float.NegativeInfinity, 0, float.NegativeInfinity], [float.PositiveInfinity, 0, 1], [float.NaN, 0, 1],
            [float.NegativeInfinity, float.NegativeInfinity, float.NegativeInfinity]];
        float[] expected = [1000 + MathF.Log(2), -1e30f, 0, float.PositiveInfinity, float.NaN, float.NegativeInfinity];
        foreach (KernelVariant variant in KernelDispatch.All)
        {
            using var forced = KernelDispatch.Force(variant);
            // Repeated along the row, so that the vector part is reached too; the sum then grows by the logarithm of the count.
            foreach (int copies in (int[])[1, 11])
            {
                using Matrix<float> x = _device.AllocateMatrix<float>(rows.Length, 3 * copies), columns = _device.AllocateMatrix<float>(3 * copies, rows.Length);
                for (int i = 0; i < rows.Length; i++)
                    for (int j = 0; j < 3 * copies; j++) x.Row(i)[j] = columns.Row(j)[i] = rows[i][j % 3];
                using DeviceBuffer<float> byRow = _device.Allocate<float>(rows.Length), byColumn = _device.Allocate<float>(rows.Length);
                Softmax.LogSumExpRows(x.View, byRow.View);
                Softmax.LogSumExpColumns(columns.View, byColumn.View);
                for (int i = 0; i < rows.Length; i++)
                {
                    float want = i == 1 ? -1e30f : expected[i] + (float.IsFinite(expected[i]) ? MathF.Log(copies) : 0);
                    Assert.Equal(want, byRow.View.Host[i], 1e-3f * Math.Abs(float.IsFinite(want) ? want : 1));
                    Assert.Equal(byRow.View.Host[i], byColumn.View.Host[i]);
                }
                Softmax.Rows(x.View, x.View);
                Assert.Equal(0.5f / copies, x.Row(0)[0]);
                Assert.Equal(0, x.Row(0)[2]);
                Assert.Equal(1f / copies, x.Row(2)[1]);
                Assert.True(float.IsNaN(x.Row(5)[0]));
            }
        }
    }

    [Fact]
    public void Result_does_not_depend_on_the_number_of_threads()
    {
        float[]? first = null;
        foreach (int threads in (int[])[1, 2, 3])
        {
            using CpuDevice device = new(threads);
            using Matrix<float> x = TestMatrices.Normal<float>(device, 611, 503, 4);
            using DeviceBuffer<float> rows = device.Allocate<float>(611), columns = device.Allocate<float>(503);
            Softmax.LogSumExpRows(x.View, rows.View);
            Softmax.LogSumExpColumns(x.View, columns.View);
            Softmax.Rows(x.View, x.View);
            float[] all = [.. rows.View.Host, .. columns.View.Host, .. x.Buffer.View.Host];
            first ??= all;
            Assert.True(first.AsSpan().SequenceEqual(all));
        }
    }

    [Fact]
    public void Warm_calls_allocate_nothing()
    {
        using Matrix<float> x = TestMatrices.Normal<float>(_device, 611, 503, 4);
        using DeviceBuffer<float> rows = _device.Allocate<float>(611), columns = _device.Allocate<float>(503);
        void Step()
        {
            Softmax.LogSumExpRows(x.View, rows.View);
            Softmax.LogSumExpColumns(x.View, columns.View);
            Softmax.Rows(x.View, x.View);
        }
        Step();
        Step();
        long before = GC.GetAllocatedBytesForCurrentThread();
        Step();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }
}
