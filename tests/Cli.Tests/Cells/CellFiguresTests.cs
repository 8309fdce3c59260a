using BioSup.Analysis.Geometry;
using BioSup.Analysis.SingleCell;
using BioSup.Cli.Pipeline.Cells;
using BioSup.Cli.Pipeline.Cells.Reporting;
using BioSup.Data;
using BioSup.Report;
using BioSup.Report.Figures;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Cells;

/// <summary>The figures of a run: what is drawn, and that captions say on what.</summary>
public sealed class CellFiguresTests
{
    private const int Count = 90;

    [Fact]
    public void Maps_show_columns_and_variables_and_say_so()
    {
        FigureItem[] items = Figures("plot:color=class;leiden;death;g1:groupby=class:clip=5;95:gamma=1.2", out string said, out AnnData after);
        Assert.Equal("4 maps of 90 cells in umap, coloured by class, leiden, death, g1", said);
        Assert.Equal(["umap_class", "umap_leiden", "umap_death", "umap_g1"], items.Select(i => i.Name));
        ScatterMap classes = (ScatterMap)items[0].Figure, clusters = (ScatterMap)items[1].Figure, death = (ScatterMap)items[2].Figure, gene = (ScatterMap)items[3].Figure;
        Assert.Equal(("Control", false), (classes.ContextCategory, classes.NamesOnMap));
        Assert.Equal(0xD97A7Au, classes.CategoryColors!["SNCA"]);
        Assert.True(clusters.NamesOnMap);
        Assert.Null(clusters.CategoryColors);
        Assert.Equal(["0", "1", "2"], clusters.CategoryOrder!);
        Assert.Equal(45, death.Values!.Count(double.IsNaN));
        Assert.Equal(((5.0, 95.0), 1.2, "Control", true), (death.ClipPercentiles!.Value, death.Gamma, death.MissingLabel, death.HighOnTop));
        Assert.Equal("UMAP of 90 cells (n_neighbors 15, min_dist 0.5), coloured by `death`. Colours end at the 5th and 95th percentile. Colours follow the place between the ends to the power 1.2. Grey: 45 Control. High values are drawn last.", items[2].Caption);
        Assert.Contains("coloured by `g1` in X", items[3].Caption);
        Assert.Equal([1.0, 3, 5], gene.Values!.Where(double.IsFinite).Take(3));
        Assert.Equal(["X_umap", "X_diffmap"], after.Obsm.Keys);
    }

    [Fact]
    public void Diffusion_maps_begin_after_the_trivial_vector_and_raw_genes_are_found()
    {
        ScatterMap map = (ScatterMap)Figures("plot:basis=diffmap:color=old", out _, out _)[0].Figure;
        Assert.Equal((2.0, 3.0, "DC 1"), (map.X[1] - map.X[0], map.Y[1] - map.Y[0], map.XLabel));
        Assert.Equal([0.0, 0, 7], map.Values!.Take(3));
    }

    [Theory]
    [InlineData("plot:basis=phate", "there is no obsm/X_phate; there is X_umap, X_diffmap")]
    [InlineData("plot:color=nothing", "there is no 'nothing': neither a column of obs (class, leiden, death) nor one of the 2 variables")]
    [InlineData("plot:components=1;9", "has 2 columns; there is no component 9")]
    [InlineData("plot:color=death:groupby=class:control=WT", "obs/class has no class 'WT'; there are Control, SNCA")]
    [InlineData("plot:clip=90;10", "the lower percentile has to be below the upper one")]
    [InlineData("plot:clip=10", "clip takes two numbers from 0 to 100")]
    [InlineData("violin:groupby=class", "keys is empty")]
    [InlineData("ridge:value=old:groupby=class", "there is no column 'old' in obs")]
    [InlineData("violin:keys=class:groupby=leiden", "'class' is a column of categories")]
    [InlineData("dotplot:groupby=class", "var_names is empty")]
    public void What_is_missing_is_named(string steps, string expected) => Assert.Contains(expected, Assert.Throws<UsageException>(() => Figures(steps, out _, out _)).Message);

    [Fact]
    public void Violins_are_tested_against_their_reference()
    {
        FigureItem item = Figures("violin:keys=death:groupby=class:reference=Control", out _, out _)[0];
        ViolinPlot plot = (ViolinPlot)item.Figure;
        Assert.Equal([45, 45], plot.Groups.Select(g => g.Values.Length));
        Assert.Equal((0, 1), (plot.Comparisons[0].First, plot.Comparisons[0].Second));
        Assert.StartsWith("p = ", plot.Comparisons[0].Text);
        Assert.Contains("Two-sided Mann–Whitney tests against Control", item.Caption);
        Assert.Contains("Scott's rule", item.Caption);
    }

