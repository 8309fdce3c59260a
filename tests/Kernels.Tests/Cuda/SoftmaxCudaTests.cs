using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests.Cuda;

[Collection(CudaDeviceCollection.Name)]
public sealed class SoftmaxCudaTests(CudaDeviceFixture fixture)
{
    [Fact]
    public void Rows_match_the_double_reference()
    {
        CudaDevice gpu = fixture.Require();
        using CpuDevice cpu = new(1);
        foreach (MatrixShape shape in ProblemShapes.Matrices)
        {
            using CudaOperand<float> x = new(cpu, gpu, shape.Rows, shape.Columns, 8), y = new(cpu, gpu, shape.Rows, shape.Columns, 9);
            Softmax.Rows(x.Device, y.Device);
            float[][] read = y.Read();
            ErrorRule rule = new();
            for (int i = 0; i < shape.Rows && shape.Columns > 0; i++)
            {
                float[] row = x.Host.Row(i).ToArray();
                double logSum = LogSumExp(row);
                float largest = row.Max(), sum = 0;
                foreach (float value in row) sum += MathF.Exp(value - largest);
                for (int j = 0; j < row.Length; j++)
                {
                    double exact = Math.Exp(row[j] - logSum);
                    rule.Add(exact, MathF.Exp(row[j] - largest) / sum, read[i][j], exact, $"({i}, {j})");
                }
            }
            rule.Verify($"softmax {shape}");
        }
    }

    [Fact]
    public void Log_sum_exp_matches_the_double_reference()
    {
        CudaDevice gpu = fixture.Require();
        using CpuDevice cpu = new(1);
        foreach (MatrixShape shape in ProblemShapes.Matrices)
        {
            using CudaOperand<float> x = new(cpu, gpu, shape.Rows, shape.Columns, 8);
            using DeviceBuffer<float> rows = gpu.Allocate<float>(shape.Rows), columns = gpu.Allocate<float>(shape.Columns);
            Softmax.LogSumExpRows(x.Device, rows.View);
            Softmax.LogSumExpColumns(x.Device, columns.View);
            float[][] lines = new float[shape.Rows][];
            for (int i = 0; i < lines.Length; i++) lines[i] = x.Host.Row(i).ToArray();
            CheckSingle(lines, rows, $"rows of {shape}");
            CheckSingle([.. Enumerable.Range(0, shape.Columns).Select(j => lines.Select(line => line[j]).ToArray())], columns, $"columns of {shape}");
        }
    }

    /// <summary>Errors are relative to the larger of one and the result, which passes through zero.</summary>
    private static void CheckSingle(float[][] vectors, DeviceBuffer<float> result, string what)
    {
        float[] read = new float[vectors.Length];
        result.CopyTo(read);
        ErrorRule rule = new();
        for (int i = 0; i < vectors.Length; i++)
        {
            float largest = vectors[i].Length == 0 ? float.NegativeInfinity : vectors[i].Max(), sum = 0;
            foreach (float value in vectors[i]) sum += MathF.Exp(value - largest);
            double exact = LogSumExp(vectors[i]);
            rule.Add(exact, largest + MathF.Log(sum), read[i], Math.Max(1, Math.Abs(exact)), $"element {i}");
        }
        rule.Verify(what);
    }

