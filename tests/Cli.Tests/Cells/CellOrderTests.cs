using BioSup.Cli.Pipeline.Cells;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Cells;

/// <summary>What steps name is looked for before any work is done: in the file, and in what the steps before it make.</summary>
public sealed class CellOrderTests(CellsFiles files) : IClassFixture<CellsFiles>
{
    [Theory]
    [InlineData("pca:key_added=mine,neighbors:use_rep=mine:key_added=near,leiden:neighbors_key=near:key_added=fine,paga:groups=fine:neighbors_key=near:composition=superclass,umap:neighbors_key=near:key_added=X_mine,plot:basis=X_mine:color=fine;gene5")]
    [InlineData("pca:n_comps=5,neighbors,leiden:key_added=coarse,rank_genes_groups:groupby=coarse,violin:keys=cell_death;gene5:groupby=coarse,dotplot:var_names=gene5:groupby=coarse")]
    [InlineData("qc,filter_cells:column=pct_counts_mt:max_value=100,violin:keys=total_counts;log1p_total_counts:groupby=superclass")]
    [InlineData("keep:layer=raw_counts:raw=true,normalize_total:key_added=factor,log1p,highly_variable_genes:flavor=seurat_v3:layer=raw_counts:n_top_genes=20,rank_genes_groups:groupby=superclass:use_raw=true,violin:keys=factor:groupby=superclass")]
    [InlineData("score_genes:gene_list=gene5;gene9:score_name=mine:ctrl_size=5,violin:keys=mine:groupby=superclass")]
    [InlineData("pca:n_comps=5,neighbors,diffmap,dpt:groupby=superclass:value=cell_death,gam:features=gene5:time=dpt_pseudotime,violin:keys=dpt_pseudotime:groupby=superclass")]
    [InlineData("phate:use_rep=X:t=3;5,plot:basis=phate_t3,plot:basis=phate,umap:init_pos=X_phate:neighbors_key=near", false)]
    [InlineData("highly_variable_genes:n_top_genes=20,pca:n_comps=5:mask_var=highly_variable,ridge:value=cell_death:use_rep=X_pca,local_sd:value=cell_death:use_rep=X_pca:k=5:groupby=")]
    [InlineData("latents:class_key=superclass:l2=false,pca:n_comps=5:layer=log1p,neighbors,moran:vals=cell_death;gene5:layer=log1p")]
    public void Steps_find_what_others_make_under_any_name(string steps, bool passes = true)
    {
        AnnData data = AnnDataFile.Read(files["counts.h5ad"]);
        IReadOnlyList<PlannedStep> plan = CellSteps.Parse(steps, CellSteps.All);
        if (!passes)
        {
            Assert.Contains("'neighbors' with key_added=near", Assert.Throws<UsageException>(() => CellOrder.Require(plan, data)).Message);
            return;
        }
        CellOrder.Require(plan, data);
        using CpuDevice host = new(1);
        Assert.Equal(plan.Count, CellsRunner.Run(plan, CellsRunnerTests.Context(host, data), _ => { }).Count);
    }

    [Theory]
    [InlineData("log1p,pca,neighbors,leiden,violin:keys=nope:groupby=leiden", "--steps violin: there is no 'nope': neither a column of obs (superclass, cell_death, leiden) nor one of the 60 variables.")]
    [InlineData("log1p,pca,neighbors,leiden,rank_genes_groups:groupby=lieden", "--steps rank_genes_groups: there is no column 'lieden' in obs; the columns are superclass, cell_death, leiden.")]
    [InlineData("log1p,pca,rank_genes_groups:groupby=fine,neighbors,leiden:key_added=fine", "there is no obs/fine; the step 'leiden' makes it and has to come first")]
    [InlineData("log1p,pca,leiden:neighbors_key=near", "there is no neighbour graph 'near' in uns; the step 'neighbors' with key_added=near makes it")]
    [InlineData("log1p,neighbors", "there is no obsm/X_pca; the step 'pca' makes it and has to come first")]
    [InlineData("log1p,pca,umap", "there is no neighbour graph; the step 'neighbors' makes it and has to come first")]
    [InlineData("log1p,highly_variable_genes:flavor=seurat_v3:layer=counts", "there is no layer 'counts'; there are none, and the step 'keep' with layer=counts makes it.")]
    [InlineData("log1p,pca:layer=zz,keep:layer=mine", "there is no layer 'zz'; there is mine, and")]
    [InlineData("log1p,rank_genes_groups:groupby=superclass:use_raw=true", "there is no raw; the step 'keep' with raw=true makes it")]
    [InlineData("log1p,pca:mask_var=zz", "there is no column 'zz' in var; there are none.")]
    [InlineData("log1p,plot:basis=spatial", "there is no obsm/X_spatial; there are none.")]
    [InlineData("log1p,dpt", "there is no obsm/X_diffmap; the step 'diffmap' makes it")]
    [InlineData("log1p,ridge:value=deaths", "there is no column 'deaths' in obs; the columns are superclass, cell_death.")]
    [InlineData("filter_cells:column=pct_counts_mt:max_value=20", "there is no obs/pct_counts_mt; the step 'qc' makes it and has to come first")]
    public void What_is_missing_is_said_before_the_work(string steps, string expected) =>
        Assert.Contains(expected, Assert.Throws<UsageException>(() => CellOrder.Require(CellSteps.Parse(steps, CellSteps.All), AnnDataFile.Read(files["counts.h5ad"]))).Message);

    [Theory]
    [MemberData(nameof(CellsDeterminismTests.Pipelines), MemberType = typeof(CellsDeterminismTests))]
    public void No_step_makes_what_the_check_does_not_know(string input, string steps)
    {
        using CpuDevice host = new(1);
        CellsContext context = CellsRunnerTests.Context(host, CellsInput.Read(host, files[input]));
        if (input == "latents.npz") CellColumns.Add(context.Cells, files["deaths.csv"]);
        HashSet<string> known = [.. Keys(context.Cells)];
        foreach (PlannedStep planned in CellSteps.Parse(steps, CellSteps.All))
        {
            CellsRunner.Run([planned], context, _ => { });
            (string Part, string Key)[] made = [.. CellOrder.Makes(planned)];
            foreach (string key in Keys(context.Cells).Where(known.Add))
                Assert.True(made.Any(m => $"{m.Part}/{m.Key}" == key || (m.Key.EndsWith('*') && key.StartsWith($"{m.Part}/{m.Key[..^1]}", StringComparison.Ordinal))), $"{planned.Step.Name} makes {key}");
        }
    }

    private static IEnumerable<string> Keys(AnnData data) => data.Obs.Columns.Select(c => $"obs/{c.Name}").Concat(data.Var.Columns.Select(c => $"var/{c.Name}")).Concat(data.Obsm.Keys.Select(k => $"obsm/{k}")).Concat(data.Layers.Keys.Select(k => $"layers/{k}"));
}
