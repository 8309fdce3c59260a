using System.Xml.Linq;
using BioSup.Report.Drawing;
using BioSup.Report.Figures;
using SkiaSharp;

namespace BioSup.Report.Tests;

/// <summary>What holds for the figures of single-cell analyses beyond what holds for every figure.</summary>
public sealed class CellFigureTests
{
    private static readonly XNamespace s_svg = "http://www.w3.org/2000/svg";

    [Theory]
    [InlineData("map-clusters", "CD0 T cells", "1", "UMAP 1", "UMAP 2")]
    [InlineData("map-death", "cell death rate", "Control", "< p10", "> p90", "PHATE 1")]
    [InlineData("paga", "0", "dying cells", "Control", "SNCA", "cells", "connectivity", "0.1", "0.5")]
    [InlineData("violin", "Control", "n = 2,000", "n = 7", "cell death rate", "***", "p = 0.004", "Kruskal–Wallis p = 2.1×10⁻¹²")]
    [InlineData("point-bars", "SNCA", "n = 3", "**", "published root")]
    [InlineData("volcano", "log₂ fold change, SNCA / Control", "adjusted p = 0.05", "−0.58", "0.58", "▲ beyond 50: 58", "latent 7")]
    [InlineData("trend", "SNCA", "GBA", "diffusion pseudotime", "95 % band; adjusted R² 0.41 and 0.22")]
    [InlineData("dots", "CD4 T cells", "NKG7", "mean of X", "cells > 0", "50 %")]
    public void Labels_are_editable_text(string name, params string[] labels)
    {
        string[] texts = [.. XElement.Parse(CellSamples.All()[name].ToSvg()).Descendants(s_svg + "text").Select(t => t.Value)];
        Assert.All(labels, label => Assert.Contains(label, texts));
    }

    [Fact]
    public void Palette_stays_distinguishable_with_every_colour_vision_deficiency()
    {
        // Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB: normal, protanopia, deuteranopia, tritanopia.
        double[][,] visions =
        [
            new[,] { { 1.0, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } },
            new[,] { { 0.152286, 1.052583, -0.204868 }, { 0.114503, 0.786281, 0.099216 }, { -0.003882, -0.048116, 1.051998 } },
            new[,] { { 0.367322, 0.860646, -0.227968 }, { 0.280085, 0.672501, 0.047413 }, { -0.011820, 0.042940, 0.968881 } },
            new[,] { { 1.255528, -0.076749, -0.178779 }, { -0.078411, 0.930809, 0.147602 }, { 0.004733, 0.691367, 0.303900 } },
        ];
        foreach (double[,] vision in visions)
            for (int a = 0; a < Palette.Count; a++)
                for (int b = 0; b < a; b++)
                {
                    double apart = Distance(Lab(Palette.Category(a), vision), Lab(Palette.Category(b), vision));
                    Assert.True(apart >= (a < 8 ? 16 : 14), $"colours {a} and {b} are {apart:0.0} apart");
                }
    }

    [Fact]
    public void Volcano_moves_nothing_unmarked()
    {
        // Every significance beyond the cap is a triangle on it, an infinite effect one at the side: as many filled paths of three corners as there are such points.
        VolcanoPlot plot = new() { Effect = [1, -1, double.PositiveInfinity, 0.5], Log10P = [-80, double.NegativeInfinity, -4, -3], Cap = 20, Named = 0 };
        XElement svg = XElement.Parse(plot.ToSvg());
        Assert.Equal(3, svg.Descendants(s_svg + "path").Count(p => p.Attribute("d")!.Value.EndsWith('Z') && p.Attribute("fill")?.Value is not ("none" or null)));
        Assert.Contains("▲ beyond 20: 2", svg.Descendants(s_svg + "text").Select(t => t.Value));
    }

