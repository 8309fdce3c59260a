using BioSup.Report.Drawing;
using ScottPlot;

namespace BioSup.Report.Figures;

/// <summary>The distribution of values, with marked values to compare with it: a null distribution and what was observed.</summary>
public sealed class Histogram : ChartFigure
{
    /// <summary>The sample; values that are not finite are left out.</summary>
    public double[] Values { get; init; } = [];

    /// <summary>Number of bins; null chooses by the Freedman–Diaconis rule, between 5 and 60.</summary>
    public int? Bins { get; init; }

    /// <summary>Values drawn as vertical lines with their labels, e.g. the observed statistic.</summary>
    public IReadOnlyList<ReferenceLine> Marks { get; init; } = [];

    protected override string DefaultDescription => $"Histogram of {XLabel}";

    private protected override void Compose(Plot plot)
    {
        double[] finite = [.. Values.Where(double.IsFinite)];
        (double low, double high) = Range(finite, 0);
        (double x0, double x1) = Range([low, high, .. Marks.Select(m => m.Value)], 0.05);
        int bins = Bins ?? ChooseBins(finite, low, high);
        double width = (high - low) / bins;
        var counts = new int[bins];
        foreach (double v in finite) counts[Math.Clamp((int)((v - low) / width), 0, bins - 1)]++;
        List<Bar> bars = [];
        for (int i = 0; i < bins; i++)
        {
            if (counts[i] == 0) continue;
            bars.Add(new Bar { Position = low + (i + 0.5) * width, Value = counts[i], Size = width * 0.94, FillColor = ToPlot(Palette.Mix(Palette.Category(0), SkiaSharp.SKColors.White, 0.45)), LineWidth = 0 });
        }
        if (bars.Count > 0) plot.Add.Bars(bars);
        double top = Math.Max(1, counts.Max()) * (Marks.Count > 0 ? 1.08 + 0.09 * Marks.Count : 1.06);
        plot.Axes.SetLimits(x0, x1, 0, top);
        SetTicks(plot.Axes.Bottom, AxisTicks.Linear(x0, x1, TargetTicksX));
        SetTicks(plot.Axes.Left, AxisTicks.Linear(0, top, TargetTicksY).Where(t => Math.Abs(t.Position - Math.Round(t.Position)) < 1e-9));
    }

    private protected override void Annotate(Brush brush, Plot plot, PixelRect data)
    {
        for (int i = 0; i < Marks.Count; i++)
        {
            float x = plot.Axes.Bottom.GetPixel(Marks[i].Value, data);
            if (!(x >= data.Left - 1 && x <= data.Right + 1)) continue;
            SkiaSharp.SKColor color = Palette.Category(i + 1);
            brush.Line(x, data.Top, x, data.Bottom, color, 2);
            bool left = x > data.Left + data.Width / 2;
            float room = left ? x - data.Left - 8 : data.Right - x - 8;
            string label = Brush.Fit(Marks[i].Label, room, Ink.TickSize, bold: true);
            brush.Text(label, left ? x - 6 : x + 6, data.Top + 8 + 16 * i, Ink.TickSize, color, left ? TextAlign.Right : TextAlign.Left, bold: true);
        }
    }

    private static int ChooseBins(double[] finite, double low, double high)
    {
        if (finite.Length < 2) return 5;
        double[] sorted = [.. finite.Order()];
        double iqr = sorted[3 * (sorted.Length - 1) / 4] - sorted[(sorted.Length - 1) / 4];
        double width = 2 * iqr / Math.Cbrt(sorted.Length);
        return width > 0 ? (int)Math.Clamp(Math.Ceiling((high - low) / width), 5, 60) : 20;
    }
}
