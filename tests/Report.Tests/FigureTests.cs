using System.Xml.Linq;
using BioSup.Report.Figures;
using SkiaSharp;

namespace BioSup.Report.Tests;

public sealed class FigureTests
{
    private static readonly XNamespace s_svg = "http://www.w3.org/2000/svg";

    [Theory]
    [MemberData(nameof(Samples.Names), MemberType = typeof(Samples))]
    public void Png_has_the_asked_size_and_shows_something(string name)
    {
        Figure figure = Samples.All()[name];
        using SKBitmap bitmap = SKBitmap.Decode(figure.ToPng(scale: 1.5f));
        Assert.Equal((int)MathF.Ceiling(figure.Size.Width * 1.5f), bitmap.Width);
        Assert.Equal((int)MathF.Ceiling(figure.Size.Height * 1.5f), bitmap.Height);
        int marked = bitmap.Pixels.Count(p => p.Red < 250 || p.Green < 250 || p.Blue < 250);
        Assert.InRange(marked, bitmap.Pixels.Length / 200, bitmap.Pixels.Length);
        Assert.All(Corners(bitmap), p => Assert.Equal(SKColors.White, p));
    }

    [Theory]
    [MemberData(nameof(Samples.Names), MemberType = typeof(Samples))]
    public void The_same_figure_gives_the_same_bytes(string name)
    {
        Assert.Equal(Samples.All()[name].ToPng(), Samples.All()[name].ToPng());
        Assert.Equal(Samples.All()[name].ToSvg(), Samples.All()[name].ToSvg());
    }

    [Theory]
    [MemberData(nameof(Samples.Names), MemberType = typeof(Samples))]
    public void A_figure_drawn_earlier_stands_for_itself_on_any_page(string name)
    {
        Figure figure = Samples.All()[name];
        DrawnFigure drawn = new(figure.ToPng(), figure.ToSvg());
        Assert.Equal(figure.ToPng(), drawn.ToPng());
        Assert.Equal(figure.ToSvg("f7-"), drawn.ToSvg("f7-"));
    }

    [Theory]
    [MemberData(nameof(Samples.Names), MemberType = typeof(Samples))]
    public void Svg_holds_nothing_that_a_clearing_covered(string name)
    {
        Figure figure = Samples.All()[name];
        Assert.DoesNotContain(XElement.Parse(figure.ToSvg()).Descendants(s_svg + "rect"), r => r.Parent!.Name != s_svg + "clipPath" && r.Attribute("fill") is null
            && r.Attribute("width")?.Value == $"{figure.Size.Width}" && r.Attribute("height")?.Value == $"{figure.Size.Height}");
    }

    [Theory]
    [MemberData(nameof(Samples.Names), MemberType = typeof(Samples))]
    public void Svg_is_well_formed_self_contained_and_scales(string name)
    {
        Figure figure = Samples.All()[name];
        XElement root = XElement.Parse(figure.ToSvg());
        Assert.Equal(s_svg + "svg", root.Name);
        Assert.Equal($"0 0 {figure.Size.Width} {figure.Size.Height}", root.Attribute("viewBox")?.Value);
        Assert.Equal(figure.AccessibleName, root.Element(s_svg + "title")?.Value);
        HashSet<string> ids = [.. root.Descendants().Select(e => e.Attribute("id")?.Value).OfType<string>()];
        Assert.Equal(ids.Count, root.Descendants().Count(e => e.Attribute("id") is not null));
        foreach (XAttribute reference in root.Descendants().Attributes().Where(a => a.Name.LocalName == "href" || a.Value.StartsWith("url(", StringComparison.Ordinal)))
        {
            string target = reference.Value.Replace("url(", "").TrimEnd(')');
            Assert.True(target.StartsWith("data:image/png;base64,", StringComparison.Ordinal) || (target.StartsWith('#') && ids.Contains(target[1..])), $"{reference.Name} points to {target}");
        }
    }

