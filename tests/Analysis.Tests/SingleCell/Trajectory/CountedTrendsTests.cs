using BioSup.Analysis.Geometry;
using BioSup.Analysis.SingleCell;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.SingleCell.Trajectory;

/// <summary>Pseudotime and its evaluations on so few cells that every number can be found by hand.</summary>
public sealed class CountedTrendsTests : IDisposable
{
    private readonly CpuDevice _device = new(1);

    // Times 0 to 20: the 5th and 95th percentiles are 1 and 19.
    private static readonly double[] s_time = [.. Enumerable.Range(0, 21).Select(i => (double)i)], s_value = [.. s_time.Select(t => Math.Sin(t) + t / 10)];

    public void Dispose() => _device.Dispose();

    [Fact]
    public void Bins_hold_their_lower_ends_and_the_last_one_both()
    {
        PseudotimeBins found = PseudotimeBins.Compute(s_time, s_value, bins: 2);
        Assert.Equal(2, found.LeftOut);
        Assert.Equal([(1.0, 10.0), (10.0, 19.0)], found.Bins.Select(b => (b.From, b.To)));
        Assert.Equal(s_value[1..10], found.Bins[0].Values);
        Assert.Equal(s_value[10..20], found.Bins[1].Values);
        Assert.Equal(["1", "2"], found.Bins.Select(b => b.Name));
        Assert.Equal(found.Bins[0].Deviation / 3, found.Bins[0].StandardError, 1e-15);
        BinPair pair = Assert.Single(found.Pairs);
        Assert.Equal((0, 1), (pair.First, pair.Second));
        Assert.Equal(pair.Test.P, pair.Adjusted);
        // Three pairs of alike bins: three times their p-value is more than 1.
        Assert.Equal([1.0, 1, 1], PseudotimeBins.Compute([.. s_time, .. s_time], [.. s_time.Select(t => t % 2), .. s_time.Select(t => (t + 1) % 2)], 3).Pairs.Select(p => p.Adjusted));
    }

    [Fact]
    public void Percentiles_between_two_times_are_interpolated()
    {
        double[] time = [.. s_time[..11]];
        // The 5th and 97th percentiles of 0 to 10 are 0.5 and 9.7.
        PseudotimeBins found = PseudotimeBins.Compute(time, s_value[..11], 2, 5, 97);
        Assert.Equal((0.5, 9.7), (found.Bins[0].From, found.Bins[1].To));
        Assert.Equal(2, found.LeftOut);
        Assert.Equal(0, PseudotimeBins.Compute(time, s_value[..11], 2, 0, 100).LeftOut);
        foreach ((double lower, double upper) in new[] { (-1.0, 95.0), (5.0, 101.0), (50.0, 50.0), (double.NaN, 95) })
            Assert.Contains("bound no range", Assert.Throws<UsageException>(() => PseudotimeBins.Compute(time, s_value[..11], 2, lower, upper)).Message);
    }

    [Fact]
    public void Stars_stand_for_p_values_below_their_bounds()
    {
        RankSumTest test = new(0, 0, 0);
        Assert.Equal(["***", "**", "**", "*", "*", "ns", "ns"], new[] { 0.00099, 0.001, 0.0099, 0.01, 0.0499, 0.05, 1 }.Select(p => new BinPair(0, 1, test, p, 0).Stars));
    }

    [Fact]
    public void Trends_of_two_and_three_cells_have_their_exact_variances()
    {
        JonckheereTest two = OrderedTrend.JonckheereFalling([[2], [1]]);
        Assert.Equal((1.0, 0.5, 0.25, 0.0, 0.5), (two.Statistic, two.Mean, two.Variance, two.Z, two.P));
        // Over the six orders of three values J is 0, 1, 1, 2, 2, 3: variance 11 / 12.
        JonckheereTest three = OrderedTrend.JonckheereFalling([[3], [2], [1]]);
        Assert.Equal((3.0, 1.5), (three.Statistic, three.Mean));
        Assert.Equal(11 / 12.0, three.Variance, 1e-14);
        Assert.Equal(1 / Math.Sqrt(11 / 12.0), three.Z, 1e-14);
        Assert.Equal(-three.Z, OrderedTrend.JonckheereFalling([[1], [2], [3]]).Z);
        Assert.Contains("there is 1", Assert.Throws<UsageException>(() => OrderedTrend.JonckheereFalling([[1, 2]])).Message);
        Assert.Contains("Group 0 of 2 has no values", Assert.Throws<UsageException>(() => OrderedTrend.JonckheereFalling([[], [1]])).Message);
    }

