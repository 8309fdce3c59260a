using BioSup.Report.Drawing;
using ScottPlot;
using SkiaSharp;

namespace BioSup.Report.Figures;

/// <summary>
/// Effect against significance, one point per variable. Points beyond the cap stand on it as triangles, so that one value of 10⁻³⁰⁰ does not flatten the rest and none is moved unmarked.
/// </summary>
public sealed class VolcanoPlot : ChartFigure
{
    private const float Radius = 2.4f;

    /// <summary>Effect of each variable, for example log2 of a fold change; ±∞ stands as a triangle at the side, NaN is left out.</summary>
    public double[] Effect { get; init; } = [];

    /// <summary>Decimal logarithm of each p-value, at most 0 (−∞ for a p below what a double can hold); NaN is left out.</summary>
    public double[] Log10P { get; init; } = [];

    /// <summary>Name of each variable; empty for none.</summary>
    public IReadOnlyList<string> Names { get; init; } = [];

    /// <summary>A variable stands out from this |effect| on; 0 for no such threshold.</summary>
    public double EffectThreshold { get; init; }

    /// <summary>A variable stands out from this p on, in (0, 1]; 1 for no such threshold.</summary>
    public double PThreshold { get; init; } = 0.05;

    /// <summary>What the p-values are, for the note at their threshold: "p" or "adjusted p".</summary>
    public string PName { get; init; } = "adjusted p";

    /// <summary>Largest −log10 p that the axis shows.</summary>
    public double Cap { get; init; } = 50;

    /// <summary>Names written on either side: those of the most significant variables that stand out, of equal ones the largest effect.</summary>
    public int Named { get; init; } = 10;

    /// <summary>What a positive effect means, for the legend.</summary>
    public string UpLabel { get; init; } = "up";

    /// <summary>What a negative effect means, for the legend.</summary>
    public string DownLabel { get; init; } = "down";

    protected override string DefaultDescription => $"Volcano plot of {YLabel} against {XLabel}";

    private protected override void Compose(Plot plot)
    {
        if (Effect.Length != Log10P.Length) throw new ArgumentException($"There are {Effect.Length} effects and {Log10P.Length} p-values.");
        if (Names.Count > 0 && Names.Count != Effect.Length) throw new ArgumentException($"There are {Names.Count} names for {Effect.Length} variables.");
        double widest = Math.Max(EffectThreshold, Effect.Where((e, i) => double.IsFinite(e) && !double.IsNaN(Log10P[i])).Select(Math.Abs).DefaultIfEmpty(1).Max());
        if (!(widest > 0)) widest = 1;
        double top = Math.Max(Math.Max(1, -Math.Log10(PThreshold)), Math.Min(Cap, Shown().Select(i => -Log10P[i]).DefaultIfEmpty(1).Max()));
        // Symmetric, so that neither direction looks stronger for having more room.
        double x = widest * 1.08, y = top * 1.06;
        plot.Axes.SetLimits(-x, x, -0.02 * y, y);
        SetTicks(plot.Axes.Bottom, AxisTicks.Linear(-x, x, TargetTicksX));
        SetTicks(plot.Axes.Left, AxisTicks.Linear(0, y, TargetTicksY));
        plot.Axes.Top.MinimumSize = 22;
        plot.Axes.Right.MinimumSize = Legend().Width + 20;
    }

    private protected override void Annotate(Brush brush, Plot plot, PixelRect data)
    {
        SKRect area = data.ToSKRect();
        AxisLimits limits = plot.Axes.GetLimits();
        int[] shown = [.. Shown()];
        SKPoint[] points = new SKPoint[Effect.Length];
        SKColor[] colors = new SKColor[Effect.Length];
        foreach (int i in shown)
        {
            double effect = Math.Clamp(Effect[i], limits.Left / 1.04, limits.Right / 1.04);
            points[i] = new SKPoint(plot.Axes.Bottom.GetPixel(effect, data), plot.Axes.Left.GetPixel(Math.Min(-Log10P[i], Cap), data));
            colors[i] = ColorOf(Side(i));
        }
        DrawThresholds(brush, plot, data);
        PointLayer.Draw(brush, area, points, colors, [.. shown.Where(i => Side(i) == 0)], Radius, 130);
        PointLayer.Draw(brush, area, points, colors, [.. shown.Where(i => Side(i) != 0 && !IsBeyond(i))], Radius, 215);
        foreach (int i in shown.Where(IsBeyond)) DrawTriangle(brush, points[i], colors[i], i);
        WriteNames(brush, area, points, shown);
        Legend().Draw(brush, area.Right + 12, area.Top);
    }

