using System.Globalization;
using BioSup.Data;

namespace BioSup.Analysis.Modules;

/// <summary>One module against one gene set. All numbers count genes of the universe.</summary>
/// <param name="Level">Level of the hierarchy.</param>
/// <param name="Module">Module of that level.</param>
/// <param name="Set">Name of the gene set.</param>
/// <param name="ModuleSize">Genes of the module.</param>
/// <param name="SetSize">Genes of the set.</param>
/// <param name="Overlap">Genes of both, at least 1.</param>
/// <param name="Fold">Overlap over its expectation ModuleSize · SetSize / universe.</param>
/// <param name="P">Hypergeometric P(X ≥ Overlap).</param>
/// <param name="Log10P">Its logarithm, finite where P is below the smallest double.</param>
/// <param name="Q">P adjusted over all modules and sets of the level (Benjamini-Hochberg).</param>
/// <param name="Genes">The genes of both, in the universe's spelling and order.</param>
public sealed record EnrichmentRow(int Level, int Module, string Set, int ModuleSize, int SetSize, int Overlap, double Fold, double P, double Log10P, double Q, IReadOnlyList<string> Genes);

/// <summary>What a module is called, and on what evidence.</summary>
/// <param name="Level">Level of the hierarchy.</param>
/// <param name="Module">Module of that level.</param>
/// <param name="Label">Short name of the best significant set, or "unnamed".</param>
/// <param name="Best">The best set of the module, significant or not; null where no tested set shares a gene with it.</param>
/// <param name="Reason">One sentence: the evidence, or why there is no name.</param>
public sealed record ModuleName(int Level, int Module, string Label, EnrichmentRow? Best, string Reason)
{
    /// <summary>The label of a module that no set names.</summary>
    public const string Unnamed = "unnamed";

    /// <summary>Whether a significant set names the module.</summary>
    public bool IsNamed => Label != Unnamed;
}

/// <summary>How the gene symbols of modules, universe and sets met.</summary>
/// <param name="Universe">Different genes of the universe: the number every test draws from.</param>
/// <param name="UniverseDuplicates">Names left out because an earlier one is the same symbol.</param>
/// <param name="ModuleGenes">Different genes of the modules, all of them in the universe.</param>
/// <param name="ModuleDuplicates">Genes of the modules left out because an earlier one is the same symbol.</param>
/// <param name="ModuleGenesInNoSet">Genes of the modules that no set holds, before sets are left out by size.</param>
/// <param name="SetSymbols">Different symbols of all sets.</param>
/// <param name="SetSymbolsNotInUniverse">Those that are not in the universe.</param>
/// <param name="MatchedByCaseOnly">Symbols of sets that meet a gene only because case is ignored (mouse Snca, human SNCA).</param>
/// <param name="Sets">Sets given.</param>
/// <param name="SetsTested">Sets within the size limits.</param>
/// <param name="SetsTooSmall">Sets left out with too few genes in the universe.</param>
/// <param name="SetsTooLarge">Sets left out with too many.</param>
public sealed record SymbolMatching(int Universe, int UniverseDuplicates, int ModuleGenes, int ModuleDuplicates, int ModuleGenesInNoSet, int SetSymbols, int SetSymbolsNotInUniverse, int MatchedByCaseOnly,
    int Sets, int SetsTested, int SetsTooSmall, int SetsTooLarge);

/// <summary>Which gene sets the modules of a hierarchy are enriched in.</summary>
/// <param name="Rows">Every module with every tested set that shares a gene with it, by level, module and p.</param>
/// <param name="Names">[level][module].</param>
/// <param name="Tests">[level]: size of the family that q adjusts over, modules × tested sets.</param>
/// <param name="Matching">Counts of symbols and sets.</param>
public sealed record EnrichmentTable(IReadOnlyList<EnrichmentRow> Rows, IReadOnlyList<IReadOnlyList<ModuleName>> Names, IReadOnlyList<long> Tests, SymbolMatching Matching)
{
    /// <summary>[level][module]: labels, as <see cref="ModuleHierarchy.ToTable"/> takes them.</summary>
    public IReadOnlyList<IReadOnlyList<string>> Labels => [.. Names.Select(level => (IReadOnlyList<string>)[.. level.Select(name => name.Label)])];

    /// <summary>A row per module: level, size, name, evidence.</summary>
    public Table NamesTable(ModuleHierarchy modules)
    {
        ModuleName[] all = [.. Names.SelectMany(level => level)];
        return new Table(
            new Column("resolution", [.. all.Select(n => modules.Resolutions[n.Level])]),
            new Column("module", [.. all.Select(n => n.Module)]),
            new Column("genes", [.. all.Select(n => modules.Sizes[n.Level][n.Module])]),
            new Column("name", [.. all.Select(n => n.Label)]),
            new Column("best_set", [.. all.Select(n => n.Best?.Set ?? "")]),
            new Column("overlap", [.. all.Select(n => n.Best?.Overlap ?? 0)]),
            new Column("p", [.. all.Select(n => n.Best?.P ?? double.NaN)]),
            new Column("q", [.. all.Select(n => n.Best?.Q ?? double.NaN)]),
            new Column("reason", [.. all.Select(n => n.Reason)]));
    }

    /// <summary>A row per tested pair with a common gene.</summary>
    /// <param name="modules">The hierarchy that was tested.</param>
    /// <param name="largestQ">Leaves out rows with a larger q; 1 keeps all.</param>
    public Table ToTable(ModuleHierarchy modules, double largestQ = 1)
    {
        EnrichmentRow[] rows = [.. Rows.Where(r => r.Q <= largestQ)];
        return new Table(
            new Column("resolution", [.. rows.Select(r => modules.Resolutions[r.Level])]),
            new Column("module", [.. rows.Select(r => r.Module)]),
            new Column("set", [.. rows.Select(r => r.Set)]),
            new Column("module_size", [.. rows.Select(r => r.ModuleSize)]),
            new Column("set_size", [.. rows.Select(r => r.SetSize)]),
            new Column("overlap", [.. rows.Select(r => r.Overlap)]),
            new Column("fold", [.. rows.Select(r => r.Fold)]),
            new Column("p", [.. rows.Select(r => r.P)]),
            new Column("log10_p", [.. rows.Select(r => r.Log10P)]),
            new Column("q", [.. rows.Select(r => r.Q)]),
            new Column("genes", [.. rows.Select(r => string.Join(' ', r.Genes))]));
    }

    /// <summary>The sentence a report owes its reader about the universe and the symbols that were not found.</summary>
    public string Describe() => string.Create(CultureInfo.InvariantCulture,
        $"Universe: the {Matching.Universe} genes tested; {Matching.SetsTested} of {Matching.Sets} sets tested ({Matching.SetsTooSmall} too small and {Matching.SetsTooLarge} too large in this universe); {Matching.ModuleGenesInNoSet} of {Matching.ModuleGenes} module genes are in no set; {Matching.SetSymbolsNotInUniverse} of {Matching.SetSymbols} set symbols are not in the universe; {Matching.MatchedByCaseOnly} symbols matched by ignoring case.");
}
