using BioSup.Runtime;

namespace BioSup.Kernels.Tests.Cuda;

/// <summary>The kernels that measure a device's ceilings: a rate is worth something only where the work behind it was done.</summary>
[Collection(CudaDeviceCollection.Name)]
public sealed class CeilingsCudaTests(CudaDeviceFixture fixture)
{
    private const int Threads = 256;
    private static readonly JitRequest s_module = new("cuda/kernels/ceilings/ceilings_any.cu");

    private static CudaKernel Kernel(CudaDevice gpu, string name) => gpu.Kernels.Get(DeviceKernels.Sources, s_module, $"bs_ceilings_{name}");

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(1000)]
    [InlineData(3001)]
    public void Copies_and_reads_touch_every_element(int quads)
    {
        CudaDevice gpu = fixture.Require();
        float[] values = [.. Enumerable.Range(0, 4 * quads).Select(i => (float)(i % 997))];
        using DeviceBuffer<float> x = gpu.Allocate<float>(Math.Max(1, values.Length)), y = gpu.Allocate<float>(Math.Max(1, values.Length)), sums = gpu.Allocate<float>(2 * Threads);
        gpu.Upload<float>(values, x.View);
        Kernel(gpu, "copy_f32").Launch(gpu.Stream, new LaunchShape(2, Threads), x.View.Address, y.View.Address, (long)quads);
        Kernel(gpu, "read_f32").Launch(gpu.Stream, new LaunchShape(2, Threads), x.View.Address, sums.View.Address, (long)quads);
        Assert.Equal(values, y.ToHost()[..values.Length]);
        // Integers below 2^24 in every partial sum: exact in any order.
        Assert.Equal(values.Sum(v => (double)v), sums.ToHost().Sum(v => (double)v));
    }

    [Fact]
    public void Multiply_adds_are_those_of_the_chains()
    {
        CudaDevice gpu = fixture.Require();
        const int steps = 16;
        using DeviceBuffer<float> single = gpu.Allocate<float>(Threads);
        using DeviceBuffer<double> wide = gpu.Allocate<double>(Threads);
        Kernel(gpu, "ffma_f32").Launch(gpu.Stream, new LaunchShape(1, Threads), single.View.Address, steps, 0.999f, 1e-3f);
        Kernel(gpu, "ffma_f64").Launch(gpu.Stream, new LaunchShape(1, Threads), wide.View.Address, steps, 0.999, 1e-3);
        (float[] singles, double[] doubles) = (single.ToHost(), wide.ToHost());
        for (int t = 0; t < Threads; t++)
        {
            float sum = 0;
            double sumWide = 0;
            for (int c = 0; c < 16; c++)
            {
                float x = t + c;
                double w = t + c;
                for (int s = 0; s < steps; s++) (x, w) = (MathF.FusedMultiplyAdd(x, 0.999f, 1e-3f), Math.FusedMultiplyAdd(w, 0.999, 1e-3));
                sum += x;
                sumWide += w;
            }
            Assert.Equal(sum, singles[t]);
            Assert.Equal(sumWide, doubles[t]);
        }
    }

    [Fact]
    public void Exponentials_come_to_their_fixed_point()
    {
        CudaDevice gpu = fixture.Require();
        using DeviceBuffer<float> sums = gpu.Allocate<float>(Threads);
        Kernel(gpu, "ex2_f32").Launch(gpu.Stream, new LaunchShape(1, Threads), sums.View.Address, 64);
        // x = 2^-x at 0.641185744504986, which attracts with a factor of 0.44; the instruction errs by two units in the last place.
        Assert.All(sums.ToHost(), sum => Assert.Equal(16 * 0.641185744504986, sum, 16 * 4e-7));
    }

    [Fact]
    public void Gathered_rows_are_the_ones_asked_for()
    {
        CudaDevice gpu = fixture.Require();
        const int rows = 50, each = 8, warps = Threads / 32;
        float[] table = [.. Enumerable.Range(0, rows * 256).Select(i => (float)(i * 7919 % 1021))];
        int[] indices = [.. Enumerable.Range(0, warps * each).Select(i => i * 37 % rows)];
        using DeviceBuffer<float> values = gpu.Allocate<float>(table.Length), sums = gpu.Allocate<float>(Threads);
        using DeviceBuffer<int> places = gpu.Allocate<int>(indices.Length);
        values.CopyFrom(table);
        places.CopyFrom(indices);
        Kernel(gpu, "gather_f32").Launch(gpu.Stream, new LaunchShape(1, Threads), values.View.Address, places.View.Address, each, sums.View.Address);
        float[] read = sums.ToHost();
        for (int w = 0; w < warps; w++)
        {
            double expected = indices.Skip(w * each).Take(each).Sum(row => table.Skip(row * 256).Take(256).Sum(v => (double)v));
            Assert.Equal(expected, read.Skip(32 * w).Take(32).Sum(v => (double)v));
        }
    }

    [Theory]
    [InlineData("bf16", 16)]
    [InlineData("tf32", 8)]
    public void Products_of_the_tensor_cores_are_those_of_their_operands(string format, int depth)
    {
        CudaDevice gpu = fixture.Require();
        const int steps = 3;
        using DeviceBuffer<float> sums = gpu.Allocate<float>(32);
        Kernel(gpu, $"mma_{format}").Launch(gpu.Stream, new LaunchShape(1, 32), sums.View.Address, steps);
        // The layouts of bs/ptx.cuh: registers of half the depth hold consecutive columns of A and rows of B.
        int perRegister = depth / 8, half = 4 * perRegister;
        double Operand(int lane, int register, int element) => ((7 * lane + 3 * register + 5 * element) % 13 - 6) / 8.0;
        double A(int row, int k) => Operand(4 * (row % 8) + k % half / perRegister, row / 8 + 2 * (k / half), k % perRegister);
        double B(int k, int column) => Operand(4 * column + k % half / perRegister, k / half + 4, k % perRegister);
        float[] read = sums.ToHost();
        for (int lane = 0; lane < 32; lane++)
        {
            double sum = 0;
            foreach (int row in new[] { lane / 4, lane / 4 + 8 })
                foreach (int column in new[] { lane % 4 * 2, lane % 4 * 2 + 1 })
                    for (int k = 0; k < depth; k++) sum += A(row, k) * B(k, column);
            // Multiples of 1/64 below 2^18: exact.
            Assert.Equal(8 * steps * sum, read[lane]);
        }
    }

    [Fact]
    public void Random_operands_fill_their_interval_and_follow_from_the_seed()
    {
        CudaDevice gpu = fixture.Require();
        const int count = 5000;
        using DeviceBuffer<float> single = gpu.Allocate<float>(count), other = gpu.Allocate<float>(count);
        using DeviceBuffer<double> wide = gpu.Allocate<double>(count);
        using DeviceBuffer<ushort> narrow = gpu.Allocate<ushort>(count);
        LaunchShape shape = new(2, Threads);
        Kernel(gpu, "random_f32").Launch(gpu.Stream, shape, single.View.Address, (long)count, 1u);
        Kernel(gpu, "random_f32").Launch(gpu.Stream, shape, other.View.Address, (long)count, 2u);
        Kernel(gpu, "random_f64").Launch(gpu.Stream, shape, wide.View.Address, (long)count, 1u);
        Kernel(gpu, "random_bf16").Launch(gpu.Stream, shape, narrow.View.Address, (long)count, 1u);
        float[] values = single.ToHost();
        Assert.All(values, v => Assert.True(v is > -1 and < 1));
        Assert.InRange(values.Average(), -0.05f, 0.05f);
        Assert.InRange(values.Average(v => v * v), 0.31f, 0.36f);
        Assert.Equal(values.Select(v => (double)v), wide.ToHost());
        Assert.NotEqual(values, other.ToHost());
        ushort[] bits = narrow.ToHost();
        for (int i = 0; i < count; i++) Assert.Equal(values[i], BitConverter.UInt32BitsToSingle((uint)bits[i] << 16), Math.Abs(values[i]) / 256 + 1e-7f);
    }
}
