using System.Globalization;
using BioSup.Analysis.Modules;
using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Modules;

public sealed class GeneModulesTests : IDisposable
{
    private readonly CpuDevice _device = new(2);

    public void Dispose() => _device.Dispose();

    [Fact]
    public void Genes_of_one_signal_are_one_module_and_its_family_at_the_coarse_level()
    {
        using Matrix<float> profiles = PlantedProfiles.Make(_device, groups: 6, perGroup: 12, families: 2, images: 300, noise: 0.6, seed: 3);
        ModuleHierarchy found = GeneModules.Find(profiles.View, PlantedProfiles.Genes(72), new ModuleOptions([0.05, 2.5], 15, 4));
        Assert.Equal([.. Enumerable.Range(0, 72).Select(g => g / 12)], found.Module[1]);
        Assert.Equal([.. Enumerable.Range(0, 72).Select(g => g / 12 % 2)], found.Module[0]);
        Assert.Equal([36, 36], found.Sizes[0]);
        Assert.Equal([1.0], found.Nesting);
        Assert.Equal(6, found.Nested(0, 1));
        Assert.Equal((15, 0), (found.Neighbours, found.FlatGenes.Count));
        Assert.Equal(new[,] { { 12, 0, 12, 0, 12, 0 }, { 0, 12, 0, 12, 0, 12 } }, found.Flow(0, 1));
        Assert.Equal([.. Enumerable.Range(12, 12)], found.Members(1, 1));
        Assert.Equal([0, 24, 48], found.BlockOrder()[..36].Where((_, i) => i % 12 == 0));
    }

    [Fact]
    public void The_graph_joins_the_strongest_correlations_with_their_weight()
    {
        using Matrix<float> profiles = PlantedProfiles.Make(_device, 5, 6, 2, 40, 1.5, 8);
        const int K = 4, N = 30;
        double[,] r = new double[N, N];
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) r[i, j] = Analysis.Geometry.RankStatistics.Pearson([.. profiles.Row(i).ToArray().Select(v => (double)v)], [.. profiles.Row(j).ToArray().Select(v => (double)v)]);
        List<(int From, int To, double Weight)> edges = [];
        for (int i = 0; i < N; i++)
            for (int j = i + 1; j < N; j++)
                if (r[i, j] > 0 && (Nearest(i).Contains(j) || Nearest(j).Contains(i))) edges.Add((i, j, r[i, j]));
        LeidenGraph graph = LeidenGraph.FromEdges(N, edges.Select(e => e.From).ToArray(), edges.Select(e => e.To).ToArray(), edges.Select(e => e.Weight).ToArray());
        ModuleHierarchy found = GeneModules.Find(profiles.View, PlantedProfiles.Genes(N), new ModuleOptions([0.3, 1, 2], K, 1));
        for (int l = 0; l < 3; l++) Assert.Equal(Leiden.Modularity(graph, found.Module[l], found.Resolutions[l]), found.Modularity[l], 5);

