using BioSup.Analysis.GwMap;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Pipeline;

/// <summary>Small files that `biosup gw map` can map, and a configuration for them.</summary>
internal static class GwMapInputs
{
    public const int PerLabel = 24, Genes = 9;

    /// <summary>Two labels on two curves of unequal length. The cells' latent space is what becomes of the images, so that the coupling is known; genes are smooth functions of the place.</summary>
    public static void Write(string folder)
    {
        const int n = 2 * PerLabel;
        using CpuDevice device = new(1);
        CounterRandom random = new(8);
        using Matrix<float> latents = device.AllocateMatrix<float>(n, 4);
        using Matrix<float> counts = device.AllocateMatrix<float>(n, Genes);
        string[] labels = [.. Enumerable.Range(0, n).Select(i => i < PerLabel ? "x/y" : "z")];
        for (int i = 0; i < n; i++)
        {
            double t = i % PerLabel / (double)PerLabel;
            (double Along, double Aside) place = labels[i] == "z" ? (0.2 + 3 * t, 0.3) : (0.2, 0.4 + t * t);
            float[] values = [(float)place.Along, (float)place.Aside, labels[i] == "z" ? 2 : 1, (float)(1 + t * t * place.Along)];
            values.CopyTo(latents.Row(i));
            for (int g = 0; g < Genes; g++) counts.Row(i)[g] = random.NextPoisson(200 * Math.Exp(Math.Sin((g + 1) * 0.2 * place.Along) + 0.3 * g * place.Aside));
        }
        MatrixWriter.Write(Path.Combine(folder, "latents.npy"), latents.View);
        MatrixWriter.Write(Path.Combine(folder, "counts.npy"), counts.View);
        CsvFile.Write(Path.Combine(folder, "cells.csv"), new Table(new Column("label", labels), new Column("other", [.. labels.Select(l => l + "!")])));
        string[] genes = [.. Enumerable.Range(0, Genes).Select(g => $"G{g}")];
        File.WriteAllLines(Path.Combine(folder, "genes.txt"), genes);
        File.WriteAllText(Path.Combine(folder, "foreign.gmt"), "set\tna\tABC\tDEF\n");
        using PrincipalScores space = GwMapSpaces.Images(latents, 3);
        AnnData rna = new(DataFrame.OfRows(n), new DataFrame(genes)) { X = NdArray.FromMatrix(counts.View) };
        rna.Obsm["X_scVI"] = NdArray.FromMatrix(space.Scores.View);
        rna.Layers["denoised"] = NdArray.FromMatrix(counts.View);
        AnnDataFile.Write(Path.Combine(folder, "rna.h5ad"), rna);
    }

    /// <param name="rna">Keys of the section rna besides expression and labels, each with a comma behind it.</param>
    public static string Config(string rna) => $$"""
        { "images": { "latents": "latents.npy", "labels": "cells.csv:label", "differential": false }, "rna": { "expression": "rna.h5ad:X", {{rna}} "labels": "cells.csv:label" },
          "align": { "cost": "euclidean", "epsilon": 0.002, "starts": 4 }, "predictability": { "ridge_permutations": 5, "trees": { "trees": 20, "depth": 3, "permutations": 2 }, "mlp": { "runs": 1, "epochs": 5, "permutations": 1 } }, "modules": { "genes": 8, "neighbours": 3 }, "write_soft_targets": true }
        """;
}
