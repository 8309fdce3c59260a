using System.Text.Json.Nodes;
using BioSup.Analysis.GwMap;
using BioSup.Cli.Commands;
using BioSup.Cli.Pipeline;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Pipeline;

/// <summary>The whole of `biosup gw map`, on a small generated cohort and on files.</summary>
public sealed class GwMapTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-map-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_cohort_goes_from_concepts_to_genes_with_every_table_and_a_report()
    {
        JsonNode result = Map("""
            { "title": "Planted <programmes>", "cohort": { "image_cells": 160, "rna_cells": 160 }, "sample": { "labels": ["Control", "SNCA"] },
              "align": { "knn": 8, "epsilon": 0.006, "null": 2 }, "predictability": { "ridge_permutations": 20 }, "modules": { "genes": 90, "rank_by": "overall", "neighbours": 8 } }
            """, out string folder);
        Assert.Equal("map", (string)result["command"]!);
        Assert.Equal(["Control", "SNCA"], result["sample"]!["labels"]!.AsArray().Select(l => (string)l!));
        int perLabel = (int)result["sample"]!["per_label"]!;
        Assert.InRange(perLabel, 40, 50);
        Assert.Equal(20, (int)result["image_space"]!["latents"]!);
        Assert.Contains("no latent space was given", (string)result["cell_space"]!["source"]!, StringComparison.Ordinal);
        // Two labels over all and each by itself, the cells' space and raw genes.
        Assert.Equal(6, result["predictability"]!.AsArray().Count);
        Assert.True((double)result["verdict"]!["label_transfer"]!["barycentric"]!["accuracy"]! > 0.7);

        foreach (string name in new[] { "coupling.npy", "images.csv", "cells.csv", "confusion_one_to_one.csv", "confusion_barycentric.csv", "confusion_assignment.csv", "mean_probability.csv", "predictability.csv", "report.html", "manifest.json" })
            Assert.True(new FileInfo(Path.Combine(folder, name)).Length > 0, name);
        Assert.Equal((2 * perLabel, 2 * perLabel), MatrixReader.ReadShape(Path.Combine(folder, "coupling.npy")));
        Table images = CsvFile.Read(Path.Combine(folder, "images.csv"));
        Table truth = CsvFile.Read(Path.Combine(folder, "cohort", "image_cells.csv"));
        Assert.All(Enumerable.Range(0, images.Rows), i => Assert.Equal(truth["class"].Text[(int)images["image"].Numbers[i]], images["label"].Text[i]));
        Assert.All(images["p_Control"].Numbers.Zip(images["p_SNCA"].Numbers), p => Assert.Equal(1, p.First + p.Second, 1e-9));
        Table genes = CsvFile.Read(Path.Combine(folder, "predictability.csv"));
        Assert.All(genes["p"].Numbers, p => Assert.InRange(p, 1.0 / 21, 1));
        Assert.Equal(90, CsvFile.Read(Path.Combine(folder, "modules.csv")).Rows);
        Assert.Equal(4, result["modules"]!["names"]!.AsArray().Count);
        Assert.Contains("Calcium-AIS scaffold", CsvFile.Read(Path.Combine(folder, "enrichment.csv"))["set"].Text);
        Assert.Equal(80, CsvFile.Read(Path.Combine(folder, "recovery.csv")).Rows);
        JsonNode finest = result["recovery"]!["levels"]![3]!;
        Assert.True((double)finest["f1"]! > (double)finest["chance_f1"]! && (double)finest["p"]! < 0.01, finest.ToJsonString());
        JsonNode calcium = result["recovery"]!["programmes"]!.AsArray().Single(p => (string)p!["programme"]! == "Calcium-AIS scaffold")!;
        Assert.True((double)calcium["recall"]! >= 0.5, calcium.ToJsonString());
        // Each label by itself: its genes, its modules, and how they agree with those over all.
        JsonArray within = result["modules_within_labels"]!.AsArray();
        Assert.Equal(["Control", "SNCA"], within.Select(w => (string)w!["label"]!));
        Assert.All(within, w => Assert.InRange((int)w!["shared_genes"]!, 20, 90));
        Assert.All(within, w => Assert.InRange((double)w!["adjusted_rand"]![3]!, -0.2, 1));
        Assert.Equal(90, CsvFile.Read(Path.Combine(folder, "modules_SNCA.csv")).Rows);
        Assert.All(genes["q"].Numbers.Zip(genes["p"].Numbers), pair => Assert.InRange(pair.Second, 0, pair.First));
        Assert.Equal(genes["q"].Numbers.Count(q => q <= 0.05), result["predictability"]!.AsArray().Sum(r => (int)r!["predictable"]!));
        string report = File.ReadAllText(Path.Combine(folder, "report.html"));
        Assert.Contains("Planted &lt;programmes&gt;", report, StringComparison.Ordinal);
        Assert.Contains("The data of this report are generated", report, StringComparison.Ordinal);
        // Every kind of figure: accuracies, R² beside its null, extremes, labels against each other, flow of modules, heat map of modules, recovery.
        foreach (string figure in new[] { "map_latents", "map_accuracy", "map_probability", "map_assignment", "map_r2", "map_null_all", "map_null_SNCA", "map_z", "map_extremes", "map_z_Control_SNCA", "map_modules", "map_module_profiles", "map_recovery" })
            Assert.NotEmpty(Directory.GetFiles(Path.Combine(folder, "figures"), $"{figure}.*"));
        Assert.True(report.IndexOf("Verdict: ", StringComparison.Ordinal) < report.IndexOf("What images predict", report.IndexOf("<main", StringComparison.Ordinal) + 1, StringComparison.Ordinal));
    }

    [Fact]
    public void Files_with_a_latent_space_and_denoised_genes_are_used_as_they_are()
    {
        GwMapInputs.Write(_folder);
        JsonNode result = Map(GwMapInputs.Config("\"latent\": \"rna.h5ad:obsm/X_scVI\", \"denoised\": \"rna.h5ad:layers/denoised\","), out string folder);
        Assert.StartsWith("the latent space rna.h5ad:obsm/X_scVI", (string)result["cell_space"]!["source"]!, StringComparison.Ordinal);
        Assert.Equal(3, (int)result["cell_space"]!["dimensions"]!);
        // Three scopes: the latent space by ridge and trees, raw and denoised genes by ridge and network.
        Assert.Equal(18, result["predictability"]!.AsArray().Count);
        Assert.Equal(["latent ridge", "latent trees", "raw ridge", "raw mlp", "denoised ridge", "denoised mlp"], result["predictability"]!.AsArray().Take(6).Select(r => $"{r!["targets"]} {r["model"]}"));
        // Images are the cells' own places: labels and genes come back.
        Assert.True((double)result["verdict"]!["label_transfer"]!["one_to_one"]!["accuracy"]! > 0.9);
        Assert.InRange((double)result["predictability"]![4]!["mean_r2"]! - (double)result["predictability"]![4]!["null_mean_r2"]!, 0.3, 2);
        Assert.InRange((double)result["predictability"]![1]!["mean_r2"]! - (double)result["predictability"]![1]!["null_mean_r2"]!, 0.3, 2);
        Assert.Equal(8, CsvFile.Read(Path.Combine(folder, "modules.csv")).Rows);
        Assert.False(File.Exists(Path.Combine(folder, "enrichment.csv")));
        using CpuDevice device = new(1);
        using Matrix<float> soft = MatrixReader.ReadSingle(device, Path.Combine(folder, "soft_targets_x_y_denoised.npy"));
        Assert.Equal((GwMapInputs.PerLabel, GwMapInputs.Genes), (soft.Rows, soft.Columns));
        JsonNode manifest = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "manifest.json")))!;
        Assert.Contains(manifest["inputs"]!.AsObject(), input => input.Key.EndsWith("rna.h5ad", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(3, "share no label", """ "images": { "latents": "latents.npy", "labels": "cells.csv:other" }, """)]
    [InlineData(3, "at least 25 of every label", """ "sample": { "min_per_label": 25 }, """)]
    [InlineData(2, "epsilonn", """ "align": { "epsilonn": 1 }, """)]
    [InlineData(2, "align.epsilon", """ "align": { "epsilon": "much" }, """)]
    [InlineData(2, "imagez", """ "imagez": { }, """)]
    [InlineData(2, "rna.genes is missing", """ "rna": { "expression": "counts.npy", "labels": "cells.csv:label" }, """)]
    [InlineData(3, "9 names were given for 4 genes", """ "rna": { "expression": "latents.npy", "labels": "cells.csv:label", "genes": "genes.txt" }, """)]
    [InlineData(3, "rna.denoised", """ "rna": { "expression": "rna.h5ad:X", "labels": "cells.csv:label", "denoised": "latents.npy" }, """)]
    [InlineData(3, "modules.gene_sets", """ "modules": { "gene_sets": "foreign.gmt" }, """)]
    [InlineData(3, "images.labels", """ "images": { "latents": "latents.npy", "labels": "nowhere.csv:label" }, """)]
    [InlineData(3, "latents pass the filters", """ "images": { "latents": "latents.npy", "labels": "cells.csv:label", "min_log2fc": 30 }, """)]
    [InlineData(2, "remove images.latents", """ "cohort": { }, """)]
    [InlineData(2, "knn is 80", """ "align": { "knn": 80 }, """)]
    [InlineData(2, "align.solver is lowrank", """ "align": { "solver": "lowrank" }, """)]
    [InlineData(2, "predictability.folds is 1", """ "predictability": { "folds": 1 }, """)]
    [InlineData(2, "rise from coarse to fine", """ "modules": { "resolutions": [1.0, 0.1] }, """)]
    public void What_cannot_be_mapped_is_one_sentence_and_leaves_nothing(int exitCode, string named, string section)
    {
        GwMapInputs.Write(_folder);
        // The section stands in the place of the one of the same name; what follows it is what it would otherwise be.
        string key = section.Split('"')[1];
        JsonObject config = JsonNode.Parse(GwMapInputs.Config(""), documentOptions: new() { AllowTrailingCommas = true })!.AsObject();
        config[key] = JsonNode.Parse($"{{{section.Trim().TrimEnd(',')}}}")!.AsObject()[key]!.DeepClone();
        (int code, string output, string error) = Invoke(config.ToJsonString(), out string folder);
        Assert.True(code == exitCode, $"{code}: {output}{error}");
        Assert.Contains(named, error, StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(folder, "result.json")));
    }

    [Fact]
    public void The_template_of_init_is_valid_and_written_where_asked()
    {
        GwMapConfig config = GwMapConfigFile.Parse(GwMapTemplate.Text, "template", []);
        GwMapConfig defaults = GwMapConfigFile.Parse("{}", "empty", []);
        // The template says that its values are the defaults.
        Assert.Equal(new GwMapImagesSection { Latents = config.Images!.Latents, Labels = config.Images.Labels }, config.Images);
        Assert.Equal(defaults.Predictability, config.Predictability);
        Assert.Equal(defaults.Sample, config.Sample);
        Assert.Equal(defaults.Modules.Resolutions, config.Modules.Resolutions);
        string path = Path.Combine(_folder, "map.json");
        Assert.Equal(0, CommandFrameTests.Invoke("init", "--for", "gw-map", "--out", path).Code);
        Assert.Equal(GwMapTemplate.Text, File.ReadAllText(path));
        Assert.Equal(2, CommandFrameTests.Invoke("init", "--for", "supper", "--out", Path.Combine(_folder, "x.json")).Code);
    }

    private JsonNode Map(string config, out string folder)
    {
        (int code, string output, string error) = Invoke(config, out folder, "--json");
        Assert.True(code == 0, output + error);
        return JsonNode.Parse(output)!;
    }

    private (int Code, string Output, string Error) Invoke(string config, out string folder, params string[] more)
    {
        string path = Path.Combine(_folder, "map.json");
        File.WriteAllText(path, config);
        folder = Path.Combine(_folder, "out");
        return CommandFrameTests.Invoke(["gw", "map", path, "--out", folder, "--threads", "2", "--quiet", .. more]);
    }
}