    [Fact]
    public void Violins_of_more_than_two_groups_are_tested_together()
    {
        FigureItem item = Figures("violin:keys=death:groupby=leiden", out _, out _)[0];
        ViolinPlot plot = (ViolinPlot)item.Figure;
        double[][] groups = [.. plot.Groups.Select(g => g.Values)];
        KruskalTest test = RankStatistics.KruskalWallis(groups);
        Assert.Equal($"Kruskal–Wallis: {Captions.P(test.Log10P)}", plot.Test);
        Assert.Contains($"in 90 cells by `leiden`. ", item.Caption);
        Assert.Contains($"Kruskal–Wallis test over 3 groups, corrected for ties: H = {Numbers.Short(test.H)}, {Captions.P(test.Log10P)}.", item.Caption);
        Assert.Empty(((ViolinPlot)Figures("violin:keys=death:groupby=class", out _, out _)[0].Figure).Test);
    }

    [Fact]
    public void Measures_of_a_value_show_what_they_are_held_against()
    {
        const string Way = "value=death:groupby=leiden:groups=0;1:use_rep=X_umap";
        FigureItem[] ridge = Figures($"ridge:{Way}:n_components=2:permutations=19", out _, out AnnData after), local = Figures($"local_sd:{Way}:k=3;6:permutations=9", out _, out _);
        Assert.Equal(["ridge_folds", "ridge_permutations", "local_sd_ratios", "local_sd_sizes"], ridge.Concat(local).Select(i => i.Name));
        PointBars folds = (PointBars)ridge[0].Figure;
        Assert.Equal(((NdArray)((AnnDictionary)((AnnDictionary)after.Uns["ridge"]!)["1"]!)["r2_folds"]!).As<double>(), folds.Groups[1].Values);
        Histogram control = (Histogram)((PanelGrid)ridge[1].Figure).Panels[0];
        Assert.Equal((19, "0", 1), (control.Values.Length, control.Title, control.Marks.Count));
        Assert.Contains("0 30 cells, 1 30 cells", ridge[0].Caption);
        Assert.Contains("19 permutations", ridge[1].Caption);
        ViolinPlot ratios = (ViolinPlot)local[0].Figure;
        Assert.Equal(["0", "shuffled", "1", "shuffled"], ratios.Groups.Select(g => g.Name));
        Assert.Equal(1.0, ratios.Reference!.Value);
        Assert.All(ratios.Groups, g => Assert.Equal(30, g.Values.Length));
        Assert.NotEqual(ratios.Groups[0].Values, ratios.Groups[1].Values);
        Assert.Contains("then permutation test of the mean ratio: 0 p = ", local[0].Caption);
        Assert.Equal([3.0, 6], ((LineChart)local[1].Figure).Series[1].X);
    }

    [Fact]
    public void A_value_that_does_not_vary_is_named_with_its_group()
    {
        DataException error = Assert.Throws<DataException>(() => Figures("local_sd:value=death:groupby=class:use_rep=X_umap:k=3", out _, out _));
        Assert.Contains("(obs/death): all 45 values of the group 'Control' of class are equal", error.Message);
    }

    [Fact]
    public void Moran_shows_the_strongest_with_their_p()
    {
        using CpuDevice host = new(1);
        CellsContext context = Context(host);
        string[] names = [.. Enumerable.Range(0, 30).Select(j => $"g{j}")];
        double[] i = [.. Enumerable.Range(0, 30).Select(j => 1.0 / (j + 1))], q = [.. Enumerable.Range(0, 30).Select(j => j == 0 ? -675.4 : -3.0)];
        FigureItem item = Assert.Single(((FigureRowBlock)MeasureReport.Moran(context, "neighbors", names, i, q, "moranI")[0]).Figures);
        BarChart bars = (BarChart)item.Figure;
        Assert.Equal((20, "p = 10⁻⁶⁷⁵", "p = 0.0010"), (bars.Categories.Count, bars.Notes[0], bars.Notes[1]));
        Assert.StartsWith("The 20 largest of 30 Moran's I on the neighbour graph of 90 cells (n_neighbors 15). Beside the bars: one-sided p", item.Caption);
        Assert.Empty(MeasureReport.Moran(context, "neighbors", [], [], [], "moranI"));
    }

