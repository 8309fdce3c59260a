using BioSup.Report;
using BioSup.Report.Figures;
using BioSup.Runtime;

namespace BioSup.Report.Tests;

/// <summary>One figure of every kind and a whole report, with invented but plausible content.</summary>
internal static class Samples
{
    public static readonly string[] Classes = ["Control", "SNCA", "GBA", "LRRK2"];

    public static TheoryData<string> Names => [.. All().Keys];

    public static Dictionary<string, Figure> All() => new(CellSamples.All())
    {
        ["lines"] = Lines(),
        ["log-lines"] = LogLines(),
        ["map-categories"] = MapByClass(3000),
        ["map-few"] = MapByClass(300),
        ["map-values"] = MapByValue(),
        ["bars"] = Bars(),
        ["bars-lying"] = LyingBars(),
        ["null"] = Null(),
        ["heatmap"] = Heat(),
        ["heatmap-large"] = LargeHeat(),
        ["confusion"] = Confusion(),
        ["coupling"] = Coupling(),
        ["patches"] = Patches(),
        ["pareto"] = Pareto(),
        ["sankey"] = Sankey(),
        ["heatmap-groups"] = GroupedHeat(),
    };

    /// <summary>Modules at four resolutions, written in an order that crosses.</summary>
    public static SankeyDiagram Sankey()
    {
        int[] counts = [3, 7, 10, 17];
        CounterRandom random = new(12);
        int[][] parent = [[], .. counts.Skip(1).Select((count, l) => Enumerable.Range(0, count).Select(j => j < counts[l] ? j : random.NextInt32(counts[l])).ToArray())];
        foreach (int[] level in parent) random.Shuffle<int>(level);
        double[][] size = [.. counts.Select(count => new double[count])];
        for (int j = 0; j < 17; j++) size[3][j] = 4 + random.NextInt32(14);
        List<double[,]> between = [];
        for (int l = 2; l >= 0; l--)
        {
            double[,] flow = new double[counts[l], counts[l + 1]];
            for (int j = 0; j < counts[l + 1]; j++)
            {
                double stray = l > 0 && size[l + 1][j] > 8 && j % 4 == 0 ? 2 : 0;
                flow[parent[l + 1][j], j] += size[l + 1][j] - stray;
                flow[(parent[l + 1][j] + 1) % counts[l], j] += stray;
                for (int i = 0; i < counts[l]; i++) size[l][i] += flow[i, j];
            }
            between.Insert(0, flow);
        }
        string[] words = ["synaptic vesicle cycle", "calcium ion transport", "axon guidance", "unnamed", "voltage-gated potassium channel complex", "neuron projection guidance", "mitochondrion organisation"];
        return new SankeyDiagram
        {
            Levels = [.. counts.Select((count, l) => new SankeyLevel($"resolution {new[] { "0.08", "0.25", "0.4", "1" }[l]} ({count} modules)", [.. Enumerable.Range(0, count).Select(j => $"{l}.{j} {words[(j + l) % words.Length]}")]))],
            Flows = between,
        };
    }

    public static Heatmap GroupedHeat()
    {
        int[] rows = [30, 18, 9, 4, 1, 1];
        CounterRandom random = new(21);
        double[,] values = new double[rows.Sum(), 12];
        for (int i = 0, g = 0, end = rows[0]; i < values.GetLength(0); i++)
        {
            if (i == end) end += rows[++g];
            for (int j = 0; j < 12; j++) values[i, j] = Math.Sin(1.3 * g + j) + 0.4 * random.NextNormal();
        }
        return new Heatmap
        {
            Values = values, Scale = ColorScale.BlueOrange, Min = -2, Max = 2, ValueLabel = "z-score", XLabel = "image cluster",
            RowGroups = [.. rows.Select((count, g) => new RowGroup(g == 5 ? "unnamed" : $"calcium transport {g}", count))],
        };
    }

