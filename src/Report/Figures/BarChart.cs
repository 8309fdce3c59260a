using BioSup.Report.Drawing;
using ScottPlot;
using SkiaSharp;

namespace BioSup.Report.Figures;

/// <summary>One group of bars: a value per category, NaN for none, and optionally half widths of error bars.</summary>
public sealed record BarSeries(string Name, double[] Values, double[]? Errors = null);

/// <summary>Grouped bars over named categories. With long names, <see cref="Horizontal"/> keeps them readable.</summary>
public sealed class BarChart : ChartFigure
{
    public IReadOnlyList<string> Categories { get; init; } = [];

    public IReadOnlyList<BarSeries> Series { get; init; } = [];

    /// <summary>Categories down the side, values to the right; the first category is on top.</summary>
    public bool Horizontal { get; init; }

    /// <summary>A line across the bars at a value that matters, e.g. chance level.</summary>
    public ReferenceLine? Reference { get; init; }

    /// <summary>A text after the end of each lying bar of a single series; empty for none.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>Fixes the lower end of the value axis. Bars start at zero whenever it is in view.</summary>
    public double? Min { get; init; }

    /// <summary>Fixes the upper end of the value axis.</summary>
    public double? Max { get; init; }

    protected override string DefaultDescription => $"Bar chart of {(Horizontal ? XLabel : YLabel)}";

    /// <summary>The height follows the number of categories when bars lie, so that no name is lost.</summary>
    public override (int Width, int Height) Size => (Width, EffectiveHeight);

    private int EffectiveHeight => Horizontal ? Math.Max(Height, 70 + Categories.Count * Math.Max(18, 13 * Series.Count)) : Height;

    protected override void Draw(SKCanvas canvas)
    {
        if (EffectiveHeight == Height)
        {
            base.Draw(canvas);
            return;
        }
        new BarChart
        {
            Width = Width, Height = EffectiveHeight, Title = Title, XLabel = XLabel, YLabel = YLabel, Categories = Categories, Series = Series,
            Horizontal = true, Reference = Reference, Notes = Notes, Min = Min, Max = Max,
        }.Draw(canvas);
    }

    private protected override void Compose(Plot plot)
    {
        int groups = Categories.Count;
        double size = BarSize;
        List<double> values = [0];
        List<LegendItem> legend = [];
        for (int s = 0; s < Series.Count; s++)
        {
            BarSeries series = Series[s];
            if (series.Values.Length != groups) throw new ArgumentException($"Series '{series.Name}' has {series.Values.Length} values for {groups} categories.");
            Color color = ToPlot(Palette.Category(s));
            Bar[] bars = [.. Bars(series, s, size, color, values)];
            if (bars.Length > 0) plot.Add.Bars(bars);
            legend.Add(new LegendItem { LabelText = series.Name, FillColor = color, LineWidth = 0, OutlineWidth = 0 });
        }
        if (Reference is not null) values.Add(Reference.Value);
        (double low, double high) = Range(values, 0.06);
        if (values.Where(double.IsFinite).Min() >= 0) low = 0;
        if (values.Where(double.IsFinite).Max() <= 0 && values.Count > 1) high = 0;
        if (Notes.Count > 0)
        {
            if (!Horizontal || Series.Count != 1 || Notes.Count != groups) throw new ArgumentException($"Notes stand after the lying bars of one series, one each; there are {Notes.Count} for {groups} bars of {Series.Count} series.");
            // The longest note may stand after the longest bar.
            double share = Math.Min(0.5, (Brush.MeasureWidest(Notes, Ink.TickSize) + 12) / (Width * 0.6));
            high = Math.Max(high, Math.Max(0, values.Where(double.IsFinite).Max()) + (high - low) * share / (1 - share));
        }
        SetAxes(plot, groups, Min ?? low, Max ?? high);
        if (Series.Count > 1) ShowLegend(plot, legend);
    }