    [Theory]
    [InlineData(3, 3, "leiden", 5, "30 (100 %)")]
    [InlineData(45, 20, "leiden", 22, "100 %")]
    [InlineData(3, 6, "", 4, "15 (50 %)")]
    public void The_composition_stands_on_a_page(int groups, int classes, string corner, int columns, string cell)
    {
        using CpuDevice host = new(1);
        CellsContext context = Context(host);
        context.Cells.Obs.Set(FrameColumn.Categorical("leiden", [.. Enumerable.Range(0, Count).Select(i => $"{i % groups:D2}")]))
            .Set(FrameColumn.Categorical("class", [.. Enumerable.Range(0, Count).Select(i => groups == 45 ? $"c{i % groups % classes:D2}" : $"c{i % classes:D2}")]));
        TableBlock table = (TableBlock)PagaReport.Of(context, "leiden", new double[groups, groups], "class")[1];
        Assert.Equal((corner, columns), (table.Columns[0], table.Columns.Count));
        Assert.Contains(table.Rows, r => r.Any(c => c.Text == cell));
    }

    [Fact]
    public void Dots_hold_shares_and_means()
    {
        DotPlot plot = (DotPlot)Figures("dotplot:var_names=g1;g2:groupby=class", out _, out _)[0].Figure;
        Assert.Equal(["Control", "SNCA"], plot.Groups);
        Assert.Equal(1.0, plot.Shares[1, 0], 12);
        Assert.Equal(0.0, plot.Shares[1, 1]);
        Assert.Equal(44.0, plot.Means[0, 0], 10);
    }

    [Fact]
    public void The_graph_of_groups_has_pies_of_classes_and_a_table_of_them()
    {
        using CpuDevice host = new(1);
        CellsContext context = Context(host);
        double[,] weights = { { 0, 0.5, 0.05 }, { 0.5, 0, 0.2 }, { 0.05, 0.2, 0 } };
        context.Cells.Uns["paga"] = new AnnDictionary { ["pos"] = new NdArray(new[] { 0.0, 1, 2, 3, 4, 5 }, 3, 2) };
        IReadOnlyList<ReportBlock> blocks = PagaReport.Of(context, "leiden", weights, "class");
        PagaFigure figure = (PagaFigure)((FigureRowBlock)blocks[0]).Figures[0].Figure;
        Assert.Equal([(0.0, 1.0), (2, 3), (4, 5)], figure.Places!);
        Assert.Equal([30, 30, 30], figure.Sizes);
        Assert.Equal(15.0, figure.Composition![2, 1]);
        Assert.Contains("2 lines of at least 0.1 are drawn", ((FigureRowBlock)blocks[0]).Figures[0].Caption);
        Assert.Equal(3, ((TableBlock)blocks[1]).Rows.Count);
        Assert.NotEmpty(figure.ToPng(1));
    }

    [Fact]
    public void Captions_of_pseudotime_state_cells_and_tests()
    {
        double[] time = [.. Enumerable.Range(0, 300).Select(i => i / 300.0)], value = [.. time.Select((t, i) => 1 - t + 0.1 * Math.Sin(37 * i))];
        PseudotimeEvaluation evaluation = PseudotimeEvaluation.Compute(time, value);
        FigureItem trend = PseudotimeReport.Trends("cell death", [new TrendGroup("SNCA", time, value, evaluation.Trend!, evaluation.Trend!.Line())]);
        Assert.Contains("SNCA 300 cells", trend.Caption);
        Assert.Contains("95 % confidence", trend.Caption);
        DiffusionPseudotime dpt = new(time, 0, 0, 0);
        FigureItem sweep = PseudotimeReport.Sweep([new("SNCA", 30, 15, 0, dpt, evaluation), new("SNCA", 30, 20, 0, dpt, evaluation)], "ρ", e => e.Spearman, "cell death");
        Heatmap panel = (Heatmap)((PanelGrid)sweep.Figure).Panels[0];
        Assert.Equal(evaluation.Spearman, panel.Values[0, 1]);
        Assert.Equal(-panel.Min, panel.Max);
        FigureItem bins = PseudotimeReport.Bins("SNCA", PseudotimeBins.Compute(time, value), "cell death");
        PointBars bars = (PointBars)bins.Figure;
        Assert.Equal((3, "***"), (bars.Comparisons.Count, bars.Comparisons[0].Text));
        Assert.StartsWith("Jonckheere–Terpstra, falling: p = ", bars.Test);
        Assert.Contains("One-sided test of Jonckheere and Terpstra for falling values: z = ", bins.Caption);
        FigureItem rising = PseudotimeReport.Bins("SNCA", PseudotimeBins.Compute(time, [.. value.Select(v => -v)]), "cell death");
        Assert.EndsWith("(rises)", ((PointBars)rising.Figure).Test);
        Assert.Contains("The values rise: the one-sided test", rising.Caption);
        FigureItem roots = PseudotimeReport.Roots([("SNCA", new RootRobustness([1, 2], [-0.4, -0.5], [-0.4, -0.5], -0.45, 0.05), 300)], "cell death");
        Assert.Contains("divisor n", roots.Caption);
        FigureItem volcano = ((FigureRowBlock)MarkerReport.Volcanoes([new("SNCA", "Control", 45, 45, [2, -2, double.NaN], [-9, -400, 0])], ["a", "b", "c"], "Wilcoxon rank-sum")[0]).Figures[0];
        Assert.Contains("SNCA (45 cells) against Control (45 cells): Wilcoxon rank-sum", volcano.Caption);
        Assert.All([trend, sweep, bins, roots, volcano], item => Assert.NotEmpty(item.Figure.ToSvg()));
    }

