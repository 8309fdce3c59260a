using BioSup.Data;
using BioSup.Report;
using BioSup.Report.Figures;

namespace BioSup.Cli.Pipeline.Cells.Reporting;

/// <summary>Cells and principal components before anything is concluded from them.</summary>
internal static class QualityReport
{
    /// <summary>Violins of the quality metrics that the matrix has in obs, and genes against counts.</summary>
    public static IReadOnlyList<ReportBlock> Metrics(CellsContext context)
    {
        DataFrame obs = context.Cells.Obs;
        string[] keys = [.. new[] { "n_genes_by_counts", "total_counts" }.Concat(obs.Columns.Select(c => c.Name).Where(n => n.StartsWith("pct_counts_", StringComparison.Ordinal) && !n.StartsWith("pct_counts_in_top", StringComparison.Ordinal))).Where(obs.Contains).Take(5)];
        if (keys.Length == 0) return [];
        double[][] values = [.. keys.Select(k => CellMatrices.Numbers(context, k))];
        PanelGrid violins = new()
        {
            Columns = keys.Length,
            Panels = [.. keys.Select((k, i) => new ViolinPlot { Width = 188, Height = 300, YLabel = Meaning(k), Groups = [new ValueGroup("all cells", values[i])] })],
        };
        List<FigureItem> figures = [new FigureItem(violins, $"Quality of {Captions.Cells(context.Cells.ObservationCount)}. {ViolinPlot.BandwidthRule}; box: quartiles, whiskers to 1.5 times the box.", "qc_violin")];
        if (keys is ["n_genes_by_counts", "total_counts", ..])
        {
            bool coloured = keys.Length > 2;
            ScatterMap scatter = new() { X = values[1], Y = values[0], Values = coloured ? values[2] : null, ValueLabel = coloured ? Meaning(keys[2]) : "", HighOnTop = true, XLabel = "counts per cell", YLabel = "genes per cell", ShowTicks = true, EqualAspect = false };
            figures.Add(new FigureItem(scatter, $"Genes against counts of {Captions.Cells(context.Cells.ObservationCount)}{(coloured ? $", coloured by {Meaning(keys[2])}" : "")}.", "qc_genes_counts"));
        }
        return [new FigureRowBlock(figures)];
    }

    /// <summary>Variance of each principal component and of all up to it, from <c>uns/pca</c>.</summary>
    public static IReadOnlyList<ReportBlock> Variance(CellsContext context, string key = "pca")
    {
        if (context.Cells.Uns.GetValueOrDefault(key) is not AnnDictionary pca || pca.GetValueOrDefault("variance_ratio") is not NdArray stored) return [];
        double[] ratio = [.. stored.ToDoubles().Select(r => 100 * r)], number = [.. Enumerable.Range(1, ratio.Length).Select(i => (double)i)], sum = new double[ratio.Length];
        for (int i = 0; i < ratio.Length; i++) sum[i] = ratio[i] + (i > 0 ? sum[i - 1] : 0);
        string made = $"of {Captions.Cells(context.Cells.ObservationCount)}{Captions.InBrackets(Captions.Settings(context.Cells, key))}";
        return
        [
            new FigureRowBlock(
            [
                new FigureItem(new LineChart { XLabel = "principal component", YLabel = "share of the variance (%)", Series = [new LineSeries("each", number, ratio) { Markers = true }], YMin = 0 }, $"Variance along each principal component {made}.", "pca_variance"),
                new FigureItem(new LineChart { XLabel = "principal components", YLabel = "share of the variance (%)", Series = [new LineSeries("sum", number, sum) { Markers = true }], YMin = 0 },
                    $"Variance of all components up to each one; the {ratio.Length} together hold {Numbers.Short(ratio.Length == 0 ? 0 : sum[^1], 3)} %.", "pca_variance_sum"),
            ]),
        ];
    }

    /// <summary>The spread of each gene against its mean, the chosen ones marked, from the columns of var.</summary>
    /// <param name="context">The cells.</param>
    /// <param name="flavour">How they were chosen.</param>
    public static IReadOnlyList<ReportBlock> VariableGenes(CellsContext context, string flavour)
    {
        DataFrame genes = context.Cells.Var;
        string? spread = new[] { "variances_norm", "dispersions_norm" }.FirstOrDefault(genes.Contains);
        if (spread is null || !genes.Contains("highly_variable") || !genes.Contains("means")) return [];
        double[] mean = genes["means"].Values.ToDoubles(), value = genes[spread].Values.ToDoubles();
        bool[] chosen = genes["highly_variable"].Values.As<bool>();
        ScatterMap figure = new()
        {
            X = [.. mean.Select(m => spread == "variances_norm" ? (m > 0 ? Math.Log10(m) : double.NaN) : m)], Y = value, Categories = [.. chosen.Select(c => c ? "variable" : "other")], CategoryOrder = ["variable", "other"], ContextCategory = "other",
            XLabel = spread == "variances_norm" ? "log₁₀ mean count" : "mean, ln(1 + count)", YLabel = spread == "variances_norm" ? "standardised variance" : "normalised dispersion", ShowTicks = true, EqualAspect = false,
        };
        return [new FigureRowBlock([new FigureItem(figure, $"{Numbers.Integer(chosen.Count(c => c))} of {Numbers.Integer(chosen.Length)} genes are variable by their spread over {Captions.Cells(context.Cells.ObservationCount)} (flavor {flavour}).", "variable_genes")])];
    }

    private static string Meaning(string key) => key switch
    {
        "n_genes_by_counts" => "genes per cell",
        "total_counts" => "counts per cell",
        _ => $"{key["pct_counts_".Length..]} counts (%)",
    };
}
