using BioSup.Cli.Pipeline.Cells.Steps;
using BioSup.Data;
using BioSup.Report;
using BioSup.Report.Figures;

namespace BioSup.Cli.Pipeline.Cells.Reporting;

/// <summary>The graph of groups, as pies of classes where the cells have classes; nodes stand at <c>uns/paga/pos</c> where there is one.</summary>
internal static class PagaReport
{
    // Beyond this a column names cells rather than classes.
    private const int MostClasses = 20;

    /// <param name="context">The cells with the grouping that the graph joins.</param>
    /// <param name="groups">Column of obs with the groups.</param>
    /// <param name="connectivities">[groups, groups] in the order of the column's categories.</param>
    /// <param name="classes">Column of obs whose shares the pies show; empty for none.</param>
    /// <param name="threshold">Connectivities below are not drawn.</param>
    public static IReadOnlyList<ReportBlock> Of(CellsContext context, string groups, double[,] connectivities, string classes = "", double threshold = 0.1)
    {
        (int[] codes, string[] names) = CellMatrices.Groups(context, groups);
        int[] sizes = new int[names.Length];
        foreach (int code in codes) if (code >= 0) sizes[code]++;
        (double[,]? counts, string[] classNames) = Composition(context, codes, names.Length, classes);
        PagaFigure figure = new()
        {
            Names = names, Sizes = sizes, Connectivities = connectivities, Threshold = threshold, Places = Places(context, names.Length), Classes = classNames, Composition = counts,
            ContextClass = CellColoring.ContextOf(classNames), Colors = counts is null ? null : CellColoring.ColorsOf(classNames), Height = 380,
        };
        int drawn = Enumerable.Range(0, names.Length).Sum(a => Enumerable.Range(a + 1, names.Length - a - 1).Count(b => connectivities[a, b] >= threshold));
        string pies = counts is null ? "" : $" Pies: share of each class of `{classes}`.";
        List<ReportBlock> blocks =
        [
            new FigureRowBlock([new FigureItem(figure, $"PAGA of {Captions.Cells(codes.Count(c => c >= 0))} in {sizes.Count(s => s > 0)} groups of `{groups}`{Captions.InBrackets(Captions.Settings(context.Cells, "neighbors"))}. "
                + $"The area of a node grows with its cells, the width of a line with the connectivity; {drawn} lines of at least {Numbers.Short(threshold)} are drawn.{pies} Nodes are placed by the stress of their shortest paths.", GeneTests.FileName($"paga_{groups}"))]),
        ];
        if (counts is not null) blocks.Add(Table(groups, names, sizes, counts, classNames));
        return blocks;
    }

    private static (double[,]? Counts, string[] Names) Composition(CellsContext context, int[] codes, int groups, string classes)
    {
        if (classes.Length == 0) return (null, []);
        (int[] own, string[] names) = CellMatrices.Groups(context, classes);
        int[] present = [.. Enumerable.Range(0, names.Length).Where(own.Contains)];
        if (present.Length is 0 or > MostClasses) return (null, []);
        double[,] counts = new double[groups, present.Length];
        for (int i = 0; i < codes.Length; i++)
            if (codes[i] >= 0 && own[i] >= 0) counts[codes[i], Array.IndexOf(present, own[i])]++;
        return (counts, [.. present.Select(c => names[c])]);
    }

    private static (double X, double Y)[]? Places(CellsContext context, int groups) =>
        context.Cells.Uns.GetValueOrDefault("paga") is AnnDictionary paga && paga.GetValueOrDefault("pos") is NdArray { Rank: 2, Type: not ElementType.Text } pos && pos.Shape[0] == groups && pos.Shape[1] == 2
            ? [.. CellColoring.Variable(pos, 0).Zip(CellColoring.Variable(pos, 1))] : null;

    private static TableBlock Table(string groups, string[] names, int[] sizes, double[,] counts, string[] classes)
    {
        TableBlock table = new($"Composition of the groups of `{groups}`: cells of each class, and their share of the group.", [groups, "cells", .. classes.SelectMany(c => (string[])[c, $"{c}, share"])]);
        for (int g = 0; g < names.Length; g++)
        {
            if (sizes[g] == 0) continue;
            List<TableCell> row = [names[g], sizes[g]];
            for (int c = 0; c < classes.Length; c++) row.AddRange([(long)counts[g, c], TableCell.Percent(counts[g, c] / sizes[g])]);
            table.Row([.. row]);
        }
        return table;
    }
}
