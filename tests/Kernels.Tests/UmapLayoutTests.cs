using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Kernels.Tests;

public sealed class UmapLayoutTests : IDisposable
{
    /// <summary>Of the largest force: the power's error and the rounding of sums of some ten terms.</summary>
    private const double ForceError = 2e-5;

    private readonly CpuDevice _device = new(2);

    public void Dispose() => _device.Dispose();

    [Theory]
    [InlineData(2, 1, 5)]
    [InlineData(7, 2, 3)]
    [InlineData(300, 2, 5)]
    [InlineData(300, 2, 0)]
    [InlineData(120, 3, 7)]
    [InlineData(60, 17, 5)]
    public void Every_variant_has_the_forces_that_are_written_down(int vertices, int dimensions, int negatives)
    {
        UmapForces forces = new(0.583f, 1.334f, negatives, 1.3f, 1, 10, 5);
        foreach (KernelVariant variant in KernelDispatch.All.Where(v => v != KernelVariant.Reference)) RequireForces(_device, variant, vertices, dimensions, forces);
    }

    [Fact]
    public void Forces_beyond_the_limits_are_cut_as_they_are_written_down()
    {
        foreach (KernelVariant variant in KernelDispatch.All.Where(v => v != KernelVariant.Reference)) RequireForces(_device, variant, 200, 2, s_steep, 0.05f);
    }

    [Fact]
    public void An_edge_is_due_as_often_as_its_rate_says_and_steps_shrink()
    {
        using UmapLayout layout = new(_device, [0, 1, 2], [1, 0], [0.5f, 0.5f], [0, 3], new UmapForces(1, 1, 0, 1, 0.1f, 4, 0));
        layout.Step();
        Assert.Equal([0f, 3], Positions(layout, 2));
        layout.Step();
        // The first force: moments 0.5 f / (1 − 0.5²) and 0.1 f² / (1 − 0.9²), at three quarters of the rate.
        double step = 0.1 * 0.75 * (0.5 / 0.75) / Math.Sqrt(0.1 / 0.19);
        Assert.Equal(step, Positions(layout, 2)[0], 1e-6);
        Assert.Equal(3 - step, Positions(layout, 2)[1], 1e-6);
    }

    [Fact]
    public void Vertices_at_one_place_neither_pull_nor_push()
    {
        using UmapLayout layout = new(_device, [0, 1, 2, 2], [1, 0], [1, 1], [2, 2, 2, 2, 2, 2], new UmapForces(1.6f, 0.9f, 5, 1, 1, 3, 0));
        for (int i = 0; i < 3; i++) layout.Step();
        Assert.All(Positions(layout, 6), v => Assert.Equal(2f, v));
    }

    [Fact]
    public void The_bytes_do_not_depend_on_the_threads_and_a_warm_pass_allocates_nothing()
    {
        using CpuDevice one = new(1);
        UmapForces forces = new(1.577f, 0.895f, 5, 1, 1, 40, 9);
        (int[] start, int[] columns, float[] rates, float[] position) = Problem(700, 2);
        using UmapLayout first = new(one, start, columns, rates, position, forces), second = new(_device, start, columns, rates, position, forces);
        for (int i = 0; i < 20; i++)
        {
            first.Step();
            second.Step();
        }
        Assert.Equal(Positions(first, position.Length), Positions(second, position.Length));
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 10; i++) first.Step();
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void Powers_have_the_stated_error_and_are_the_same_in_every_width()
    {
        CounterRandom random = new(1);
        double worst = 0;
        for (int i = 0; i < 400_000; i++)
        {
            float x = (float)Math.Pow(10, -30 + 40 * random.NextDouble()), b = (float)(0.1 + 2.9 * random.NextDouble());
            if (Math.Abs(b * Math.Log2(x)) > 125.9) continue;
            float found = VectorPower.Of<Simd256<float>, Vector256<float>>(Vector256.Create(x), Vector256.Create(b)).ToScalar();
            worst = Math.Max(worst, Math.Abs(found / Math.Pow(x, b) - 1));
            Assert.Equal(found, VectorPower.Of<Simd512<float>, Vector512<float>>(Vector512.Create(x), Vector512.Create(b)).ToScalar());
            Assert.Equal(found, VectorPower.Of<Simd128<float>, Vector128<float>>(Vector128.Create(x), Vector128.Create(b)).ToScalar());
        }
        Assert.InRange(worst, 1e-7, 8e-6);
    }

    /// <summary>Up to 20 for a pull and 16 for a push where vertices are a tenth apart: beyond the limits of 8 and 4.</summary>
    internal static readonly UmapForces s_steep = new(100, 1, 5, 2, 1, 10, 5);

    /// <summary>The forces of a variant, or of a GPU, are those of the reference on the host.</summary>
    internal static void RequireForces(ComputeDevice device, KernelVariant variant, int vertices, int dimensions, UmapForces forces, float width = 1)
    {
        float[] expected = FirstForces(device.Host, KernelVariant.Reference, vertices, dimensions, forces, width), found = FirstForces(device, variant, vertices, dimensions, forces, width);
        double scale = expected.Max(Math.Abs);
        Assert.True(scale > 0);
        for (int i = 0; i < found.Length; i++)
            Assert.True(Math.Abs(found[i] - expected[i]) <= ForceError * scale, $"{variant} on {device.Name}, {vertices} x {dimensions}, {i}: {found[i]} against {expected[i]}");
    }

    /// <summary>The forces of the first pass on the vertices of <see cref="Problem"/>.</summary>
    private static float[] FirstForces(ComputeDevice device, KernelVariant variant, int vertices, int dimensions, UmapForces forces, float width)
    {
        using KernelDispatch.ForcedVariant forced = KernelDispatch.Force(variant);
        (int[] start, int[] columns, float[] rates, float[] position) = Problem(vertices, dimensions);
        using UmapLayout layout = new(device, start, columns, rates, Array.ConvertAll(position, v => width * v), forces);
        layout.Step();
        float[] moments = new float[position.Length];
        layout.CopyFirstMoments(moments);
        return Array.ConvertAll(moments, v => 2 * v);
    }

    internal static float[] Positions(UmapLayout layout, int coordinates)
    {
        float[] positions = new float[coordinates];
        layout.CopyPositions(positions);
        return positions;
    }

    /// <summary>Rows of 0 to 40 edges, most of them due at once.</summary>
    internal static (int[] Start, int[] Columns, float[] Rates, float[] Position) Problem(int vertices, int dimensions)
    {
        CounterRandom random = new(3);
        int[] start = new int[vertices + 1];
        List<int> columns = [];
        List<float> rates = [];
        for (int v = 0; v < vertices; v++)
        {
            for (int e = random.NextInt32(Math.Min(vertices, 41)); e > 0; e--)
            {
                columns.Add((v + e) % vertices);
                rates.Add(random.NextDouble() < 0.7 ? 1 : 0.4f);
            }
            start[v + 1] = columns.Count;
        }
        return (start, [.. columns], [.. rates], [.. Enumerable.Range(0, vertices * dimensions).Select(_ => (float)(6 * random.NextDouble()))]);
    }
}
