using BioSup.Report.Drawing;
using ScottPlot;
using SkiaSharp;

namespace BioSup.Report.Figures;

/// <summary>The values of one group; those that are not finite are left out and not counted.</summary>
/// <param name="Name">Written under the group, above its number of values.</param>
/// <param name="Values">In any order.</param>
public sealed record ValueGroup(string Name, double[] Values)
{
    /// <summary>Its colour as 0xRRGGBB; null takes the palette's by its place.</summary>
    public uint? Color { get; init; }
}

/// <summary>A test between two groups, drawn as a bracket over them.</summary>
/// <param name="First">Place of one group.</param>
/// <param name="Second">Place of the other.</param>
/// <param name="Text">What came out: stars or "p = 0.003".</param>
public sealed record GroupComparison(int First, int Second, string Text);

/// <summary>Groups of values side by side, with the number of values under each and the outcome of tests over them.</summary>
public abstract class GroupChart : ChartFigure
{
    private const float NameLine = 15, BracketLine = 20;

    public IReadOnlyList<ValueGroup> Groups { get; init; } = [];

    /// <summary>Brackets over the groups.</summary>
    public IReadOnlyList<GroupComparison> Comparisons { get; init; } = [];

    /// <summary>A test over all groups, written above them; empty for none.</summary>
    public string Test { get; init; } = "";

    /// <summary>A line across at a value that matters.</summary>
    public ReferenceLine? Reference { get; init; }

    private protected double[][] Sorted { get; private set; } = [];

    /// <summary>The least and largest value that must be in view.</summary>
    private protected abstract (double Low, double High) Extent();

    private protected abstract void DrawGroup(Brush brush, double[] sorted, float middle, float half, SKColor color, Func<double, float> y);

    private bool Slanted => Groups.Any(g => Brush.Measure(g.Name, Ink.TickSize) > NameRoom - 6);

    private float NameRoom => (Width - 80f) / Math.Max(1, Groups.Count);

    private protected override void Compose(Plot plot)
    {
        foreach (GroupComparison c in Comparisons)
            if (Math.Min(c.First, c.Second) < 0 || Math.Max(c.First, c.Second) >= Groups.Count) throw new ArgumentException($"A comparison names the groups {c.First} and {c.Second}; there are {Groups.Count}.");
        Sorted = [.. Groups.Select(g => g.Values.Where(double.IsFinite).Order().ToArray())];
        (double low, double high) = Extent();
        if (Reference is not null) (low, high) = (Math.Min(low, Reference.Value), Math.Max(high, Reference.Value));
        (double y0, double y1) = Range([low, high], 0.05);
        if (low == 0) y0 = 0;
        // The axis ends with the values; brackets and the test get room above it.
        float above = Levels().DefaultIfEmpty(-1).Max() + 1 is var levels ? levels * BracketLine + (Test.Length > 0 ? 18 : 0) : 0;
        double inner = Math.Max(60, Height - 90 - above);
        plot.Axes.SetLimits(-0.6, Math.Max(1, Groups.Count) - 0.4, y0, y1 + (y1 - y0) * above / inner);
        SetTicks(plot.Axes.Bottom, []);
        SetTicks(plot.Axes.Left, AxisTicks.Linear(y0, y1, TargetTicksY));
        plot.Grid.XAxisStyle.IsVisible = false;
        float widest = Groups.Select(g => Brush.Measure(Brush.Fit(g.Name, Height * 0.3f, Ink.TickSize), Ink.TickSize)).DefaultIfEmpty(0).Max();
        plot.Axes.Bottom.MinimumSize = (Slanted ? widest * 0.72f + 26 : 2 * NameLine + 8) + (XLabel.Length > 0 ? 20 : 4);
    }

