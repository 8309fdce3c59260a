using BioSup.Cli.Pipeline.Cells;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Cells;

/// <summary>The steps from counts, or from latents, to what principal components are taken of: the keys they write and what they refuse.</summary>
public sealed class PreprocessingStepTests : IDisposable
{
    private readonly CpuDevice _host = new(2);

    public void Dispose() => _host.Dispose();

    [Fact]
    public void Counts_are_filtered_normalised_and_scored_under_scanpys_keys_and_stay_sparse()
    {
        CellsContext context = CellsRunnerTests.Context(_host, Counts());
        IReadOnlyList<FinishedStep> done = Run(context, "qc:percent_top=5;10;500,filter_cells:min_genes=5:column=pct_counts_mt:max_value=60,filter_genes:min_cells=3,keep:layer=counts:raw=true,"
            + "normalize_total:target_sum=1e4:key_added=factor,log1p,highly_variable_genes:n_top_genes=20,score_genes:gene_list=g3;g7;nobody:ctrl_size=3:n_bins=5,"
            + "highly_variable_genes:flavor=seurat_v3:layer=counts:n_top_genes=15:span=0.6:subset=true,scale:zero_center=false");
        AnnData cells = context.Cells;
        Assert.Equal(["n_genes_by_counts", "log1p_n_genes_by_counts", "total_counts", "log1p_total_counts", "pct_counts_in_top_5_genes", "pct_counts_in_top_10_genes",
            "total_counts_mt", "log1p_total_counts_mt", "pct_counts_mt", "n_genes", "factor", "score"], cells.Obs.Columns.Select(c => c.Name));
        Assert.Equal(["mt", "n_cells_by_counts", "mean_counts", "log1p_mean_counts", "pct_dropout_by_counts", "total_counts", "log1p_total_counts", "n_cells", "means", "dispersions",
            "dispersions_norm", "highly_variable", "highly_variable_rank", "variances", "variances_norm", "mean", "std"], cells.Var.Columns.Select(c => c.Name));
        Assert.Contains("there are 60 genes", Assert.Single(done[0].Outcome.Warnings));
        Assert.Contains("1 of 3 genes are not there", Assert.Single(done[7].Outcome.Warnings));
        Assert.IsType<SparseMatrix>(cells.X);
        Assert.Equal(15, cells.VariableCount);
        Assert.Equal(39, cells.ObservationCount);
        Assert.All(cells.Var["highly_variable"].Values.As<bool>(), Assert.True);
        Assert.True(cells.Raw!.Var.Rows > 15);
        Assert.Equal("seurat_v3", ((NdArray)((AnnDictionary)cells.Uns["hvg"]!)["flavor"]!).As<string>()[0]);
        Assert.Null(((AnnDictionary)cells.Uns["log1p"]!)["base"]);
        cells.Validate("test");
    }

    [Fact]
    public void Centring_makes_a_sparse_matrix_dense_and_says_so()
    {
        CellsContext context = CellsRunnerTests.Context(_host, Counts());
        FinishedStep step = Run(context, "log1p:base=2,scale:max_value=3,l2")[1];
        Assert.Contains("made the sparse matrix dense", step.Outcome.Said);
        Assert.Equal(2.0, ((NdArray)((AnnDictionary)context.Cells.Uns["log1p"]!)["base"]!).As<double>()[0]);
        double[] row = [.. ((NdArray)context.Cells.X!).As<float>().Take(context.Cells.VariableCount).Select(v => (double)v)];
        Assert.Equal(1, row.Sum(v => v * v), 6);
    }

    [Theory]
    [InlineData("filter_cells", "at least one of")]
    [InlineData("filter_genes", "at least one of")]
    [InlineData("keep", "layer=NAME")]
    [InlineData("score_genes", "either gene_list or gmt")]
    [InlineData("highly_variable_genes:flavor=cell_ranger", "seurat, seurat_v3")]
    [InlineData("normalize_total:target_sum=-1", "target_sum=-1")]
    [InlineData("qc:percent_top=0", "percent_top=0")]
    [InlineData("latents:norm=l1", "norm=l1")]
    public void Wrong_settings_are_found_before_the_run(string text, string expected) =>
        Assert.Contains(expected, Assert.Throws<UsageException>(() => CellSteps.Parse(text, CellSteps.All)).Message);

    [Theory]
    [InlineData("qc:qc_vars=ribo", "no such column")]
    [InlineData("qc:qc_vars=ribo=RP", "no name of a gene starts")]
    [InlineData("score_genes:gene_list=g1:use_raw=true", "keep")]
    [InlineData("latents:class_key=line", "'line'")]
    public void What_the_matrix_lacks_is_named(string text, string expected) =>
        Assert.Contains(expected, Assert.Throws<UsageException>(() => Run(CellsRunnerTests.Context(_host, Counts()), text)).Message);