    /// <summary>The oracle is double as well: each side rounds its exponentials, sum and logarithm, which is a few units of the larger of one and the spread of the data.</summary>
    [Fact]
    public void Double_precision_matches_the_reference()
    {
        CudaDevice gpu = fixture.Require();
        using CpuDevice cpu = new(1);
        foreach (MatrixShape shape in ProblemShapes.Matrices)
        {
            using CudaOperand<double> x = new(cpu, gpu, shape.Rows, shape.Columns, 9), y = new(cpu, gpu, shape.Rows, shape.Columns, 9);
            using Matrix<double> exact = cpu.AllocateMatrix<double>(shape.Rows, shape.Columns);
            using DeviceBuffer<double> exactColumns = cpu.Allocate<double>(shape.Columns), columns = gpu.Allocate<double>(shape.Columns);
            using (KernelDispatch.Force(KernelVariant.Reference))
            {
                Softmax.Rows(x.Host, exact.View);
                Softmax.LogSumExpColumns(x.Host, exactColumns.View);
            }
            Softmax.Rows(x.Device, y.Device);
            Softmax.LogSumExpColumns(x.Device, columns.View);
            double[][] read = y.Read();
            for (int i = 0; i < shape.Rows; i++)
                for (int j = 0; j < shape.Columns; j++) Assert.Equal(exact.Row(i)[j], read[i][j], 2e-15 * exact.Row(i)[j]);
            double[] sums = new double[shape.Columns];
            columns.CopyTo(sums);
            for (int j = 0; j < sums.Length; j++)
            {
                double expected = exactColumns.View.Host[j];
                Assert.True(expected.Equals(sums[j]) || Math.Abs(expected - sums[j]) <= 2e-15 * Math.Max(1, Math.Abs(expected)), $"{shape}: column {j} is {sums[j]:R}, expected {expected:R}");
            }
        }
    }

    [Fact]
    public void Extreme_values_neither_overflow_nor_vanish()
    {
        CudaDevice gpu = fixture.Require();
        float infinity = float.PositiveInfinity;
        float[][] rows = [[1000, 1000, -1000], [-1e30f, -1e30f, -1e30f], [-infinity, 0, -infinity], [infinity, 0, 1], [float.NaN, 0, 1], [-infinity, -infinity, -infinity]];
        float[] expected = [1000 + MathF.Log(2), -1e30f, 0, infinity, float.NaN, -infinity];
        foreach (int copies in (int[])[1, 11, 100])
        {
            int columns = 3 * copies;
            float[] data = [.. rows.SelectMany(row => Enumerable.Range(0, columns).Select(j => row[j % 3]))];
            float[] turned = [.. Enumerable.Range(0, columns).SelectMany(j => rows.Select(row => row[j % 3]))];
            using Matrix<float> x = Matrix<float>.From(gpu, rows.Length, columns, data), t = Matrix<float>.From(gpu, columns, rows.Length, turned);
            using DeviceBuffer<float> byRow = gpu.Allocate<float>(rows.Length), byColumn = gpu.Allocate<float>(rows.Length);
            Softmax.LogSumExpRows(x.View, byRow.View);
            Softmax.LogSumExpColumns(t.View, byColumn.View);
            float[] r = new float[rows.Length], c = new float[rows.Length];
            byRow.CopyTo(r);
            byColumn.CopyTo(c);
            for (int i = 0; i < rows.Length; i++)
            {
                float want = i == 1 ? -1e30f : expected[i] + (float.IsFinite(expected[i]) ? MathF.Log(copies) : 0);
                Assert.Equal(want, r[i], 1e-6f * Math.Abs(float.IsFinite(want) ? want : 1) + 1e-6f);
                Assert.Equal(want, c[i], 1e-6f * Math.Abs(float.IsFinite(want) ? want : 1) + 1e-6f);
            }
            Softmax.Rows(x.View, x.View);
            x.Buffer.CopyTo(data);
            Assert.Equal(0.5f / copies, data[0], 1e-7f);
            Assert.Equal(0, data[2]);
            Assert.Equal(1f / copies, data[2 * columns + 1], 1e-7f);
            for (int i = 3; i < 6; i++) Assert.True(float.IsNaN(data[i * columns]), $"row {i}");
        }
    }

    private static double LogSumExp(float[] values)
    {
        if (values.Length == 0) return double.NegativeInfinity;
        double largest = values.Max();
        return largest + Math.Log(values.Sum(v => Math.Exp(v - largest)));
    }
}
