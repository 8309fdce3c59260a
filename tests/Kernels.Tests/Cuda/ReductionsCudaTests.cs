using System.Numerics;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests.Cuda;

[Collection(CudaDeviceCollection.Name)]
public sealed class ReductionsCudaTests(CudaDeviceFixture fixture)
{
    private delegate void Reduction<T>(MatrixView<T> x, DeviceSpan<double> result) where T : unmanaged;

    private static (string Name, bool Rows, Reduction<T> Run)[] Operations<T>() where T : unmanaged, INumber<T> =>
    [
        ("RowSums", true, Reductions.RowSums),
        ("ColumnSums", false, Reductions.ColumnSums),
        ("RowMeans", true, Reductions.RowMeans),
        ("ColumnMeans", false, Reductions.ColumnMeans),
        ("RowNorms", true, Reductions.RowNorms),
        ("ColumnNorms", false, Reductions.ColumnNorms),
        ("RowAbsoluteSums", true, Reductions.RowAbsoluteSums),
        ("ColumnAbsoluteSums", false, Reductions.ColumnAbsoluteSums),
        ("RowMaxima", true, Reductions.RowMaxima),
        ("RowAbsoluteMaxima", true, Reductions.RowAbsoluteMaxima),
        ("RowDots", true, (x, r) => ReductionsTests.WithHalf(x, r)),
        ("ColumnMaxima", false, Reductions.ColumnMaxima),
        ("RowVariances", true, (x, r) => WithMeans(x, r, rows: true)),
        ("ColumnVariances", false, (x, r) => WithMeans(x, r, rows: false)),
    ];

    private static void WithMeans<T>(MatrixView<T> x, DeviceSpan<double> result, bool rows) where T : unmanaged, INumberBase<T>
    {
        using DeviceBuffer<double> means = x.Device.Allocate<double>(result.Length);
        if (rows) Reductions.RowVariances(x, means.View, result, 1);
        else Reductions.ColumnVariances(x, means.View, result, 1);
    }

    [Fact]
    public void Single_precision_matches_the_compensated_reference() => CheckAll<float>(4);

    [Fact]
    public void Double_precision_matches_the_compensated_reference() => CheckAll<double>(5);

    private void CheckAll<T>(ulong seed) where T : unmanaged, IFloatingPointIeee754<T>
    {
        CudaDevice gpu = fixture.Require();
        using CpuDevice cpu = new(1);
        foreach (MatrixShape shape in ProblemShapes.Matrices)
        {
            using CudaOperand<T> x = new(cpu, gpu, shape.Rows, shape.Columns, seed);
            foreach ((string name, bool rows, Reduction<T> run) in Operations<T>()) Check(name, rows ? shape.Rows : shape.Columns, run, x, shape);
        }
    }

    /// <summary>Both sums are in double: what is allowed is the error of adding the longer side's elements one after the other, n units of the sum of their sizes.</summary>
    private static void Check<T>(string name, int count, Reduction<T> run, CudaOperand<T> x, MatrixShape shape) where T : unmanaged, IFloatingPointIeee754<T>
    {
        using DeviceBuffer<double> exact = x.Host.Device.Allocate<double>(count), result = x.Device.Device.Allocate<double>(count);
        using (KernelDispatch.Force(KernelVariant.Reference)) run(x.Host, exact.View);
        run(x.Device, result.View);
        double[] read = new double[count];
        result.CopyTo(read);
        int length = count == shape.Rows ? shape.Columns : shape.Rows;
        double largest = Math.Max(1, TestMatrices.MaxAbs(x.Host));
        double allowed = 1.2e-16 * (length + 2) * Math.Max(largest * length, largest * largest);
        for (int i = 0; i < count; i++)
        {
            double expected = exact.View.Host[i];
            bool close = expected.Equals(read[i]) || Math.Abs(expected - read[i]) <= (name.EndsWith("Maxima", StringComparison.Ordinal) ? 0 : allowed);
            Assert.True(close, $"{name} {typeof(T).Name} {shape}: element {i} is {read[i]:R}, expected {expected:R}");
        }
    }

    [Fact]
    public void NaN_reaches_its_row_and_column_and_no_other()
    {
        CudaDevice gpu = fixture.Require();
        using CpuDevice cpu = new(1);
        using CudaOperand<float> x = new(cpu, gpu, 40, 37, 4);
        x.Host.Row(7)[11] = float.NaN;
        x.Upload();
        foreach ((string name, bool rows, Reduction<float> run) in Operations<float>())
        {
            double[] read = new double[rows ? 40 : 37];
            using DeviceBuffer<double> result = gpu.Allocate<double>(read.Length);
            run(x.Device, result.View);
            result.CopyTo(read);
            for (int i = 0; i < read.Length; i++) Assert.True(double.IsNaN(read[i]) == (i == (rows ? 7 : 11)), $"{name}: element {i} is {read[i]}");
        }
    }

    [Fact]
    public void The_same_input_gives_the_same_bytes_and_nothing_is_allocated()
    {
        CudaDevice gpu = fixture.Require();
        using CpuDevice cpu = new(1);
        using CudaOperand<float> x = new(cpu, gpu, 301, 67, 4);
        using DeviceBuffer<double> means = gpu.Allocate<double>(67), variances = gpu.Allocate<double>(67), norms = gpu.Allocate<double>(301);
        double[] first = new double[67], again = new double[67];
        Step(x.Device, means, variances, norms);
        variances.CopyTo(first);
        WarmAllocation rounds = new();
        while (rounds.Again()) Step(x.Device, means, variances, norms);
        Assert.Equal(0, rounds.Least);
        variances.CopyTo(again);
        Assert.Equal(first, again);
    }

    private static void Step(MatrixView<float> x, DeviceBuffer<double> means, DeviceBuffer<double> variances, DeviceBuffer<double> norms)
    {
        Reductions.ColumnVariances(x, means.View, variances.View);
        Reductions.RowNorms(x, norms.View);
    }
}