    private void DrawThresholds(Brush brush, Plot plot, PixelRect data)
    {
        if (PThreshold < 1)
        {
            float y = plot.Axes.Left.GetPixel(-Math.Log10(PThreshold), data);
            brush.DashedLine(data.Left, y, data.Right, y, Ink.Axis);
        }
        if (!(EffectThreshold > 0)) return;
        foreach (double effect in new[] { -EffectThreshold, EffectThreshold })
        {
            float x = plot.Axes.Bottom.GetPixel(effect, data);
            brush.DashedLine(x, data.Top, x, data.Bottom, Ink.Axis);
            brush.Text(AxisTicks.Label(effect, 0), x, data.Top - 8, Ink.TickSize, Ink.Muted, effect < 0 ? TextAlign.Right : TextAlign.Left);
        }
    }

    private void DrawTriangle(Brush brush, SKPoint at, SKColor color, int variable)
    {
        const float Size = 4.2f;
        if (-Log10P[variable] > Cap) brush.Polygon([new(at.X - Size, at.Y + Size * 0.7f), new(at.X, at.Y - Size), new(at.X + Size, at.Y + Size * 0.7f)], color);
        else
        {
            float way = Effect[variable] > 0 ? Size : -Size;
            brush.Polygon([new(at.X - way * 0.7f, at.Y - Size), new(at.X + way, at.Y), new(at.X - way * 0.7f, at.Y + Size)], color);
        }
    }

    private void WriteNames(Brush brush, SKRect area, SKPoint[] points, int[] shown)
    {
        if (Names.Count == 0 || Named <= 0) return;
        LabelPlacer placer = new(area, [.. shown.Where(i => Side(i) != 0 || -Log10P[i] > -Math.Log10(PThreshold)).Select(i => points[i])], Radius);
        foreach (int side in new[] { 1, -1 })
            foreach (int i in shown.Where(i => Side(i) == side).OrderBy(i => Log10P[i]).ThenByDescending(i => Math.Abs(Effect[i])).ThenBy(i => i).Take(Named))
                placer.Write(brush, Brush.Fit(Names[i], 140, Ink.TickSize), points[i], Radius + 1);
    }

    private SwatchLegend Legend()
    {
        int[] shown = [.. Shown()];
        List<Swatch> lines =
        [
            new($"{UpLabel}: {Numbers.Integer(shown.Count(i => Side(i) > 0))}", ColorOf(1)),
            new($"{DownLabel}: {Numbers.Integer(shown.Count(i => Side(i) < 0))}", ColorOf(-1)),
            new($"other: {Numbers.Integer(shown.Count(i => Side(i) == 0))}", ColorOf(0)),
        ];
        if (PThreshold < 1) lines.Add(new($"{PName} = {Numbers.Short(PThreshold, 3)}", Ink.Axis, SwatchKind.Dashed));
        if (shown.Any(i => -Log10P[i] > Cap)) lines.Add(new($"▲ beyond {Numbers.Short(Cap)}: {Numbers.Integer(shown.Count(i => -Log10P[i] > Cap))}", SKColors.Transparent));
        return new SwatchLegend(lines, Width * 0.34f, Height);
    }

    private IEnumerable<int> Shown() => Enumerable.Range(0, Effect.Length).Where(i => !double.IsNaN(Effect[i]) && !double.IsNaN(Log10P[i]));

    private bool IsBeyond(int variable) => -Log10P[variable] > Cap || double.IsInfinity(Effect[variable]);

    /// <summary>1 for variables that stand out with a positive effect, −1 with a negative one, 0 for the others.</summary>
    private int Side(int variable) => Log10P[variable] <= Math.Log10(PThreshold) && Math.Abs(Effect[variable]) >= EffectThreshold ? Math.Sign(Effect[variable]) : 0;

    private static SKColor ColorOf(int side) => side switch { > 0 => Palette.Category(1), < 0 => Palette.Category(0), _ => Ink.Axis };
}
