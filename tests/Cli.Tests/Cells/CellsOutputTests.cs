using System.Buffers.Binary;
using System.Text.Json.Nodes;
using BioSup.Cli.Pipeline.Cells;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;
using BioSup.Shapes;

namespace BioSup.Cli.Tests.Cells;

/// <summary>The command from end to end: what it writes is what scanpy's users expect, and a run in two parts is a run in one.</summary>
public sealed class CellsOutputTests(CellsFiles files) : IClassFixture<CellsFiles>
{
    private const string First = "qc,filter_genes:min_cells=3,keep:layer=counts:raw=true,normalize_total:target_sum=10000,log1p,pca:n_comps=10";
    private const string Second = "neighbors:n_neighbors=10,leiden,paga,umap:maxiter=50,diffmap,dpt:groupby=superclass,rank_genes_groups:groupby=superclass";

    [Fact]
    public void Anndata_opens_what_was_written_and_finds_scanpy_s_keys()
    {
        string? python = Python.Find("import anndata, scipy", out string reason);
        Assert.SkipWhen(python is null, reason);
        Run("counts.h5ad", "out.h5ad", $"{First},{Second}", "--results", files["results"]);
        JsonNode found = JsonNode.Parse(Python.Run(python!, Script("open_h5ad.py"), files["out.h5ad"], files["again.h5ad"]))!;
        Assert.Equal(["pca", "neighbors", "umap", "diffmap", "leiden", "rank_genes_groups", "paga", "dpt"], found["found"]!.AsArray().Select(n => (string)n!));
        Assert.Equal((CellsFiles.Cells, "csr_matrix", "float32"), ((int)found["cells"]!, (string)found["x"]!, (string)found["x_dtype"]!));
        Assert.Equal([CellsFiles.Cells, (int)found["variables"]!], found["raw"]!.AsArray().Select(n => (int)n!));
        Assert.Equal("category", (string)found["obs"]!["superclass"]!);
        Assert.Equal("qc", ((string)found["steps"]![0]!).Split(':')[0]);
        Assert.Equal(13, found["steps"]!.AsArray().Count);
        // What is noted can be given again as it stands.
        IReadOnlyList<PlannedStep> noted = CellSteps.Parse(string.Join(',', CellsRunner.Noted(AnnDataFile.Read(files["out.h5ad"]))), CellSteps.All);
        Assert.Equal(13, noted.Count);
        AnnData again = AnnDataFile.Read(files["again.h5ad"]), own = AnnDataFile.Read(files["out.h5ad"]);
        Assert.Equal(((NdArray)own.Obsm["X_umap"]!).As<float>(), ((NdArray)again.Obsm["X_umap"]!).As<float>());
        Assert.Equal(own.Obs["leiden"].Codes!, again.Obs["leiden"].Codes!);
        Assert.Equal(own.Raw!.Var.Index, again.Raw!.Var.Index);
    }

    [Fact]
    public void An_analysis_begun_with_anndata_goes_on_here_and_its_parts_stay()
    {
        string? python = Python.Find("import anndata, scipy, pandas", out string reason);
        Assert.SkipWhen(python is null, reason);
        Python.Run(python!, Script("write_h5ad.py"), files["begun.h5ad"]);
        Run("begun.h5ad", "continued.h5ad", "leiden,paga:groups=line,rank_genes_groups:groupby=line");
        JsonNode found = JsonNode.Parse(Python.Run(python!, Script("open_h5ad.py"), files["continued.h5ad"], files["again.h5ad"]))!;
        Assert.Contains("rank_genes_groups", found["found"]!.AsArray().Select(n => (string)n!));
        AnnData data = AnnDataFile.Read(files["continued.h5ad"]);
        Assert.Equal(["#112233", "#445566", "#778899"], ((NdArray)data.Uns["line_colors"]!).As<string>());
        Assert.True(data.Layers.ContainsKey("counts"));
        Assert.Equal((10, 12), (data.VariableCount, data.Raw!.Var.Rows));
        Assert.Equal(data.Obs["leiden"].Values.Length, ((NdArray)data.Uns["leiden_colors"]!).Length);
    }

    [Fact]
    public void The_rest_of_the_steps_on_the_file_of_the_first_is_the_whole()
    {
        Run("counts.h5ad", "whole.h5ad", $"{First},{Second}");
        Run("counts.h5ad", "part.h5ad", First);
        Run("part.h5ad", "part.h5ad", Second);
        Assert.Equal(File.ReadAllBytes(files["whole.h5ad"]), File.ReadAllBytes(files["part.h5ad"]));
        Assert.Equal(13, CellsRunner.Noted(AnnDataFile.Read(files["part.h5ad"])).Count());
    }

