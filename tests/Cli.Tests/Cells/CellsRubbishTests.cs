using System.Globalization;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;

namespace BioSup.Cli.Tests.Cells;

/// <summary>Wrong input and wrong settings end in one sentence that says what, where and what was expected, with the exit code that fits, and never in a stack trace.</summary>
public sealed class CellsRubbishTests(CellsFiles files) : IClassFixture<CellsFiles>
{
    [Theory]
    [InlineData("keep:layer=a/b", 2, "--steps keep: layer=a/b cannot be the name of a result")]
    [InlineData("keep:layer=X", 2, "layer=X cannot be the name of a result")]
    [InlineData("keep", 2, "--steps keep: give layer=NAME or raw=true")]
    [InlineData("log1p,pca:n_comps=3,neighbors,leiden:key_added=", 2, "--steps leiden: key_added= cannot be")]
    [InlineData("log1p,pca:n_comps=3,neighbors,leiden:key_added=_index", 2, "key_added=_index cannot be")]
    [InlineData("score_genes:gene_list=gene5:score_name=a/b", 2, "score_name=a/b cannot be")]
    [InlineData("filter_cells", 2, "--steps filter_cells: give at least one of")]
    [InlineData("filter_cells:min_counts=10:max_counts=5", 2, "--steps filter_cells: min_counts=10 is larger than max_counts=5")]
    [InlineData("filter_cells:min_counts=1e9", 3, "counts.h5ad (obs): no cell passes filter_cells")]
    [InlineData("score_genes", 2, "--steps score_genes: give either gene_list or gmt")]
    [InlineData("score_genes:gene_list=gene5:random_state=1.5", 2, "random_state=1.5; a whole number from 0 to 4294967295 was expected")]
    [InlineData("score_genes:gene_list=gene5:n_bins=1000", 3, "counts.h5ad (step score_genes): genes: 60 genes are too few for 1000 bins")]
    [InlineData("normalize_total:target_sum=1e300", 2, "target_sum=1e300; a number above 0, at most 1E+30 was expected")]
    [InlineData("highly_variable_genes:flavor=seurat_v3:span=0.001", 3, "a larger span is needed")]
    [InlineData("log1p,pca:mask_var=alone", 2, "--steps pca: 120 x 1 values have no components to choose; at least 2 cells of 2 variables were expected")]
    [InlineData("phate:use_rep=X:gamma=7", 2, "gamma=7; 1 was expected")]
    [InlineData("pca:n_comps=5,neighbors,umap:spread=1e30:maxiter=5", 3, "(step umap): obsm/X_umap came out with values that are not finite")]
    [InlineData("ridge:value=gone", 3, "(obs/gone): no cell of a group of superclass has a value")]
    [InlineData("local_sd:value=gone", 3, "(obs/gone): no cell of a group of superclass has a value")]
    [InlineData("local_sd:value=cell_death:k=30", 2, "--steps local_sd: k=30; the group 'Control' has 30 cells with a value, and 31 are needed")]
    [InlineData("ridge:value=cell_death:n_splits=20", 2, "--steps ridge: n_splits=20; the group 'Control' has 30 cells with a value, and 40 are needed")]
    [InlineData("violin:keys=gone:groupby=superclass", 3, "(gone): no cell of a group of superclass has a value")]
    [InlineData("violin:keys=cell_death:groupby=none", 3, "(obs/none): no cell has a group")]
    [InlineData("dotplot:var_names=gene5:groupby=none", 3, "(obs/none): no cell has a group")]
    [InlineData("rank_genes_groups:groupby=none", 3, "(obs/none): no cell has a group")]
    [InlineData("rank_genes_groups:groupby=single", 2, "--steps rank_genes_groups: group 'b' has 1 cell; the test needs 2")]
    [InlineData("rank_genes_groups:groupby=one", 2, "--steps rank_genes_groups: group 'a' is compared with 0 cells; the test needs 2")]
    public void Settings_that_cannot_work_are_refused_in_one_sentence(string steps, int code, string expected) => Refuse(Odd(), steps, code, expected);

    [Theory]
    [InlineData("scale,log1p", 3, "negative")]
    [InlineData("normalize_total,log1p,scale,normalize_total,log1p", 3, "negative")]
    public void Logarithms_of_negative_values_are_refused(string steps, int code, string expected) => Refuse(files["counts.h5ad"], steps, code, expected);

    [Fact]
    public void A_name_of_an_extension_alone_is_no_name()
    {
        (int code, _, string error) = CommandFrameTests.Invoke("cells", files["counts.h5ad"], "--out", files[".h5ad"], "--steps", "log1p", "--threads", "1");
        Assert.Equal((2, true), (code, error.Contains("expected a name that ends in .h5ad", StringComparison.Ordinal)));
    }

    [Fact]
    public void A_folder_that_is_missing_is_made()
    {
        (int code, _, string error) = CommandFrameTests.Invoke("cells", files["counts.h5ad"], "--out", files["new/deep/out.h5ad"], "--steps", "log1p", "--threads", "1", "--quiet");
        Assert.True(code == 0 && File.Exists(files["new/deep/out.h5ad"]), error);
    }

    private void Refuse(string input, string steps, int code, string expected)
    {
        (int actual, _, string error) = CommandFrameTests.Invoke("cells", input, "--out", files["refused.h5ad"], "--steps", steps, "--threads", "1", "--quiet");
        Assert.Equal((code, expected), (actual, error.Contains(expected, StringComparison.Ordinal) ? expected : error));
        Assert.DoesNotContain("   at ", error);
        Assert.False(File.Exists(files["refused.h5ad"]));
        Assert.False(File.Exists(files["refused.partial.h5ad"]));
    }

    /// <summary>The counts, with columns that hold nothing, one group, a group of one cell, and a choice of one gene.</summary>
    private string Odd()
    {
        AnnData data = CellsFiles.Counts();
        data.Obs.Add("gone", Enumerable.Repeat(double.NaN, CellsFiles.Cells).ToArray()).Add(FrameColumn.Categorical("none", [.. Enumerable.Repeat("", CellsFiles.Cells)]))
            .Add(FrameColumn.Categorical("one", [.. Enumerable.Repeat("a", CellsFiles.Cells)])).Add(FrameColumn.Categorical("single", [.. Enumerable.Range(0, CellsFiles.Cells).Select(i => i == 5 ? "b" : "a")]));
        data.Var.Add("alone", Enumerable.Range(0, CellsFiles.Genes).Select(j => j == 5).ToArray());
        Directory.CreateDirectory(files["odd"]);
        string path = files[string.Create(CultureInfo.InvariantCulture, $"odd/counts.h5ad")];
        AnnDataFile.Write(path, data);
        return path;
    }
}