    public static LineChart Lines()
    {
        double[] step = [.. Enumerable.Range(0, 101).Select(i => i * 20.0)];
        return new LineChart
        {
            XLabel = "training step", YLabel = "fraction of variance unexplained", YMin = 0,
            Series =
            [
                new LineSeries("gated SAE", step, [.. step.Select(s => 0.08 + 0.9 * Math.Exp(-s / 260))]),
                new LineSeries("without warm-up", step, [.. step.Select(s => 0.12 + 0.85 * Math.Exp(-s / 420))]) { Dashed = true },
            ],
            Reference = new ReferenceLine(0.1, "target 0.10"),
        };
    }

    public static LineChart LogLines()
    {
        double[] k = [5, 10, 15, 20, 25];
        return new LineChart
        {
            XLabel = "outer iteration", YLabel = "change of the coupling (Frobenius)", LogY = true,
            Series = [new LineSeries("start 1", [.. Enumerable.Range(1, 60).Select(i => (double)i)], [.. Enumerable.Range(1, 60).Select(i => 0.03 * Math.Exp(-i / 5.5))])
            , new LineSeries("start 2", k, [1e-2, 1e-3, double.NaN, 2e-5, 1e-5]) { Markers = true }],
        };
    }

    public static ScatterMap MapByClass(int count)
    {
        CounterRandom random = new(3);
        double[] x = new double[count], y = new double[count];
        var labels = new string[count];
        for (int i = 0; i < count; i++)
        {
            int c = i % 4;
            labels[i] = Classes[c];
            x[i] = 3.5 * Math.Cos(c * 1.6) + random.NextNormal();
            y[i] = 2.8 * Math.Sin(c * 1.6) + random.NextNormal();
        }
        return new ScatterMap { X = x, Y = y, Categories = labels, CategoryOrder = Classes, XLabel = "component 1", YLabel = "component 2" };
    }

    public static ScatterMap MapByValue()
    {
        ScatterMap map = MapByClass(600);
        return new ScatterMap { X = map.X, Y = map.Y, Values = [.. map.X.Select((v, i) => i % 50 == 0 ? double.NaN : 0.1 + 0.04 * (v + map.Y[i]))], ValueLabel = "cell death rate", XLabel = "component 1", YLabel = "component 2", ShowTicks = true };
    }

    public static BarChart Bars() => new()
    {
        Categories = ["raw tokens", "SAE latents", "PCA 64"], YLabel = "local SD ratio (lower is purer)",
        Series = [new BarSeries("cell death", [0.82, 0.41, 0.77], [0.03, 0.02, 0.04]), new BarSeries("shuffled", [1.0, 0.99, double.NaN], [0.01, 0.015, 0])],
        Reference = new ReferenceLine(1, "no structure"),
    };

    public static BarChart LyingBars() => new()
    {
        Horizontal = true, XLabel = "AUROC of the best latent", Min = 0.5, Max = 1,
        Categories = ["soma size", "neurite length", "mitochondrial puncta", "calcium", "nuclear condensation", "membrane loss", "a concept with an unreasonably long name that nobody can read at once"],
        Series = [new BarSeries("AUROC", [0.99, 0.97, 0.95, 0.93, 0.92, 0.88, 0.71])],
        Reference = new ReferenceLine(0.9, "recovered"),
    };

    public static Histogram Null()
    {
        CounterRandom random = new(5);
        return new Histogram
        {
            Values = [.. Enumerable.Range(0, 500).Select(_ => 0.25 + 0.02 * random.NextNormal())], XLabel = "label transfer accuracy", YLabel = "permutations", Marks = [new ReferenceLine(0.61, "observed 0.61")],
        };
    }

    public static Heatmap Heat()
    {
        var values = new double[6, 6];
        for (int i = 0; i < 6; i++)
            for (int j = 0; j < 6; j++) values[i, j] = i == 2 && j == 4 ? double.NaN : Math.Exp(-Math.Abs(i - j) / 2.0);
        string[] names = ["soma size", "neurite length", "puncta", "calcium", "condensation", "membrane loss"];
        return new Heatmap { Values = values, RowNames = names, ColumnNames = names, ValueLabel = "|cosine|", Decimals = 2, Scale = ColorScale.Cividis, Width = 560, Height = 420 };
    }

