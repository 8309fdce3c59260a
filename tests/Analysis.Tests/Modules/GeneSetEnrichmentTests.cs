using BioSup.Analysis.Modules;
using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Modules;

public sealed class GeneSetEnrichmentTests
{
    /// <summary>60 genes: ten of module 0, the others in modules of 25 at one level, and one module at a coarser one.</summary>
    private static ModuleHierarchy Modules()
    {
        string[] genes = PlantedProfiles.Genes(60);
        return new ModuleHierarchy(genes, [0.1, 1], [new int[60], [.. Enumerable.Range(0, 60).Select(g => g < 25 ? 0 : g < 50 ? 1 : 2)]], [double.NaN, double.NaN]);
    }

    private static GeneSet Set(string name, params IEnumerable<int> genes) => new(name, "", [.. genes.Select(g => $"GENE{g}")]);

    [Fact]
    public void Modules_are_named_by_their_best_significant_set()
    {
        EnrichmentTable table = GeneSetEnrichment.Test(Modules(), [Set("GO:0000001 calcium channel", Enumerable.Range(50, 8)), Set("spread", 0, 1, 26, 27, 51), Set("HALLMARK_AXON_GUIDANCE", Enumerable.Range(0, 12)), Set("tiny", 50, 51)]);
        Assert.Equal(["unnamed"], table.Labels[0]);
        Assert.Equal(["axon guidance", "unnamed", "calcium channel"], table.Labels[1]);
        EnrichmentRow best = table.Names[1][2].Best!;
        Assert.Equal((1, 2, 10, 8, 8), (best.Level, best.Module, best.ModuleSize, best.SetSize, best.Overlap));
        Assert.Equal(8 * 60.0 / (10 * 8), best.Fold, 14);
        Assert.Equal(Hypergeometric.UpperTail(8, 60, 8, 10), best.P);
        // Three modules and three sets of at least five genes: nine tests in the level's family.
        Assert.Equal([3, 9], table.Tests);
        Assert.Equal(9 * best.P, best.Q, 14);
        Assert.Equal([.. Enumerable.Range(50, 8).Select(g => $"GENE{g}")], best.Genes);
        Assert.Contains("8 of 10 genes are in a set of 8, 6.0 times the expected", table.Names[1][2].Reason);
        Assert.Contains("above q = 0.05: spread", table.Names[1][1].Reason);
        // One module of everything holds all of every set: no evidence.
        Assert.All(table.Rows.Where(r => r.Level == 0), r => Assert.Equal((1, 1), (r.P, r.Q)));
    }

    [Fact]
    public void Bounds_are_allowed_and_equal_sets_stand_in_the_order_of_their_names()
    {
        GeneSet[] sets = [Set("beta", Enumerable.Range(50, 6)), Set("alpha", Enumerable.Range(50, 6)), Set("other", Enumerable.Range(0, 9))];
        EnrichmentOptions options = new() { MinimumSetSize = 6, MaximumSetSize = 9, MinimumOverlap = 6 };
        EnrichmentTable table = GeneSetEnrichment.Test(Modules(), sets, null, options);
        Assert.Equal((3, 0, 0), (table.Matching.SetsTested, table.Matching.SetsTooSmall, table.Matching.SetsTooLarge));
        Assert.Equal(["alpha", "beta"], table.Rows.Where(r => r.Level == 1 && r.Module == 2).Select(r => r.Set));
        Assert.Equal("alpha", table.Labels[1][2]);
        double q = table.Names[1][2].Best!.Q;
        Assert.Equal("alpha", GeneSetEnrichment.Test(Modules(), sets, null, options with { Significance = q }).Labels[1][2]);
        Assert.Equal("unnamed", GeneSetEnrichment.Test(Modules(), sets, null, options with { Significance = Math.BitDecrement(q) }).Labels[1][2]);
    }

    [Fact]
    public void Why_a_module_has_no_name_is_said()
    {
        EnrichmentTable none = GeneSetEnrichment.Test(Modules(), [Set("tiny", 1, 2)]);
        Assert.Contains("No gene set has 5 to 500 genes", none.Names[1][0].Reason);
        Assert.Null(none.Names[1][0].Best);
        EnrichmentTable elsewhere = GeneSetEnrichment.Test(Modules(), [Set("ten", Enumerable.Range(50, 10))]);
        Assert.Contains("shares a gene", elsewhere.Names[1][0].Reason);
        Assert.True(elsewhere.Names[1][2].IsNamed);
        EnrichmentTable strict = GeneSetEnrichment.Test(Modules(), [Set("ten", Enumerable.Range(50, 10))], null, new EnrichmentOptions { MinimumOverlap = 11 });
        Assert.Contains("with fewer than 11 common genes: ten", strict.Names[1][2].Reason);
    }

