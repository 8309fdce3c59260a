using BioSup.Analysis.SingleCell;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.SingleCell.Trajectory;

/// <summary>Smooth trends against a dense transcription of pyGAM, mgcv with the same penalty, and lines whose answer is known.</summary>
public sealed class SplineTrendTests
{
    [Theory]
    [InlineData(300, 5, 0.6)]
    [InlineData(40, 10, 25)]
    [InlineData(8, 10, 0.6)]
    public void The_line_its_band_and_its_degrees_are_those_of_a_dense_transcription_of_pygam(int points, int splines, double penalty)
    {
        string? python = Python.Find("import scipy.interpolate", out string reason);
        Assert.SkipWhen(python is null, reason);
        (double[] x, double[] y) = Points(points);
        SplineTrend trend = SplineTrend.Fit(x, y, splines, penalty);
        double[][] lines = PointsFile.Run(x.Select((v, i) => new[] { v, y[i] }), file => Python.Run(python!, PointsFile.Script("spline_trend.py"), file, PointsFile.Text(splines), PointsFile.Text(penalty)));
        Assert.Equal(lines[0][0], trend.EffectiveDegrees, 1e-9);
        Assert.Equal(lines[0][1], trend.ResidualVariance, 1e-9);
        if (lines[0][0] < points - 1) Assert.Equal(lines[0][2], trend.AdjustedRSquared, 1e-9);
        TrendLine line = trend.Line();
        for (int i = 0; i < 200; i++)
        {
            Assert.Equal(lines[1 + i][0], line.X[i], 1e-12);
            Assert.Equal(lines[1 + i][1], line.Fit[i], 1e-8);
            Assert.Equal(lines[1 + i][2], line.Lower[i], 1e-8);
            Assert.Equal(lines[1 + i][3], line.Upper[i], 1e-8);
        }
        for (int i = 201; i < 205; i++) Assert.Equal(lines[i][1], trend.Predict(lines[i][0]), 1e-8);
    }

    [Fact]
    public void Mgcv_finds_the_same_line_with_the_same_penalty()
    {
        Assert.SkipUnless(R.Has(out string reason, "mgcv"), reason);
        (double[] x, double[] y) = Points(250);
        SplineTrend trend = SplineTrend.Fit(x, y, 9);
        double[][] lines = PointsFile.Run(x.Select((v, i) => new[] { v, y[i] }), file => R.Run(PointsFile.Script("spline_trend.R"), file, "9", "0.6"));
        Assert.Equal(lines[0][0], trend.EffectiveDegrees, 1e-6);
        Assert.Equal(lines[0][1], trend.ResidualVariance, 1e-6);
        TrendLine line = trend.Line(20);
        for (int i = 0; i < 20; i++)
        {
            Assert.Equal(lines[1 + i][0], line.Fit[i], 1e-6);
            Assert.Equal(lines[1 + i][1], trend.StandardError(line.X[i]), 1e-6);
        }
    }

    [Fact]
    public void A_straight_line_is_not_bent_and_has_two_degrees_under_a_heavy_penalty()
    {
        double[] x = [.. Enumerable.Range(0, 60).Select(i => i / 7.0)], y = [.. x.Select((v, i) => 3 - 2 * v + (i % 2 == 0 ? 1e-3 : -1e-3))];
        SplineTrend trend = SplineTrend.Fit(x, y, 12, 1e6);
        Assert.Equal(2, trend.EffectiveDegrees, 1e-3);
        Assert.Equal(3 - 2 * 4.0, trend.Predict(4), 1e-3);
        Assert.Equal(3 - 2 * 20.0, trend.Predict(20), 2e-2);
        Assert.InRange(trend.AdjustedRSquared, 0.99999, 1);
    }

    [Fact]
    public void A_constant_has_no_share_of_explained_variance()
    {
        SplineTrend trend = SplineTrend.Fit([0, 1, 2, 3, 4, 5], [2, 2, 2, 2, 2, 2], 4);
        Assert.Equal(2, trend.Predict(2.5), 1e-7);
        Assert.True(double.IsNaN(trend.AdjustedRSquared));
    }

    [Fact]
    public void What_cannot_be_is_refused_in_a_sentence()
    {
        Assert.Contains("at least 5 points", Assert.Throws<UsageException>(() => SplineTrend.Fit([1, 2, 3, 4], [1, 2, 3, 4])).Message);
        Assert.Contains("lie at 1", Assert.Throws<UsageException>(() => SplineTrend.Fit([1, 1, 1, 1, 1], [1, 2, 3, 4, 5])).Message);
        Assert.Contains("Point 2", Assert.Throws<UsageException>(() => SplineTrend.Fit([1, 2, double.PositiveInfinity, 4, 5], [1, 2, 3, 4, 5])).Message);
        Assert.Contains("at least 4", Assert.Throws<UsageException>(() => SplineTrend.Fit([1, 2, 3, 4, 5], [1, 2, 3, 4, 5], 3)).Message);
        Assert.Contains("penalty", Assert.Throws<UsageException>(() => SplineTrend.Fit([1, 2, 3, 4, 5], [1, 2, 3, 4, 5], 5, -1)).Message);
    }

    private static (double[] X, double[] Y) Points(int count)
    {
        CounterRandom random = new(3);
        double[] x = [.. Enumerable.Range(0, count).Select(_ => 2 + 5 * random.NextDouble())];
        return (x, [.. x.Select(v => Math.Sin(v) + 0.3 * random.NextNormal())]);
    }
}