    public static Heatmap LargeHeat()
    {
        var values = new double[120, 200];
        for (int i = 0; i < 120; i++)
            for (int j = 0; j < 200; j++) values[i, j] = Math.Sin(i * 0.1) * Math.Cos(j * 0.07);
        return new Heatmap { Values = values, XLabel = "latent", YLabel = "cell", ValueLabel = "z-score", Scale = ColorScale.BlueOrange, Min = -1, Max = 1 };
    }

    public static ConfusionMatrix Confusion() => new()
    {
        Counts = new long[,] { { 182, 9, 5, 4 }, { 12, 160, 20, 8 }, { 3, 31, 1504, 12 }, { 0, 6, 11, 183 } },
        RowNames = Classes, ColumnNames = Classes,
    };

    public static CouplingHeatmap Coupling()
    {
        const int N = 500, M = 620;
        CounterRandom random = new(9);
        var coupling = new double[N, M];
        for (int i = 0; i < N; i++)
            for (int j = 0; j < M; j++) coupling[i, j] = (i % 4 == j % 4 ? 3.0 : 0.3) * random.NextDouble() / (N * M);
        return CouplingHeatmap.Of(coupling, [.. Enumerable.Range(0, N).Select(i => Classes[i % 4])], [.. Enumerable.Range(0, M).Select(j => Classes[j % 4])], Classes, xLabel: "scRNA-seq cells", yLabel: "imaged cells");
    }

    public static ImageGrid Patches()
    {
        CounterRandom random = new(2);
        List<ImageRow> rows = [];
        for (int r = 0; r < 3; r++)
            rows.Add(new ImageRow($"latent {17 + 40 * r}", r == 0 ? "mitochondrial puncta, AUROC 0.97" : r == 1 ? "soma size, AUROC 0.99" : null, [.. Enumerable.Range(0, 6).Select(i => Patch(ref random, $"{9.1 - i * 0.7:0.0}"))]));
        return new ImageGrid { Rows = rows, ChannelNames = ["nucleus", "mitochondria", "calcium"] };
    }

    public static PanelGrid Pareto()
    {
        List<ParetoPoint> points = [];
        foreach (int latents in new[] { 600, 1024, 2048, 4096, 8192 })
            foreach (double l0 in new[] { 4.0, 11, 32, 90 })
                points.Add(new ParetoPoint($"d_sae {latents}", l0, 0.9 / (1 + 0.1 * l0) * Math.Pow(latents / 600.0, -0.15))
                {
                    DeadShare = 0.5 * latents / 8192 * Math.Exp(-l0 / 60),
                    MeanAbsoluteCosine = 0.03 + 0.02 * Math.Exp(-latents / 2000.0),
                    EffectiveRank = 512 * (1 - Math.Exp(-latents / 700.0)),
                });
        return ParetoFigure.Of(points);
    }

    private static ImagePatch Patch(ref CounterRandom random, string caption)
    {
        const int Side = 32;
        var pixels = new ushort[3 * Side * Side];
        for (int c = 0; c < 3; c++)
        {
            double cx = 10 + 12 * random.NextDouble(), cy = 10 + 12 * random.NextDouble(), s = 3 + 4 * random.NextDouble();
            for (int y = 0; y < Side; y++)
                for (int x = 0; x < Side; x++)
                    pixels[(c * Side + y) * Side + x] = (ushort)Math.Clamp(900 + 60 * random.NextNormal() + 9000 * Math.Exp(-((x - cx) * (x - cx) + (y - cy) * (y - cy)) / (2 * s * s)), 0, 65535);
        }
        return new ImagePatch(pixels, 3, Side, Side, caption);
    }