    private protected override void Annotate(Brush brush, Plot plot, PixelRect data)
    {
        for (int s = 0; s < Series.Count; s++) DrawErrors(brush, plot, data, s);
        for (int i = 0; i < Notes.Count; i++)
        {
            double end = double.IsFinite(Series[0].Values[i]) ? Math.Max(0, Series[0].Values[i]) : 0;
            brush.Text(Notes[i], plot.Axes.Bottom.GetPixel(end, data) + 6, plot.Axes.Left.GetPixel(Position(i, 0, BarSize), data), Ink.TickSize, Ink.Muted);
        }
        if (Reference is not ReferenceLine reference) return;
        string label = Brush.Fit(reference.Label, data.Width * 0.6f, Ink.TickSize);
        if (Horizontal)
        {
            float x = plot.Axes.Bottom.GetPixel(reference.Value, data);
            brush.DashedLine(x, data.Top, x, data.Bottom, Ink.Text);
            bool left = x > data.Left + data.Width / 2;
            brush.Note(label, left ? x - 5 : x + 5, data.Bottom - 9, Ink.TickSize, Ink.Text, left ? TextAlign.Right : TextAlign.Left);
            return;
        }
        float y = plot.Axes.Left.GetPixel(reference.Value, data);
        brush.DashedLine(data.Left, y, data.Right, y, Ink.Text);
        brush.Note(label, data.Right - 2, y > data.Top + 16 ? y - 8 : y + 9, Ink.TickSize, Ink.Text, TextAlign.Right);
    }

    private void DrawErrors(Brush brush, Plot plot, PixelRect data, int index)
    {
        BarSeries series = Series[index];
        for (int i = 0; i < series.Values.Length; i++)
        {
            if (series.Errors is null || !(series.Errors[i] > 0) || !double.IsFinite(series.Values[i])) continue;
            double position = Position(i, index, BarSize);
            IAxis along = Horizontal ? plot.Axes.Bottom : plot.Axes.Left;
            float across = (Horizontal ? (IAxis)plot.Axes.Left : plot.Axes.Bottom).GetPixel(position, data);
            float from = along.GetPixel(series.Values[i] - series.Errors[i], data), to = along.GetPixel(series.Values[i] + series.Errors[i], data);
            if (Horizontal)
            {
                brush.Line(from, across, to, across, Ink.Text, 1.2f);
                foreach (float x in new[] { from, to }) brush.Line(x, across - 3, x, across + 3, Ink.Text, 1.2f);
                continue;
            }
            brush.Line(across, from, across, to, Ink.Text, 1.2f);
            foreach (float y in new[] { from, to }) brush.Line(across - 3, y, across + 3, y, Ink.Text, 1.2f);
        }
    }

    private double BarSize => 0.78 / Math.Max(1, Series.Count);

    private double Position(int category, int series, double size)
    {
        double offset = (series - (Series.Count - 1) / 2.0) * size;
        return Horizontal ? Categories.Count - 1 - category - offset : category + offset;
    }

    private IEnumerable<Bar> Bars(BarSeries series, int index, double size, Color color, List<double> values)
    {
        for (int i = 0; i < series.Values.Length; i++)
        {
            double value = series.Values[i];
            if (!double.IsFinite(value)) continue;
            double error = series.Errors is not null && double.IsFinite(series.Errors[i]) ? series.Errors[i] : 0;
            values.Add(value + error);
            values.Add(value - error);
            yield return new Bar
            {
                Position = Position(i, index, size),
                Value = value,
                Size = size * 0.94,
                FillColor = color,
                LineWidth = 0,
                Orientation = Horizontal ? Orientation.Horizontal : Orientation.Vertical,
            };
        }
    }

    private void SetAxes(Plot plot, int groups, double low, double high)
    {
        float room = Horizontal ? Width * 0.38f : Math.Max(30, (Width - 90f) / Math.Max(1, groups) - 6);
        bool slanted = !Horizontal && groups > 1 && Brush.MeasureWidest(Categories, Ink.TickSize) > room;
        AxisTick[] names = [.. Categories.Select((name, i) => new AxisTick(Horizontal ? groups - 1 - i : i, Brush.Fit(name, slanted ? Height * 0.35f : room, Ink.TickSize)))];
        IAxis category = Horizontal ? plot.Axes.Left : plot.Axes.Bottom;
        IAxis value = Horizontal ? plot.Axes.Bottom : plot.Axes.Left;
        SetTicks(category, names);
        SetTicks(value, AxisTicks.Linear(low, high, Horizontal ? TargetTicksX : TargetTicksY));
        category.MajorTickStyle.Length = 0;
        category.TickLabelStyle.ForeColor = s_text;
        if (slanted)
        {
            category.TickLabelStyle.Rotation = -40;
            category.TickLabelStyle.Alignment = Alignment.UpperRight;
            category.MinimumSize = 24 + 0.65f * names.Max(n => Brush.Measure(n.Label, Ink.TickSize));
        }
        if (Horizontal)
        {
            plot.Grid.YAxisStyle.IsVisible = false;
            plot.Axes.SetLimits(low, high, -0.6, Math.Max(groups, 1) - 0.4);
        }
        else
        {
            plot.Grid.XAxisStyle.IsVisible = false;
            plot.Axes.SetLimits(-0.6, Math.Max(groups, 1) - 0.4, low, high);
        }
    }
}