    [Fact]
    public void Symbols_match_without_case_once_and_are_counted()
    {
        ModuleHierarchy modules = new(["Snca", "Gba1", "SNCA", "Lrrk2"], [1], [[0, 0, 1, 1]], [double.NaN]);
        string[] universe = ["SNCA ", "GBA1", "LRRK2", "snca", "PINK1", "PARK7", "Vps35"];
        GeneSet[] sets = [new("park", "", ["SNCA", "LRRK2", "VPS35", "NOSUCH"]), new("one", "", ["PINK1"])];
        EnrichmentTable table = GeneSetEnrichment.Test(modules, sets, universe, new EnrichmentOptions { MinimumSetSize = 2 });
        Assert.Equal(new SymbolMatching(6, 1, 3, 1, 1, 5, 1, 1, 2, 1, 1, 0), table.Matching);
        // The first SNCA counts, in module 0; sizes count different genes.
        Assert.Equal([(0, 2, 1), (1, 1, 1)], table.Rows.Select(r => (r.Module, r.ModuleSize, r.Overlap)));
        Assert.Equal(["SNCA"], table.Rows[0].Genes);
        Assert.All(table.Rows, r => Assert.Equal(3, r.SetSize));
        Assert.Contains("Universe: the 6 genes tested; 1 of 2 sets tested (1 too small and 0 too large", table.Describe());
        Assert.Contains("NEW", Assert.Throws<UsageException>(() => GeneSetEnrichment.Test(new ModuleHierarchy(["NEW"], [1], [[0]], [0]), sets, universe)).Message);
        Assert.Throws<UsageException>(() => GeneSetEnrichment.Test(modules, sets, [.. universe, " "]));
        Assert.Throws<UsageException>(() => GeneSetEnrichment.Test(modules, sets, universe, new EnrichmentOptions { MinimumSetSize = 0 }));
        Assert.Throws<UsageException>(() => GeneSetEnrichment.Test(modules, sets, universe, new EnrichmentOptions { Significance = 0 }));
        Assert.Throws<UsageException>(() => GeneSetEnrichment.Test(modules, sets, universe, new EnrichmentOptions { MinimumOverlap = 0 }));
    }

    [Theory]
    [InlineData("GO:0034704 calcium channel complex", "calcium channel complex")]
    [InlineData("HALLMARK_TNFA_SIGNALING_VIA_NFKB", "tnfa signaling via nfkb")]
    [InlineData("Synaptic vesicle", "Synaptic vesicle")]
    [InlineData("calcium_ais_scaffold", "calcium ais scaffold")]
    [InlineData("GO_", "GO_")]
    public void Names_for_people_lose_their_accession(string set, string expected) => Assert.Equal(expected, GeneSetEnrichment.ShortName(set));

    [Fact]
    public void Tables_have_a_row_per_module_and_per_pair()
    {
        ModuleHierarchy modules = Modules();
        EnrichmentTable table = GeneSetEnrichment.Test(modules, [Set("ten", Enumerable.Range(50, 10))]);
        Table names = table.NamesTable(modules), all = table.ToTable(modules), few = table.ToTable(modules, 0.05);
        Assert.Equal(4, names.Rows);
        Assert.Equal(["unnamed", "unnamed", "unnamed", "ten"], names["name"].Text);
        Assert.Equal((2, 1), (all.Rows, few.Rows));
        Assert.Equal("ten", modules.ToTable(table.Labels)["name_1"].Text[55]);
    }

    /// <summary>SciPy 1.10 and statsmodels 0.13 on the same files: hypergeom.sf and multipletests over all 17 modules and all sets of 5 to 500 genes.</summary>
    [Theory]
    [InlineData(false, 200, 31, "GO:0030016 myofibril", 5, 0.0031548628059099196, 0.8313063493572638)]
    [InlineData(true, 9574, 551, "GO:0030018 Z disc", 130, 0.0009877711843929399, 1)]
    public void The_published_calcium_scaffold_has_no_cell_component_for_a_name(bool genome, int universe, int tested, string set, int size, double p, double q)
    {
        string? modulesFolder = SharedData.Find("gwmap_modules", out string reason), setsFolder = SharedData.Find("genesets", out string other);
        Assert.SkipWhen(modulesFolder is null || setsFolder is null, reason + other);
        Table table = CsvFile.Read(Path.Combine(modulesFolder!, "modules.csv"));
        ModuleHierarchy published = ModuleHierarchy.FromLabels(table["gene"].Text, [1.0], [table["res_1.0"].Text], out string[][] names);
        IReadOnlyList<GeneSet> sets = GmtFile.Read(Path.Combine(setsFolder!, "go_cc.hs.symbols.gmt"));
        string[]? all = genome ? [.. published.Genes.Concat(sets.SelectMany(s => s.Genes)).Select(g => g.ToUpperInvariant()).Distinct()] : null;
        EnrichmentTable enrichment = GeneSetEnrichment.Test(published, sets, all);
        Assert.Equal((universe, tested), (enrichment.Matching.Universe, enrichment.Matching.SetsTested));
        ModuleName scaffold = enrichment.Names[0][Array.IndexOf(names[0], "Calcium-AIS Scaffold")];
        Assert.Equal((set, size, 15, 3), (scaffold.Best!.Set, scaffold.Best.SetSize, scaffold.Best.ModuleSize, scaffold.Best.Overlap));
        Assert.True(Math.Abs(scaffold.Best.P - p) <= 1e-10 * p, $"p = {scaffold.Best.P:R}, SciPy {p:R}");
        Assert.True(Math.Abs(scaffold.Best.Q - q) <= 1e-10 * q, $"q = {scaffold.Best.Q:R}, statsmodels {q:R}");
        Assert.All(enrichment.Names[0], name => Assert.False(name.IsNamed, name.Reason));
    }
}
