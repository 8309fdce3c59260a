using BioSup.Report.Drawing;
using SkiaSharp;

namespace BioSup.Report.Figures;

/// <summary>
/// The distribution of values in groups: a Gaussian kernel density, mirrored, ending where the values end, with a box from the lower to the upper quartile, whiskers to the
/// furthest value within 1.5 times the box, and a bar at the median. Groups of fewer than <see cref="DensityFrom"/> values are drawn as points: a density would invent a shape.
/// Every violin is equally wide; its area says nothing about the number of values, which stands below it.
/// </summary>
public sealed class ViolinPlot : GroupChart
{
    /// <summary>Values from which on a density is drawn.</summary>
    public const int DensityFrom = 10;

    /// <summary>How the width of the kernel is chosen, for captions.</summary>
    public const string BandwidthRule = "Gaussian kernel, bandwidth by Scott's rule (SD · n^(−1/5))";

    private const int Bins = 512, Steps = 120;

    /// <summary>Width (SD) of the kernel in units of the values; null takes Scott's rule for each group.</summary>
    public double? Bandwidth { get; init; }

    protected override string DefaultDescription => $"Violin plot of {YLabel}";

    private protected override (double Low, double High) Extent()
    {
        double[][] filled = [.. Sorted.Where(s => s.Length > 0)];
        return filled.Length == 0 ? (double.NaN, double.NaN) : (filled.Min(s => s[0]), filled.Max(s => s[^1]));
    }

    private protected override void DrawGroup(Brush brush, double[] sorted, float middle, float half, SKColor color, Func<double, float> y)
    {
        if (sorted.Length < DensityFrom)
        {
            foreach (double v in sorted) brush.Dot(middle, y(v), 3, color);
            return;
        }
        (double[] places, double[] density) = Density(sorted, Bandwidth);
        SKPoint[] outline = new SKPoint[2 * places.Length];
        double highest = density.Max();
        for (int i = 0; i < places.Length; i++)
        {
            float wide = (float)(density[i] / highest) * half;
            outline[i] = new SKPoint(middle + wide, y(places[i]));
            outline[^(i + 1)] = new SKPoint(middle - wide, y(places[i]));
        }
        brush.Polygon(outline, Palette.Mix(color, SKColors.White, 0.45));
        brush.Curve([.. outline, outline[0]], color, 1.2f);
        DrawBox(brush, sorted, middle, Math.Clamp(half * 0.16f, 2.5f, 8), y);
    }

    private static void DrawBox(Brush brush, double[] sorted, float middle, float half, Func<double, float> y)
    {
        double lower = Percentiles.OfSorted(sorted, 25), median = Percentiles.OfSorted(sorted, 50), upper = Percentiles.OfSorted(sorted, 75), reach = 1.5 * (upper - lower);
        double low = sorted.First(v => v >= lower - reach), high = sorted.Last(v => v <= upper + reach);
        brush.Line(middle, y(low), middle, y(high), Ink.Text, 1.2f);
        SKRect box = new(middle - half, y(upper), middle + half, Math.Max(y(lower), y(upper) + 1));
        brush.Fill(box, Ink.Paper);
        brush.Outline(box, Ink.Text, 1.2f);
        brush.Line(middle - half, y(median), middle + half, y(median), Ink.Text, 2.4f);
    }

    /// <summary>The density at even steps from the least to the largest value; values are first shared between the two nearest of many fine bins, so that a million cost no more than a thousand.</summary>
    private static (double[] Places, double[] Density) Density(double[] sorted, double? bandwidth)
    {
        double low = sorted[0], span = sorted[^1] - low, mean = sorted.Average(), sd = Math.Sqrt(sorted.Sum(v => (v - mean) * (v - mean)) / (sorted.Length - 1));
        double width = bandwidth ?? sd * Math.Pow(sorted.Length, -0.2);
        // Equal values have no shape: a thin spindle at the value.
        if (!(span > 0) || !(width > 0)) return ([low, low], [1, 1]);
        double[] mass = new double[Bins];
        foreach (double v in sorted)
        {
            double place = (v - low) / span * (Bins - 1);
            int bin = Math.Min((int)place, Bins - 2);
            mass[bin] += 1 - (place - bin);
            mass[bin + 1] += place - bin;
        }
        double[] places = new double[Steps], density = new double[Steps];
        for (int i = 0; i < Steps; i++)
        {
            places[i] = low + span * i / (Steps - 1);
            for (int b = 0; b < Bins; b++)
            {
                double z = (low + span * b / (Bins - 1) - places[i]) / width;
                density[i] += mass[b] * Math.Exp(-0.5 * z * z);
            }
        }
        return (places, density);
    }
}
