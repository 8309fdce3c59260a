using BioSup.Runtime;

namespace BioSup.Kernels.Tests.Cuda;

[Collection(CudaDeviceCollection.Name)]
public sealed class UmapLayoutCudaTests(CudaDeviceFixture fixture) : IDisposable
{
    private readonly CpuDevice _host = new(2);

    public void Dispose() => _host.Dispose();

    /// <summary>Fewer vertices than a group and than a warp serves, blocks that are not full, coordinates in lanes and in registers, one and several coordinates a lane.</summary>
    [Theory]
    [InlineData(2, 1, 5)]
    [InlineData(7, 2, 3)]
    [InlineData(300, 2, 5)]
    [InlineData(300, 2, 0)]
    [InlineData(121, 3, 7)]
    [InlineData(121, 4, 5)]
    [InlineData(50, 5, 5)]
    [InlineData(50, 8, 5)]
    [InlineData(50, 9, 5)]
    [InlineData(61, 17, 5)]
    [InlineData(40, 100, 5)]
    public void The_device_has_the_forces_that_are_written_down(int vertices, int dimensions, int negatives)
    {
        UmapLayoutTests.RequireForces(fixture.Require(), KernelVariant.Reference, vertices, dimensions, new UmapForces(0.583f, 1.334f, negatives, 1.3f, 1, 10, 5));
    }

    [Theory]
    [InlineData(2)]
    [InlineData(12)]
    public void Forces_beyond_the_limits_are_cut_as_they_are_written_down(int dimensions) =>
        UmapLayoutTests.RequireForces(fixture.Require(), KernelVariant.Reference, 200, dimensions, UmapLayoutTests.s_steep, 0.05f);

    /// <summary>Positions after several passes are the reference's as nearly as those of the host's variants: which edges are due, what is drawn, moments and shrinking steps agree.</summary>
    [Theory]
    [InlineData(300, 2)]
    [InlineData(60, 10)]
    public void Passes_follow_the_reference_as_closely_as_the_hosts_do(int vertices, int dimensions)
    {
        CudaDevice gpu = fixture.Require();
        UmapForces forces = new(1.577f, 0.895f, 5, 1, 0.1f, 8, 11);
        float[] expected = After(_host, KernelVariant.Reference, vertices, dimensions, forces, 7);
        double host = Worst(After(_host, KernelVariant.Portable, vertices, dimensions, forces, 7)), device = Worst(After(gpu, KernelVariant.Reference, vertices, dimensions, forces, 7));
        Assert.InRange(host, 1e-9, 1e-2);
        Assert.True(device <= 4 * host, $"{device} of the device against {host} of the host");

        double Worst(float[] found) => found.Zip(expected).Max(p => Math.Abs((double)p.First - p.Second));
    }

    [Fact]
    public void The_bytes_are_the_same_every_time_and_for_any_size_of_block()
    {
        CudaDevice gpu = fixture.Require();
        foreach (int dimensions in (int[])[2, 3, 12])
        {
            (int[] start, int[] columns, float[] rates, float[] position) = UmapLayoutTests.Problem(150, dimensions);
            float[]? first = null;
            foreach (int threads in (int[])[128, 128, 32, 256])
            {
                using UmapLayout layout = new(gpu, start, columns, rates, position, new UmapForces(1.577f, 0.895f, 5, 1, 1, 40, 9)) { CudaThreads = threads };
                for (int i = 0; i < 12; i++) layout.Step();
                float[] found = UmapLayoutTests.Positions(layout, position.Length);
                first ??= found;
                Assert.Equal(first, found);
            }
        }
    }