    [Fact]
    public void Quality_and_variance_are_drawn_from_the_keys_that_scanpy_uses()
    {
        using CpuDevice host = new(1);
        CellsContext context = Context(host);
        Assert.Empty(QualityReport.Metrics(context));
        Assert.Empty(QualityReport.Variance(context));
        context.Cells.Obs.Add("n_genes_by_counts", Enumerable.Range(0, Count).ToArray()).Add("total_counts", new float[Count]).Add("pct_counts_mt", new double[Count]);
        context.Cells.Uns["pca"] = new AnnDictionary { ["variance_ratio"] = NdArray.Vector(new[] { 0.5, 0.25 }) };
        context.Cells.Var.Add("highly_variable", new[] { true, false }).Add("means", new[] { 0.5, 1 }).Add("dispersions_norm", new[] { 2.0, double.NaN });
        FigureRowBlock metrics = (FigureRowBlock)QualityReport.Metrics(context)[0], variance = (FigureRowBlock)QualityReport.Variance(context)[0], genes = (FigureRowBlock)QualityReport.VariableGenes(context, "seurat")[0];
        Assert.Equal(["genes per cell", "counts per cell", "mt counts (%)"], ((PanelGrid)metrics.Figures[0].Figure).Panels.Cast<ViolinPlot>().Select(v => v.YLabel));
        Assert.Equal([50.0, 75], ((LineChart)variance.Figures[1].Figure).Series[0].Y);
        Assert.Equal("1 of 2 genes are variable by their spread over 90 cells (flavor seurat).", genes.Figures[0].Caption);
    }

    private static FigureItem[] Figures(string steps, out string said, out AnnData after)
    {
        using CpuDevice host = new(1);
        CellsContext context = Context(host);
        FinishedStep done = CellsRunner.Run(CellSteps.Parse(steps, CellSteps.All), context, _ => { })[0];
        (said, after) = (done.Outcome.Said, context.Cells);
        FigureItem[] items = [.. done.Outcome.Report.OfType<FigureRowBlock>().SelectMany(r => r.Figures)];
        Assert.All(items, item => Assert.NotEmpty(item.Figure.ToSvg()));
        return items;
    }

    /// <summary>Cells of two classes in three clusters; gene g1 counts upwards, g2 is nothing in the second class.</summary>
    private static CellsContext Context(CpuDevice host)
    {
        float[] x = new float[2 * Count], umap = new float[2 * Count];
        double[] diffmap = new double[3 * Count], death = new double[Count];
        for (int i = 0; i < Count; i++)
        {
            (x[2 * i], x[2 * i + 1]) = (i, i % 2 == 0 ? 1 : 0);
            (umap[2 * i], umap[2 * i + 1]) = (i % 3 * 5 + i * 0.01f, i % 7);
            (diffmap[3 * i], diffmap[3 * i + 1], diffmap[3 * i + 2]) = (1, 2 * i, 3 * i);
            death[i] = 0.1 + 0.01 * i * (i % 2);
        }
        AnnData data = new(DataFrame.OfRows(Count), new DataFrame(["g1", "g2"]))
        {
            X = new NdArray(x, Count, 2),
            Raw = new AnnRaw(new SparseMatrix(Count, 1, SparseLayout.Csr, [0, 0, 0, .. Enumerable.Repeat(1L, Count - 2)], [0], NdArray.Vector(new[] { 7f })), new DataFrame(["old"]), []),
        };
        data.Obs.Add(FrameColumn.Categorical("class", [.. Enumerable.Range(0, Count).Select(i => i % 2 == 0 ? "Control" : "SNCA")]))
            .Add(FrameColumn.Categorical("leiden", [.. Enumerable.Range(0, Count).Select(i => $"{i % 3}")])).Add("death", death);
        data.Obsm["X_umap"] = new NdArray(umap, Count, 2);
        data.Obsm["X_diffmap"] = new NdArray(diffmap, Count, 3);
        data.Uns["neighbors"] = new AnnDictionary { ["params"] = new AnnDictionary { ["n_neighbors"] = NdArray.Scalar(15L) } };
        data.Uns["umap"] = new AnnDictionary { ["params"] = new AnnDictionary { ["min_dist"] = NdArray.Scalar(0.5) } };
        return new CellsContext { Cells = data, Source = "cells.h5ad", Device = host, Host = host, Seed = 1 };
    }
}
