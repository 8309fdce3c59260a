using BioSup.Report.Figures;
using BioSup.Runtime;

namespace BioSup.Report.Tests;

/// <summary>Figures of single-cell analyses with invented content.</summary>
internal static class CellSamples
{
    public static readonly IReadOnlyDictionary<string, uint> Colors = new Dictionary<string, uint> { ["Control"] = 0xA6A6A6, ["SNCA"] = 0xD97A7A };

    public static Dictionary<string, Figure> All() => new()
    {
        ["map-clusters"] = Clusters(4000, 14),
        ["map-death"] = Death(2500),
        ["paga"] = Paga(),
        ["violin"] = Violin(),
        ["point-bars"] = Bars(),
        ["volcano"] = Volcano(3000),
        ["trend"] = Trends(),
        ["dots"] = Dots(),
        ["bars-noted"] = NotedBars(),
        ["null-panels"] = NullPanels(),
    };

    public static ScatterMap Clusters(int cells, int clusters)
    {
        CounterRandom random = new(31);
        double[] x = new double[cells], y = new double[cells];
        string[] names = new string[cells];
        for (int i = 0; i < cells; i++)
        {
            int c = Math.Min(random.NextInt32(clusters), random.NextInt32(clusters));
            names[i] = c % 3 == 0 ? $"CD{c} T cells" : $"{c}";
            x[i] = 9 * Math.Cos(2.4 * c) * Math.Sqrt(c) + (0.8 + 0.2 * (c % 4)) * random.NextNormal();
            y[i] = 9 * Math.Sin(2.4 * c) * Math.Sqrt(c) + 0.9 * random.NextNormal();
        }
        return new ScatterMap { X = x, Y = y, Categories = names, NamesOnMap = true, XLabel = "UMAP 1", YLabel = "UMAP 2", Height = 400 };
    }

    public static ScatterMap Death(int cells)
    {
        CounterRandom random = new(32);
        double[] x = new double[cells], y = new double[cells], death = new double[cells];
        for (int i = 0; i < cells; i++)
        {
            double t = random.NextDouble();
            bool control = i % 2 == 0;
            x[i] = (control ? 2 * t : 1 + 4 * t) + 0.25 * random.NextNormal();
            y[i] = Math.Sin(x[i]) + (control ? 0 : 0.8) + 0.25 * random.NextNormal();
            death[i] = control ? double.NaN : 0.05 + 0.3 * t * t * Math.Exp(0.4 * random.NextNormal());
        }
        return new ScatterMap
        {
            X = x, Y = y, Values = death, ValueLabel = "cell death rate", MissingLabel = "Control", Scale = ColorScale.YellowGreenBlue, ClipPercentiles = (10, 90), Gamma = 1.2, HighOnTop = true,
            XLabel = "PHATE 1", YLabel = "PHATE 2", Height = 400,
        };
    }

    public static PagaFigure Paga()
    {
        const int Groups = 9;
        CounterRandom random = new(33);
        double[,] connectivities = new double[Groups, Groups], composition = new double[Groups, 2];
        int[] sizes = new int[Groups];
        for (int g = 0; g < Groups; g++)
        {
            sizes[g] = 40 + 900 / (g + 1);
            composition[g, 0] = sizes[g] * (1 - g / 8.0);
            composition[g, 1] = sizes[g] * (g / 8.0);
            if (g > 0) connectivities[g, g - 1] = connectivities[g - 1, g] = 0.3 + 0.7 * random.NextDouble();
            if (g > 2) connectivities[g, g - 3] = connectivities[g - 3, g] = 0.25 * random.NextDouble();
        }
        return new PagaFigure { Names = [.. Enumerable.Range(0, Groups).Select(g => g == 8 ? "dying cells" : $"{g}")], Sizes = sizes, Connectivities = connectivities, Classes = ["Control", "SNCA"], Composition = composition, Colors = Colors, Height = 360 };
    }

    public static ViolinPlot Violin()
    {
        CounterRandom random = new(34);
        double[] Draw(int count, double mean, double sd)
        {
            double[] values = new double[count];
            for (int i = 0; i < count; i++) values[i] = Math.Exp(mean + sd * random.NextNormal());
            return values;
        }
        return new ViolinPlot
        {
            YLabel = "cell death rate", Test = "Kruskal–Wallis p = 2.1×10⁻¹²",
            Groups = [new("Control", Draw(2000, -1.6, 0.3)), new("SNCA", Draw(1500, -1.1, 0.4)), new("GBA", Draw(900, -1.3, 0.35)), new("LRRK2", Draw(7, -1.2, 0.3))],
            Comparisons = [new(0, 1, "***"), new(0, 2, "p = 0.004"), new(0, 3, "n.s.")],
        };
    }

