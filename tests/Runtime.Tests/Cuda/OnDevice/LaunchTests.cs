using System.Runtime.InteropServices;
using BioSup.Shapes;

namespace BioSup.Runtime.Tests.Cuda.OnDevice;

[Collection(DeviceCollection.Name)]
public sealed class LaunchTests(DeviceFixture fixture)
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(255)]
    [InlineData(256)]
    [InlineData(10_007)]
    public void Vectors_are_added(int n)
    {
        CudaDevice device = fixture.Require();
        float[] a = [.. Enumerable.Range(0, n).Select(i => (float)i)], b = [.. Enumerable.Range(0, n).Select(i => 2f * i)], sum = new float[n];
        using DeviceBuffer<float> x = device.Allocate<float>(n), y = device.Allocate<float>(n), z = device.Allocate<float>(n);
        x.CopyFrom(a);
        y.CopyFrom(b);
        TestKernels.Add(device).Launch(device.Stream, LaunchShape.For(n, 256), x.View.Address, y.View.Address, z.View.Address, (long)n);
        z.CopyTo(sum);
        for (int i = 0; i < n; i++) Assert.Equal(3f * i, sum[i]);
    }

    [Fact]
    public void Constants_make_another_module()
    {
        CudaDevice device = fixture.Require();
        using DeviceBuffer<float> x = device.Allocate<float>(4), z = device.Allocate<float>(4);
        x.CopyFrom([1, 2, 3, 4]);
        CudaKernel tripled = device.Kernels.Get(TestKernels.Sources, TestKernels.Vector with { Defines = "BS_SCALE=3" }, "bs_add");
        tripled.Launch(device.Stream, LaunchShape.For(4, 32), x.View.Address, x.View.Address, z.View.Address, 4L);
        float[] read = new float[4];
        z.CopyTo(read);
        Assert.Equal([4, 8, 12, 16], read);
    }

    [Fact]
    public void Sixteen_arguments_of_all_sizes_arrive_in_order()
    {
        CudaDevice device = fixture.Require();
        using DeviceBuffer<double> output = device.Allocate<double>(17);
        CudaKernel kernel = device.Kernels.Get(TestKernels.Sources, new JitRequest("cuda/kernels/test/arguments.cu"), "bs_arguments");
        kernel.Launch(device.Stream, new LaunchShape(1, 1), output.View.Address, (sbyte)1, 2.5, (short)-3, 4.25f, new Mixed { A = 5, B = 6.5, C = -7 }, 8_000_000_000L, -9,
            (byte)200, 11.5, 12, 13.5f, (short)14, -15L, (sbyte)-16, 17.5);
        double[] read = new double[17];
        output.CopyTo(read);
        Assert.Equal([1, 2.5, -3, 4.25, 5, 6.5, -7, 8_000_000_000, -9, 200, 11.5, 12, 13.5, 14, -15, -16, 17.5], read);
    }

    [Fact]
    public void Arguments_that_are_not_the_parameters_are_refused_with_both_lists()
    {
        CudaDevice device = fixture.Require();
        using DeviceBuffer<float> x = device.Allocate<float>(4);
        JitRequest own = TestKernels.Vector with { Defines = "BS_SCALE=5" };
        CudaKernel kernel = device.Kernels.Get(TestKernels.Sources, own, "bs_add");
        ArgumentException error = Assert.Throws<ArgumentException>(() => kernel.Launch(device.Stream, LaunchShape.For(4, 32), x.View.Address, x.View.Address, x.View.Address, 4));
        Assert.Contains("parameters of 8, 8, 8, 8 bytes", error.Message);
        Assert.Contains("arguments of 8, 8, 8, 4", error.Message);
    }

    [Fact]
    public void A_launch_allocates_nothing()
    {
        CudaDevice device = fixture.Require();
        using DeviceBuffer<int> x = device.Allocate<int>(64);
        using CudaEvent mark = new(device);
        for (int i = 0; i < 3; i++) Step(device, x, mark);
        device.Synchronize();
        int steps = 3;
        WarmAllocation rounds = new();
        while (rounds.Again()) for (int i = 0; i < 200; i++, steps++) Step(device, x, mark);
        Assert.Equal(0, rounds.Least);
        int[] read = new int[64];
        x.CopyTo(read);
        Assert.All(read, v => Assert.Equal(steps, v));
    }

    [Fact]
    public void Shared_memory_beyond_48_KiB_is_asked_for()
    {
        CudaDevice device = fixture.Require();
        int n = 20_000;
        using DeviceBuffer<int> x = device.Allocate<int>(n);
        x.CopyFrom([.. Enumerable.Range(0, n)]);
        CudaKernel kernel = device.Kernels.Get(TestKernels.Sources, new JitRequest("cuda/kernels/test/shared.cu"), "bs_reverse");
        kernel.Launch(device.Stream, new LaunchShape(1, 128, n * sizeof(int)), x.View.Address, n);
        int[] read = new int[n];
        x.CopyTo(read);
        for (int i = 0; i < n; i++) Assert.Equal(n - 1 - i, read[i]);
        Assert.InRange(kernel.BlocksPerMultiprocessor(128, n * sizeof(int)), 1, 32);
        ArgumentException error = Assert.Throws<ArgumentException>(() => kernel.Launch(device.Stream, new LaunchShape(1, 128, 1 << 20), default(DevicePointer), 0));
        Assert.Contains("shared memory", error.Message);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Grids_have_two_directions_and_clusters(int cluster)
    {
        CudaDevice device = fixture.Require();
        Assert.SkipWhen(cluster > 1 && device.Info.Capability.Major < 9, "clusters need compute capability 9.0");
        using DeviceBuffer<int> x = device.Allocate<int>(8);
        CudaKernel kernel = device.Kernels.Get(TestKernels.Sources, new JitRequest("cuda/kernels/test/shared.cu"), "bs_block_numbers");
        kernel.Launch(device.Stream, new LaunchShape(new Extent(4, 2), 32, 0, cluster), x.View.Address);
        int[] read = new int[8];
        x.CopyTo(read);
        Assert.Equal([0, 1, 2, 3, 100, 101, 102, 103], read);
    }

    [Fact]
    public void A_launch_that_cannot_be_says_which_kernel_and_why()
    {
        CudaDevice device = fixture.Require();
        CudaKernel kernel = TestKernels.Increment(device);
        Assert.Contains("bs_increment", Assert.Throws<ArgumentException>(() => kernel.Launch(device.Stream, new LaunchShape(1, 4096), default(DevicePointer), 1, 0)).Message);
        CudaException error = Assert.Throws<CudaException>(() => kernel.Launch(device.Stream, new LaunchShape(new Extent(1, 100_000), 32), default(DevicePointer), 1, 0));
        Assert.Contains("the launch of bs_increment (grid 1x100000, block 32", error.Message);
    }

    [Fact]
    public void An_entry_that_does_not_exist_is_named()
    {
        CudaDevice device = fixture.Require();
        Assert.Contains("'bs_gone'", Assert.Throws<DeviceException>(() => device.Kernels.Get(TestKernels.Sources, TestKernels.Vector, "bs_gone")).Message);
    }

    [Fact]
    public void Threads_of_the_host_share_a_device()
    {
        CudaDevice device = fixture.Require();
        Parallel.For(0, 8, i =>
        {
            using DeviceBuffer<int> x = device.Allocate<int>(2000);
            TestKernels.Increment(device).Launch(device.Stream, LaunchShape.For(2000, 64), x.View.Address, i, 2000);
            int[] read = new int[2000];
            x.CopyTo(read);
            Assert.All(read, v => Assert.Equal(i, v));
        });
    }

    private static void Step(CudaDevice device, DeviceBuffer<int> x, CudaEvent mark)
    {
        TestKernels.Increment(device).Launch(device.Stream, LaunchShape.For(64, 64), x.View.Address, 1, 64);
        mark.Record(device.Stream);
        device.Stream.Wait(mark);
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Mixed
    {
        public sbyte A;
        public double B;
        public short C;
    }
}