    [Theory]
    [InlineData("lines", "training step", "fraction of variance unexplained", "gated SAE", "without warm-up", "target 0.10", "1,000")]
    [InlineData("log-lines", "outer iteration", "10⁻⁴")]
    [InlineData("map-categories", "Control", "SNCA", "GBA", "LRRK2", "component 1", "component 2")]
    [InlineData("map-values", "cell death rate", "component 1", "0.2")]
    [InlineData("bars", "raw tokens", "SAE latents", "no structure", "shuffled")]
    [InlineData("bars-lying", "soma size", "nuclear condensation", "AUROC of the best latent", "recovered")]
    [InlineData("null", "label transfer accuracy", "permutations", "observed 0.61")]
    [InlineData("heatmap", "membrane loss", "|cosine|", "0.61", "1.00")]
    [InlineData("heatmap-large", "latent", "cell", "z-score")]
    [InlineData("confusion", "true class", "assigned class", "1,504", "97 %", "GBA")]
    [InlineData("coupling", "imaged cells", "scRNA-seq cells", "LRRK2", "mass / independent coupling")]
    [InlineData("pareto", "d_sae 600", "d_sae 8192", "FVU", "L0, active latents per token", "dead share", "mean |cos| of decoder rows", "effective rank of the decoder", "50")]
    [InlineData("heatmap-groups", "calcium transport 0", "unnamed", "image cluster", "z-score")]
    [InlineData("patches", "latent 17", "mitochondrial puncta, AUROC 0.97", "nucleus", "9.1")]
    public void Svg_holds_its_labels_as_editable_text(string name, params string[] labels)
    {
        string[] texts = Texts(Samples.All()[name]);
        Assert.All(labels, label => Assert.Contains(label, texts));
    }

    [Fact]
    public void Few_points_are_circles_and_many_are_one_picture()
    {
        Assert.Equal(300, XElement.Parse(Samples.MapByClass(300).ToSvg()).Descendants().Count(e => e.Name.LocalName is "circle" or "ellipse") - 4);
        Assert.Single(XElement.Parse(Samples.MapByClass(3000).ToSvg()).Descendants(s_svg + "image"));
    }

    [Fact]
    public void A_map_over_a_patch_glows_where_it_is_high_and_leaves_the_rest()
    {
        ushort[] pixels = [.. Enumerable.Range(0, 64).Select(i => (ushort)(i * 1000))];
        SKBitmap Draw(float[]? overlay) => SKBitmap.Decode(new ImageGrid { Rows = [new ImageRow("a", null, [new ImagePatch(pixels, 1, 8, 8) { Overlay = overlay }])] }.ToPng(1));
        using SKBitmap plain = Draw(null), nothing = Draw(new float[64]), half = Draw([.. Enumerable.Range(0, 64).Select(i => i % 8 < 4 ? 0f : 1f)]);
        Assert.Equal(plain.Pixels, nothing.Pixels);
        int glowing = half.Pixels.Count(p => p.Red > 180 && p.Green is > 100 and < 200 && p.Blue < 70);
        Assert.InRange(glowing, 84 * 84 / 2 - 400, 84 * 84 / 2 + 400);
    }

    [Fact]
    public void Empty_and_single_point_figures_still_draw()
    {
        Figure[] figures =
        [
            new LineChart(),
            new LineChart { Series = [new LineSeries("nothing", [], [])] },
            new LineChart { Series = [new LineSeries("one", [3], [4])] },
            new LineChart { LogX = true, LogY = true, Series = [new LineSeries("not positive", [-1, 0], [1, 2])] },
            new ScatterMap(),
            new ScatterMap { X = [1], Y = [2], Values = [double.NaN] },
            new ScatterMap { X = [1], Y = [2], Categories = ["a"], ShowTicks = true, Diagonal = true },
            new BarChart(),
            new BarChart { Categories = ["a"], Series = [new BarSeries("s", [double.NaN])] },
            new BarChart { Horizontal = true, Categories = ["a"], Series = [new BarSeries("s", [-3])] },
            new Histogram(),
            new Histogram { Values = [2, double.NaN] },
            new Heatmap(),
            new Heatmap { Values = new double[1, 1] },
            new Heatmap { Values = new[,] { { double.NaN } } },
            new ConfusionMatrix(),
            ConfusionMatrix.Of([], []),
            CouplingHeatmap.Of(new double[0, 0]),
            CouplingHeatmap.Of(new[,] { { 1.0 } }, ["a"], ["b"]),
            new PanelGrid(),
            ParetoFigure.Of([]),
            ParetoFigure.Of([new ParetoPoint("one", 0, double.NaN)]),
            new ImageGrid(),
            new ImageGrid { Rows = [new ImageRow("empty", null, [])] },
            new ImageGrid { Rows = [new ImageRow("flat", null, [new ImagePatch([5], 1, 1, 1)])] },
        ];
        Assert.All(figures, figure =>
        {
            Assert.NotEmpty(figure.ToPng(1));
            XElement.Parse(figure.ToSvg());
        });
    }

