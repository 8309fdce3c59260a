using BioSup.Report.Figures;
using SkiaSharp;

namespace BioSup.Report.Drawing;

/// <summary>A vertical colour bar with ticks on its right and its label written along it.</summary>
internal static class ColorBar
{
    private const int Steps = 64;

    /// <param name="brush">Where to draw.</param>
    /// <param name="bar">The bar itself; ticks and label stand to its right.</param>
    /// <param name="scale">The colours.</param>
    /// <param name="low">Value at the bottom.</param>
    /// <param name="high">Value at the top.</param>
    /// <param name="label">What is shown, with its unit.</param>
    /// <param name="cut">What lies beyond the ends: a word under and one over the bar, which ends in a point there; null at an end beyond which there is nothing.</param>
    /// <param name="position">Where a value stands on the colour scale, in [0, 1]; null for linear.</param>
    public static void Draw(Brush brush, SKRect bar, ColorScale scale, double low, double high, string label, (string? Below, string? Above) cut = default, Func<double, double>? position = null)
    {
        // Every step reaches down to the foot of the bar and is painted over by the next: no seams at any zoom.
        for (int i = Steps - 1; i >= 0; i--)
            brush.Fill(new SKRect(bar.Left, bar.Bottom - bar.Height * (i + 1) / Steps, bar.Right, bar.Bottom), ColorScales.At(scale, (i + 0.5) / Steps));
        brush.Outline(bar, Ink.Axis, 0.75f);
        DrawEnds(brush, bar, scale, cut);
        float widest = 0;
        foreach (AxisTick tick in Ticks(low, high, bar.Height, position))
        {
            double place = position is null ? (high > low ? (tick.Position - low) / (high - low) : 0.5) : position(tick.Position);
            float y = bar.Bottom - bar.Height * (float)place;
            brush.Line(bar.Right, y, bar.Right + 4, y, Ink.Axis);
            brush.Text(tick.Label, bar.Right + 7, y, Ink.TickSize, Ink.Muted);
            widest = Math.Max(widest, Brush.Measure(tick.Label, Ink.TickSize));
        }
        if (label.Length > 0) brush.Text(Brush.Fit(label, Math.Max(bar.Height, 120), Ink.TickSize), bar.Right + 7 + widest + 13, bar.MidY, Ink.TickSize, Ink.Text, TextAlign.Center, rotation: 90);
    }

    private static void DrawEnds(Brush brush, SKRect bar, ColorScale scale, (string? Below, string? Above) cut)
    {
        const float Point = 9;
        if (cut.Above is string above)
        {
            brush.Polygon([new(bar.Left, bar.Top), new(bar.MidX, bar.Top - Point), new(bar.Right, bar.Top)], ColorScales.At(scale, 1));
            brush.Text(above, bar.Right + 7, bar.Top - Point - 2, Ink.TickSize, Ink.Muted);
        }
        if (cut.Below is not string below) return;
        brush.Polygon([new(bar.Left, bar.Bottom), new(bar.MidX, bar.Bottom + Point), new(bar.Right, bar.Bottom)], ColorScales.At(scale, 0));
        brush.Text(below, bar.Right + 7, bar.Bottom + Point + 2, Ink.TickSize, Ink.Muted);
    }

    // On a bent scale evenly spaced values crowd at one end: keep those that stand clear of the one before.
    private static IEnumerable<AxisTick> Ticks(double low, double high, float height, Func<double, double>? position)
    {
        AxisTick[] ticks = AxisTicks.Linear(low, high, Math.Clamp((int)(height / 40), 2, 6));
        if (position is null) return ticks;
        List<AxisTick> kept = [];
        foreach (AxisTick tick in ticks)
            if (kept.Count == 0 || Math.Abs(position(tick.Position) - position(kept[^1].Position)) * height >= 14) kept.Add(tick);
        return kept;
    }
}