    [Fact]
    public void A_trimmed_trend_is_that_of_the_cells_between_the_percentiles()
    {
        double[] time = [double.NaN, .. s_time, 3], value = [1, .. s_value, double.PositiveInfinity];
        Same(SplineTrend.Fit(s_time[1..20], s_value[1..20], 10), SplineTrend.FitTrimmed(time, value));
        Same(SplineTrend.Fit(s_time[..11], s_value[..11], 6, 2), SplineTrend.FitTrimmed(time, value, 0, 50, 6, 2));
        Same(SplineTrend.Fit(s_time[10..], s_value[10..], 6, 2), SplineTrend.FitTrimmed(time, value, 50, 100, 6, 2));
    }

    [Fact]
    public void Shares_of_explained_variance_are_those_of_the_residuals()
    {
        SplineTrend trend = SplineTrend.Fit(s_time, s_value, 6);
        double residual = s_time.Zip(s_value).Sum(p => Math.Pow(p.Second - trend.Predict(p.First), 2)), total = s_value.Sum(v => Math.Pow(v - s_value.Average(), 2));
        Assert.Equal(1 - residual / total, trend.RSquared, 1e-12);
        Assert.Equal(1 - residual / (21 - trend.EffectiveDegrees - 1) / (total / 20), trend.AdjustedRSquared, 1e-12);
        Assert.InRange(trend.RSquared, trend.AdjustedRSquared, 1);
        // One degree and a part of another are left over.
        SplineTrend[] tight = [.. new[] { 0.0005, 0.001, 0.002, 0.004 }.Select(penalty => SplineTrend.Fit(s_time[..6], s_value[..6], 5, penalty))];
        Assert.Contains(tight, t => 6 - t.EffectiveDegrees is > 1.01 and < 1.99);
        foreach (SplineTrend t in tight) Assert.Equal(1 - (1 - t.RSquared) / (6 - t.EffectiveDegrees - 1) * 5, t.AdjustedRSquared, 1e-9);
        // As many degrees as points: none are left for an adjusted share.
        SplineTrend bent = SplineTrend.Fit([0, 1, 2, 3, 4], [1, 5, 2, 8, 3], 10, penalty: 0);
        Assert.InRange(bent.EffectiveDegrees, 4.9, 5);
        Assert.True(double.IsNaN(bent.AdjustedRSquared));
        Assert.InRange(bent.RSquared, 0.999, 1);
        Assert.True(double.IsNaN(SplineTrend.Fit([0, 1, 2, 3, 4, 5], [2, 2, 2, 2, 2, 2], 4).RSquared));
    }

    [Fact]
    public void A_line_ends_at_the_last_point_whatever_the_rounding_and_its_settings_have_bounds()
    {
        CounterRandom random = new(4);
        for (int run = 0; run < 40; run++)
        {
            double[] x = [.. Enumerable.Range(0, 6).Select(_ => random.NextNormal())];
            SplineTrend any = SplineTrend.Fit(x, [.. x.Select(v => v * v)], 4);
            TrendLine line = any.Line(7);
            Assert.Equal((x.Min(), x.Max()), (line.X[0], line.X[^1]));
        }
        SplineTrend trend = SplineTrend.Fit(s_time, s_value);
        Assert.Equal([0.0, 20.0], trend.Line(2).X);
        Assert.Contains("1 points", Assert.Throws<UsageException>(() => trend.Line(1)).Message);
        foreach (double wrong in new[] { 0, 1, -0.1, 1.1, double.NaN }) Assert.Contains("confidence", Assert.Throws<UsageException>(() => trend.Line(5, wrong)).Message);
        Assert.Contains("penalty", Assert.Throws<UsageException>(() => SplineTrend.Fit(s_time, s_value, 5, double.PositiveInfinity)).Message);
        Assert.Contains("Point 0", Assert.Throws<UsageException>(() => SplineTrend.Fit([double.NaN, 1, 2, 3, 4], [1, 2, 3, 4, 5])).Message);
        Assert.Contains("Point 4", Assert.Throws<UsageException>(() => SplineTrend.Fit([0, 1, 2, 3, 4], [1, 2, 3, 4, double.NaN])).Message);
        Assert.Throws<ArgumentException>(() => SplineTrend.Fit(s_time, s_value[1..]));
        Assert.Throws<ArgumentException>(() => PseudotimeBins.Compute(s_time, s_value[1..]));
        Assert.Throws<ArgumentException>(() => PseudotimeEvaluation.Compute(s_time, s_value[1..]));
        Assert.Contains("1 bins", Assert.Throws<UsageException>(() => PseudotimeBins.Compute(s_time, s_value, 1)).Message);
    }

