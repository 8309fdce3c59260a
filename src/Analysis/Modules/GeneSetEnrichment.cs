using System.Globalization;
using System.Text.RegularExpressions;
using BioSup.Analysis.Geometry;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.Modules;

/// <summary>Which gene sets are tested, and when one names a module.</summary>
public sealed record EnrichmentOptions
{
    /// <summary>Fewest genes of the universe that a tested set holds.</summary>
    public int MinimumSetSize { get; init; } = 5;

    /// <summary>Most genes of the universe that a tested set holds.</summary>
    public int MaximumSetSize { get; init; } = 500;

    /// <summary>Largest q with which a set names a module.</summary>
    public double Significance { get; init; } = 0.05;

    /// <summary>Fewest common genes with which a set names a module.</summary>
    public int MinimumOverlap { get; init; } = 2;

    internal void Check()
    {
        if (MinimumSetSize < 1 || MaximumSetSize < MinimumSetSize) throw new UsageException($"Gene sets of {MinimumSetSize} to {MaximumSetSize} genes cannot be tested: the limits rise from 1.");
        if (!(Significance > 0 && Significance <= 1)) throw new UsageException($"The significance {Significance} of gene sets does not lie between 0 and 1.");
        if (MinimumOverlap < 1) throw new UsageException($"A set of {MinimumOverlap} common genes cannot name a module; at least 1.");
    }
}

/// <summary>
/// Over-representation of gene sets in modules: the hypergeometric upper tail with the genes tested as universe, adjusted within each level over every module and
/// every tested set, also those without a common gene. A module is named by its most significant set.
/// </summary>
public static partial class GeneSetEnrichment
{
    /// <param name="modules">The hierarchy; symbols are matched as <see cref="SymbolMatching"/> counts them: case is ignored, nothing is translated.</param>
    /// <param name="sets">Gene sets with different names.</param>
    /// <param name="universe">Every gene that could have entered a module (all genes whose predictability was tested, not only the chosen ones); null takes the genes of the modules.</param>
    /// <param name="options">Sizes and significance; null for the defaults.</param>
    /// <exception cref="UsageException">A gene of the modules is not in the universe, or an option is out of its range.</exception>
    public static EnrichmentTable Test(ModuleHierarchy modules, IReadOnlyList<GeneSet> sets, IReadOnlyList<string>? universe = null, EnrichmentOptions? options = null)
    {
        options ??= new EnrichmentOptions();
        options.Check();
        GeneSymbols genes = new(modules.Genes, "the modules"), all = universe is null ? genes : new GeneSymbols(universe, "the universe");
        int[] position = Positions(modules, genes, all);
        List<TestedSet> tested = Match(sets, all, position, genes, options, out SymbolMatching matching);
        List<EnrichmentRow> rows = [];
        List<IReadOnlyList<ModuleName>> names = [];
        for (int level = 0; level < modules.Levels; level++)
        {
            EnrichmentRow[] found = Level(modules, level, position, tested, all);
            rows.AddRange(found);
            ILookup<int, EnrichmentRow> byModule = found.ToLookup(r => r.Module);
            names.Add([.. Enumerable.Range(0, modules.Sizes[level].Length).Select(m => Name(level, m, [.. byModule[m]], tested.Count, options))]);
        }
        return new EnrichmentTable(rows, names, [.. modules.Sizes.Select(level => (long)level.Length * tested.Count)], matching);
    }

    /// <summary>A set's name for people: without a leading accession ("GO:0034704 calcium channel complex") or collection ("HALLMARK_"), underscores as blanks.</summary>
    public static string ShortName(string set)
    {
        string text = Accession().Replace(set.Trim(), "");
        if (!text.Contains('_') || text.Contains(' ')) return text.Length > 0 ? text : set;
        text = Collection().Replace(text, "").Replace('_', ' ').Trim();
        return text.Length == 0 ? set : text.Any(char.IsLower) ? text : text.ToLowerInvariant();
    }

    private sealed record TestedSet(GeneSet Set, int[] Genes);

    /// <summary>[gene of the universe]: row of the hierarchy, or −1.</summary>
    private static int[] Positions(ModuleHierarchy modules, GeneSymbols genes, GeneSymbols all)
    {
        int[] position = new int[all.Names.Count];
        Array.Fill(position, -1);
        for (int g = 0; g < modules.Genes.Count; g++)
        {
            int at = all.Find(modules.Genes[g]);
            if (at < 0) throw new UsageException($"The gene {modules.Genes[g]} is in a module but not in the universe of {all.Names.Count} genes; the universe holds every gene that could have entered a module.");
            if (position[at] < 0) position[at] = g;
        }
        return position;
    }

