using System.Numerics;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Kernels.Tests.Sinkhorn;

/// <summary>The two halves of a log-domain iteration, and the sum of T log T.</summary>
public sealed class SoftminTests
{
    public static TheoryData<int, int> Shapes => new() { { 1, 1 }, { 1, 7 }, { 5, 1 }, { 8, 8 }, { 17, 31 }, { 64, 65 } };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Every_variant_follows_the_double_reference(int n, int m)
    {
        using CpuDevice device = new(2);
        foreach (double epsilon in new[] { 0.5, 1e-3 })
            foreach (bool rows in new[] { true, false })
            {
                double[] expected = Run<double>(device, n, m, rows, epsilon, KernelVariant.Reference);
                foreach (KernelVariant variant in new[] { KernelVariant.Avx512, KernelVariant.Avx2, KernelVariant.Portable })
                {
                    AssertClose(expected, Run<double>(device, n, m, rows, epsilon, variant), 1e-14);
                    // Costs and potentials of size one are rounded to 6e-8.
                    AssertClose(expected, Run<float>(device, n, m, rows, epsilon, variant), 1e-6);
                }
            }
    }

    [Fact]
    public void Logarithms_are_summed_over_positive_entries()
    {
        using CpuDevice device = new(2);
        using Matrix<double> t = device.AllocateMatrix<double>(3, 2);
        using DeviceBuffer<double> scratch = device.Allocate<double>(3);
        t.Row(0)[0] = 0.5;
        t.Row(1)[1] = 0.25;
        t.Row(2)[0] = 0.25;
        Assert.Equal(0.5 * Math.Log(0.5) + 0.5 * Math.Log(0.25), SinkhornScaling.SumLogarithms(t.View, scratch.View), 1e-15);
    }

    private static double[] Run<T>(CpuDevice device, int n, int m, bool rows, double epsilon, KernelVariant variant) where T : unmanaged, IFloatingPointIeee754<T>
    {
        using SinkhornWorkspace<T> workspace = new(device, n, m);
        using Matrix<T> cost = device.AllocateMatrix<T>(n, m);
        using DeviceBuffer<double> potential = device.Allocate<double>(rows ? m : n), softmin = device.Allocate<double>(rows ? n : m);
        CounterRandom random = new(41);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < m; j++) cost.Row(i)[j] = T.CreateTruncating(random.NextDouble());
        foreach (ref double value in potential.View.Host) value = random.NextDouble() - 0.5;
        using KernelDispatch.ForcedVariant scope = KernelDispatch.Force(variant);
        if (rows) SinkhornScaling.RowSoftmin(workspace, cost.View, potential.View, epsilon, softmin.View);
        else SinkhornScaling.ColumnSoftmin(workspace, cost.View, potential.View, epsilon, softmin.View);
        return softmin.View.Host.ToArray();
    }

    private static void AssertClose(double[] expected, double[] actual, double tolerance)
    {
        for (int i = 0; i < expected.Length; i++) Assert.Equal(expected[i], actual[i], tolerance);
    }
}