    [Fact]
    public void An_edge_is_due_as_often_as_its_rate_says_and_steps_shrink()
    {
        using UmapLayout layout = new(fixture.Require(), [0, 1, 2], [1, 0], [0.5f, 0.5f], [0, 3], new UmapForces(1, 1, 0, 1, 0.1f, 4, 0));
        layout.Step();
        Assert.Equal([0f, 3], UmapLayoutTests.Positions(layout, 2));
        layout.Step();
        double step = 0.1 * 0.75 * (0.5 / 0.75) / Math.Sqrt(0.1 / 0.19);
        Assert.Equal(step, UmapLayoutTests.Positions(layout, 2)[0], 1e-6);
        Assert.Equal(3 - step, UmapLayoutTests.Positions(layout, 2)[1], 1e-6);
    }

    [Fact]
    public void Vertices_at_one_place_or_without_edges_stay_where_they_are()
    {
        CudaDevice gpu = fixture.Require();
        Check([0, 1, 2, 2], [1, 0], [1, 1], [2, 2, 2, 2, 2, 2]);
        Check([0, 0, 0, 0], [], [], [1, 2, 3, 4, 5, 6]);
        Check([0, 0], [], [], [3, 4, 5]);
        Check([0, 1], [0], [1], [3, 4]);

        // The third vertex has no edges, so that neither those of the others nor random vertices move it.
        float[] position = [0, 0, 1, 1, 5, 5];
        using UmapLayout layout = new(gpu, [0, 1, 2, 2], [1, 0], [1, 1], position, new UmapForces(1.6f, 0.9f, 5, 1, 1, 3, 0));
        for (int i = 0; i < 3; i++) layout.Step();
        float[] found = UmapLayoutTests.Positions(layout, 6);
        Assert.Equal([5f, 5], found[4..]);
        Assert.NotEqual(position[..4], found[..4]);

        void Check(int[] start, int[] columns, float[] rates, float[] stays)
        {
            using UmapLayout layout = new(gpu, start, columns, rates, stays, new UmapForces(1.6f, 0.9f, 5, 1, 1, 3, 0));
            for (int i = 0; i < 3; i++) layout.Step();
            Assert.Equal(stays, UmapLayoutTests.Positions(layout, stays.Length));
        }
    }

    [Fact]
    public void The_smallest_and_the_largest_distances_give_finite_places()
    {
        CudaDevice gpu = fixture.Require();
        float[] position = [0, 0, 1e-18f, 0, 1e-12f, 1e-12f, 1e-3f, 0, 1e6f, 0, 3e15f, -3e15f];
        int[] start = [.. Enumerable.Range(0, 7).Select(v => 5 * v)], columns = [.. Enumerable.Range(0, 6).SelectMany(v => Enumerable.Range(0, 6).Where(w => w != v))];
        float[] rates = [.. Enumerable.Repeat(1f, 30)];
        UmapForces forces = new(1.6f, 0.9f, 5, 1, 1, 10, 0);
        using UmapLayout layout = new(gpu, start, columns, rates, position, forces);
        for (int i = 0; i < 10; i++) layout.Step();
        Assert.All(UmapLayoutTests.Positions(layout, 12), v => Assert.True(float.IsFinite(v)));
    }

    [Fact]
    public void A_warm_pass_allocates_nothing()
    {
        (int[] start, int[] columns, float[] rates, float[] position) = UmapLayoutTests.Problem(100, 2);
        using UmapLayout layout = new(fixture.Require(), start, columns, rates, position, new UmapForces(1.577f, 0.895f, 5, 1, 1, 200, 9));
        for (int i = 0; i < 40; i++) layout.Step();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 40; i++) layout.Step();
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    private static float[] After(ComputeDevice device, KernelVariant variant, int vertices, int dimensions, UmapForces forces, int passes)
    {
        using KernelDispatch.ForcedVariant forced = KernelDispatch.Force(variant);
        (int[] start, int[] columns, float[] rates, float[] position) = UmapLayoutTests.Problem(vertices, dimensions);
        using UmapLayout layout = new(device, start, columns, rates, position, forces);
        for (int i = 0; i < passes; i++) layout.Step();
        return UmapLayoutTests.Positions(layout, position.Length);
    }
}
