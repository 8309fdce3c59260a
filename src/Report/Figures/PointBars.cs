using BioSup.Report.Drawing;
using BioSup.Runtime;
using SkiaSharp;

namespace BioSup.Report.Figures;

/// <summary>What the error bars of a chart of means show.</summary>
public enum Spread
{
    /// <summary>Standard deviation of the values, divisor n as in the tables beside these figures: how far they scatter.</summary>
    StandardDeviation,

    /// <summary>Standard deviation / √n: how well the mean is known.</summary>
    StandardError,
}

/// <summary>Means of groups as bars from zero, with error bars and the values themselves as points; of many values a random (seeded) part is drawn.</summary>
public sealed class PointBars : GroupChart
{
    /// <summary>Most points drawn per group.</summary>
    public const int MostPoints = 150;

    public Spread Spread { get; init; }

    /// <summary>Draws the values; off where they would dwarf the differences between the means.</summary>
    public bool ShowPoints { get; init; } = true;

    protected override string DefaultDescription => $"Bar chart of {YLabel}";

    private protected override (double Low, double High) Extent()
    {
        IEnumerable<double> ends = Sorted.Where(s => s.Length > 0).SelectMany(s => (double[])[s.Average() - Error(s), s.Average() + Error(s), .. ShowPoints ? (double[])[s[0], s[^1]] : []]);
        return (Math.Min(0, ends.DefaultIfEmpty(0).Min()), Math.Max(0, ends.DefaultIfEmpty(0).Max()));
    }

    private protected override void DrawGroup(Brush brush, double[] sorted, float middle, float half, SKColor color, Func<double, float> y)
    {
        double mean = sorted.Average(), error = Error(sorted);
        half = Math.Min(half, 34);
        float zero = y(0), end = y(mean);
        brush.Fill(new SKRect(middle - half, Math.Min(zero, end), middle + half, Math.Max(zero, end)), Palette.Mix(color, SKColors.White, 0.35));
        brush.Line(middle - half - 4, zero, middle + half + 4, zero, Ink.Axis);
        if (ShowPoints)
        {
            CounterRandom random = new(seed: 0, stream: 2);
            double[] some = [.. sorted];
            if (some.Length > MostPoints) random.Shuffle<double>(some);
            foreach (double v in some.Take(MostPoints)) brush.Dot(middle + (float)(random.NextDouble() - 0.5) * half * 1.3f, y(v), 2.2f, Palette.Mix(color, SKColors.Black, 0.25).WithAlpha(190));
        }
        if (!(error > 0)) return;
        brush.Line(middle, y(mean - error), middle, y(mean + error), Ink.Text, 1.4f);
        foreach (double v in new[] { mean - error, mean + error }) brush.Line(middle - 5, y(v), middle + 5, y(v), Ink.Text, 1.4f);
    }

    private double Error(double[] values)
    {
        if (values.Length < 2) return 0;
        double mean = values.Average(), sd = Math.Sqrt(values.Sum(v => (v - mean) * (v - mean)) / values.Length);
        return Spread == Spread.StandardError ? sd / Math.Sqrt(values.Length) : sd;
    }
}
