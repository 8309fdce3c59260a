using BioSup.Report.Drawing;
using BioSup.Runtime;
using ScottPlot;
using SkiaSharp;

namespace BioSup.Report.Figures;

/// <summary>A point and what is written beside it.</summary>
/// <param name="Point">Index of the point.</param>
/// <param name="Text">A few characters.</param>
public sealed record PointLabel(int Point, string Text);

/// <summary>
/// Points in the plane, coloured by category or by value: a 2-D map of cells, or one quantity against another.
/// Points are drawn in a shuffled (seeded) order, so that no class hides another merely by coming last.
/// </summary>
public sealed class ScatterMap : ChartFigure
{
    /// <summary>Above this many points an SVG holds them as a picture; below, as circles.</summary>
    public const int RasterFrom = 1500;

    private const float BarWidth = 12;
    private const float BarRoom = 74;

    public double[] X { get; init; } = [];

    public double[] Y { get; init; } = [];

    /// <summary>The category of every point; null when coloured by value or not at all.</summary>
    public string[]? Categories { get; init; }

    /// <summary>Order of the categories, hence their colours; null sorts them by name.</summary>
    public string[]? CategoryOrder { get; init; }

    /// <summary>The category that is context for the others: drawn grey; null for none.</summary>
    public string? ContextCategory { get; init; }

    /// <summary>The value of every point, NaN drawn grey; null when coloured by category or not at all.</summary>
    public double[]? Values { get; init; }

    /// <summary>What the colour bar shows, with its unit.</summary>
    public string ValueLabel { get; init; } = "";

    public ColorScale Scale { get; init; } = ColorScale.Viridis;

    /// <summary>Numbers on the axes. Off for embeddings, whose coordinates mean nothing.</summary>
    public bool ShowTicks { get; init; }

    /// <summary>One unit is as long on both axes, as an embedding needs; off for one quantity against another.</summary>
    public bool EqualAspect { get; init; } = true;

    /// <summary>Diameter of a point in pixels; null chooses by the number of points.</summary>
    public double? PointSize { get; init; }

    /// <summary>Draws the line y = x, for observed against expected.</summary>
    public bool Diagonal { get; init; }

    /// <summary>Dashed lines across the map, such as the bounds of a selection.</summary>
    public IReadOnlyList<double> VerticalLines { get; init; } = [];

    /// <summary>Names of single points. A name that would cover another is left out, later ones first.</summary>
    public IReadOnlyList<PointLabel> Labels { get; init; } = [];

    protected override string DefaultDescription => $"Scatter plot of {YLabel} against {XLabel}";

    private protected override void Compose(Plot plot)
    {
        if (X.Length != Y.Length) throw new ArgumentException($"There are {X.Length} x values and {Y.Length} y values.");
        if (Categories is not null && Categories.Length != X.Length) throw new ArgumentException($"There are {Categories.Length} categories for {X.Length} points.");
        if (Values is not null && Values.Length != X.Length) throw new ArgumentException($"There are {Values.Length} values for {X.Length} points.");
        (double x0, double x1) = Range(X, 0.04);
        (double y0, double y1) = Range(Y, 0.04);
        if (Diagonal) (x0, y0, x1, y1) = (Math.Min(x0, y0), Math.Min(x0, y0), Math.Max(x1, y1), Math.Max(x1, y1));
        if (EqualAspect) plot.Axes.Rules.Add(new ScottPlot.AxisRules.SquareZoomOut(plot.Axes.Bottom, plot.Axes.Left));
        plot.Axes.SetLimits(x0, x1, y0, y1);
        // With equal units one axis ends up longer than its data: ticks go on beyond them.
        double beyond = EqualAspect ? 1 : 0;
        SetTicks(plot.Axes.Bottom, ShowTicks ? AxisTicks.Linear(x0 - beyond * (x1 - x0), x1 + beyond * (x1 - x0), TargetTicksX * (EqualAspect ? 2 : 1)) : []);
        SetTicks(plot.Axes.Left, ShowTicks ? AxisTicks.Linear(y0 - beyond * (y1 - y0), y1 + beyond * (y1 - y0), TargetTicksY * (EqualAspect ? 2 : 1)) : []);
        if (!ShowTicks) plot.HideGrid();
        string[] names = CategoryNames();
        plot.Add.Plottable(new Points(this, Colors(names)));
        if (Values is not null) plot.Axes.Right.MinimumSize = BarRoom + (ValueLabel.Length > 0 ? 16 : 0);
        else if (names.Length > 0) ShowLegend(plot, names.Select((n, i) => new LegendItem { LabelText = n, MarkerShape = MarkerShape.FilledCircle, MarkerSize = 9, MarkerFillColor = ToPlot(ColorOf(n, i)), MarkerLineWidth = 0 }));
    }

    private protected override void Annotate(Brush brush, Plot plot, PixelRect data)
    {
        foreach (double line in VerticalLines)
        {
            float x = plot.Axes.Bottom.GetPixel(line, data);
            if (x >= data.Left && x <= data.Right) brush.DashedLine(x, data.Top, x, data.Bottom, Ink.Axis);
        }
        DrawLabels(brush, plot, data);
        if (Values is null) return;
        (double low, double high) = ValueRange();
        ColorBar.Draw(brush, SKRect.Create(data.Right + 14, data.Top, BarWidth, Math.Min(data.Height, 220)), Scale, low, high, ValueLabel);
    }