    [Fact]
    public void Names_cover_neither_points_nor_one_another()
    {
        SKRect area = SKRect.Create(0, 0, 300, 200);
        SKPoint[] points = [.. Enumerable.Range(0, 40).Select(i => new SKPoint(40 + 37 * i % 220, 30 + 53 * i % 140))];
        using MemoryStream buffer = new();
        using (SKCanvas canvas = SKSvgCanvas.Create(area, buffer))
        {
            Brush brush = new(canvas);
            LabelPlacer placer = new(area, points, 3);
            foreach (SKPoint p in points) placer.Write(brush, "latent", p, 3);
        }
        SKRect[] names = [.. XElement.Parse(System.Text.Encoding.UTF8.GetString(buffer.ToArray())).Descendants(s_svg + "text").Select(t => Box(t, "latent"))];
        Assert.InRange(names.Length, 12, 40);
        for (int i = 0; i < names.Length; i++)
        {
            Assert.DoesNotContain(points, p => names[i].Contains(p));
            for (int j = 0; j < i; j++) Assert.False(names[i].IntersectsWith(names[j]));
        }
    }

    [Fact]
    public void Many_points_are_one_picture_that_shows_where_they_are()
    {
        // The left half full, the right half empty.
        const int Count = 200_000;
        BioSup.Runtime.CounterRandom random = new(4);
        double[] x = new double[Count], y = new double[Count];
        for (int i = 0; i < Count; i++) (x[i], y[i]) = (random.NextDouble() * 0.5, random.NextDouble());
        (x[0], x[1]) = (0, 1);
        ScatterMap map = new() { X = x, Y = y, EqualAspect = false, Width = 300, Height = 200 };
        Assert.Single(XElement.Parse(map.ToSvg()).Descendants(s_svg + "image"));
        using SKBitmap bitmap = SKBitmap.Decode(map.ToPng(1));
        int[] blue = [.. Enumerable.Range(0, bitmap.Width).Select(c => Enumerable.Range(0, bitmap.Height).Count(r => bitmap.GetPixel(c, r) is { Blue: > 150, Red: < 120 }))];
        Assert.True(blue.Skip(60).Take(60).Average() > 100, "the full half is not full");
        Assert.True(blue.Skip(190).Take(80).Average() < 5, "the empty half is not empty");
    }

    [Fact]
    public void Rubbish_still_draws()
    {
        double[] nothing = [], odd = [double.NaN, double.PositiveInfinity, double.NegativeInfinity];
        Figure[] figures =
        [
            new PagaFigure(),
            new PagaFigure { Names = ["a"], Sizes = [0], Connectivities = new double[1, 1] },
            new PagaFigure { Names = ["a"], Sizes = [1], Connectivities = new double[1, 1], Classes = ["x"], Composition = new double[1, 1] },
            new PagaFigure { Names = ["a", "b", "c"], Sizes = [5, 1, 900_000], Connectivities = new double[3, 3], Places = [(1, 1), (1, 1), (double.NaN, 0)] },
            new PagaFigure { Names = ["a", "b", "c"], Sizes = [5, 1, 900_000], Connectivities = new double[3, 3], Places = [(1, 1), (1, 1), (1, 1)] },
            new PagaFigure { Names = [.. Enumerable.Range(0, 150).Select(i => $"group {i}")], Sizes = [.. Enumerable.Repeat(100, 150)], Connectivities = new double[150, 150] },
            new ViolinPlot(),
            new ViolinPlot { Groups = [new("empty", nothing), new("odd", odd), new("one", [3])] },
            new ViolinPlot { Groups = [new("equal", [.. Enumerable.Repeat(2.0, 40)]), new("huge", [.. Enumerable.Range(0, 40).Select(i => i * 1e300)])], Comparisons = [new(0, 1, "")] },
            new ViolinPlot { Groups = [.. Enumerable.Range(0, 60).Select(i => new ValueGroup($"cluster {i}", [.. Enumerable.Range(0, 20).Select(j => (double)(i + j))]))] },
            new PointBars(),
            new PointBars { Groups = [new("empty", nothing), new("odd", odd), new("one", [3])], Test = "none", Spread = Spread.StandardError },
            new VolcanoPlot(),
            new VolcanoPlot { Effect = [0], Log10P = [0] },
            new VolcanoPlot { Effect = odd, Log10P = odd, Names = ["a", "b", "c"], PThreshold = 1 },
            new TrendPlot(),
            new DotPlot(),
            new DotPlot { Groups = ["a"], Variables = ["b"], Shares = new[,] { { double.NaN } }, Means = new[,] { { double.NaN } } },
            new TrendPlot { Trends = [new("empty", nothing, nothing), new("odd", odd, odd), new("one", [1], [1]) { CurveX = odd, Curve = odd, Lower = odd, Upper = odd }] },
            new ScatterMap { X = odd, Y = odd, Categories = ["a", "b", "a"], NamesOnMap = true },
            new ScatterMap { X = [1, 2], Y = [1, 2], Values = [5, 5], ClipPercentiles = (10, 90), HighOnTop = true, Gamma = 1.4 },
            new ScatterMap { X = [1], Y = [2], Values = [double.NaN], ClipPercentiles = (10, 90), MissingLabel = "none" },
            new ScatterMap { X = new double[300], Y = new double[300], Categories = [.. Enumerable.Range(0, 300).Select(i => $"category {i}")], NamesOnMap = true },
        ];
        Assert.All(figures, figure =>
        {
            Assert.NotEmpty(figure.ToPng(1));
            XElement.Parse(figure.ToSvg());
        });
    }

