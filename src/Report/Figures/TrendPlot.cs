using BioSup.Report.Drawing;
using BioSup.Runtime;
using ScottPlot;
using SkiaSharp;

namespace BioSup.Report.Figures;

/// <summary>Points and the smooth curve through them with its confidence band.</summary>
/// <param name="Name">Name in the legend.</param>
/// <param name="X">Horizontal coordinate of every point.</param>
/// <param name="Y">Vertical coordinate of every point.</param>
public sealed record Trend(string Name, double[] X, double[] Y)
{
    /// <summary>Where the curve is known, ascending; empty for points alone.</summary>
    public double[] CurveX { get; init; } = [];

    /// <summary>The curve, as long as <see cref="CurveX"/>.</summary>
    public double[] Curve { get; init; } = [];

    /// <summary>Lower end of the band; empty for none.</summary>
    public double[] Lower { get; init; } = [];

    /// <summary>Upper end of the band; empty for none.</summary>
    public double[] Upper { get; init; } = [];

    /// <summary>Its colour as 0xRRGGBB; null takes the palette's by its place.</summary>
    public uint? Color { get; init; }
}

/// <summary>Smooth trends over the points they were fitted to. The vertical axis follows the curves and all but the outermost points; those beyond stand at its edge as open rings.</summary>
public sealed class TrendPlot : ChartFigure
{
    public IReadOnlyList<Trend> Trends { get; init; } = [];

    /// <summary>Percentiles of the points that the vertical axis shows, 0 to 100.</summary>
    public (double Low, double High) View { get; init; } = (0, 100);

    /// <summary>A line of text in the plot, such as the explained variance; empty for none.</summary>
    public string Note { get; init; } = "";

    protected override string DefaultDescription => $"Trend of {YLabel} along {XLabel}";

    private protected override void Compose(Plot plot)
    {
        List<double> x = [], y = [];
        foreach (Trend trend in Trends)
        {
            if (trend.X.Length != trend.Y.Length) throw new ArgumentException($"Trend '{trend.Name}' has {trend.X.Length} x values and {trend.Y.Length} y values.");
            if (trend.Curve.Length != trend.CurveX.Length) throw new ArgumentException($"The curve of '{trend.Name}' has {trend.CurveX.Length} x values and {trend.Curve.Length} y values.");
            if (trend.Lower.Length != trend.Upper.Length || (trend.Lower.Length > 0 && trend.Lower.Length != trend.Curve.Length)) throw new ArgumentException($"The band of '{trend.Name}' is not as long as its curve.");
            x.AddRange(trend.X);
            x.AddRange(trend.CurveX);
            double[] sorted = [.. trend.Y.Where(double.IsFinite).Order()];
            if (sorted.Length > 0) y.AddRange([Percentiles.OfSorted(sorted, View.Low), Percentiles.OfSorted(sorted, View.High)]);
            y.AddRange([.. trend.Curve, .. trend.Lower, .. trend.Upper]);
        }
        (double x0, double x1) = Range(x, 0.02);
        (double y0, double y1) = Range(y, 0.05);
        plot.Axes.SetLimits(x0, x1, y0, y1 + (Note.Length > 0 ? (y1 - y0) * 0.12 : 0));
        SetTicks(plot.Axes.Bottom, AxisTicks.Linear(x0, x1, TargetTicksX));
        SetTicks(plot.Axes.Left, AxisTicks.Linear(y0, y1, TargetTicksY));
        if (Trends.Count > 1) plot.Axes.Right.MinimumSize = Legend(Height - 70).Width + 22;
    }

    private protected override void Annotate(Brush brush, Plot plot, PixelRect data)
    {
        SKRect area = data.ToSKRect();
        float X(double v) => plot.Axes.Bottom.GetPixel(v, data);
        float Y(double v) => plot.Axes.Left.GetPixel(v, data);
        AxisLimits limits = plot.Axes.GetLimits();
        DrawPoints(brush, area, limits, X, Y);
        for (int t = 0; t < Trends.Count; t++)
        {
            Trend trend = Trends[t];
            SKColor color = ColorOf(t);
            foreach ((int from, int to) in Runs(trend))
            {
                if (trend.Lower.Length > 0)
                    brush.Polygon([.. Enumerable.Range(from, to - from).Select(i => new SKPoint(X(trend.CurveX[i]), Y(trend.Upper[i]))), .. Enumerable.Range(from, to - from).Reverse().Select(i => new SKPoint(X(trend.CurveX[i]), Y(trend.Lower[i])))], color.WithAlpha(70));
                SKPoint[] curve = [.. Enumerable.Range(from, to - from).Select(i => new SKPoint(X(trend.CurveX[i]), Y(trend.Curve[i])))];
                brush.Curve(curve, Ink.Paper, 4.5f);
                brush.Curve(curve, color, 2.4f);
            }
        }
        if (Note.Length > 0) brush.Note(Brush.Fit(Note, data.Width - 12, Ink.TickSize), data.Left + 8, data.Top + 15, Ink.TickSize, Ink.Text, TextAlign.Left);
        if (Trends.Count > 1) Legend(area.Height).Draw(brush, area.Right + 12, area.Top);
    }

    private void DrawPoints(Brush brush, SKRect area, AxisLimits limits, Func<double, float> x, Func<double, float> y)
    {
        List<SKPoint> points = [];
        List<SKColor> colors = [];
        for (int t = 0; t < Trends.Count; t++)
        {
            SKColor color = ColorOf(t);
            for (int i = 0; i < Trends[t].X.Length; i++)
            {
                double px = Trends[t].X[i], py = Trends[t].Y[i];
                if (!double.IsFinite(px) || !double.IsFinite(py)) continue;
                if (py < limits.Bottom || py > limits.Top)
                {
                    brush.Ring(x(px), y(py) < area.Top ? area.Top + 3 : area.Bottom - 3, 2.2f, color, 0.9f);
                    continue;
                }
                points.Add(new SKPoint(x(px), y(py)));
                colors.Add(color);
            }
        }
        int[] order = [.. Enumerable.Range(0, points.Count)];
        CounterRandom random = new(seed: 0, stream: 3);
        random.Shuffle<int>(order);
        float radius = (float)Math.Clamp(90 / Math.Sqrt(Math.Max(1, order.Length)), 1.6, 5) / 2;
        PointLayer.Draw(brush, area, [.. points], [.. colors], order, radius, (byte)(PointLayer.AlphaFor(area, points.ToArray(), radius) * 0.6));
    }

    /// <summary>Stretches of a curve on which it, and its band, are finite.</summary>
    private static IEnumerable<(int From, int To)> Runs(Trend trend)
    {
        int from = 0;
        for (int i = 0; i <= trend.Curve.Length; i++)
        {
            if (i < trend.Curve.Length && double.IsFinite(trend.CurveX[i]) && double.IsFinite(trend.Curve[i]) && (trend.Lower.Length == 0 || (double.IsFinite(trend.Lower[i]) && double.IsFinite(trend.Upper[i])))) continue;
            if (i > from) yield return (from, i);
            from = i + 1;
        }
    }

    private SwatchLegend Legend(float height) => new([.. Trends.Select((t, i) => new Swatch(t.Name, ColorOf(i), SwatchKind.Line))], Width * 0.32f, height);

    private SKColor ColorOf(int trend) => Trends[trend].Color is uint rgb ? Palette.OfRgb(rgb) : Palette.Category(trend);
}
