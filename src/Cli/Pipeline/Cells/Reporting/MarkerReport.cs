using BioSup.Analysis.Geometry;
using BioSup.Analysis.SingleCell;
using BioSup.Cli.Pipeline.Cells.Steps;
using BioSup.Data;
using BioSup.Report;
using BioSup.Report.Figures;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Reporting;

/// <summary>What one group has been compared with, gene by gene.</summary>
/// <param name="Group">Its name.</param>
/// <param name="Against">What it was compared with.</param>
/// <param name="Cells">Cells of the group.</param>
/// <param name="OtherCells">Cells on the other side.</param>
/// <param name="LogFoldChange">[genes] log2, ±∞ allowed, NaN for none.</param>
/// <param name="Log10Adjusted">[genes] decimal logarithm of the adjusted p-value.</param>
internal sealed record MarkerComparison(string Group, string Against, int Cells, int OtherCells, double[] LogFoldChange, double[] Log10Adjusted);

/// <summary>Differences between groups of cells.</summary>
internal static class MarkerReport
{
    // Further groups are in the tables.
    private const int MostVolcanoes = 12, MarkersEach = 3, MostMarkers = 36;

    /// <summary>A volcano for each comparison, two in a row.</summary>
    /// <param name="comparisons">One per group.</param>
    /// <param name="names">[genes].</param>
    /// <param name="test">The test and the correction, as a caption says it.</param>
    /// <param name="leastFold">|log2 fold change| from which on a gene stands out.</param>
    /// <param name="mostP">Adjusted p up to which it does; 1 for no such bound.</param>
    public static IReadOnlyList<ReportBlock> Volcanoes(IReadOnlyList<MarkerComparison> comparisons, IReadOnlyList<string> names, string test, double leastFold = 1, double mostP = 0.05) =>
    [
        .. comparisons.Select(c => new FigureItem(
            new VolcanoPlot
            {
                Effect = c.LogFoldChange, Log10P = c.Log10Adjusted, Names = names, EffectThreshold = leastFold, PThreshold = mostP, Named = 8,
                XLabel = $"log₂ fold change, {c.Group} / {c.Against}", YLabel = "−log₁₀ adjusted p", UpLabel = "higher", DownLabel = "lower", Height = 380,
            },
            $"{c.Group} ({Captions.Cells(c.Cells)}) against {c.Against} ({Captions.Cells(c.OtherCells)}): {test}. Dashed: {string.Join(" and ", Bounds(leastFold, mostP))}. Triangles lie beyond the axis.{Missing(c)}",
            GeneTests.FileName($"volcano_{c.Group}"))).Chunk(2).Select(row => new FigureRowBlock(row)),
    ];

    private static IEnumerable<string> Bounds(double leastFold, double mostP)
    {
        if (mostP < 1) yield return $"adjusted p {Numbers.Short(mostP)}";
        if (leastFold > 0) yield return $"fold changes of ±{Numbers.Short(leastFold)} (log₂)";
    }

    /// <summary>Logarithms of negative means do not exist, and what has no fold change has no place in the picture.</summary>
    private static string Missing(MarkerComparison comparison)
    {
        int missing = comparison.LogFoldChange.Count(double.IsNaN);
        return missing == 0 ? "" : $" Left out: {Numbers.Integer(missing)} of {Numbers.Integer(comparison.LogFoldChange.Length)} without a fold change, because a mean is negative.";
    }

    /// <summary>Ranked genes: a dot plot of the first of each group, and a volcano for each.</summary>
    /// <param name="tests">What was compared.</param>
    /// <param name="ranked">The comparisons.</param>
    /// <param name="groupby">Column of obs.</param>
    /// <param name="reference">The other side of all comparisons.</param>
    /// <param name="test">Test and correction, as a caption says them.</param>
    public static IReadOnlyList<ReportBlock> Ranked(GeneTests tests, IReadOnlyList<RankedGroup> ranked, string groupby, string reference, string test)
    {
        MarkerComparison[] comparisons = [.. ranked.Take(MostVolcanoes).Select(g => new MarkerComparison(tests.Groups[g.Group], reference, g.Cells, g.ReferenceCells, g.LogFoldChanges, g.Log10Adjusted))];
        IReadOnlyList<ReportBlock> volcanoes = Volcanoes(comparisons, tests.Genes, test);
        if (ranked.Count < 2) return volcanoes;
        int[] genes = [.. ranked.SelectMany(g => g.Order.Take(MarkersEach)).Distinct().Take(MostMarkers)];
        double[,] shares = new double[ranked.Count, genes.Length], means = new double[ranked.Count, genes.Length];
        for (int g = 0; g < ranked.Count; g++)
            for (int j = 0; j < genes.Length; j++) (shares[g, j], means[g, j]) = (ranked[g].Pts[genes[j]], ranked[g].Means[genes[j]]);
        DotPlot dots = new()
        {
            Groups = [.. ranked.Select(g => tests.Groups[g.Group])], Variables = [.. genes.Select(g => tests.Genes[g])], Shares = shares, Means = means,
            ValueLabel = $"mean of {tests.Key}", ShareLabel = "cells ≠ 0", Width = Math.Clamp(240 + 22 * genes.Length, 472, 976), Height = 300,
        };
        return
        [
            new FigureRowBlock([new FigureItem(dots, $"The {MarkersEach} genes of highest score of each group of `{groupby}` ({Captions.Cells(ranked.Sum(g => (long)g.Cells))}, {test}, against {reference}): share of cells that are not 0, and mean of {tests.Key}.",
                GeneTests.FileName($"markers_{groupby}"))]),
            .. volcanoes,
        ];
    }

