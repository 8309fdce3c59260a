using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels.Tests.Cuda;

[Collection(CudaDeviceCollection.Name)]
public sealed class MatrixElementsCudaTests(CudaDeviceFixture fixture)
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(7, 33)]
    [InlineData(3, 2100)]
    public void Every_pass_gives_what_the_host_gives(int rows, int columns)
    {
        CudaDevice device = fixture.Require();
        Agree<float>(device, rows, columns);
        Agree<double>(device, rows, columns);
    }

    private static void Agree<T>(CudaDevice device, int rows, int columns) where T : unmanaged, IFloatingPointIeee754<T>
    {
        using CpuDevice host = new(1);
        using CudaOperand<T> x = new(host, device, rows, columns, seed: 5);
        if (columns > 1) (x.Host.Row(0)[0], x.Host.Row(rows - 1)[columns - 1]) = (T.PositiveInfinity, T.NaN);
        x.Upload();
        MatrixSummary here = MatrixElements.Summarise(x.Host), there = MatrixElements.Summarise(x.Device);
        Assert.Equal((here.Largest, here.Smallest, here.NotFinite), (there.Largest, there.Smallest, there.NotFinite));
        Assert.Equal(here.Sum, there.Sum, 1e-12 * rows * columns);
        Assert.Equal(columns > 1 ? 2 : 0, here.NotFinite);

        using DeviceBuffer<double> divisors = host.Allocate<double>(rows), q = host.Allocate<double>(columns), divisorsThere = device.Allocate<double>(rows), qThere = device.Allocate<double>(columns);
        for (int i = 0; i < rows; i++) divisors.View.Host[i] = 1.5 + i;
        for (int j = 0; j < columns; j++) q.View.Host[j] = Math.Cos(j);
        divisorsThere.CopyFrom(divisors.View.Host);
        qThere.CopyFrom(q.View.Host);
        Pass(x.Host, divisors.View);
        Pass(x.Device, divisorsThere.View);
        Same(x);
        using Matrix<float> single = Elementwise.Converted<T, float>(x.Host), singleThere = Elementwise.Converted<T, float>(x.Device);
        using Matrix<double> wide = Elementwise.Converted<T, double>(x.Host), wideThere = Elementwise.Converted<T, double>(x.Device);
        Assert.Equal(single.ToHost(), singleThere.ToHost());
        Assert.Equal(wide.ToHost(), wideThere.ToHost());
        MatrixElements.OuterProduct(divisors.View, q.View, x.Host);
        MatrixElements.OuterProduct(divisorsThere.View, qThere.View, x.Device);
        Same(x);
    }

    private static void Pass<T>(MatrixView<T> x, DeviceSpan<double> divisors) where T : unmanaged, IFloatingPointIeee754<T>
    {
        MatrixElements.ReplaceNotFinite(x, 3.25);
        Elementwise.Divide(x, 0.7, x);
        Elementwise.DivideRows(x, divisors, x);
    }

    private static void Same<T>(CudaOperand<T> x) where T : unmanaged, IFloatingPointIeee754<T>
    {
        T[][] found = x.Read();
        for (int i = 0; i < found.Length; i++) Assert.Equal(x.Host.Row(i).ToArray(), found[i]);
    }
}
