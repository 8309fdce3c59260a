using BioSup.Report.Drawing;
using ScottPlot;

namespace BioSup.Report.Figures;

/// <summary>One curve. Points with a coordinate that is not finite (or not positive on a log axis) interrupt it.</summary>
/// <param name="Name">Name in the legend.</param>
/// <param name="X">Horizontal coordinates, in drawing order.</param>
/// <param name="Y">Vertical coordinates, as many as <paramref name="X"/>.</param>
public sealed record LineSeries(string Name, double[] X, double[] Y)
{
    /// <summary>Dashed, for baselines and comparisons.</summary>
    public bool Dashed { get; init; }

    /// <summary>Marks every point.</summary>
    public bool Markers { get; init; }

    /// <summary>Half width of an error bar per point (for example a standard deviation); null for none. Ignored on a logarithmic vertical axis.</summary>
    public double[]? Error { get; init; }

    /// <summary>Index into <see cref="Palette"/>; by default the position of the series in its chart.</summary>
    public int? ColorIndex { get; init; }

    /// <summary>Its colour as 0xRRGGBB; null takes the palette's.</summary>
    public uint? Color { get; init; }
}

/// <summary>A horizontal or vertical line at a value that matters, with its name.</summary>
public sealed record ReferenceLine(double Value, string Label);

/// <summary>Curves over a common axis.</summary>
public sealed class LineChart : ChartFigure
{
    // Shorter than ScottPlot's dashes, so that a legend entry shows more than one.
    private static readonly LinePattern s_dashes = new([5, 3.5f], 0, "dashes");

    public IReadOnlyList<LineSeries> Series { get; init; } = [];

    public bool LogX { get; init; }

    public bool LogY { get; init; }

    /// <summary>Fixes the lower end of the vertical axis (in data units); null lets the data decide.</summary>
    public double? YMin { get; init; }

    /// <summary>Fixes the upper end of the vertical axis (in data units); null lets the data decide.</summary>
    public double? YMax { get; init; }

    /// <summary>A horizontal line at a value that matters.</summary>
    public ReferenceLine? Reference { get; init; }

    /// <summary>Names several series beside the chart; off where a figure around it does.</summary>
    public bool Legend { get; init; } = true;

    protected override string DefaultDescription => $"Line chart of {YLabel} against {XLabel}";

    private protected override void Compose(Plot plot)
    {
        List<LegendItem> legend = [];
        List<double> allX = [], allY = [];
        for (int i = 0; i < Series.Count; i++)
        {
            LineSeries series = Series[i];
            if (series.X.Length != series.Y.Length) throw new ArgumentException($"Series '{series.Name}' has {series.X.Length} x values and {series.Y.Length} y values.");
            Color color = ToPlot(series.Color is uint rgb ? Palette.OfRgb(rgb) : Palette.Category(series.ColorIndex ?? i));
            foreach ((double[] x, double[] y, double[]? e) in Segments(series)) AddSegment(plot, series, color, x, y, e, allX, allY);
            legend.Add(new LegendItem
            {
                LabelText = series.Name,
                LineColor = color,
                LineWidth = 2,
                LinePattern = series.Dashed ? s_dashes : LinePattern.Solid,
            });
        }
        if (Reference is ReferenceLine reference && Scale(reference.Value, LogY) is double level && double.IsFinite(level)) allY.Add(level);
        SetAxes(plot, allX, allY);
        if (Legend && Series.Count > 1) ShowLegend(plot, legend);
    }

    private protected override void Annotate(Brush brush, Plot plot, PixelRect data)
    {
        if (Reference is not ReferenceLine reference) return;
        float y = plot.Axes.Left.GetPixel(Scale(reference.Value, LogY), data);
        if (!(y >= data.Top && y <= data.Bottom)) return;
        brush.DashedLine(data.Left, y, data.Right, y, Ink.Muted);
        string label = Brush.Fit(reference.Label, data.Width - 8, Ink.TickSize);
        (float x, float middle) = EmptiestPlace(plot, data, y, Brush.Measure(label, Ink.TickSize));
        brush.Note(label, x, middle, Ink.TickSize, Ink.Muted, TextAlign.Left);
    }