    [Fact]
    public void An_evaluation_needs_ten_cells_and_a_trend_five_at_different_times()
    {
        PseudotimeEvaluation nine = PseudotimeEvaluation.Compute([.. s_time[..9], 1, double.NaN], [.. s_value[..9], double.NaN, 1]);
        Assert.Equal(9, nine.Cells);
        Assert.True(double.IsNaN(nine.Spearman) && double.IsNaN(nine.Pearson) && double.IsNaN(nine.AdjustedRSquared));
        Assert.Null(nine.Trend);
        PseudotimeEvaluation ten = PseudotimeEvaluation.Compute(s_time[..10], [.. s_time[..10].Select(t => -t * t)]);
        Assert.Equal((10, -1), (ten.Cells, Math.Round(ten.Spearman, 12)));
        // The 5th and 95th percentiles, 0.45 and 8.55, leave eight.
        Same(SplineTrend.Fit(s_time[1..9], [.. s_time[1..9].Select(t => -t * t)], 5), ten.Trend!);
        Assert.Equal(ten.Trend!.AdjustedRSquared, ten.AdjustedRSquared);
        // Of 13 cells 4 to 8 lie between the percentiles 33 and 67 (3.96 and 8.04); with 34 one less.
        Assert.Equal(5, PseudotimeEvaluation.Compute(s_time[..13], s_value[..13], new EvaluationOptions { Lower = 33, Upper = 67 }).Trend!.Count);
        Assert.Null(PseudotimeEvaluation.Compute(s_time[..13], s_value[..13], new EvaluationOptions { Lower = 34, Upper = 67 }).Trend);
        Assert.Null(PseudotimeEvaluation.Compute([.. s_time.Select(_ => 0.5)], s_value).Trend);
        Assert.Equal((5, 5.0, 95.0), (new EvaluationOptions().Splines, new EvaluationOptions().Lower, new EvaluationOptions().Upper));
    }

    [Theory]
    [InlineData(240, 12, 5)]
    [InlineData(390, 12, 7)]
    [InlineData(400, 12, 7)]
    [InlineData(400, 6, 6)]
    [InlineData(60, 4, 4)]
    public void Few_cells_get_few_splines(int cells, int asked, int splines)
    {
        double[] time = [.. Enumerable.Range(0, cells).Select(i => (double)i)], value = [.. time.Select(t => Math.Sin(t / 9))];
        Same(SplineTrend.FitTrimmed(time, value, 5, 95, splines), PseudotimeEvaluation.Compute(time, value, new EvaluationOptions { Splines = asked }).Trend!);
    }

