using System.Globalization;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Shapes;

namespace BioSup.Cli.Tests.Cells;

/// <summary>Seurat opens what the command writes, through the script that users are given, and calculates the same from it.</summary>
public sealed class SeuratTests(CellsFiles files) : IClassFixture<CellsFiles>
{
    private const string Steps =
        "keep:layer=counts,highly_variable_genes:flavor=seurat_v3:n_top_genes=30,normalize_total:target_sum=10000,log1p,pca:n_comps=10:mask_var=none," +
        "neighbors:n_neighbors=10,leiden,umap:maxiter=20,rank_genes_groups:groupby=superclass:method=mannwhitneyu:fold_change=seurat";

    [Fact]
    public void Seurat_goes_on_where_the_command_stopped_and_finds_the_same_numbers()
    {
        Assert.SkipUnless(R.Has(out string reason, "Seurat", "hdf5r"), reason);
        (int code, string text, string error) = CommandFrameTests.Invoke("cells", files["counts.h5ad"], "--out", files["seurat.h5ad"], "--steps", Steps, "--threads", "1");
        Assert.True(code == 0, error + text);
        string root = RepositoryRoot.Path;
        Dictionary<string, double> found = R.Run(Path.Combine(root, "tests", "golden", "cells", "seurat.R"), Path.Combine(root, "examples", "seurat.R"), files["seurat.h5ad"], "superclass")
            .Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .ToDictionary(words => words[0], words => double.Parse(words[1], CultureInfo.InvariantCulture));
        Assert.Equal((CellsFiles.Cells, CellsFiles.Genes), (found["cells"], found["genes"]));
        Assert.Equal((10, 2, 30), (found["pca_dimensions"], found["umap_dimensions"], found["highly_variable"]));
        Assert.InRange(found["communities"], 2, CellsFiles.Cells / 2);
        Assert.InRange(found["seurat_communities"], 2, CellsFiles.Cells / 2);
        Assert.Equal(0, found["graph_asymmetry"]);
        // Values are single precision here, double there.
        Assert.InRange(found["normalised"], 0, 1e-6);
        Assert.InRange(found["standardised_variance"], 0, 1e-10);
        Assert.InRange(found["log2_fold_change"], 0, 1e-6);
        // With limma Seurat takes another approximation of the same test.
        if (found["limma"] == 0) Assert.InRange(found["p_log_ratio"], 0, 1e-9);
    }
}
