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

    // As many columns of counts with shares stand on a page.
    private const int MostCounts = 8;

    /// <param name="context">The cells with the grouping that the graph joins.</param>
    /// <param name="groups">Column of obs with the groups.</param>
    /// <param name="connectivities">[groups, groups] in the order of the column's categories.</param>
    /// <param name="classes">Column of obs whose shares the pies show; empty for none.</param>
    /// <param name="threshold">Connectivities below are not drawn.</param>
    /// <param name="neighborsKey">Key of uns that describes the graph.</param>
    public static IReadOnlyList<ReportBlock> Of(CellsContext context, string groups, double[,] connectivities, string classes = "", double threshold = 0.1, string neighborsKey = "neighbors")
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
            new FigureRowBlock([new FigureItem(figure, $"PAGA of {Captions.Cells(codes.Count(c => c >= 0))} in {sizes.Count(s => s > 0)} groups of `{groups}`{Captions.InBrackets(Captions.Settings(context.Cells, neighborsKey))}. "
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

    /// <summary>Groups against classes, the longer of the two down the page, with shares alone where counts would make it too wide.</summary>
    private static TableBlock Table(string groups, string[] names, int[] sizes, double[,] counts, string[] classes)
    {
        int[] filled = [.. Enumerable.Range(0, names.Length).Where(g => sizes[g] > 0)], all = [.. Enumerable.Range(0, classes.Length)];
        bool across = filled.Length >= classes.Length;
        bool both = Math.Min(filled.Length, classes.Length) <= MostCounts;
        string caption = $"Composition of the groups of `{groups}`: {(both ? "cells of each class and, in brackets, their share of the group" : "share of each class")}.";
        TableCell Cell(int g, int c) => new(both ? $"{Numbers.Integer((long)counts[g, c])} ({Numbers.Percent(counts[g, c] / sizes[g], 0)})" : Numbers.Percent(counts[g, c] / sizes[g], 0), IsNumber: true);
        if (across)
        {
            TableBlock table = new(caption, [groups, "cells", .. classes]);
            foreach (int g in filled) table.Row([names[g], sizes[g], .. all.Select(c => Cell(g, c))]);
            return table;
        }
        TableBlock turned = new(caption, ["", .. filled.Select(g => names[g])]);
        turned.Row(["cells", .. filled.Select(g => (TableCell)sizes[g])]);
        foreach (int c in all) turned.Row([classes[c], .. filled.Select(g => Cell(g, c))]);
        return turned;
    }
}
