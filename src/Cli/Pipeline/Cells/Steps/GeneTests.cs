using System.Globalization;
using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary>What the steps that test genes between groups share: the matrix, its names, the groups, and tables of a comparison.</summary>
/// <param name="X">[cells, genes] dense or sparse.</param>
/// <param name="Key">Where it lies: X, layers/NAME or raw/X.</param>
/// <param name="Genes">Names of the columns.</param>
/// <param name="Codes">[cells] group of each, −1 for none.</param>
/// <param name="Groups">Names of the groups that have cells.</param>
internal sealed record GeneTests(IAnnElement X, string Key, string[] Genes, int[] Codes, string[] Groups)
{
    public static StepParameter Layer { get; } = new("layer", "X", "matrix with the values: X or a layer");

    /// <summary>Reads matrix and groups; categories without cells are left out.</summary>
    /// <param name="context">The cells.</param>
    /// <param name="groupby">Column of obs.</param>
    /// <param name="layer">X or a layer; not read with <paramref name="raw"/>.</param>
    /// <param name="raw">Takes raw/X with its own variables.</param>
    public static GeneTests Read(CellsContext context, string groupby, string layer, bool raw)
    {
        (int[] codes, string[] names) = CellMatrices.Groups(context, groupby, groupby == "leiden" ? "leiden" : null);
        int[] filled = [.. Enumerable.Range(0, names.Length).Where(codes.Contains)];
        int[] place = new int[names.Length];
        for (int g = 0; g < filled.Length; g++) place[filled[g]] = g;
        codes = Array.ConvertAll(codes, code => code < 0 ? -1 : place[code]);
        names = Array.ConvertAll(filled, g => names[g]);
        if (filled.Length == 0) throw new DataException(context.Source, $"obs/{groupby}", "no cell has a group");
        if (!raw) return new GeneTests(CellMatrices.Stored(context, layer), layer is "" or "X" ? "X" : $"layers/{layer}", context.Cells.Var.Index, codes, names);
        if (context.Cells.Raw is not { X: { } x } kept) throw new UsageException("use_raw=true; the file has no raw.");
        return new GeneTests(x, "raw/X", kept.Var.Index, codes, names);
    }

    /// <summary>Number of a group by its name.</summary>
    public int Group(string groupby, string name)
    {
        int group = Array.IndexOf(Groups, name);
        return group >= 0 ? group : throw new UsageException($"no cell has {groupby} = {name}; the groups are {string.Join(", ", Groups.Take(20))}{(Groups.Length > 20 ? ", …" : "")}.");
    }

    /// <exception cref="UsageException">A group, or what it is compared with, has too few cells.</exception>
    public IReadOnlyList<RankedGroup> Compare(CellsContext context, RankGenesOptions options)
    {
        int[] sizes = new int[Groups.Length];
        foreach (int code in Codes) if (code >= 0) sizes[code]++;
        int least = options.Test is GeneTest.Welch or GeneTest.WelchOverestimated ? 2 : 1;
        IReadOnlyList<int> tested = options.Groups ?? [.. Enumerable.Range(0, Groups.Length)];
        foreach (int group in tested)
            if (sizes[group] < least) throw new UsageException($"group '{Groups[group]}' has {sizes[group]} {(sizes[group] == 1 ? "cell" : "cells")}; the test needs {least}: leave the group out with groups=, or take another test.");
        foreach (int group in tested)
            if (group != options.Reference && (options.Reference is { } reference ? sizes[reference] : Codes.Length - sizes[group]) is var others && others < least)
                throw new UsageException($"group '{Groups[group]}' is compared with {others} {(others == 1 ? "cell" : "cells")}; the test needs {least}.");
        return RankGenes.Compute(context.Host, X, Codes, Groups.Length, options, $"{context.Source}:{Key}", context.Progress, context.Cancellation);
    }

    /// <summary>Adjusted p-values, decimal logarithms or fold changes as numbers that a file holds: 10^x.</summary>
    public static double[] Powers(double[] log10) => Array.ConvertAll(log10, v => Math.Pow(10, v));

    /// <summary>A name as part of a file name: letters, digits, dots, dashes and underscores.</summary>
    public static string FileName(string name) => string.Concat(name.Select(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_' ? c : '_'));

    /// <summary>One file per group; where two names give one file name, later ones carry their number.</summary>
    public static IReadOnlyList<(string FileName, string Csv)> Tables(string prefix, IEnumerable<(string Group, Table Table)> groups)
    {
        HashSet<string> taken = new(StringComparer.OrdinalIgnoreCase);
        List<(string, string)> files = [];
        foreach ((string group, Table table) in groups)
        {
            string name = FileName(group);
            for (int number = 2; !taken.Add(name); number++) name = $"{FileName(group)}_{number.ToString(CultureInfo.InvariantCulture)}";
            files.Add(($"{prefix}_{name}.csv", CsvFile.ToText(table)));
        }
        return files;
    }

    /// <summary>"12 genes of group a have no fold change …", for all groups at once; none where every gene has one.</summary>
    public static IReadOnlyList<string> Warnings(IReadOnlyList<RankedGroup> ranked)
    {
        int undefined = ranked.Sum(g => g.LogFoldChanges.Count(double.IsNaN)), untested = ranked.Sum(g => g.Untested);
        List<string> warnings = [];
        if (undefined > 0) warnings.Add($"{undefined} fold changes of {ranked.Count} comparisons have no value (NaN), because a mean is negative or too large for the formula.");
        if (untested > 0) warnings.Add($"{untested} tests of {ranked.Count} comparisons were not made, because neither side varies; their p is 1.");
        return warnings;
    }
}