    [Fact]
    public void Components_are_of_the_highly_variable_genes_and_others_have_loadings_of_zero()
    {
        CellsContext context = CellsRunnerTests.Context(_host, Counts());
        IReadOnlyList<FinishedStep> done = Run(context, "normalize_total,log1p,highly_variable_genes:n_top_genes=20,pca,scale,pca:n_comps=4:mask_var=none:key_added=all");
        AnnData cells = context.Cells;
        Assert.Equal([40, 19], ((NdArray)cells.Obsm["X_pca"]!).Shape);
        Assert.Equal([60, 19], ((NdArray)cells.Varm["PCs"]!).Shape);
        Assert.Equal(ElementType.Float32, ((NdArray)cells.Obsm["X_pca"]!).Type);
        bool[] variable = cells.Var["highly_variable"].Values.As<bool>();
        double[] loadings = ((NdArray)cells.Varm["PCs"]!).As<double>();
        Assert.Equal(variable, Enumerable.Range(0, 60).Select(j => loadings[j * 19] != 0));
        AnnDictionary noted = (AnnDictionary)cells.Uns["pca"]!;
        Assert.Equal("highly_variable", ((NdArray)((AnnDictionary)noted["params"]!)["mask_var"]!).As<string>()[0]);
        Assert.Equal(19, ((NdArray)noted["variance"]!).Length);
        Assert.Contains("stayed sparse", done[3].Outcome.Said);
        // Columns of the scores have the variances that are noted.
        float[] scores = ((NdArray)cells.Obsm["X_pca"]!).As<float>();
        Assert.Equal(((NdArray)noted["variance"]!).As<double>()[0], Enumerable.Range(0, 40).Sum(i => (double)scores[i * 19] * scores[i * 19]) / 39, 4);
        Assert.Equal([40, 4], ((NdArray)cells.Obsm["all"]!).Shape);
        cells.Validate("test");
        Assert.Contains("no such column", Assert.Throws<UsageException>(() => Run(context, "pca:mask_var=nothing")).Message);
        Assert.Contains("has 1 to 20", Assert.Throws<UsageException>(() => Run(context, "pca:n_comps=30")).Message);
    }

    [Fact]
    public void Latents_go_the_way_of_the_paper()
    {
        CellsContext context = CellsRunnerTests.Context(_host, Latents());
        FinishedStep step = Run(context, "latents:per_class=8:filter_mode=de:de_mode=per_mut:de_min_log2fc=0.1:random_state=7")[0];
        AnnData cells = context.Cells;
        Assert.Equal(16, cells.ObservationCount);
        Assert.Equal(9, cells.VariableCount);
        Assert.Contains("16 of 30 cells of the classes, 9 of 9 latents that are alive of 10", step.Outcome.Said);
        Assert.True(cells.Var["de_SNCA"].Values.As<bool>().Length == 9 && cells.Var.Contains("log2fc_SNCA") && cells.Var.Contains("log10_padj_SNCA"));
        // The cells with a value come first, and there are as many as are drawn.
        Assert.All(CellMatrices.Numbers(context, "cell_death"), v => Assert.False(double.IsNaN(v)));
        Assert.All(((NdArray)cells.Layers["log1p"]!).As<float>(), v => Assert.True(v >= 0));
        float[] x = ((NdArray)cells.X!).As<float>();
        Assert.Equal(0, Enumerable.Range(0, 16).Average(i => x[i * 9]), 5);
        cells.Validate("test");
        // Without classes and without uses nothing is left out, and both are said.
        CellsContext plain = CellsRunnerTests.Context(_host, Counts());
        FinishedStep whole = Run(plain, "latents")[0];
        Assert.Equal((40, 60, 2), (plain.Cells.ObservationCount, plain.Cells.VariableCount, whole.Outcome.Warnings.Count));
    }

    internal static IReadOnlyList<FinishedStep> Run(CellsContext context, string steps) => CellsRunner.Run(CellSteps.Parse(steps, CellSteps.All), context, _ => { });

    /// <summary>40 cells x 60 genes as CSR; cell 4 has a single gene, gene 9 a single cell, g0 to g2 are mitochondrial.</summary>
    internal static AnnData Counts()
    {
        using CpuDevice host = new(1);
        using Matrix<float> counts = host.AllocateMatrix<float>(40, 60);
        CounterRandom random = new(8, stream: 2);
        for (int i = 0; i < 40; i++)
            for (int j = 0; j < 60; j++)
            {
                double mean = 0.2 + j * 0.05 + (i % 2 == j % 3 ? 1.5 : 0);
                counts.Row(i)[j] = i == 4 || j == 9 ? 0 : (float)Math.Floor(-mean * Math.Log(1 - random.NextDouble()));
            }
        counts.Row(4)[20] = 3;
        counts.Row(6)[9] = 1;
        string[] genes = [.. Enumerable.Range(0, 60).Select(j => j < 3 ? $"MT-{j}" : $"g{j}")];
        return new AnnData(DataFrame.OfRows(40), new DataFrame(genes)) { X = SparseMatrix.FromDense(counts.View) };
    }

    private static AnnData Latents()
    {
        CounterRandom random = new(9, stream: 2);
        float[] x = [.. Enumerable.Range(0, 400).Select(_ => (float)Math.Max(0, random.NextNormal() + 0.5))];
        string[] labels = [.. Enumerable.Range(0, 40).Select(i => i % 4 == 3 ? "GBA_346" : i % 4 == 0 ? "SNCA" : "Control")];
        AnnData data = new(DataFrame.OfRows(40), DataFrame.OfRows(10)) { X = new NdArray(x, 40, 10) };
        data.Obs.Add(FrameColumn.Categorical("superclass", labels)).Add("cell_death", [.. Enumerable.Range(0, 40).Select(i => i % 4 == 2 ? double.NaN : i / 10.0)]);
        data.Var.Add("usage_ema", [.. Enumerable.Range(0, 10).Select(j => j == 6 ? 0 : 1e-3)]);
        return data;
    }
}