    public static PointBars Bars() => new()
    {
        YLabel = "Spearman ρ of pseudotime and cell death", Reference = new ReferenceLine(-0.3, "published root"),
        Groups = [new("SNCA", [-0.41, -0.39, -0.43, -0.4, -0.38]) { Color = 0xD97A7A }, new("GBA", [-0.2, -0.26, -0.31, double.NaN]), new("LRRK2", [-0.1, -0.12, -0.05])],
        Comparisons = [new(0, 1, "**"), new(1, 2, "*")],
    };

    public static VolcanoPlot Volcano(int variables)
    {
        CounterRandom random = new(35);
        double[] effect = new double[variables], log10P = new double[variables];
        for (int i = 0; i < variables; i++)
        {
            double strength = i % 12 == 0 ? 1.5 : 0.25;
            effect[i] = strength * random.NextNormal();
            log10P[i] = -Math.Abs(effect[i]) * (8 + 22 * random.NextDouble()) * strength;
        }
        (effect[5], log10P[5]) = (double.PositiveInfinity, -20);
        (effect[7], log10P[7]) = (-2.5, double.NegativeInfinity);
        (effect[9], log10P[9]) = (double.NaN, -3);
        return new VolcanoPlot
        {
            Effect = effect, Log10P = log10P, Names = [.. Enumerable.Range(0, variables).Select(i => $"latent {i}")], EffectThreshold = 0.58, PThreshold = 0.05,
            XLabel = "log₂ fold change, SNCA / Control", YLabel = "−log₁₀ adjusted p", UpLabel = "higher in SNCA", DownLabel = "lower in SNCA", Width = 640, Height = 420,
        };
    }

    public static BarChart NotedBars() => new()
    {
        Categories = [.. Enumerable.Range(0, 20).Select(i => $"gene {i}")], Series = [new BarSeries("I", [.. Enumerable.Range(0, 20).Select(i => i == 19 ? -0.05 : 0.9 * Math.Exp(-i / 9.0))])],
        Notes = [.. Enumerable.Range(0, 20).Select(i => i == 0 ? "p = 10⁻⁶⁷⁵" : "p = 2.1×10⁻²⁰")], Horizontal = true, XLabel = "Moran's I", Height = 200,
    };

    public static PanelGrid NullPanels()
    {
        CounterRandom random = new(37);
        double[] none = [.. Enumerable.Range(0, 400).Select(_ => -0.05 + 0.03 * random.NextNormal())];
        return new PanelGrid { Columns = 2, Panels = [.. new[] { "SNCA", "GBA" }.Select((g, i) => new Histogram { Title = g, Values = none, Marks = [new ReferenceLine(0.4 * i, "R² 0.4, p = 0.002")], XLabel = "R², permuted", YLabel = "permutations", Width = 300, Height = 240 })] };
    }

    public static DotPlot Dots()
    {
        string[] groups = ["CD4 T cells", "CD8 T cells", "B cells", "NK cells", "monocytes"], genes = ["CD3D", "IL7R", "CD8A", "MS4A1", "CD79A", "NKG7", "GNLY", "LYZ", "S100A8"];
        double[,] shares = new double[groups.Length, genes.Length], means = new double[groups.Length, genes.Length];
        for (int i = 0; i < groups.Length; i++)
            for (int j = 0; j < genes.Length; j++) (shares[i, j], means[i, j]) = (Math.Exp(-Math.Abs(2 * i - j) / 1.5), i == 3 && j == 0 ? double.NaN : 3 * Math.Exp(-Math.Abs(2 * i - j)));
        return new DotPlot { Groups = groups, Variables = genes, Shares = shares, Means = means, ValueLabel = "mean of X" };
    }

    public static TrendPlot Trends()
    {
        CounterRandom random = new(36);
        Trend Make(string name, double slope, int points)
        {
            double[] x = new double[points], y = new double[points], at = [.. Enumerable.Range(0, 200).Select(i => i / 199.0)];
            for (int i = 0; i < points; i++)
            {
                x[i] = random.NextDouble();
                y[i] = 0.1 + slope * x[i] * x[i] + 0.05 * random.NextNormal() + (i % 97 == 0 ? 1 : 0);
            }
            return new Trend(name, x, y)
            {
                CurveX = at, Curve = [.. at.Select(a => 0.1 + slope * a * a)], Lower = [.. at.Select(a => 0.08 + slope * a * a - 0.03 * a)], Upper = [.. at.Select(a => 0.12 + slope * a * a + 0.03 * a)],
            };
        }
        return new TrendPlot { Trends = [Make("SNCA", 0.5, 800), Make("GBA", 0.2, 600)], XLabel = "diffusion pseudotime", YLabel = "cell death rate", View = (0, 98), Note = "95 % band; adjusted R² 0.41 and 0.22" };
    }
}