    public static ReportDocument Report()
    {
        ReportDocument report = new("Sparse latents of a generated cohort")
        {
            Notice = "**The data are generated.** Cells, images and counts come from the built-in cohort with known ground truth; nothing here describes a patient.",
            Summary = "A gated sparse autoencoder resolved 14 of the 16 planted concepts from 96-dimensional tokens, purified local neighbourhoods of cell death, and its map to scRNA-seq is **reliable**.",
            Footer = "BioSup.Native 0.1.0",
        };
        report.Facts.Add(new("Cohort", "4 classes, 480 images"));
        report.Facts.Add(new("Seed", "0"));
        report.Facts.Add(new("Wall time", Numbers.Duration(TimeSpan.FromSeconds(83.2))));
        report.KeyFigures.Add(new("Concepts recovered", "14 of 16", "matched latent with AUROC ≥ 0.9", Tone.Good));
        report.KeyFigures.Add(new("Variance unexplained", "0.083", "over all tokens"));
        report.KeyFigures.Add(new("Active latents", "21.4", "per token, of 1,024"));
        report.KeyFigures.Add(new("Local SD ratio", "0.41", "0.82 before the SAE", Tone.Good));
        report.KeyFigures.Add(new("Label transfer", "78 %", "chance 25 %", Tone.Warning));
        report.AddSection("Data and parameters", "480 images of 4 classes were cut into 61,440 tokens of 96 dimensions.")
            .Paragraph("Every image has three channels of 16 bits. Patches were standardised per image and channel; the encoder is a *convolutional dictionary* learnt from the same images (`coates-2011`), narrower than the number of concepts.")
            .KeyValues("Parameters of this run.", [new("sae.d_sae", "1024"), new("sae.sparsity_coeff", "50"), new("gw.epsilon", "5e-3 (POT convention)")]);
        report.AddSection("Training", "The loss fell to its floor after about 900 steps; 3 % of the latents died.")
            .Figures(new FigureItem(Lines(), "Fraction of variance unexplained during training. The dashed line is the run without warm-up.", "training-fvu"), new FigureItem(LogLines(), "Change of the coupling between outer iterations, logarithmic."));
        report.AddSection("Dictionary", "The most active patches of a latent show one concept each.")
            .Figure(Patches(), "Patches where three latents are most active, strongest first; the number is the activation. Colours: blue nucleus, green mitochondria, pink calcium; " + Patches().ScalingNote + ".", "top-patches")
            .Figure(LyingBars(), "AUROC of the best latent for each planted concept.")
            .Figure(Heat(), "Cosine between decoder directions of matched latents; the grey cell could not be computed.");
        report.AddSection("Geometry", "Neighbourhoods in latent space are purer than in token space.")
            .Figure(Bars(), "Local SD ratio of the cell death rate before and after; bars show ± 1 SD over 20 resamples.")
            .Figures(new FigureItem(MapByClass(3000), "Cells in the plane of two components, by class."), new FigureItem(MapByValue(), "The same plane by cell death rate; grey cells have none."));
        report.AddSection("Alignment", "The coupling pairs classes far above chance and is stable over starts.")
            .Callout(Tone.Good, "Reliable", "Label transfer 0.78 lies above every one of 500 permutations (p = 0.002), and ten starts agree within 0.01.")
            .Callout(Tone.Warning, "Read with care", "The mirrored optimum is only 4 % worse.")
            .Callout(Tone.Bad, "Not reliable", "What a failed verdict looks like: the null is not beaten.")
            .Figures(new FigureItem(Coupling(), "Gromov–Wasserstein coupling, rows and columns sorted by class."), new FigureItem(Confusion(), "Label transfer by the barycentric rule: counts and share of the row."))
            .Figure(Null(), "Label transfer accuracy under permutation of the labels, and as observed.")
            .Table(new TableBlock("Accuracy by transfer rule.", "rule", "accuracy", "chance", "p").Row("one-to-one", TableCell.Percent(0.71), TableCell.Percent(0.25), 0.002).Row("barycentric", TableCell.Percent(0.78, tone: Tone.Good), TableCell.Percent(0.25), 0.002));
        report.AddSection("Provenance", "Everything needed to repeat this run.")
            .KeyValues(null, [new("command", "biosup demo --out <OUT> --size small"), new("instruction set", "AVX2"), new("input hash", "sha256:4f1c9a…"), new("peak memory", Numbers.Bytes(1_482_184_704))])
            .Details("manifest.json", "{\n  \"version\": \"0.1.0\",\n  \"note\": \"<b>&amp; \\\"quotes\\\"</b>\"\n}");
        return report;
    }
}
