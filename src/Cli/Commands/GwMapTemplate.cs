namespace BioSup.Cli.Commands;

/// <summary>The commented configuration that `biosup init --for gw-map` writes.</summary>
internal static class GwMapTemplate
{
    internal const string Text = """
        // Configuration of `biosup gw map`. File names are relative to this file. Comments and trailing commas are allowed; unknown keys are errors.
        // What is commented out or left out has the value shown, unless it says otherwise (docs/gw-map.md).
        {
          "title": "My images and their genes",

          // A generated cohort with planted programmes instead of files; then leave out the files below.
          // "cohort": { "image_cells": 600, "rna_cells": 600 },

          // One row per image: SAE latents of `biosup run` or `biosup sae encode`, and a label such as the genotype.
          "images": {
            "latents": "latents.h5ad:X",
            "labels": "images.csv:genotype",
            "dead_threshold": 1e-5,          // a latent is alive where its mean over the drawn images is larger
            "min_cv": 0.1,                   // smallest standard deviation over mean
            "differential": true,            // keep only latents that differ between labels (looks at the labels)
            "min_log2fc": 0.58,              // smallest |log2 fold change|
            "max_p": 0.05,                   // largest adjusted p of the Mann-Whitney test
            "pca": 30,                       // components that the coupling sees
            "gene_pca": 100                  // components that genes are predicted from
          },

          // One row per cell: counts (scaled and logged here) or logarithms, and the same labels.
          "rna": {
            "expression": "rna.h5ad:X",
            "labels": "rna.h5ad:obs/genotype",
            // "genes": "genes.csv:symbol",  // default: the var index of the .h5ad
            "latent": "rna.h5ad:obsm/X_scVI",                // remove to take principal components of the expression
            "denoised": "rna.h5ad:layers/scvi_normalized",   // remove to predict raw genes only
            "pca": 30,                       // components where no latent space is given
            "max_genes": 3000                // the most variable genes are predicted
          },

          // As many images and cells of each label as the smallest group has.
          "sample": {
            // "labels": ["Control", "SNCA"],  // default: all that both sides have
            "max_images": 12000,
            "max_cells": 12000,
            "min_per_label": 20
          },

          // Options of `biosup gw align` over its preset gw-map (geodesic costs on 60 neighbours, mean-scaled, epsilon 0.0015 in OTT's convention).
          "align": {
            "starts": 4,
            "null": 20
          },

          // Cross-validated prediction of soft targets, and permutations behind each z.
          "predictability": {
            "folds": 5,
            "ridge_alpha": 1,
            "ridge_permutations": 800
            // "trees": { "trees": 200, "depth": 5, "permutations": 100 },   // default: none; on the cells' latent space, needs LightGBM
            // "mlp": { "runs": 5, "epochs": 200, "permutations": 1000 }     // default: none; on genes, the slowest part by far
          },

          // The most predictable genes in modules at several resolutions.
          "modules": {
            "genes": 200,
            "rank_by": "within",             // mean over labels of each gene's z within the label, or "overall"
            "profiles": "overall",           // grouped by soft targets over all images, or "within" labels
            "resolutions": [0.08, 0.25, 0.4, 1.0],
            "neighbours": 15
            // "gene_sets": "go_bp.gmt"      // default: none, modules stay unnamed
          },

          "write_soft_targets": false        // true: soft targets of every label as .npy
        }

        """;
}
