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
/// Points in the plane, coloured by category or by value: a 2-D map of cells, or one quantity against another. Any number of points can be drawn: many become a picture
/// at print resolution, more transparent where they crowd. Points are drawn in a shuffled (seeded) order, so that no class hides another merely by coming last.
/// </summary>
public sealed partial class ScatterMap : ChartFigure
{
    /// <summary>Above this many points an SVG holds them as a picture; below, as circles.</summary>
    public const int RasterFrom = PointLayer.RasterFrom;

    private const float BarWidth = 12;
    private const float BarRoom = 74;

    public double[] X { get; init; } = [];

    public double[] Y { get; init; } = [];

    /// <summary>The category of every point; null when coloured by value or not at all.</summary>
    public string[]? Categories { get; init; }

    /// <summary>Order of the categories, hence their colours; null sorts them by name.</summary>
    public string[]? CategoryOrder { get; init; }

    /// <summary>The category that is context for the others: drawn grey and below them; null for none.</summary>
    public string? ContextCategory { get; init; }

    /// <summary>Colours of categories as 0xRRGGBB, where the palette's are not wanted.</summary>
    public IReadOnlyDictionary<string, uint>? CategoryColors { get; init; }

    /// <summary>Writes the name of every category over the median of its points: with many categories colours alone cannot tell them apart.</summary>
    public bool NamesOnMap { get; init; }

    /// <summary>The value of every point, NaN drawn grey and below the others; null when coloured by category or not at all.</summary>
    public double[]? Values { get; init; }

    /// <summary>What the colour bar shows, with its unit.</summary>
    public string ValueLabel { get; init; } = "";

    /// <summary>What points without a value are, for the legend; null leaves them out of it.</summary>
    public string? MissingLabel { get; init; }

    public ColorScale Scale { get; init; } = ColorScale.Viridis;

    /// <summary>Percentiles of the values at which the colours end, 0 to 100; the colour bar says so. Null spans all values.</summary>
    public (double Low, double High)? ClipPercentiles { get; init; }

    /// <summary>Colours follow the value's place between the ends to this power; 1 is linear.</summary>
    public double Gamma { get; init; } = 1;

    /// <summary>Draws low values first, so that rare high ones stay visible; off shuffles.</summary>
    public bool HighOnTop { get; init; }

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

    /// <summary>Names of single points. One for which there is no room is left out, later ones first.</summary>
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
        if (Values is not null) plot.Axes.Right.MinimumSize = BarRoom + (ValueLabel.Length > 0 ? 16 : 0);
        else if (Categories is not null) plot.Axes.Right.MinimumSize = Legend(CategoryNames(), Height - 70).Width + 22;
    }

    private protected override void Annotate(Brush brush, Plot plot, PixelRect data)
    {
        SKRect area = data.ToSKRect();
        SKPoint[] points = new SKPoint[X.Length];
        for (int i = 0; i < points.Length; i++) points[i] = new SKPoint(plot.Axes.Bottom.GetPixel(X[i], data), plot.Axes.Left.GetPixel(Y[i], data));
        if (Diagonal) DrawDiagonal(brush, plot, data);
        string[] names = CategoryNames();
        ValueColors? values = Values is null ? null : new ValueColors(this);
        byte alpha = HighOnTop && Values is not null ? (byte)235 : PointLayer.AlphaFor(area, points, Radius);
        PointLayer.Draw(brush, area, points, Colors(names, values), Order(), Radius, alpha);
        foreach (double line in VerticalLines)
        {
            float x = plot.Axes.Bottom.GetPixel(line, data);
            if (x >= data.Left && x <= data.Right) brush.DashedLine(x, data.Top, x, data.Bottom, Ink.Axis);
        }
        if (NamesOnMap) WriteNames(brush, area, points, names);
        if (Labels.Count > 0)
        {
            LabelPlacer placer = new(area, points, Radius);
            foreach (PointLabel label in Labels) placer.Write(brush, label.Text, points[label.Point], Radius);
        }
        if (values is not null) values.DrawBar(brush, area);
        else if (Categories is not null) Legend(names, area.Height).Draw(brush, area.Right + 12, area.Top);
    }

    private void DrawDiagonal(Brush brush, Plot plot, PixelRect data)
    {
        AxisLimits limits = plot.Axes.GetLimits();
        double low = Math.Max(limits.Left, limits.Bottom), high = Math.Min(limits.Right, limits.Top);
        brush.DashedLine(plot.Axes.Bottom.GetPixel(low, data), plot.Axes.Left.GetPixel(low, data), plot.Axes.Bottom.GetPixel(high, data), plot.Axes.Left.GetPixel(high, data), Ink.Axis);
    }

    private SwatchLegend Legend(string[] names, float height) => new([.. names.Select((n, i) => new Swatch(n, ColorOf(n, i)))], Width * 0.36f, height);

    private string[] CategoryNames()
    {
        if (Categories is null) return [];
        // Numbered clusters by number, so that 10 follows 9.
        string[] present = [.. Categories.Distinct().OrderBy(c => int.TryParse(c, out int number) ? number : int.MaxValue).ThenBy(c => c, StringComparer.Ordinal)];
        if (CategoryOrder is null) return present;
        return [.. CategoryOrder, .. present.Except(CategoryOrder)];
    }

    private SKColor[] Colors(string[] names, ValueColors? values)
    {
        SKColor[] result = new SKColor[X.Length];
        if (values is not null)
            for (int i = 0; i < result.Length; i++) result[i] = values.Of(Values![i]);
        else if (Categories is not null)
        {
            Dictionary<string, SKColor> colors = [];
            for (int i = 0; i < names.Length; i++) colors.TryAdd(names[i], ColorOf(names[i], i));
            for (int i = 0; i < result.Length; i++) result[i] = colors[Categories[i]];
        }
        else Array.Fill(result, Palette.Category(0));
        return result;
    }

    private SKColor ColorOf(string category, int index) => Palette.Category(category, index, ContextCategory, CategoryColors);

    private float Radius => (float)(PointSize ?? (X.Length <= 20_000 ? Math.Clamp(110 / Math.Sqrt(Math.Max(1, X.Length)), 2.2, 7) : Math.Max(1.1, 2.2 * Math.Pow(20_000.0 / X.Length, 0.25)))) / 2;

    /// <summary>Context and missing values first; then at random, or by value.</summary>
    private int[] Order()
    {
        int[] order = new int[X.Length];
        for (int i = 0; i < order.Length; i++) order[i] = i;
        if (Categories is null && Values is null) return order;
        CounterRandom random = new(seed: 0, stream: 1);
        random.Shuffle<int>(order);
        int[] below = [.. order.Where(IsContext)], above = [.. order.Where(i => !IsContext(i))];
        if (HighOnTop && Values is not null) above = [.. above.OrderBy(i => Values[i])];
        return [.. below, .. above];
    }

    private bool IsContext(int point) => Values is not null ? !double.IsFinite(Values[point]) : ContextCategory is not null && Categories![point] == ContextCategory;
}