    private static List<TestedSet> Match(IReadOnlyList<GeneSet> sets, GeneSymbols all, int[] position, GeneSymbols genes, EnrichmentOptions options, out SymbolMatching matching)
    {
        List<TestedSet> tested = [];
        Dictionary<string, int> symbols = new(StringComparer.Ordinal);
        bool[] annotated = new bool[all.Names.Count];
        int small = 0, large = 0, caseOnly = 0;
        foreach (GeneSet set in sets)
        {
            SortedSet<int> members = [];
            foreach (string symbol in set.Genes)
            {
                if (!symbols.TryGetValue(symbol, out int at))
                {
                    at = all.Find(symbol);
                    symbols.Add(symbol, at);
                    if (at >= 0 && all.Names[at] != symbol.Trim()) caseOnly++;
                }
                if (at < 0) continue;
                members.Add(at);
                annotated[at] = true;
            }
            if (members.Count < options.MinimumSetSize) small++;
            else if (members.Count > options.MaximumSetSize) large++;
            else tested.Add(new TestedSet(set, [.. members]));
        }
        int inNoSet = Enumerable.Range(0, position.Length).Count(u => position[u] >= 0 && !annotated[u]);
        matching = new SymbolMatching(all.Names.Count, all.Duplicates, genes.Names.Count, genes.Duplicates, inNoSet, symbols.Count, symbols.Values.Count(at => at < 0), caseOnly,
            sets.Count, tested.Count, small, large);
        return tested;
    }

    private static EnrichmentRow[] Level(ModuleHierarchy modules, int level, int[] position, List<TestedSet> tested, GeneSymbols all)
    {
        int[] module = modules.Module[level], sizes = new int[modules.Sizes[level].Length];
        // Sizes count different symbols: a gene that is named twice is one gene.
        foreach (int row in position) if (row >= 0) sizes[module[row]]++;
        List<EnrichmentRow> rows = [];
        foreach (TestedSet set in tested)
        {
            foreach (IGrouping<int, int> group in set.Genes.Where(u => position[u] >= 0).GroupBy(u => module[position[u]]))
            {
                int overlap = group.Count(), size = sizes[group.Key];
                double log = Hypergeometric.LogUpperTail(overlap, position.Length, set.Genes.Length, size);
                rows.Add(new EnrichmentRow(level, group.Key, set.Set.Name, size, set.Genes.Length, overlap, overlap * (double)position.Length / ((double)size * set.Genes.Length),
                    Math.Exp(log), log / Math.Log(10), 1, [.. group.Select(u => all.Names[u])]));
            }
        }
        double[] q = BenjaminiHochberg.Adjust([.. rows.Select(r => r.P)], (long)sizes.Length * tested.Count);
        return [.. rows.Select((r, i) => r with { Q = q[i] }).OrderBy(r => r.Module).ThenBy(r => r.Log10P).ThenByDescending(r => r.Overlap).ThenBy(r => r.SetSize).ThenBy(r => r.Set, StringComparer.Ordinal)];
    }

    private static ModuleName Name(int level, int module, EnrichmentRow[] rows, int tested, EnrichmentOptions options)
    {
        if (tested == 0) return new ModuleName(level, module, ModuleName.Unnamed, null, $"No gene set has {options.MinimumSetSize} to {options.MaximumSetSize} genes of the universe.");
        if (rows.Length == 0) return new ModuleName(level, module, ModuleName.Unnamed, null, "No tested gene set shares a gene with the module.");
        EnrichmentRow? named = rows.FirstOrDefault(r => r.Q <= options.Significance && r.Overlap >= options.MinimumOverlap);
        if (named is not null) return new ModuleName(level, module, ShortName(named.Set), named, $"{Evidence(named)}.");
        EnrichmentRow best = rows[0];
        string lack = best.Q > options.Significance ? $"above q = {options.Significance.ToString(CultureInfo.InvariantCulture)}" : $"with fewer than {options.MinimumOverlap} common genes";
        return new ModuleName(level, module, ModuleName.Unnamed, best, $"The best set stays {lack}: {best.Set}, {Evidence(best)}.");
    }

    private static string Evidence(EnrichmentRow r) =>
        string.Create(CultureInfo.InvariantCulture, $"{r.Overlap} of {r.ModuleSize} genes are in a set of {r.SetSize}, {r.Fold:0.0} times the expected, p = {r.P:0.0e-0}, q = {r.Q:0.0e-0}");

    [GeneratedRegex(@"^[A-Z]{2,10}:\w+\s+")]
    private static partial Regex Accession();

    [GeneratedRegex("^(HALLMARK|GOBP|GOCC|GOMF|GO|REACTOME|KEGG|WP|BIOCARTA|PID)_")]
    private static partial Regex Collection();
}