    [Theory]
    [InlineData("<script>alert('x') & \"quotes\"</script>")]
    [InlineData("α-synuclein µm² — Größe, ≥ 5 → 10⁻³")]
    [InlineData("control\u0001character \uFFFF")]
    [InlineData("a label that goes on and on and on, far beyond anything that could ever fit into the figure, and then a little further still")]
    public void Any_text_is_drawn_and_stays_well_formed(string text)
    {
        double[] one = [1, 2];
        Figure[] figures =
        [
            new LineChart { Title = text, XLabel = text, YLabel = text, Series = [new LineSeries(text, one, one), new LineSeries(text + "2", one, one)], Reference = new ReferenceLine(1.5, text) },
            new ScatterMap { Title = text, XLabel = text, X = one, Y = one, Categories = [text, "b"] },
            new BarChart { Title = text, Categories = [text, text], Series = [new BarSeries(text, one)], Reference = new ReferenceLine(1, text) },
            new BarChart { Title = text, Horizontal = true, Categories = [text, text], Series = [new BarSeries(text, one)] },
            new Histogram { Title = text, XLabel = text, Values = one, Marks = [new ReferenceLine(1.5, text)] },
            new Heatmap { Title = text, XLabel = text, YLabel = text, Values = new double[2, 2], RowNames = [text, text], ColumnNames = [text, text], ValueLabel = text },
            new ConfusionMatrix { Title = text, Counts = new long[2, 2], RowNames = [text, text], ColumnNames = [text, text] },
            CouplingHeatmap.Of(new double[2, 2], [text, text], ["b", text], title: text, xLabel: text, yLabel: text),
            new SankeyDiagram { Title = text, Levels = [new SankeyLevel(text, [text, text]), new SankeyLevel(text, [text])], Flows = [new double[,] { { 1 }, { 2 } }] },
            new Heatmap { Values = new double[2, 2], RowGroups = [new RowGroup(text, 1), new RowGroup(text, 1)] },
            new ImageGrid { Title = text, Rows = [new ImageRow(text, text, [new ImagePatch([1, 2], 1, 1, 2, text)])], ChannelNames = [text] },
        ];
        Assert.All(figures, figure =>
        {
            Assert.NotEmpty(figure.ToPng(1));
            XElement svg = XElement.Parse(figure.ToSvg());
            Assert.DoesNotContain(svg.Descendants(), e => e.Name.LocalName == "script");
        });
    }

    [Fact]
    public void Mismatched_lengths_are_refused()
    {
        Assert.Throws<ArgumentException>(() => new LineChart { Series = [new LineSeries("s", [1], [1, 2])] }.ToPng());
        Assert.Throws<ArgumentException>(() => new ScatterMap { X = [1], Y = [1, 2] }.ToPng());
        Assert.Throws<ArgumentException>(() => new BarChart { Categories = ["a"], Series = [new BarSeries("s", [1, 2])] }.ToPng());
        Assert.Throws<ArgumentException>(() => new Heatmap { Values = new double[2, 2], RowNames = ["a"] }.ToPng());
        Assert.Throws<ArgumentException>(() => new ImagePatch(new ushort[3], 1, 2, 2));
        Assert.Throws<ArgumentException>(() => CouplingHeatmap.Of(new double[2, 2], ["a"]));
    }

    [Fact]
    public void Coupling_blocks_are_means_relative_to_the_independent_coupling()
    {
        const int N = 1000, M = 900;
        var uniform = new double[N, M];
        for (int i = 0; i < N; i++)
            for (int j = 0; j < M; j++) uniform[i, j] = 1.0 / ((double)N * M);
        Drawing.BlockAverage average = new(N, M, null, null, 64);
        for (int i = 0; i < N; i++)
            for (int j = 0; j < M; j++) average.Add(i, j, uniform[i, j]);
        double[,] blocks = average.Result();
        Assert.Equal((64, 64), (blocks.GetLength(0), blocks.GetLength(1)));
        Assert.All(blocks.Cast<double>(), b => Assert.Equal(1, b, 10));
    }

    [Fact]
    public void Colours_of_patches_follow_their_channels()
    {
        // One pixel bright in channel 0 only, one in channel 1 only: after scaling they must be pure red and pure green.
        ImagePatch patch = new([60000, 0, 0, 60000], 2, 1, 2);
        ImageGrid grid = new() { Rows = [new ImageRow("", null, [patch])], ChannelColors = [0xFF0000, 0x00FF00], Percentiles = (0, 100), PatchSize = 40 };
        using SKBitmap bitmap = SKBitmap.Decode(grid.ToPng(1));
        Assert.Contains(new SKColor(255, 0, 0), bitmap.Pixels);
        Assert.Contains(new SKColor(0, 255, 0), bitmap.Pixels);
    }

    private static string[] Texts(Figure figure) => [.. XElement.Parse(figure.ToSvg()).Descendants(s_svg + "text").Select(t => t.Value)];

    private static IEnumerable<SKColor> Corners(SKBitmap b) => [b.GetPixel(0, 0), b.GetPixel(b.Width - 1, 0), b.GetPixel(0, b.Height - 1), b.GetPixel(b.Width - 1, b.Height - 1)];
}
