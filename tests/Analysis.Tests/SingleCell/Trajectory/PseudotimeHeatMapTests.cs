using BioSup.Analysis.SingleCell;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.SingleCell.Trajectory;

/// <summary>Heat maps of features whose peaks are known, and the smoothing against SciPy.</summary>
public sealed class PseudotimeHeatMapTests
{
    [Fact]
    public void Smoothing_is_that_of_scipy_also_where_the_kernel_is_longer_than_the_series()
    {
        string? python = Python.Find("import scipy.ndimage", out string reason);
        Assert.SkipWhen(python is null, reason);
        CounterRandom random = new(4);
        double[][] series = [.. new[] { 100, 7, 3, 2 }.Select(n => Enumerable.Range(0, n).Select(_ => random.NextNormal()).ToArray())];
        double[][] expected = PointsFile.Run(series, file => Python.Run(python!, PointsFile.Script("smooth.py"), file, "1.5"));
        for (int s = 0; s < series.Length; s++)
        {
            double[] smooth = PseudotimeHeatMap.Smooth(series[s], 1.5);
            for (int i = 0; i < smooth.Length; i++) Assert.Equal(expected[s][i], smooth[i], 1e-14);
        }
    }

    [Fact]
    public void Features_that_peak_early_come_first_and_those_that_peak_together_share_a_cluster()
    {
        using CpuDevice device = new(2);
        (Matrix<float> x, double[] time, double[] peak) = Cells(device, 400, 30);
        using (x)
        {
            PseudotimeHeatMap map = PseudotimeHeatMap.Compute(device, x, time, new HeatMapOptions { Bins = 50, Neighbours = 6 });
            Assert.Equal((30, 1, 50), (map.Features.Length, map.Constant, map.BinTimes.Length));
            Assert.DoesNotContain(30, map.Features);
            // 399 cells have a finite time: the first 49 of 50 bins hold 8, the last 7.
            Assert.Equal([.. Enumerable.Repeat(8, 49), 7], map.BinCells);
            Assert.Equal(map.BinTimes.Order(), map.BinTimes);
            Assert.Equal(Enumerable.Range(0, 3), map.Clusters.Distinct());
            Assert.Equal(map.Clusters.Order(), map.Clusters);
            for (int c = 0; c < 3; c++) Assert.Equal(Enumerable.Range(0, 10).Select(i => 3 * i + c).Order(), map.Features.Where((_, i) => map.Clusters[i] == c).Order());
            for (int i = 0; i < 30; i++) Assert.InRange(map.BinTimes[Array.IndexOf(map.Profiles[i], map.Profiles[i].Max())] - peak[map.Features[i]], -0.08, 0.08);
        }
    }

    [Fact]
    public void The_bytes_do_not_depend_on_the_number_of_threads()
    {
        using CpuDevice one = new(1), three = new(3);
        (Matrix<float> x, double[] time, _) = Cells(one, 300, 40);
        using (x)
        {
            PseudotimeHeatMap a = PseudotimeHeatMap.Compute(one, x, time), b = PseudotimeHeatMap.Compute(three, x, time);
            Assert.Equal(a.Features, b.Features);
            Assert.Equal(a.Clusters, b.Clusters);
            Assert.Equal(a.Profiles, b.Profiles);
        }
    }

    /// <summary>A device searches the neighbours of the profiles, in double precision.</summary>
    [Fact]
    public void On_a_device_the_map_is_the_processors()
    {
        using CudaDevice? gpu = CudaEmulator.Open(out string reason);
        Assert.SkipWhen(gpu is null, reason);
        using CpuDevice cpu = new(2);
        (Matrix<float> x, double[] time, _) = Cells(cpu, 300, 40);
        using (x)
        {
            PseudotimeHeatMap expected = PseudotimeHeatMap.Compute(cpu, x, time), actual = PseudotimeHeatMap.Compute(gpu, x, time);
            Assert.Equal(expected.Features, actual.Features);
            Assert.Equal(expected.Clusters, actual.Clusters);
            Assert.Equal(expected.Profiles, actual.Profiles);
        }
    }

    [Fact]
    public void What_cannot_be_is_refused_in_a_sentence()
    {
        using CpuDevice device = new(1);
        using Matrix<float> x = Matrix<float>.From(device, 3, 1, [1, 1, 1]);
        Assert.Contains("differs", Assert.Throws<UsageException>(() => PseudotimeHeatMap.Compute(device, x, [0, 0.5, 1])).Message);
        Assert.Contains("is one", Assert.Throws<UsageException>(() => PseudotimeHeatMap.Compute(device, x, [0, double.PositiveInfinity, double.NaN])).Message);
        Assert.Contains("2 are the fewest", Assert.Throws<UsageException>(() => PseudotimeHeatMap.Compute(device, x, [0, 0.5, 1], new HeatMapOptions { Bins = 1 })).Message);
    }

    /// <summary>Features that rise and fall around 0.15, 0.5 or 0.85, by turns, one that is constant; one cell cannot be reached.</summary>
    private static (Matrix<float> X, double[] Time, double[] Peak) Cells(CpuDevice device, int cells, int features)
    {
        CounterRandom random = new(12);
        double[] time = [.. Enumerable.Range(0, cells).Select(_ => random.NextDouble())], peak = [.. Enumerable.Range(0, features).Select(f => 0.15 + 0.35 * (f % 3) + 0.02 * (random.NextDouble() - 0.5))];
        Matrix<float> x = device.AllocateMatrix<float>(cells, features + 1);
        for (int i = 0; i < cells; i++)
            for (int f = 0; f <= features; f++)
                x.Row(i)[f] = f == features ? 1 : (float)(Math.Exp(-Math.Pow((time[i] - peak[f]) / 0.12, 2)) + 0.02 * random.NextNormal());
        time[17] = double.PositiveInfinity;
        return (x, time, peak);
    }
}
