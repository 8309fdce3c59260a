using System.Numerics;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests.Cuda;

[Collection(CudaDeviceCollection.Name)]
public sealed class ElementwiseCudaTests(CudaDeviceFixture fixture)
{
    [Fact]
    public void The_device_gives_the_bits_of_the_plain_formula()
    {
        CudaDevice gpu = fixture.Require();
        using CpuDevice cpu = new(1);
        foreach (MatrixShape shape in ProblemShapes.Matrices)
        {
            CheckAll(cpu, gpu, ElementwiseCases.Same<float>(), shape);
            CheckAll(cpu, gpu, ElementwiseCases.Same<double>(), shape);
            CheckAll(cpu, gpu, ElementwiseCases.Mixed<float, double>(), shape);
            CheckAll(cpu, gpu, ElementwiseCases.Mixed<double, float>(), shape);
        }
    }

    private static void CheckAll<TIn, TOut>(CpuDevice cpu, CudaDevice gpu, ElementwiseCase<TIn, TOut>[] cases, MatrixShape shape)
        where TIn : unmanaged, IFloatingPointIeee754<TIn> where TOut : unmanaged, IFloatingPointIeee754<TOut>
    {
        using CudaOperand<TIn> x = new(cpu, gpu, shape.Rows, shape.Columns, 11);
        double[] shifts = ElementwiseCase<TIn, TOut>.Numbers(shape.Columns, 1), divisors = ElementwiseCase<TIn, TOut>.Numbers(shape.Columns, 2), rows = ElementwiseCase<TIn, TOut>.Numbers(shape.Rows, 3);
        using DeviceBuffer<double> s = Upload(gpu, shifts), d = Upload(gpu, divisors), r = Upload(gpu, rows);
        foreach (ElementwiseCase<TIn, TOut> each in cases)
        {
            using CudaOperand<TOut> y = new(cpu, gpu, shape.Rows, shape.Columns, 12);
            TOut[][] before = y.Read();
            each.Run(x.Device, y.Device, s.View, d.View, r.View);
            each.Check(x.Host, before, y.Read(), shifts, divisors, rows, $"{shape}");
        }
    }

    private static DeviceBuffer<double> Upload(CudaDevice gpu, double[] values)
    {
        DeviceBuffer<double> buffer = gpu.Allocate<double>(values.Length);
        buffer.CopyFrom(values);
        return buffer;
    }

    [Fact]
    public void Unit_rows_and_standardised_columns_allocate_nothing_once_warm_and_repeat_their_bytes()
    {
        CudaDevice gpu = fixture.Require();
        using CpuDevice cpu = new(1);
        using CudaOperand<float> x = new(cpu, gpu, 70, 33, 3), y = new(cpu, gpu, 70, 33, 3);
        using DeviceBuffer<double> means = gpu.Allocate<double>(33), variances = gpu.Allocate<double>(33), norms = gpu.Allocate<double>(70);
        Step(x, y, means, variances, norms);
        float[][] first = y.Read();
        for (int i = 0; i < 70; i++) Assert.Equal(1, Math.Sqrt(first[i].Sum(v => (double)v * v)), 1e-6);
        WarmAllocation rounds = new();
        while (rounds.Again()) Step(x, y, means, variances, norms);
        Assert.Equal(0, rounds.Least);
        Assert.Equal(first, y.Read());
    }

    private static void Step(CudaOperand<float> x, CudaOperand<float> y, DeviceBuffer<double> means, DeviceBuffer<double> variances, DeviceBuffer<double> norms)
    {
        Reductions.ColumnVariances(x.Device, means.View, variances.View);
        Standardise.Columns(x.Device, means.View, variances.View, y.Device);
        L2Normalise.Rows(y.Device, norms.View, y.Device);
    }
}
