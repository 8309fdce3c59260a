using System.Text.Json.Nodes;
using BioSup.Cli.Pipeline.Cells;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Cli.Tests.Cells;

/// <summary>Without --steps every kind of matrix is taken from beginning to end, and anndata reads what comes out.</summary>
public sealed class CellsDefaultsTests(CellsFiles files) : IClassFixture<CellsFiles>
{
    private const int Cells = 150, Genes = 500;

    [Fact]
    public void Counts()
    {
        AnnDataFile.Write(files["raw.h5ad"], Generated(counts: true));
        JsonNode found = Run("raw.h5ad", CellDefaults.Counts, ["pca", "neighbors", "umap", "leiden", "rank_genes_groups"]);
        Assert.Equal(Cells, (int)found["cells"]!);
        AnnData data = AnnDataFile.Read(files["raw.out.h5ad"]);
        Assert.InRange(data.VariableCount, 200, Genes);
        Assert.True(data.Layers.ContainsKey("counts") && data.Var.Contains("highly_variable") && data.Uns.ContainsKey("log1p"));
        Assert.InRange(data.Var["highly_variable"].Values.As<bool>().Count(v => v), 1, data.VariableCount - 1);
        // The generated groups are found again.
        Assert.InRange(data.Obs["leiden"].Values.Length, 2, 8);
    }

    [Fact]
    public void Logarithms()
    {
        AnnDataFile.Write(files["raw2.h5ad"], Generated(counts: true));
        Assert.Equal(0, CommandFrameTests.Invoke("cells", files["raw2.h5ad"], "--out", files["logs.h5ad"], "--steps", "normalize_total:target_sum=10000,log1p", "--threads", "1", "--quiet").Code);
        Run("logs.h5ad", CellDefaults.Logarithms, ["pca", "neighbors", "umap", "leiden", "rank_genes_groups"]);
        Assert.Equal(7, CellsRunner.Noted(AnnDataFile.Read(files["logs.out.h5ad"])).Count());
    }

    [Fact]
    public void Latents_without_classes()
    {
        AnnDataFile.Write(files["other.h5ad"], Generated(counts: false));
        JsonNode found = Run("other.h5ad", CellDefaults.Latents, ["pca", "neighbors", "umap", "leiden"]);
        Assert.Equal([Cells, Genes], new[] { (int)found["cells"]!, (int)found["variables"]! });
    }

    [Fact]
    public void Latents_of_the_classes() => Run("latents.npz", CellDefaults.ClassedLatents, ["pca", "neighbors", "umap", "leiden"]);

    private JsonNode Run(string input, string steps, string[] keys)
    {
        string? python = Python.Find("import anndata, scipy", out string reason);
        string output = files[Path.ChangeExtension(input, ".out.h5ad")];
        (int code, string said, string error) = CommandFrameTests.Invoke("cells", files[input], "--out", output, "--threads", "1");
        Assert.True(code == 0, error + said);
        Assert.Contains($"--steps \"{steps}\"", said);
        Assert.SkipWhen(python is null, reason);
        JsonNode found = JsonNode.Parse(Python.Run(python!, Path.Combine(RepositoryRoot.Path, "tests", "golden", "cells", "open_h5ad.py"), output, files["again.h5ad"]))!;
        Assert.Equal(keys, found["found"]!.AsArray().Select(n => (string)n!));
        return found;
    }

    /// <summary>Three groups, each with more of a third of the genes; counts or values between.</summary>
    private static AnnData Generated(bool counts)
    {
        CounterRandom random = new(5);
        float[] x = new float[Cells * Genes];
        for (int i = 0; i < Cells; i++)
            for (int j = 0; j < Genes; j++)
            {
                double mean = (i % 3 == j % 3 ? 6 : 1.5) * (0.3 + j % 7 / 7.0) * (0.7 + i % 5 / 10.0);
                double value = mean * (0.2 - Math.Log(1 - random.NextDouble()));
                x[i * Genes + j] = (float)(counts ? Math.Floor(value) : value);
            }
        return new AnnData(new DataFrame([.. Enumerable.Range(0, Cells).Select(i => $"cell{i}")]), new DataFrame([.. Enumerable.Range(0, Genes).Select(j => j < 5 ? $"MT-{j}" : $"gene{j}")])) { X = new NdArray(x, Cells, Genes) };
    }
}
