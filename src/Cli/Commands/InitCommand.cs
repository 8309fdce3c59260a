using System.CommandLine;
using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Commands;

/// <summary>`biosup init`: a commented configuration to start from.</summary>
internal static class InitCommand
{
    public static Command Create()
    {
        Option<string> outFile = new("--out") { Description = "file to write", DefaultValueFactory = _ => "biosup.json" };
        Option<string> purpose = new("--for") { Description = "run (the whole pipeline) or gw-map (`biosup gw map`)", DefaultValueFactory = _ => "run" };
        return new Command("init", "Write a commented CONFIG.json for `biosup run` or `biosup gw map`.") { outFile, purpose }.Runs((parsed, context) =>
        {
            string path = parsed.GetValue(outFile)!;
            (string template, string command) = parsed.GetValue(purpose) switch
            {
                "run" => (Template, "run"),
                "gw-map" => (GwMapTemplate.Text, "gw map"),
                string other => throw new UsageException($"--for {other}: expected run or gw-map."),
                null => throw new UsageException("--for: expected run or gw-map."),
            };
            if (File.Exists(path)) throw new UsageException($"--out {path}: the file exists already and is not overwritten.");
            AtomicFile.WriteAllText(path, template);
            context.Say($"{path} written. Edit it, then: biosup {command} {path} --out results");
            return new JsonObject { ["config"] = path };
        });
    }

    internal const string Template = """
        // Configuration of `biosup run`. A section that you remove is a stage that is not run.
        // File names are relative to this file. Comments and trailing commas are allowed; unknown keys are errors.
        {
          "title": "My cells",

          // Images to tokens. Each patch gives one grid of tokens, one vector per position of the encoder's feature map.
          "images": {
            "path": "images",                    // a folder of TIFF (8/16 bit), PNG, ... or one file
            "channels": ["DAPI", "GFP", "RFP"],  // parts of file names that tell channels apart; remove when one file holds all
            "encoder": "encoder.onnx",
            // "output": "feature_map",          // default: the last output of rank 4
            "patch": 128,
            "stride": 128,
            "max_background": 0.9                // patches with more background are left out; 1 keeps all
            // "labels": "patches.csv:genotype"  // a label per patch, in the order of tokens/images.csv
          },

          // The sparse autoencoder: every key of `biosup sae train --config`.
          "sae": {
            "preset": "default",                 // "paper" reproduces the published code, quirks included (docs/sae.md)
            "architecture": "gated",             // or "gated-original", "relu", "topk", "batchtopk", "jumprelu", "matryoshka"
            "d_sae": 2048,
            "batch": 4096,
            "epochs": 8,
            "sparsity_coeff": 0.1
          },

          // Did the geometry get cleaner? Encoder vectors against SAE latents, one row per patch.
          "geometry": {
            "value": "values.csv:cell_death_rate",  // or the name of a column of tokens/images.csv
            "k": [5, 10, 15, 20, 25],
            "permutations": 200
          },

          // Gromov-Wasserstein alignment with single-cell RNA. "x" defaults to the SAE latents of this run.
          "align": {
            "y": "rna.h5ad:obsm/X_pca",
            "cost": "geodesic",
            "knn": 60,
            "graph_metric": "euclidean",
            "scale_cost": "mean",
            "epsilon": 0.003,
            "labels_y": "rna.h5ad:obs/class",
            "starts": 4,
            "null": 20,
            "stability": 10
          }
        }

        """;
}