    // Above or below the line, at its right, middle or left: where the label covers the fewest points of the curves.
    private (float X, float Middle) EmptiestPlace(Plot plot, PixelRect data, float y, float width)
    {
        (float X, float Middle) best = default;
        int fewest = int.MaxValue;
        foreach (float middle in new[] { y - 9, y + 10 })
        {
            if (middle - 7 < data.Top || middle + 7 > data.Bottom) continue;
            foreach (float x in new[] { data.Right - 4 - width, data.HorizontalCenter - width / 2, data.Left + 6 })
            {
                int covered = Series.Sum(s => CountInside(plot, data, s, x - 3, x + width + 3, middle - 8, middle + 8));
                if (covered < fewest) (fewest, best) = (covered, (x, middle));
            }
        }
        return fewest < int.MaxValue ? best : (data.Left + 6, y);
    }

    private int CountInside(Plot plot, PixelRect data, LineSeries series, float left, float right, float top, float bottom)
    {
        int inside = 0;
        for (int i = 0; i < series.X.Length; i++)
        {
            float x = plot.Axes.Bottom.GetPixel(Scale(series.X[i], LogX), data), y = plot.Axes.Left.GetPixel(Scale(series.Y[i], LogY), data);
            if (x >= left && x <= right && y >= top && y <= bottom) inside++;
        }
        return inside;
    }

    private void AddSegment(Plot plot, LineSeries series, Color color, double[] x, double[] y, double[]? error, List<double> allX, List<double> allY)
    {
        ScottPlot.Plottables.Scatter line = plot.Add.Scatter(x, y, color);
        line.LineWidth = 2;
        line.LinePattern = series.Dashed ? s_dashes : LinePattern.Solid;
        line.MarkerSize = series.Markers || x.Length == 1 ? 6 : 0;
        allX.AddRange(x);
        allY.AddRange(y);
        if (error is null || LogY) return;
        ScottPlot.Plottables.ErrorBar bars = plot.Add.ErrorBar(x, y, error);
        bars.Color = color;
        allY.AddRange(y.Select((v, j) => v - error[j]));
        allY.AddRange(y.Select((v, j) => v + error[j]));
    }

    private void SetAxes(Plot plot, List<double> allX, List<double> allY)
    {
        (double x0, double x1) = Range(allX, 0.02);
        (double y0, double y1) = Range(allY, 0.06);
        if (!LogY && allY.Count > 0 && allY.Min() >= 0 && y0 < 0) y0 = 0;
        if (YMin is double low) y0 = Scale(low, LogY);
        if (YMax is double high) y1 = Scale(high, LogY);
        plot.Axes.SetLimits(x0, x1, y0, y1);
        SetTicks(plot.Axes.Bottom, LogX ? AxisTicks.Log(x0, x1, TargetTicksX) : AxisTicks.Linear(x0, x1, TargetTicksX));
        SetTicks(plot.Axes.Left, LogY ? AxisTicks.Log(y0, y1, TargetTicksY) : AxisTicks.Linear(y0, y1, TargetTicksY));
    }

    private IEnumerable<(double[] X, double[] Y, double[]? Error)> Segments(LineSeries series)
    {
        List<int> run = [];
        for (int i = 0; i <= series.X.Length; i++)
        {
            if (i < series.X.Length && double.IsFinite(Scale(series.X[i], LogX)) && double.IsFinite(Scale(series.Y[i], LogY)))
            {
                run.Add(i);
                continue;
            }
            if (run.Count == 0) continue;
            yield return ([.. run.Select(j => Scale(series.X[j], LogX))], [.. run.Select(j => Scale(series.Y[j], LogY))],
                series.Error is null ? null : [.. run.Select(j => double.IsFinite(series.Error[j]) ? series.Error[j] : 0)]);
            run.Clear();
        }
    }

    private static double Scale(double value, bool log) => !log ? value : value > 0 ? Math.Log10(value) : double.NaN;
}