    [Fact]
    public void Mismatched_lengths_are_refused()
    {
        Assert.Throws<ArgumentException>(() => new PagaFigure { Names = ["a"] }.ToPng());
        Assert.Throws<ArgumentException>(() => new PagaFigure { Names = ["a"], Sizes = [1], Connectivities = new double[1, 1], Classes = ["x"], Composition = new double[2, 1] }.ToPng());
        Assert.Throws<ArgumentException>(() => new ViolinPlot { Groups = [new("a", [1])], Comparisons = [new(0, 1, "p")] }.ToPng());
        Assert.Throws<ArgumentException>(() => new VolcanoPlot { Effect = [1], Log10P = [-1, -2] }.ToPng());
        Assert.Throws<ArgumentException>(() => new VolcanoPlot { Effect = [1], Log10P = [-1], Names = ["a", "b"] }.ToPng());
        Assert.Throws<ArgumentException>(() => new DotPlot { Groups = ["a"] }.ToPng());
        Assert.Throws<ArgumentException>(() => new TrendPlot { Trends = [new("a", [1], [1, 2])] }.ToPng());
        Assert.Throws<ArgumentException>(() => new TrendPlot { Trends = [new("a", [1], [1]) { CurveX = [1], Curve = [1], Lower = [1] }] }.ToPng());
    }

    private static SKRect Box(XElement text, string written)
    {
        float Number(string name) => float.Parse(text.Attribute(name)!.Value.Split(',')[0], System.Globalization.CultureInfo.InvariantCulture);
        return SKRect.Create(Number("x"), Number("y") - 8, Brush.Measure(written, Ink.TickSize), 8);
    }

    private static double Distance((double L, double A, double B) p, (double L, double A, double B) q) => Math.Sqrt((p.L - q.L) * (p.L - q.L) + (p.A - q.A) * (p.A - q.A) + (p.B - q.B) * (p.B - q.B));

    /// <summary>CIELAB (D65) of a colour as seen.</summary>
    private static (double L, double A, double B) Lab(SKColor color, double[,] vision)
    {
        double[] rgb = [Linear(color.Red), Linear(color.Green), Linear(color.Blue)];
        double[] seen = [.. Enumerable.Range(0, 3).Select(r => Math.Clamp(vision[r, 0] * rgb[0] + vision[r, 1] * rgb[1] + vision[r, 2] * rgb[2], 0, 1))];
        double x = F((0.4124564 * seen[0] + 0.3575761 * seen[1] + 0.1804375 * seen[2]) / 0.95047);
        double y = F(0.2126729 * seen[0] + 0.7151522 * seen[1] + 0.0721750 * seen[2]);
        double z = F((0.0193339 * seen[0] + 0.1191920 * seen[1] + 0.9503041 * seen[2]) / 1.08883);
        return (116 * y - 16, 500 * (x - y), 200 * (y - z));

        static double Linear(byte channel) => channel / 255.0 is var v && v <= 0.04045 ? v / 12.92 : Math.Pow((v + 0.055) / 1.055, 2.4);
        static double F(double t) => t > 0.008856 ? Math.Cbrt(t) : 7.787 * t + 16.0 / 116;
    }
}
