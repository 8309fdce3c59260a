using BioSup.Shapes;

namespace BioSup.Runtime.Tests.Cuda.OnDevice;

[Collection(DeviceCollection.Name)]
public sealed class StreamTests(DeviceFixture fixture)
{
    [Fact]
    public void A_stream_waits_for_what_an_event_marks_in_another()
    {
        CudaDevice device = fixture.Require();
        using DeviceBuffer<int> x = device.Allocate<int>(1000);
        using CudaStream other = new(device);
        using CudaEvent made = new(device), done = new(device);
        CudaKernel increment = TestKernels.Increment(device);
        for (int round = 0; round < 10; round++)
        {
            increment.Launch(device.Stream, LaunchShape.For(1000, 64), x.View.Address, 1, 1000);
            made.Record(device.Stream);
            other.Wait(made);
            increment.Launch(other, LaunchShape.For(1000, 64), x.View.Address, 10, 1000);
            done.Record(other);
            device.Stream.Wait(done);
        }
        int[] read = new int[1000];
        x.CopyTo(read);
        Assert.All(read, v => Assert.Equal(110, v));
        device.Synchronize();
        Assert.True(other.IsIdle);
        Assert.True(done.IsComplete);
    }

    [Fact]
    public void Events_measure_time()
    {
        CudaDevice device = fixture.Require();
        using DeviceBuffer<int> x = device.Allocate<int>(1000);
        using CudaEvent start = new(device, timing: true), end = new(device, timing: true);
        start.Record(device.Stream);
        TestKernels.Increment(device).Launch(device.Stream, LaunchShape.For(1000, 64), x.View.Address, 1, 1000);
        end.Record(device.Stream);
        end.Synchronize();
        Assert.InRange(end.MillisecondsSince(start), 0, 10_000);
    }

    [Fact]
    public void Page_locked_memory_is_copied_in_stream_order()
    {
        CudaDevice device = fixture.Require();
        using PinnedBuffer<int> from = new(device, 5000), to = new(device, 5000);
        using DeviceBuffer<int> x = device.Allocate<int>(5000);
        for (int i = 0; i < 5000; i++) from.Span[i] = i;
        device.Stream.Upload<int>(from.Span, x.View);
        TestKernels.Increment(device).Launch(device.Stream, LaunchShape.For(5000, 64), x.View.Address, 1, 5000);
        device.Stream.Download(x.View, to.Span);
        device.Stream.Synchronize();
        for (int i = 0; i < 5000; i++) Assert.Equal(i + 1, to.Span[i]);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(9)]
    public void A_pipeline_brings_every_tile_while_the_device_works(int tiles)
    {
        CudaDevice device = fixture.Require();
        Assert.Equal(Sums(new CpuDevice(1), tiles, (_, tile, total, _) =>
        {
            for (int i = 0; i < tile.Length; i++) total.Host[i] += tile.Host[i];
        }), Sums(device, tiles, (d, tile, total, n) =>
            TestKernels.Add(device).Launch(device.Stream, LaunchShape.For(n, 64), tile.Address, total.Address, total.Address, (long)n)));
    }

    [Fact]
    public void A_step_of_the_pipeline_allocates_nothing()
    {
        CudaDevice device = fixture.Require();
        using TransferPipeline<float> pipeline = device.CreateTransferPipeline<float>(64);
        using DeviceBuffer<float> total = device.Allocate<float>(64);
        CudaKernel add = TestKernels.Add(device);
        int steps = 0;
        void Step()
        {
            steps++;
            pipeline.Next().Fill(1);
            DeviceSpan<float> tile = pipeline.Send(64);
            add.Launch(device.Stream, LaunchShape.For(64, 64), tile.Address, total.View.Address, total.View.Address, 64L);
            pipeline.Release();
        }
        for (int i = 0; i < 4; i++) Step();
        WarmAllocation rounds = new();
        while (rounds.Again()) for (int i = 0; i < 50; i++) Step();
        Assert.Equal(0, rounds.Least);
        float[] read = new float[64];
        total.CopyTo(read);
        Assert.All(read, v => Assert.Equal(steps, v));
    }

    private delegate void Work(ComputeDevice device, DeviceSpan<float> tile, DeviceSpan<float> total, int length);

    /// <summary>Adds up tiles of which the last is shorter.</summary>
    private static float[] Sums(ComputeDevice device, int tiles, Work work)
    {
        const int capacity = 1000;
        using TransferPipeline<float> pipeline = device.CreateTransferPipeline<float>(capacity);
        using DeviceBuffer<float> total = device.Allocate<float>(capacity);
        for (int tile = 0; tile < tiles; tile++)
        {
            int length = tile == tiles - 1 ? capacity / 3 : capacity;
            Span<float> host = pipeline.Next();
            for (int i = 0; i < length; i++) host[i] = tile * 1000 + i;
            work(device, pipeline.Send(length), total.View, length);
            pipeline.Release();
        }
        float[] read = new float[capacity];
        total.CopyTo(read);
        return read;
    }
}
