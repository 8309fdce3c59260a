using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels.Tests.Cuda;

[Collection(CudaDeviceCollection.Name)]
public sealed class AdamWCudaTests(CudaDeviceFixture fixture) : IDisposable
{
    private readonly CpuDevice _host = new(1);

    public void Dispose() => _host.Dispose();

    private static T[] Numbers<T>(int count, int seed, Func<double, T> convert)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => convert((random.NextDouble() - 0.5) * Math.Exp(3 * random.NextDouble())))];
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(257)]
    public void Steps_follow_the_reference(int count)
    {
        Check(count, x => (float)x, 4e-6, (p, g, m, v, step) => AdamW.Step(p, g, m, v, new AdamWOptions(), step, 0.75));
        Check(count, x => x, 1e-13, (p, g, m, v, step) => AdamW.Step(p, g, m, v, new AdamWOptions(), step, 0.75));
    }

    private delegate void Step<T>(DeviceSpan<T> p, DeviceSpan<T> g, DeviceSpan<T> m, DeviceSpan<T> v, long step) where T : unmanaged;

    private void Check<T>(int count, Func<double, T> convert, double relative, Step<T> step) where T : unmanaged, IFloatingPointIeee754<T>
    {
        CudaDevice device = fixture.Require();
        T[][] actual = Run(device), expected;
        using (KernelDispatch.Force(KernelVariant.Reference)) expected = Run(_host);
        for (int array = 0; array < 3; array++)
            for (int i = 0; i < count; i++)
            {
                double a = double.CreateChecked(actual[array][i]), e = double.CreateChecked(expected[array][i]);
                Assert.True(Math.Abs(a - e) <= relative * Math.Max(1e-3, Math.Abs(e)), $"array {array}, element {i} of {count}: {a:R}, expected {e:R}");
            }

        T[][] Run(ComputeDevice where)
        {
            using DeviceBuffer<T> p = where.Allocate<T>(count), g = where.Allocate<T>(count), m = where.Allocate<T>(count), v = where.Allocate<T>(count);
            p.CopyFrom(Numbers(count, 1, convert));
            g.CopyFrom(Numbers(count, 2, convert));
            for (int i = 1; i <= 3; i++) step(p.View, g.View, m.View, v.View, i);
            return [p.ToHost(), m.ToHost(), v.ToHost()];
        }
    }

    [Fact]
    public void Squares_are_summed_in_double_precision()
    {
        CudaDevice device = fixture.Require();
        const int Count = 40_001;
        float[] data = Numbers(Count, 5, x => (float)x);
        using DeviceBuffer<float> x = device.Allocate<float>(Count);
        x.CopyFrom(data);
        double expected = data.Sum(v => (double)v * v), sum = AdamW.SumOfSquares(x.View);
        Assert.Equal(expected, sum, 1e-12 * expected);
        Assert.Equal(sum, AdamW.SumOfSquares(x.View));
        AdamW.Scale(x.View, 0.5);
        Assert.Equal(data.Select(v => 0.5f * v), x.ToHost());
    }
}
