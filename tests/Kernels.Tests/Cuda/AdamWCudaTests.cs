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

    /// <summary>Two arrays, one norm: the device clips by it as the host does.</summary>
    [Theory]
    [InlineData(0.5)]
    [InlineData(0)]
    [InlineData(1e9)]
    public void A_norm_on_the_device_clips_as_the_host(double maximum)
    {
        CudaDevice device = fixture.Require();
        const int Count = 700;
        (float[] Values, double Norm) actual = Run(device), expected;
        using (KernelDispatch.Force(KernelVariant.Reference)) expected = Run(_host);
        Assert.Equal(expected.Norm, actual.Norm, 1e-12 * expected.Norm);
        for (int i = 0; i < Count; i++) Assert.Equal(expected.Values[i], actual.Values[i], 4e-6 * Math.Max(1e-3, Math.Abs(expected.Values[i])));

        (float[], double) Run(ComputeDevice where)
        {
            using DeviceBuffer<float> p = where.Allocate<float>(Count), g = where.Allocate<float>(Count), other = where.Allocate<float>(40_000), m = where.Allocate<float>(Count), v = where.Allocate<float>(Count);
            using GradientNorm norm = new(where, 2, Count + 40_000);
            p.CopyFrom(Numbers(Count, 1, x => (float)x));
            g.CopyFrom(Numbers(Count, 2, x => (float)x));
            other.CopyFrom(Numbers(40_000, 3, x => (float)x));
            for (int step = 1; step <= 3; step++)
            {
                norm.Reset();
                norm.Add(g.View);
                norm.Add(other.View);
                AdamW.Step(p.View, g.View, m.View, v.View, new AdamWOptions(), step, norm, maximum);
            }
            return (p.ToHost(), norm.Value);
        }
    }
}