    /// <summary>Writes each label beside its point, where neither another point nor an earlier label lies; one without such a place is left out.</summary>
    private void DrawLabels(Brush brush, Plot plot, PixelRect data)
    {
        const float Height = Ink.TickSize + 2;
        if (Labels.Count == 0) return;
        SKPoint[] points = [.. X.Select((x, i) => new SKPoint(plot.Axes.Bottom.GetPixel(x, data), plot.Axes.Left.GetPixel(Y[i], data)))];
        SKRect area = new(data.Left, data.Top, data.Right, data.Bottom);
        List<SKRect> taken = [];
        foreach (PointLabel label in Labels)
        {
            float x = points[label.Point].X, y = points[label.Point].Y, width = Brush.Measure(label.Text, Ink.TickSize), away = Radius + 3;
            ReadOnlySpan<SKPoint> corners = [new(x + away, y - Height / 2), new(x - away - width, y - Height / 2), new(x - width / 2, y - away - Height), new(x - width / 2, y + away)];
            foreach (SKPoint corner in corners)
            {
                SKRect place = SKRect.Create(corner, new SKSize(width, Height)), room = SKRect.Inflate(place, Radius, Radius - 1);
                if (!area.Contains(place) || taken.Any(place.IntersectsWith) || points.Where((_, i) => i != label.Point).Any(room.Contains)) continue;
                taken.Add(place);
                brush.Text(label.Text, place.Left, place.MidY, Ink.TickSize, Ink.Text);
                break;
            }
        }
    }

    private string[] CategoryNames()
    {
        if (Categories is null) return [];
        string[] present = [.. Categories.Distinct().Order(StringComparer.Ordinal)];
        if (CategoryOrder is null) return present;
        return [.. CategoryOrder, .. present.Except(CategoryOrder)];
    }

    private SKColor[] Colors(string[] names)
    {
        if (Categories is not null)
        {
            Dictionary<string, SKColor> colors = [];
            for (int i = 0; i < names.Length; i++) colors.TryAdd(names[i], ColorOf(names[i], i));
            return [.. Categories.Select(c => colors[c])];
        }
        if (Values is null) return [.. X.Select(_ => Palette.Category(0))];
        (double low, double high) = ValueRange();
        return [.. Values.Select(v => double.IsFinite(v) ? ColorScales.At(Scale, high > low ? (v - low) / (high - low) : 0.5) : Ink.Missing)];
    }

    private SKColor ColorOf(string category, int index) => category == ContextCategory ? Ink.Axis : Palette.Category(index);

    private (double Low, double High) ValueRange()
    {
        double[] finite = [.. Values!.Where(double.IsFinite)];
        return finite.Length == 0 ? (0, 1) : (finite.Min(), finite.Max());
    }

    private float Radius => (float)(PointSize ?? Math.Clamp(110 / Math.Sqrt(Math.Max(1, X.Length)), 2.2, 7)) / 2;

    /// <summary>The points as one plottable: circles in vector output while they are few, one picture otherwise.</summary>
    private sealed class Points(ScatterMap map, SKColor[] colors) : IPlottable
    {
        public bool IsVisible { get; set; } = true;

        public IAxes Axes { get; set; } = new Axes();

        public IEnumerable<LegendItem> LegendItems => [];

        public AxisLimits GetAxisLimits() => AxisLimits.NoLimits;

        public void Render(RenderPack rp)
        {
            if (map.Diagonal) DrawDiagonal(rp);
            if (map.X.Length <= RasterFrom)
            {
                DrawAll(rp.Canvas, 0, 0);
                return;
            }
            const int Scale = 2;
            PixelRect area = rp.DataRect;
            using SKSurface surface = SKSurface.Create(new SKImageInfo((int)(area.Width * Scale), (int)(area.Height * Scale), SKColorType.Rgba8888, SKAlphaType.Premul));
            surface.Canvas.Scale(Scale);
            DrawAll(surface.Canvas, area.Left, area.Top);
            using SKImage image = surface.Snapshot();
            rp.Canvas.DrawImage(image, area.ToSKRect(), new SKSamplingOptions(SKFilterMode.Linear, SKMipmapMode.Linear));
        }

        private void DrawDiagonal(RenderPack rp)
        {
            AxisLimits limits = rp.Plot.Axes.GetLimits();
            double low = Math.Max(limits.Left, limits.Bottom), high = Math.Min(limits.Right, limits.Top);
            new Brush(rp.Canvas).DashedLine(Axes.GetPixelX(low), Axes.GetPixelY(low), Axes.GetPixelX(high), Axes.GetPixelY(high), Ink.Axis);
        }

        private void DrawAll(SKCanvas canvas, float left, float top)
        {
            using SKPaint paint = new() { IsAntialias = true };
            byte alpha = map.X.Length > 400 ? (byte)190 : (byte)225;
            foreach (int i in Order())
            {
                if (!double.IsFinite(map.X[i]) || !double.IsFinite(map.Y[i])) continue;
                paint.Color = colors[i].WithAlpha(alpha);
                canvas.DrawCircle(Axes.GetPixelX(map.X[i]) - left, Axes.GetPixelY(map.Y[i]) - top, map.Radius, paint);
            }
        }

        private int[] Order()
        {
            int[] order = [.. Enumerable.Range(0, map.X.Length)];
            if (map.Categories is null) return order;
            CounterRandom random = new(seed: 0, stream: 1);
            random.Shuffle<int>(order);
            return order;
        }
    }
}
