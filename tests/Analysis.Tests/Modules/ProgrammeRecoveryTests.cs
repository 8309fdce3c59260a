using BioSup.Analysis.Modules;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Modules;

public sealed class ProgrammeRecoveryTests
{
    private static GeneSet Set(string name, params IEnumerable<int> genes) => new(name, "", [.. genes.Select(g => $"gene{g}")]);

    [Fact]
    public void Precision_and_recall_are_those_of_the_module_with_the_largest_Jaccard_index()
    {
        // Modules of 6, 4 and 2 genes; the programme has 3 genes in the first, 2 in the second, 1 that was not grouped.
        ModuleHierarchy modules = new(PlantedProfiles.Genes(12), [1], [[0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2]], [double.NaN]);
        RecoveryTable table = ProgrammeRecovery.Measure(modules, [Set("a", 0, 1, 2, 6, 7, 99), Set("absent", 50, 51)], permutations: 200);
        RecoveredProgramme a = table.Programmes[0];
        Assert.Equal((6, 5, 0, 6, 3), (a.Planted, a.Present, a.Module, a.ModuleSize, a.Overlap));
        Assert.Equal([0.5, 0.6, 0.5, 6.0 / 11, 3.0 / 8], [a.Precision, a.Recall, a.RecallOfPlanted, a.F1, a.Jaccard]);
        RecoveredProgramme absent = table.Programmes[1];
        Assert.Equal((2, 0, -1), (absent.Planted, absent.Present, absent.Module));
        Assert.All([absent.Precision, absent.Recall, absent.F1, absent.PValue], x => Assert.True(double.IsNaN(x)));
        Assert.Equal((1, a.F1), (table.Levels[0].Programmes, table.Levels[0].F1));
        Assert.Equal(2, table.ToTable(modules).Rows);
    }

    [Fact]
    public void Of_equal_Jaccard_indices_the_module_with_more_common_genes_stands_for_the_programme()
    {
        // Two of the three genes in a module of five, the third alone: 2 / 6 and 1 / 3.
        int[] large = [0, 0, 0, 0, 0, 1], small = [1, 1, 1, 1, 1, 0];
        foreach (int[] level in new[] { large, small })
        {
            RecoveredProgramme found = ProgrammeRecovery.Measure(new ModuleHierarchy(PlantedProfiles.Genes(6), [1], [level], [double.NaN]), [Set("p", 0, 1, 5)], 0).Programmes[0];
            Assert.Equal((level[0], 5, 2, 1 / 3.0), (found.Module, found.ModuleSize, found.Overlap, found.Jaccard));
        }
    }

    [Fact]
    public void Chance_is_the_mean_over_random_deals()
    {
        // Two modules of two genes: a programme of two gets both in one module in 1 of 3 deals (F1 = 1), else one in each (F1 = 1/2).
        ModuleHierarchy modules = new(PlantedProfiles.Genes(4), [1], [[0, 0, 1, 1]], [double.NaN]);
        RecoveryTable table = ProgrammeRecovery.Measure(modules, [Set("pair", 2, 3)], permutations: 4000, seed: 5);
        Assert.Equal((1, 1.0), (table.Programmes[0].Module, table.Programmes[0].F1));
        Assert.Equal(2.0 / 3, table.Programmes[0].ChanceF1, 0.03);
        Assert.Equal(1.0 / 3, table.Programmes[0].PValue, 0.04);
        Assert.Equal(table.Programmes[0].PValue, table.Levels[0].PValue);
    }

    [Fact]
    public void Planted_programmes_come_back_from_their_profiles()
    {
        using CpuDevice device = new(2);
        using Matrix<float> profiles = PlantedProfiles.Make(device, groups: 5, perGroup: 16, families: 5, images: 200, noise: 1, seed: 2);
        ModuleHierarchy modules = GeneModules.Find(profiles.View, PlantedProfiles.Genes(80), new ModuleOptions([0.25, 1], 10, 1));
        GeneSet[] programmes = [.. Enumerable.Range(0, 5).Select(p => Set($"programme {p}", Enumerable.Range(16 * p, 16)))];
        RecoveryTable table = ProgrammeRecovery.Measure(modules, programmes, 200, 3);
        Assert.Equal((1.0, 1.0, 1.0), (table.Best.Precision, table.Best.Recall, table.Best.F1));
        Assert.InRange(table.Best.ChanceF1, 0.15, 0.45);
        Assert.Equal(1.0 / 201, table.Best.PValue, 12);
        Assert.StartsWith("Of 5 planted programmes, the modules at resolution", ProgrammeRecovery.Describe(table, modules));
        RecoveryTable again = ProgrammeRecovery.Measure(modules, programmes, 200, 3);
        Assert.Equal(table.Programmes, again.Programmes);
    }

    [Fact]
    public void Without_permutations_chance_is_unknown_and_repeated_symbols_are_refused()
    {
        ModuleHierarchy modules = new(["A", "B"], [1], [[0, 1]], [double.NaN]);
        RecoveryTable table = ProgrammeRecovery.Measure(modules, [new("p", "", ["a", "A"])], 0);
        Assert.Equal((1, 1, 1.0), (table.Programmes[0].Planted, table.Programmes[0].Present, table.Programmes[0].F1));
        Assert.True(double.IsNaN(table.Programmes[0].ChanceF1) && double.IsNaN(table.Levels[0].PValue));
        Assert.Throws<UsageException>(() => ProgrammeRecovery.Measure(new ModuleHierarchy(["A", "a"], [1], [[0, 1]], [double.NaN]), []));
    }
}