    [Fact]
    public void Pseudotime_is_the_weighted_distance_in_the_components_asked_for()
    {
        // A path of four cells with made-up coordinates: eigenvalues 1, just at scanpy's bound, below it, and one half.
        double[] values = [1, 0.9994, 0.9, 0.5], coordinates = [0.5, 0.1, 0.02, 0.3, 0.5, 0.2, 0.01, -0.4, 0.5, -0.1, 0.03, 0.1, 0.5, 0.4, -0.05, 0.2];
        using DiffusionMap map = DiffusionMap.FromStored(_device, Path(4), values, coordinates);
        foreach (int components in new[] { 2, 3, 4 })
        {
            foreach (PseudotimeRule rule in new[] { PseudotimeRule.Scanpy, PseudotimeRule.Exact })
            {
                double[] weights = [rule == PseudotimeRule.Exact ? 0 : 1, rule == PseudotimeRule.Exact ? 0.9994 / 0.0006 : 1, 9, 1];
                double[] distance = [.. Enumerable.Range(0, 4).Select(i => Math.Sqrt(Enumerable.Range(0, components).Sum(j => Math.Pow(weights[j] * (coordinates[4 + j] - coordinates[4 * i + j]), 2))))];
                DiffusionPseudotime found = DiffusionPseudotime.Compute(map, 1, components, rule);
                for (int i = 0; i < 4; i++) Assert.Equal(distance[i] / distance.Max(), found.Values[i], 1e-9);
                Assert.Equal((0, rule == PseudotimeRule.Exact ? 0 : 1), (found.Unreachable, found.LeftUnweighted));
            }
        }
        // The constant vector alone tells nobody apart.
        Assert.Equal([0, 0, 0, 0], DiffusionPseudotime.Compute(map, 2, 1).Values);
        foreach (int wrong in new[] { 0, 5 }) Assert.Contains($"from {wrong} diffusion components", Assert.Throws<UsageException>(() => DiffusionPseudotime.Compute(map, 0, wrong)).Message);
        foreach (int wrong in new[] { -1, 4 }) Assert.Contains($"the cell {wrong};", Assert.Throws<UsageException>(() => DiffusionPseudotime.Compute(map, wrong, 2)).Message);
    }

    [Fact]
    public void Every_root_is_evaluated_on_all_cells_asked_for()
    {
        CounterRandom random = new(6);
        const int cells = 12;
        double[] values = [1, 0.9, 0.7], coordinates = [.. Enumerable.Range(0, 3 * cells).Select(i => i % 3 == 0 ? 0.3 : random.NextNormal())], measured = [.. Enumerable.Range(0, cells).Select(_ => random.NextNormal())];
        using DiffusionMap map = DiffusionMap.FromStored(_device, Path(cells), values, coordinates);
        int[] control = [0, 3, 5, 8], evaluated = [9, 1, 2, 10, 7, 4];
        RootRobustness found = RootRobustness.Compute(map, control, evaluated, measured, roots: 3, components: 3);
        double[] mean = [.. Enumerable.Range(0, 3).Select(k => control.Average(i => coordinates[3 * i + k]))];
        Assert.Equal(control.OrderBy(i => Enumerable.Range(0, 3).Sum(k => Math.Pow(coordinates[3 * i + k] - mean[k], 2))).Take(3), found.Roots);
        for (int r = 0; r < 3; r++)
        {
            double[] time = [.. evaluated.Select(i => Math.Sqrt(Enumerable.Range(1, 2).Sum(k => Math.Pow(values[k] / (1 - values[k]) * (coordinates[3 * i + k] - coordinates[3 * found.Roots[r] + k]), 2))))];
            double[] value = [.. evaluated.Select(i => measured[i])];
            Assert.Equal(RankStatistics.Spearman(time, value), found.Spearman[r], 1e-12);
            Assert.Equal(RankStatistics.Pearson(time, value), found.Pearson[r], 1e-12);
        }
        Assert.Equal(found.Spearman.Average(), found.Mean, 1e-15);
        Assert.Equal(Math.Sqrt(found.Spearman.Average(s => Math.Pow(s - found.Spearman.Average(), 2))), found.Deviation, 1e-15);
        Assert.Equal(found.Roots[0], Assert.Single(RootRobustness.Compute(map, control, evaluated, measured, roots: 1, components: 3).Roots));
        Assert.Throws<ArgumentException>(() => RootRobustness.Compute(map, control, evaluated, measured[1..]));
    }

    private static CellGraph Path(int cells)
    {
        int[] start = new int[cells + 1], columns = [.. Enumerable.Range(0, cells).SelectMany(i => i == 0 ? [1] : i == cells - 1 ? [i - 1] : new[] { i - 1, i + 1 })];
        for (int i = 0; i < cells; i++) start[i + 1] = start[i] + (i == 0 || i == cells - 1 ? 1 : 2);
        return new CellGraph(start, columns, [.. columns.Select(_ => 1f)]);
    }

    private static void Same(SplineTrend expected, SplineTrend found)
    {
        Assert.Equal(expected.Count, found.Count);
        Assert.Equal(expected.EffectiveDegrees, found.EffectiveDegrees);
        foreach (double x in new[] { -3, 4.5, 11, 40 }) Assert.Equal(expected.Predict(x), found.Predict(x));
    }
}