        int[] Nearest(int i) => [.. Enumerable.Range(0, N).Where(j => j != i).OrderByDescending(j => r[i, j]).Take(K)];
    }

    [Fact]
    public void Genes_that_do_not_vary_stay_alone_and_take_nobodys_place()
    {
        using Matrix<float> profiles = PlantedProfiles.Make(_device, 2, 5, 2, 60, 0.3, 5);
        profiles.Row(0).Fill(7);
        profiles.Row(9).Fill(0);
        ModuleHierarchy found = GeneModules.Find(profiles.View, PlantedProfiles.Genes(10), new ModuleOptions([0.5], 3, 1));
        Assert.Equal(["GENE0", "GENE9"], found.FlatGenes);
        Assert.Equal([2, 0, 0, 0, 0, 1, 1, 1, 1, 3], found.Module[0]);
        profiles.View.CopyFrom(new float[600]);
        Assert.Equal(10, GeneModules.Find(profiles.View, PlantedProfiles.Genes(10), new ModuleOptions([0.5], 3, 1)).Sizes[0].Length);
    }

    [Fact]
    public void Profiles_that_vary_by_rounding_alone_do_not_vary_and_a_large_mean_hides_nothing()
    {
        using Matrix<float> profiles = PlantedProfiles.Make(_device, 3, 8, 3, 80, 0.5, 9), far = _device.AllocateMatrix<float>(24, 80);
        for (int g = 0; g < 24; g++)
            for (int i = 0; i < 80; i++) far.Row(g)[i] = profiles.Row(g)[i] + 3e4f;
        ModuleOptions options = new([0.5], 6, 1);
        double near = GeneModules.Find(profiles.View, PlantedProfiles.Genes(24), options).Modularity[0], offset = GeneModules.Find(far.View, PlantedProfiles.Genes(24), options).Modularity[0];
        // Single precision keeps 2e-3 of values at 3e4.
        Assert.Equal(near, offset, 2e-4);
        far.Row(5).Fill(3e4f);
        far.Row(5)[7] = MathF.BitIncrement(3e4f);
        Assert.Equal(["GENE5"], GeneModules.Find(far.View, PlantedProfiles.Genes(24), options).FlatGenes);
    }

    [Fact]
    public void Seeds_and_runs_reach_the_search()
    {
        using Matrix<float> noise = PlantedProfiles.Make(_device, 40, 2, 1, 30, 3, 10);
        ModuleHierarchy Find(ulong seed, int runs) => GeneModules.Find(noise.View, PlantedProfiles.Genes(80), new ModuleOptions([1], 6, seed) { Runs = runs });
        ModuleHierarchy[] seeds = [.. Enumerable.Range(0, 6).Select(seed => Find((ulong)seed, 1))];
        Assert.True(seeds.Select(m => string.Join(",", m.Module[0])).Distinct().Count() > 1);
        double[] gained = [.. seeds.Select((one, seed) => Find((ulong)seed, 8).Modularity[0] - one.Modularity[0])];
        Assert.All(gained, gain => Assert.True(gain >= 0));
        Assert.Contains(gained, gain => gain > 0);
    }

    [Fact]
    public void The_same_seed_gives_the_same_modules_on_any_number_of_threads()
    {
        using CpuDevice one = new(1);
        using Matrix<float> a = PlantedProfiles.Make(_device, 8, 10, 3, 50, 2.5, 6), b = PlantedProfiles.Make(one, 8, 10, 3, 50, 2.5, 6);
        ModuleHierarchy x = GeneModules.Find(a.View, PlantedProfiles.Genes(80), ModuleOptions.Published(2)), y = GeneModules.Find(b.View, PlantedProfiles.Genes(80), ModuleOptions.Published(2));
        Assert.Equal(x.Module, y.Module);
        Assert.Equal(x.Modularity, y.Modularity);
    }

    [Fact]
    public void The_published_table_nests_as_its_source_says()
    {
        string? folder = SharedData.Find("gwmap_modules", out string reason);
        Assert.SkipWhen(folder is null, reason);
        Table table = CsvFile.Read(Path.Combine(folder!, "modules.csv"));
        ModuleHierarchy published = ModuleHierarchy.FromLabels(table["gene"].Text, ModuleOptions.PublishedResolutions,
            [.. ModuleOptions.PublishedResolutions.Select(r => table["res_" + r.ToString("0.0#", CultureInfo.InvariantCulture)].Text)], out string[][] names);
        Assert.Equal(200, published.Genes.Count);
        Assert.Equal([3, 7, 10, 17], published.Sizes.Select(level => level.Length));
        Assert.Equal([79, 62, 59], published.Sizes[0]);
        Assert.Equal(["Synaptic Function", "Structural Integrity", "Cellular Fitness"], names[0]);
        Assert.Equal([0.925, 0.895, 0.960], published.Nesting);
        Assert.Equal(1, ModuleHierarchy.Purity(published.Module[0], published.Module[3]));
        Assert.Equal(17, published.Nested(0, 3));
        int scaffold = Array.IndexOf(names[3], "Calcium-AIS Scaffold");
        Assert.Equal("RIPOR2 KLHL32 RYR3 CALN1 PCDH9 CCSER1 ANK3 EPHA7 PRKCB RTN1 PCSK5 FRMPD4 CDH13 KCNN2 VSNL1".Split(' ').Order(),
            published.Members(3, scaffold).Select(g => published.Genes[g]).Order());
    }

    [Fact]
    public void Purity_is_the_share_of_genes_in_the_main_coarse_module_of_their_fine_module()
    {
        Assert.Equal(4.0 / 6, ModuleHierarchy.Purity([0, 0, 0, 1, 1, 1], [0, 1, 1, 1, 1, 1]), 15);
        Assert.Equal(1, ModuleHierarchy.Purity([0, 0, 0, 1, 1, 1], [0, 0, 2, 1, 1, 3]));
        Assert.True(double.IsNaN(ModuleHierarchy.Purity([], [])));
        Assert.Throws<UsageException>(() => ModuleHierarchy.Purity([0], [0, 0]));
    }

    [Fact]
    public void The_table_has_numbers_and_names_at_each_level()
    {
        ModuleHierarchy modules = new(["A", "B", "C"], [0.08, 1], [[0, 0, 0], [0, 1, 0]], [double.NaN, double.NaN]);
        Table table = modules.ToTable([["all"], ["synapse", "axon"]]);
        Assert.Equal(["gene", "module_0.08", "module_1", "name_0.08", "name_1"], table.Columns.Select(c => c.Name));
        Assert.Equal(["synapse", "axon", "synapse"], table["name_1"].Text);
        Assert.Equal(["0", "1", "0"], table["module_1"].Text);
        Assert.Equal(3, modules.ToTable().Columns.Count);
    }

    [Fact]
    public void Wrong_inputs_are_refused()
    {
        using Matrix<float> profiles = PlantedProfiles.Make(_device, 2, 3, 1, 10, 1, 1);
        string[] genes = PlantedProfiles.Genes(6);
        void Refused(string says, MatrixView<float> view, string[] names, ModuleOptions options)
        {
            string message = "";
            try { GeneModules.Find(view, names, options); }
            catch (UsageException e) { message = e.Message; }
            Assert.Contains(says, message);
        }
        Refused("5 genes", profiles.View, genes[..5], ModuleOptions.Published());
        Refused("at least 2", profiles.View.RowBlock(0, 1), genes[..1], ModuleOptions.Published());
        Refused("rise", profiles.View, genes, new ModuleOptions([1, 0.5], 3, 0));
        Refused("positive", profiles.View, genes, new ModuleOptions([double.NaN], 3, 0));
        Refused("at least one resolution", profiles.View, genes, new ModuleOptions([], 3, 0));
        Refused("0 neighbours", profiles.View, genes, new ModuleOptions([1], 0, 0));
        Refused("0 runs", profiles.View, genes, new ModuleOptions([1], 3, 0) { Runs = 0 });
        profiles.Row(4)[7] = float.NaN;
        Refused("gene GENE4 is NaN at image 7", profiles.View, genes, ModuleOptions.Published());
        Assert.Throws<UsageException>(() => new ModuleHierarchy(["A"], [1], [[1]], [0]));
        Assert.Throws<UsageException>(() => new ModuleHierarchy(["A"], [1], [[0, 0]], [0]));
        Assert.Throws<UsageException>(() => new ModuleHierarchy(["A"], [1], [[-1]], [0]));
        Assert.Throws<UsageException>(() => new ModuleHierarchy(["A"], [1, 2], [[0]], [0]));
    }
}