    [Fact]
    public void Tables_figures_report_and_manifest_lie_beside_the_file()
    {
        JsonNode result = Run("counts.h5ad", "beside.h5ad", $"{First},neighbors:n_neighbors=10,leiden,leiden:resolution=0.3:key_added=coarse,rank_genes_groups:groupby=superclass,plot:basis=pca:color=superclass");
        string folder = files["beside"];
        Assert.Equal(folder, (string)result["results"]!);
        JsonNode manifest = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "manifest.json")))!;
        Assert.Equal(11, manifest["configuration"]!["steps"]!.AsArray().Count);
        Assert.NotNull(manifest["inputs"]![files["counts.h5ad"]]!["sha256"]);
        Assert.NotEmpty(result["tables"]!.AsArray());
        Assert.All(result["tables"]!.AsArray(), t => Assert.NotEmpty(CsvFile.Read(Path.Combine(folder, "tables", (string)t!)).Columns));
        string report = File.ReadAllText(Path.Combine(folder, "report.html"));
        Assert.Contains("rank_genes_groups", report);
        Assert.NotEmpty(result["figures"]!.AsArray());
        foreach (string figure in result["figures"]!.AsArray().Select(f => (string)f!).Where(f => f.EndsWith(".png", StringComparison.Ordinal)))
        {
            // pHYs is the first chunk after the header: 11,811 pixels per metre are 300 per inch.
            byte[] png = File.ReadAllBytes(Path.Combine(folder, "figures", figure));
            Assert.Equal("pHYs"u8.ToArray(), png[37..41]);
            Assert.Equal(11811u, BinaryPrimitives.ReadUInt32BigEndian(png.AsSpan(41)));
            Assert.Contains("<text", File.ReadAllText(Path.Combine(folder, "figures", Path.ChangeExtension(figure, ".svg"))));
        }
    }

    [Fact]
    public void Without_steps_the_matrix_decides_and_says_how_to_ask_for_the_same()
    {
        (int code, string output, string error) = CommandFrameTests.Invoke("cells", files["latents.npz"], "--out", files["chosen.h5ad"], "--threads", "1");
        Assert.True(code == 0, error);
        Assert.Contains($"--steps \"{CellDefaults.ClassedLatents}\"", output);
        Assert.Equal(39, AnnDataFile.Read(files["chosen.h5ad"]).VariableCount);
        (code, output, error) = CommandFrameTests.Invoke("cells", files["counts.h5ad"], "--out", files["chosen.h5ad"], "--threads", "1");
        Assert.Equal((3, true), (code, error.Contains("no cell passes filter_cells", StringComparison.Ordinal)));
        Assert.Contains($"--steps \"{CellDefaults.Counts}\"", output);
    }

    [Theory]
    [InlineData(2, "the step 'neighbors' makes it", "pca:n_comps=5,umap")]
    [InlineData(2, "there is no obs/leiden; the step 'leiden' makes it", "pca:n_comps=5,neighbors,paga")]
    [InlineData(2, "there is no column 'colour' in obs; the columns are superclass, cell_death", "rank_genes_groups:groupby=colour")]
    [InlineData(3, "no cell passes", "filter_cells:min_counts=1000000")]
    [InlineData(2, "given twice", "pca:n_comps=5:n_comps=6")]
    [InlineData(2, "resolution=-1", "pca:n_comps=5,neighbors,leiden:resolution=-1")]
    [InlineData(2, "5000 principal components", "pca:n_comps=5000")]
    [InlineData(2, "there is no layer 'counts'", "log1p:layer=counts")]
    public void Steps_that_cannot_be_taken_are_one_sentence_and_leave_no_file(int exitCode, string expected, string steps)
    {
        (int code, _, string error) = CommandFrameTests.Invoke("cells", files["counts.h5ad"], "--out", files["never.h5ad"], "--steps", steps, "--threads", "1", "--quiet");
        Assert.Equal((exitCode, true), (code, error.Contains(expected, StringComparison.Ordinal)));
        Assert.Single(error.TrimEnd().Split('\n'));
        Assert.False(File.Exists(files["never.h5ad"]) || Directory.Exists(files["never"]));
    }

    [Fact]
    public void A_place_that_cannot_be_written_is_found_before_the_work()
    {
        Directory.CreateDirectory(files["folder.h5ad"]);
        (int code, string output, string error) = CommandFrameTests.Invoke("cells", files["counts.h5ad"], "--out", files["folder.h5ad"], "--steps", "log1p", "--threads", "1");
        Assert.Equal((2, true), (code, error.Contains("is a folder", StringComparison.Ordinal)));
        Assert.DoesNotContain("log1p", output);
        (code, output, error) = CommandFrameTests.Invoke("cells", files["counts.h5ad"], "--out", "/proc/none/out.h5ad", "--results", files["elsewhere"], "--steps", "log1p", "--threads", "1");
        Assert.Equal((2, true), (code, error.Contains("--out /proc/none", StringComparison.Ordinal)));
        Assert.DoesNotContain("log1p", output);
    }

    private static string Script(string name) => Path.Combine(RepositoryRoot.Path, "tests", "golden", "cells", name);

    private JsonNode Run(string input, string output, string steps, params string[] more)
    {
        (int code, string text, string error) = CommandFrameTests.Invoke(["cells", files[input], "--out", files[output], "--steps", steps, "--threads", "1", "--json", .. more]);
        Assert.True(code == 0, error + text);
        return JsonNode.Parse(text)!;
    }
}
