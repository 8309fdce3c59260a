using BioSup.Cli.Pipeline.Cells;
using BioSup.Cli.Tests.CommandLine;

namespace BioSup.Cli.Tests.Cells;

/// <summary>Every step there is, on one thread and on two: the same file and the same tables to the last byte.</summary>
public sealed class CellsDeterminismTests(CellsFiles files) : IClassFixture<CellsFiles>
{
    private const string OnCounts = "qc,filter_cells:min_genes=5,filter_genes:min_cells=3,keep:layer=counts:raw=true,normalize_total:target_sum=10000,log1p,highly_variable_genes:n_top_genes=40,"
        + "score_genes:gene_list=gene5;gene9;gene13:ctrl_size=5,scale,pca:n_comps=10,neighbors:n_neighbors=10,leiden,umap:maxiter=30,paga,phate:t=5,rank_genes_groups,"
        + "moran:vals=gene5;cell_death,plot:color=leiden,violin:keys=cell_death,dotplot:var_names=gene5;gene9";

    private const string OnLatents = "latents,select_concepts:layer=log1p,l2:layer=log1p,pca:n_comps=10,neighbors:n_neighbors=25,diffmap,dpt:groupby=superclass:value=cell_death,root_robustness:n_roots=3,"
        + "terciles,gam:features=cell_death,dpt_heatmap:bins=10,dpt_sweep:n_pcs=5;10:n_neighbors=10,local_sd:k=5,ridge";

    public static TheoryData<string, string> Pipelines => new() { { "counts.h5ad", OnCounts }, { "latents.npz", OnLatents } };

    [Theory]
    [MemberData(nameof(Pipelines))]
    public void One_thread_and_two_write_the_same_bytes(string input, string steps)
    {
        Run(input, steps, 1);
        Run(input, steps, 2);
        Assert.Equal(File.ReadAllBytes(files["1.h5ad"]), File.ReadAllBytes(files["2.h5ad"]));
        string[] tables = [.. Directory.GetFiles(files["1/tables"]).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal)];
        Assert.Equal(tables, Directory.GetFiles(files["2/tables"]).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal));
        Assert.All(tables, t => Assert.Equal(File.ReadAllText(files[$"1/tables/{t}"]), File.ReadAllText(files[$"2/tables/{t}"])));
        foreach (string figure in Directory.GetFiles(files["1/figures"], "*.svg")) Assert.Equal(File.ReadAllText(figure), File.ReadAllText(files[$"2/figures/{Path.GetFileName(figure)}"]));
    }

    [Fact]
    public void No_step_is_left_out()
    {
        string[] tried = [.. new[] { OnCounts, OnLatents }.SelectMany(s => s.Split(',')).Select(s => s.Split(':')[0]).Distinct()];
        Assert.Empty(CellSteps.All.Select(s => s.Name).Except(tried));
    }

    private void Run(string input, string steps, int threads)
    {
        (int code, _, string error) = CommandFrameTests.Invoke(["cells", files[input], "--out", files[$"{threads}.h5ad"], "--steps", steps, "--threads", $"{threads}", "--seed", "7", "--quiet", .. input == "latents.npz" ? ["--obs", files["deaths.csv"]] : Array.Empty<string>()]);
        Assert.True(code == 0, error);
    }
}