    private protected override void Annotate(Brush brush, Plot plot, PixelRect data)
    {
        float Y(double value) => plot.Axes.Left.GetPixel(value, data);
        float X(double place) => plot.Axes.Bottom.GetPixel(place, data);
        if (Reference is ReferenceLine reference)
        {
            float y = Y(reference.Value);
            brush.DashedLine(data.Left, y, data.Right, y, Ink.Text);
            brush.Note(Brush.Fit(reference.Label, data.Width * 0.6f, Ink.TickSize), data.Right - 2, y > data.Top + 16 ? y - 8 : y + 9, Ink.TickSize, Ink.Text, TextAlign.Right);
        }
        float half = Math.Min(60, (X(1) - X(0)) * 0.4f);
        for (int g = 0; g < Groups.Count; g++)
        {
            if (Sorted[g].Length > 0) DrawGroup(brush, Sorted[g], X(g), half, Groups[g].Color is uint rgb ? Palette.OfRgb(rgb) : Palette.Category(g), Y);
            WriteName(brush, g, X(g), data.Bottom);
        }
        DrawBrackets(brush, data, X, Y);
        if (Test.Length > 0) brush.Text(Brush.Fit(Test, data.Width - 8, Ink.TickSize), data.Left + 6, data.Top + 8, Ink.TickSize, Ink.Text);
    }

    private void WriteName(Brush brush, int group, float x, float bottom)
    {
        string count = $"n = {Numbers.Integer(Sorted[group].Length)}";
        if (!Slanted)
        {
            brush.Text(Brush.Fit(Groups[group].Name, NameRoom, Ink.TickSize), x, bottom + 12, Ink.TickSize, Ink.Text, TextAlign.Center);
            brush.Text(Brush.Fit(NameRoom < Brush.Measure(count, Ink.TickSize) ? count[4..] : count, NameRoom, Ink.TickSize), x, bottom + 12 + NameLine, Ink.TickSize, Ink.Muted, TextAlign.Center);
            return;
        }
        brush.Text(Brush.Fit(Groups[group].Name, Height * 0.3f, Ink.TickSize), x + 1, bottom + 9, Ink.TickSize, Ink.Text, TextAlign.Right, rotation: -45);
        brush.Text(count, x + 11, bottom + 17, Ink.TickSize - 1.5f, Ink.Muted, TextAlign.Right, rotation: -45);
    }

    /// <summary>The height of each bracket, so that no two cross.</summary>
    private int[] Levels()
    {
        int[] levels = new int[Comparisons.Count];
        List<(int From, int To, int Level)> placed = [];
        foreach (int i in Enumerable.Range(0, levels.Length).OrderBy(i => Math.Abs(Comparisons[i].First - Comparisons[i].Second)).ThenBy(i => i))
        {
            int from = Math.Min(Comparisons[i].First, Comparisons[i].Second), to = Math.Max(Comparisons[i].First, Comparisons[i].Second);
            while (placed.Exists(p => p.Level == levels[i] && p.From < to && from < p.To)) levels[i]++;
            placed.Add((from, to, levels[i]));
        }
        return levels;
    }

    private void DrawBrackets(Brush brush, PixelRect data, Func<double, float> x, Func<double, float> y)
    {
        if (Comparisons.Count == 0) return;
        int[] levels = Levels();
        float first = data.Top + (levels.Max() + 1) * BracketLine + (Test.Length > 0 ? 18 : 0) - 4;
        for (int i = 0; i < levels.Length; i++)
        {
            float line = first - levels[i] * BracketLine, left = x(Math.Min(Comparisons[i].First, Comparisons[i].Second)) + 3, right = x(Math.Max(Comparisons[i].First, Comparisons[i].Second)) - 3;
            brush.Line(left, line, right, line, Ink.Text);
            brush.Line(left, line, left, line + 4, Ink.Text);
            brush.Line(right, line, right, line + 4, Ink.Text);
            brush.Text(Brush.Fit(Comparisons[i].Text, Math.Max(right - left, 60), Ink.TickSize), (left + right) / 2, line - 8, Ink.TickSize, Ink.Text, TextAlign.Center);
        }
    }
}
