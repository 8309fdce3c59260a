using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests;

public sealed class SoftmaxTests : IDisposable
{
    private static readonly KernelVariant[] s_variants = [KernelVariant.Avx512, KernelVariant.Avx2, KernelVariant.Portable];
    private readonly CpuDevice _device = new(2);

    public void Dispose() => _device.Dispose();

    [Fact]
    public void Rows_match_the_reference()
    {
        foreach (MatrixShape shape in ProblemShapes.Matrices)
        {
            using Matrix<float> x = TestMatrices.Normal<float>(_device, shape.Rows, shape.Columns, 8, 2), y = _device.AllocateMatrix<float>(shape.Rows, shape.Columns);
            using Matrix<double> xd = TestMatrices.Normal<double>(_device, shape.Rows, shape.Columns, 9, 2), yd = _device.AllocateMatrix<double>(shape.Rows, shape.Columns), exactd = _device.AllocateMatrix<double>(shape.Rows, shape.Columns);
            using (KernelDispatch.Force(KernelVariant.Reference)) Softmax.Rows(xd.Inner(shape.Columns), exactd.View);
            foreach (KernelVariant variant in s_variants)
            {
                using var forced = KernelDispatch.Force(variant);
                Softmax.Rows(x.Inner(shape.Columns), y.View);
                Softmax.Rows(xd.Inner(shape.Columns), yd.View);
                ErrorRule rule = new();
                for (int i = 0; i < shape.Rows; i++)
                {
                    ReadOnlySpan<float> row = x.Inner(shape.Columns).Row(i);
                    if (row.Length == 0) continue;
                    (double logSum, float largest, float sum) = (LogSumExp(row), Largest(row), 0);
                    foreach (float value in row) sum += MathF.Exp(value - largest);
                    for (int j = 0; j < row.Length; j++)
                    {
                        double exact = Math.Exp(row[j] - logSum);
                        rule.Add(exact, MathF.Exp(row[j] - largest) / sum, y.Row(i)[j], exact, $"({i}, {j})");
                        RequireDouble(exactd.Row(i)[j], yd.Row(i)[j], Largest(xd.Inner(shape.Columns).Row(i)) - xd.Inner(shape.Columns).Row(i)[j], $"{variant} {shape} ({i}, {j})");
                    }
                }
                rule.Verify($"{variant} {shape}");
            }
        }
    }

    /// <summary>
    /// The oracle is double as well, so its own rounding is part of what is seen: half a unit of x − max, which the exponential passes on, three roundings
    /// more, and two of the oracle.
    /// </summary>
    private static void RequireDouble(double exact, double actual, double spread, string where) =>
        Assert.True(Math.Abs(actual - exact) <= (spread / 2 + 5) * 2.3e-16 * exact, $"{where}: {actual:R} against {exact:R}");

    [Fact]
    public void Log_sum_exp_matches_the_reference()
    {
        foreach (MatrixShape shape in ProblemShapes.Matrices)
        {
            using Matrix<float> x = TestMatrices.Normal<float>(_device, shape.Rows, shape.Columns, 8, 2);
            using Matrix<double> xd = TestMatrices.Normal<double>(_device, shape.Rows, shape.Columns, 9, 2);
            float[][] rows = [.. Enumerable.Range(0, shape.Rows).Select(i => x.Inner(shape.Columns).Row(i).ToArray())];
            float[][] columns = [.. Enumerable.Range(0, shape.Columns).Select(j => rows.Select(row => row[j]).ToArray())];
            CheckSingle(rows, r => Softmax.LogSumExpRows(x.Inner(shape.Columns), r.View), $"rows of {shape}");
            CheckSingle(columns, r => Softmax.LogSumExpColumns(x.Inner(shape.Columns), r.View), $"columns of {shape}");
            CheckDouble(shape.Rows, r => Softmax.LogSumExpRows(xd.Inner(shape.Columns), r.View));
            CheckDouble(shape.Columns, r => Softmax.LogSumExpColumns(xd.Inner(shape.Columns), r.View));
        }
    }

    /// <summary>Errors are relative to the larger of one and the result, which passes through zero.</summary>
    private void CheckSingle(float[][] vectors, Action<DeviceBuffer<float>> operation, string what)
    {
        using DeviceBuffer<float> result = _device.Allocate<float>(vectors.Length);
        foreach (KernelVariant variant in s_variants)
        {
            using var forced = KernelDispatch.Force(variant);
            operation(result);
            ErrorRule rule = new();
            for (int i = 0; i < vectors.Length; i++)
            {
                float largest = Largest(vectors[i]), sum = 0;
                foreach (float value in vectors[i]) sum += MathF.Exp(value - largest);
                double exact = LogSumExp(vectors[i]);
                rule.Add(exact, largest + MathF.Log(sum), result.View.Host[i], Math.Max(1, Math.Abs(exact)), $"element {i}");
            }
            rule.Verify($"{variant} {what}");
        }
    }

    /// <summary>The oracle is double as well: the cap is the rounding of the maximum and of the logarithm, four units of the larger of one and the result.</summary>
    private void CheckDouble(int count, Action<DeviceBuffer<double>> operation)
    {
        using DeviceBuffer<double> exact = _device.Allocate<double>(count), result = _device.Allocate<double>(count);
        using (KernelDispatch.Force(KernelVariant.Reference)) operation(exact);
        foreach (KernelVariant variant in s_variants)
        {
            using var forced = KernelDispatch.Force(variant);
            operation(result);
            for (int i = 0; i < count; i++)
            {
                double expected = exact.View.Host[i], actual = result.View.Host[i];
                Assert.True(expected.Equals(actual) || Math.Abs(expected - actual) <= 1e-15 * Math.Max(1, Math.Abs(expected)), $"{variant} element {i} of {count}: {actual:R} against {expected:R}");
            }
        }
    }

    private static double LogSumExp(ReadOnlySpan<float> values)
    {
        double largest = Largest(values), sum = 0;
        foreach (float value in values) sum += Math.Exp(value - largest);
        return values.Length == 0 ? double.NegativeInfinity : largest + Math.Log(sum);
    }

    private static T Largest<T>(ReadOnlySpan<T> values) where T : unmanaged, System.Numerics.IFloatingPointIeee754<T>
    {
        T largest = T.NegativeInfinity;
        foreach (T value in values) largest = T.Max(largest, value);
        return largest;
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
        WarmAllocation rounds = new();
        while (rounds.Again()) Step();
        Assert.Equal(0, rounds.Least);
    }
}