    /// <summary>Means and shares of the given genes in every group.</summary>
    /// <param name="context">The cells.</param>
    /// <param name="groups">Column of obs.</param>
    /// <param name="genes">Names of variables.</param>
    /// <param name="layer">Matrix that holds them.</param>
    public static FigureItem Dots(CellsContext context, string groups, IReadOnlyList<string> genes, string layer = "X")
    {
        (int[] codes, string[] names) = CellMatrices.Groups(context, groups);
        int[] present = [.. Enumerable.Range(0, names.Length).Where(codes.Contains)];
        RequireGroups(context, groups, present);
        double[,] shares = new double[present.Length, genes.Count], means = new double[present.Length, genes.Count];
        int[] sizes = [.. present.Select(p => codes.Count(c => c == p))];
        string from = layer;
        for (int j = 0; j < genes.Count; j++)
        {
            CellColoring gene = CellColoring.Of(context, genes[j], layer);
            if (gene.Values is null) throw new UsageException($"'{genes[j]}' is a column of categories; names of variables or columns of numbers were expected.");
            from = gene.From;
            for (int i = 0; i < codes.Length; i++)
            {
                int g = Array.IndexOf(present, codes[i]);
                if (g < 0) continue;
                if (gene.Values[i] > 0) shares[g, j] += 1.0 / sizes[g];
                means[g, j] += gene.Values[i] / sizes[g];
            }
        }
        DotPlot figure = new() { Groups = [.. present.Select(p => names[p])], Variables = genes, Shares = shares, Means = means, ValueLabel = $"mean of {from}", Width = Math.Clamp(240 + 22 * genes.Count, 472, 960), Height = 300 };
        return new FigureItem(figure, $"{genes.Count} variables in {Captions.Cells(sizes.Sum())} of {present.Length} groups of `{groups}`: share of cells above zero and mean of {from}.", GeneTests.FileName($"dotplot_{groups}"));
    }

    private static void RequireGroups(CellsContext context, string groups, int[] present)
    {
        if (present.Length == 0) throw new DataException(context.Source, $"obs/{groups}", "no cell has a group");
    }

    /// <summary>Violins of one value in groups, with a Kruskal–Wallis test over more than two and two-sided Mann–Whitney tests against one of them.</summary>
    /// <param name="context">The cells.</param>
    /// <param name="key">A column of obs or a variable.</param>
    /// <param name="groups">Column of obs.</param>
    /// <param name="reference">The group that all others are compared with; empty for no tests.</param>
    /// <param name="layer">Matrix from which a variable is taken.</param>
    public static FigureItem Violins(CellsContext context, string key, string groups, string reference = "", string layer = "X")
    {
        CellColoring coloring = CellColoring.Of(context, key, layer);
        if (coloring.Values is null) throw new UsageException($"'{key}' is a column of categories; numbers were expected.");
        (int[] codes, string[] names) = CellMatrices.Groups(context, groups);
        int[] present = [.. Enumerable.Range(0, names.Length).Where(codes.Contains)];
        RequireGroups(context, groups, present);
        IReadOnlyDictionary<string, uint>? colors = CellColoring.ColorsOf(present.Select(p => names[p]));
        ValueGroup[] parts = [.. present.Select(p => new ValueGroup(names[p], [.. coloring.Values.Where((v, i) => codes[i] == p && double.IsFinite(v))]) { Color = colors?[names[p]] })];
        if (parts.All(p => p.Values.Length == 0)) throw new DataException(context.Source, key, $"no cell of a group of {groups} has a value");
        int against = Array.FindIndex(parts, p => p.Name == reference);
        if (reference.Length > 0 && against < 0) throw new UsageException($"obs/{groups} has no class '{reference}'; there are {string.Join(", ", parts.Select(p => p.Name).Take(20))}.");
        int[] others = against < 0 ? [] : [.. Enumerable.Range(0, parts.Length).Where(g => g != against && parts[g].Values.Length > 0 && parts[against].Values.Length > 0)];
        GroupComparison[] tests = [.. others.Select(g => new GroupComparison(against, g, Captions.P(Math.Min(0, RankStatistics.MannWhitney(parts[g].Values, parts[against].Values).Log10P + Math.Log10(others.Length)))))];
        ValueGroup[] filled = [.. parts.Where(p => p.Values.Length > 0)];
        KruskalTest? all = filled.Length > 2 ? RankStatistics.KruskalWallis([.. filled.Select(p => p.Values)]) : null;
        ViolinPlot figure = new() { Groups = parts, Comparisons = tests, Test = all is null ? "" : $"Kruskal–Wallis: {Captions.P(all.Log10P)}", YLabel = coloring.From == "obs" ? key : $"{key} ({coloring.From})", Width = Math.Clamp(120 + 58 * parts.Length, 472, 960), Height = 340 + 20 * tests.Length };
        string overall = all is null ? "" : $" Kruskal–Wallis test over {filled.Length} groups, corrected for ties: H = {Numbers.Short(all.H)}, {Captions.P(all.Log10P)}.";
        string tested = tests.Length == 0 ? "" : $" Two-sided Mann–Whitney tests against {reference}, normal with tie and continuity correction{(tests.Length > 1 ? $", p times {tests.Length} (Bonferroni)" : "")}.";
        return new FigureItem(figure, $"`{key}` in {Captions.Cells(parts.Sum(p => p.Values.Length))} by `{groups}`. {ViolinPlot.BandwidthRule}; box: quartiles, whiskers to 1.5 times the box.{overall}{tested}", GeneTests.FileName($"violin_{key}_{groups}"));
    }
}
