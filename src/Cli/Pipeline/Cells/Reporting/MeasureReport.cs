using BioSup.Analysis.Geometry;
using BioSup.Cli.Pipeline.Cells.Steps;
using BioSup.Report;
using BioSup.Report.Figures;

namespace BioSup.Cli.Pipeline.Cells.Reporting;

/// <summary>The local standard deviation of one group of cells.</summary>
/// <param name="Name">Of the group.</param>
/// <param name="Sizes">One result for each neighbourhood size.</param>
/// <param name="Shuffled">The ratios at the first size with the values shuffled over the cells.</param>
internal sealed record LocalSdGroup(string Name, IReadOnlyList<LocalLinearityResult> Sizes, double[] Shuffled);

/// <summary>How a value lies over a representation or a graph.</summary>
internal static class MeasureReport
{
    private const int MostBars = 20;
    private const uint NullColor = 0xDDDDDD;

    /// <summary>The columns with the largest Moran's I.</summary>
    /// <param name="context">The cells.</param>
    /// <param name="neighborsKey">Key of uns that describes the graph.</param>
    /// <param name="names">[columns], strongest first.</param>
    /// <param name="i">[columns] Moran's I.</param>
    /// <param name="log10Q">[columns] decimal logarithm of the adjusted p-value.</param>
    /// <param name="key">Name of the result.</param>
    public static IReadOnlyList<ReportBlock> Moran(CellsContext context, string neighborsKey, string[] names, double[] i, double[] log10Q, string key)
    {
        int shown = Math.Min(MostBars, names.Length);
        if (shown == 0) return [];
        BarChart figure = new()
        {
            Categories = names[..shown], Series = [new BarSeries("I", i[..shown])], Horizontal = true, XLabel = "Moran's I", Height = 200, Width = 560,
            Notes = [.. log10Q.Take(shown).Select(Captions.P)],
        };
        string which = shown < names.Length ? $"The {shown} largest of {Numbers.Integer(names.Length)}" : "All";
        return [new FigureRowBlock([new FigureItem(figure, $"{which} Moran's I on the neighbour graph of {Captions.Cells(context.Cells.ObservationCount)}{Captions.InBrackets(Captions.Settings(context.Cells, neighborsKey))}. "
            + $"Beside the bars: one-sided p (more alike than chance) under normality{(names.Length > 1 ? $", corrected by Benjamini and Hochberg over {Numbers.Integer(names.Length)} columns" : "")}.", GeneTests.FileName(key))])];
    }

    /// <summary>R² of each fold, and of permuted values where there are some.</summary>
    public static IReadOnlyList<ReportBlock> Ridge(string value, string representation, IReadOnlyList<(string Group, int Cells, RidgeProbeResult Result)> all, RidgeProbeOptions options, string key)
    {
        string cells = string.Join(", ", all.Select(a => $"{a.Group} {Captions.Cells(a.Cells)}"));
        PointBars folds = new() { Groups = [.. all.Select(a => new ValueGroup(a.Group, a.Result.FoldR2) { Color = ColorOf(a.Group) })], YLabel = $"R² of {value}, out of fold", XLabel = "n: folds", Width = Math.Clamp(120 + 70 * all.Count, 472, 976) };
        List<ReportBlock> blocks =
        [
            new FigureRowBlock([new FigureItem(folds, $"Ridge regression of `{value}` on {representation} ({cells}): R² on each of {options.Folds} shuffled folds that the fit has not seen, at most {options.Components} principal components. Bars: mean ± standard deviation over the folds (n − 1).", GeneTests.FileName($"{key}_folds"))]),
        ];
        if (options.Permutations == 0) return blocks;
        int columns = Math.Min(3, all.Count);
        PanelGrid nulls = new()
        {
            Columns = columns,
            Panels = [.. all.Select(a => new Histogram
            {
                Title = a.Group, Values = a.Result.NullR2, Marks = [new ReferenceLine(a.Result.R2, $"R² {Numbers.Fixed(a.Result.R2, 3)}, {Captions.P(Math.Log10(a.Result.PermutationP!.Value))}")],
                XLabel = "R² over all folds, values permuted", YLabel = "permutations", Width = Math.Min(472, 960 / columns), Height = 250,
            })],
        };
        blocks.Add(new FigureRowBlock([new FigureItem(nulls, $"R² over all folds of `{value}` (line) and of {Numbers.Integer(options.Permutations)} permutations of it over the cells of the group (bars; {cells}). p = (permutations that reach R² + 1) / (permutations + 1), one-sided.", GeneTests.FileName($"{key}_permutations"))]));
        return blocks;
    }

    /// <summary>The ratios of each group at the smallest size beside those of shuffled values, and their means over the sizes.</summary>
    public static IReadOnlyList<ReportBlock> LocalSd(string value, string representation, IReadOnlyList<LocalSdGroup> groups, string key)
    {
        int k = groups[0].Sizes[0].K;
        ViolinPlot violins = new()
        {
            Groups = [.. groups.SelectMany(g => (ValueGroup[])[new(g.Name, g.Sizes[0].Ratios) { Color = ColorOf(g.Name) }, new("shuffled", g.Shuffled) { Color = NullColor }])],
            Reference = new ReferenceLine(1, ""), YLabel = $"SD of {value}, {k} neighbours / all", Width = Math.Clamp(120 + 130 * groups.Count, 472, 976), Height = 340,
        };
        bool permuted = groups[0].Sizes[0].PermutationP is not null;
        string tests = string.Join("; ", groups.Select(g => $"{g.Name} {Captions.P(g.Sizes[0].Wilcoxon.Log10P)}{(g.Sizes[0].PermutationP is { } p ? $", {Captions.P(Math.Log10(p))}" : "")}"));
        List<FigureItem> figures =
        [
            new FigureItem(violins, $"Standard deviation of `{value}` among the {k} nearest neighbours of each cell in {representation}, over that of all cells of the group ({string.Join(", ", groups.Select(g => $"{g.Name} {Captions.Cells(g.Sizes[0].N)}"))}), as measured and, grey, with the values shuffled once. Few neighbours vary less than all, shuffled too. "
                + $"One-sided signed-rank test of a ratio below 1{(permuted ? ", then permutation test of the mean ratio" : "")}: {tests}.", GeneTests.FileName($"{key}_ratios")),
        ];
        if (groups[0].Sizes.Count > 1)
            figures.Add(new FigureItem(new LineChart
            {
                Series = [.. groups.Select(g => new LineSeries(g.Name, [.. g.Sizes.Select(s => (double)s.K)], [.. g.Sizes.Select(s => s.MeanRatio)]) { Markers = true, Color = ColorOf(g.Name) })],
                XLabel = "neighbours", YLabel = "mean ratio", Reference = new ReferenceLine(1, "all cells of the group"), Height = 360,
            }, "Mean of that ratio over the sizes of the neighbourhood.", GeneTests.FileName($"{key}_sizes")));
        return [.. figures.Select(f => new FigureRowBlock([f]))];
    }

    private static uint? ColorOf(string group) => CellColoring.ClassColors.TryGetValue(group, out uint color) ? color : null;
}
