using BioSup.Shapes;

namespace BioSup.Runtime.Tests.Cuda.OnDevice;

[Collection(DeviceCollection.Name)]
public sealed class GraphTests(DeviceFixture fixture)
{
    [Fact]
    public void A_captured_sequence_does_not_run_until_launched_and_then_runs_every_time()
    {
        CudaDevice device = fixture.Require();
        using DeviceBuffer<int> x = device.Allocate<int>(100);
        CudaKernel increment = TestKernels.Increment(device);
        using CudaGraph graph = CudaGraph.Capture(device.Stream, stream =>
        {
            Assert.True(stream.IsCapturing);
            increment.Launch(stream, LaunchShape.For(100, 64), x.View.Address, 1, 100);
            increment.Launch(stream, LaunchShape.For(100, 64), x.View.Address, 10, 100);
        });
        Assert.False(device.Stream.IsCapturing);
        Assert.Equal(0, First(x));
        for (int i = 0; i < 3; i++) graph.Launch(device.Stream);
        Assert.Equal(33, First(x));
    }

    [Fact]
    public void Launching_a_graph_allocates_nothing()
    {
        CudaDevice device = fixture.Require();
        using DeviceBuffer<int> x = device.Allocate<int>(8);
        CudaKernel increment = TestKernels.Increment(device);
        using CudaGraph graph = CudaGraph.Capture(device.Stream, stream => increment.Launch(stream, LaunchShape.For(8, 32), x.View.Address, 1, 8));
        graph.Launch(device.Stream);
        int launches = 1;
        WarmAllocation rounds = new();
        while (rounds.Again()) for (int i = 0; i < 50; i++, launches++) graph.Launch(device.Stream);
        Assert.Equal(0, rounds.Least);
        Assert.Equal(launches, First(x));
    }

    [Fact]
    public void New_arguments_change_a_graph_in_place_and_another_shape_makes_it_anew()
    {
        CudaDevice device = fixture.Require();
        using DeviceBuffer<int> x = device.Allocate<int>(8);
        CudaKernel increment = TestKernels.Increment(device);
        using CudaGraph graph = CudaGraph.Capture(device.Stream, stream => increment.Launch(stream, LaunchShape.For(8, 32), x.View.Address, 1, 8));
        Assert.True(graph.Update(device.Stream, stream => increment.Launch(stream, LaunchShape.For(8, 32), x.View.Address, 5, 8)));
        graph.Launch(device.Stream);
        Assert.Equal(5, First(x));
        Assert.False(graph.Update(device.Stream, stream =>
        {
            for (int i = 0; i < 3; i++) increment.Launch(stream, LaunchShape.For(8, 32), x.View.Address, 100, 8);
        }));
        graph.Launch(device.Stream);
        Assert.Equal(305, First(x));
    }

    [Fact]
    public void A_capture_that_fails_reports_the_first_error_and_leaves_the_stream_usable()
    {
        CudaDevice device = fixture.Require();
        using DeviceBuffer<int> x = device.Allocate<int>(8);
        Assert.Throws<InvalidTimeZoneException>(() => CudaGraph.Capture(device.Stream, _ => throw new InvalidTimeZoneException()));
        Assert.False(device.Stream.IsCapturing);
        TestKernels.Increment(device).Launch(device.Stream, LaunchShape.For(8, 32), x.View.Address, 2, 8);
        Assert.Equal(2, First(x));
    }

    [Fact]
    public void Allocating_and_copying_host_memory_are_refused_in_a_capture()
    {
        CudaDevice device = fixture.Require();
        using DeviceBuffer<int> x = device.Allocate<int>(8);
        InvalidOperationException allocation = Assert.Throws<InvalidOperationException>(() => CudaGraph.Capture(device.Stream, _ => device.Allocate<int>(8)));
        Assert.Contains("make it before", allocation.Message);
        InvalidOperationException copy = Assert.Throws<InvalidOperationException>(() => CudaGraph.Capture(device.Stream, _ => x.CopyFrom([1, 2, 3])));
        Assert.Contains("Host memory cannot be copied", copy.Message);
        Assert.Equal(0, First(x));
    }

    [Fact]
    public void A_buffer_that_goes_during_a_capture_is_freed_after_it_and_not_by_the_graph()
    {
        CudaDevice device = fixture.Require();
        using DeviceBuffer<int> x = device.Allocate<int>(8);
        DeviceBuffer<int> other = device.Allocate<int>(1000);
        long before = device.Pool.BytesInUse;
        CudaKernel increment = TestKernels.Increment(device);
        using CudaGraph graph = CudaGraph.Capture(device.Stream, stream =>
        {
            increment.Launch(stream, LaunchShape.For(8, 32), x.View.Address, 1, 8);
            other.Dispose();
            Assert.Equal(before, device.Pool.BytesInUse);
        });
        Assert.Equal(before - 4000, device.Pool.BytesInUse);
        for (int i = 0; i < 3; i++) graph.Launch(device.Stream);
        Assert.Equal(3, First(x));
    }

    private static int First(DeviceBuffer<int> x)
    {
        int[] read = new int[1];
        x.CopyTo(read);
        return read[0];
    }
}
