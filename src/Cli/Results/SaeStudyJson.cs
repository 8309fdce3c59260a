using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Analysis.Geometry;
using BioSup.Analysis.Sae;

namespace BioSup.Cli;

/// <summary>Evaluations as the objects that --json prints and evaluation.json holds.</summary>
internal static class SaeStudyJson
{
    private const int ListedLatents = 20;

    public static JsonObject Describe(SaeEvaluation e)
    {
        JsonObject dead = [];
        for (int i = 0; i < e.Dead.Count; i++) dead[SaeEvaluation.Thresholds[i].ToString("0e+0", CultureInfo.InvariantCulture)] = e.Dead[i];
        JsonObject json = new()
        {
            ["tokens"] = e.Tokens,
            ["fvu"] = JsonText.Number(e.Fvu),
            ["fvu_chunked"] = JsonText.Number(e.ChunkedFvu),
            ["recon"] = JsonText.Number(e.Reconstruction),
            ["l0"] = JsonText.Number(e.L0),
            ["l0_conditional"] = JsonText.Number(e.ConditionalL0),
            ["active_token_ratio"] = JsonText.Number(e.ActiveTokenRatio),
            ["p_single_concept"] = JsonText.Number(e.SingleConceptShare),
            ["max_concepts"] = e.MaxConcepts,
            ["std_concepts"] = JsonText.Number(e.ConceptDeviation),
            ["gini_coefficient"] = JsonText.Number(e.Gini),
            ["p_mag_positive"] = JsonText.Number(e.MagnitudePositive),
            ["alive"] = e.Alive,
            ["dead"] = dead,
            ["never_active"] = e.NeverActive,
            ["mean_abs_cosine"] = JsonText.Number(e.MeanAbsoluteCosine),
            ["std_abs_cosine"] = JsonText.Number(e.Decoder.StdAbsoluteCosine),
            ["max_abs_cosine"] = JsonText.Number(e.Decoder.Coherence),
            ["mean_max_abs_cosine"] = JsonText.Number(e.Decoder.MaxAbsoluteCosine.Where(float.IsFinite).Select(c => (double)c).DefaultIfEmpty(double.NaN).Average()),
            ["abs_cosine_histogram"] = new JsonArray([.. e.Decoder.PairHistogram.Select(c => (JsonNode)c)]),
            ["decoder_effective_rank"] = JsonText.Number(e.DecoderEffectiveRank),
            ["decoder_effective_rank_normalised"] = JsonText.Number(e.Decoder.NormalisedEffectiveRank),
            ["log10_firing_rate"] = Quantiles(e.Latents.LogRates()),
        };
        if (e.Purity is { } p)
        {
            json["purity"] = new JsonObject
            {
                ["latents"] = p.Latents,
                ["mean_purity"] = JsonText.Number(p.MeanPurity),
                ["mean_entropy_bits"] = JsonText.Number(p.MeanEntropy),
                ["purity_above_0.9"] = p.PurityAbove09,
                ["entropy_below_1"] = p.EntropyBelow1,
                ["entropy_below_0.5"] = p.EntropyBelow05,
                ["classes"] = JsonText.Strings(p.Classes),
            };
            int[] active = [.. Enumerable.Range(0, e.Latents.Latents).Where(j => e.Latents.Active[j] > 0)];
            json["gini_impurity"] = Quantiles([.. active.Select(e.Latents.GiniImpurity)]);
        }
        return json;
    }

    public static JsonObject Describe(SaeStudy study)
    {
        JsonObject json = Describe(study.Evaluation);
        if (study.Representation is { } r)
        {
            JsonObject representation = new() { ["samples"] = r.Samples, ["pca_components"] = r.Components };
            AddRanks(representation, r.Raw, r.Latents);
            representation["cka_raw_latents"] = JsonText.Number(r.CkaLatents);
            representation["cka_raw_reconstruction"] = JsonText.Number(r.CkaReconstruction);
            representation["classes"] = new JsonArray([.. r.Classes.Select(c =>
            {
                JsonObject ranks = new() { ["class"] = c.Class, ["images"] = c.Images };
                AddRanks(ranks, c.Raw, c.Latents);
                return ranks;
            })]);
            json["representation"] = representation;
        }
        if (study.Comparisons.Count > 0) json["class_specific"] = new JsonArray([.. study.Comparisons.Select(Describe)]);
        if (study.Probes is { } probes) json["probes"] = Describe(probes);
        return json;
    }

    private static void AddRanks(JsonObject json, RepresentationRanks raw, RepresentationRanks latents)
    {
        foreach ((string name, RepresentationRanks ranks) in new[] { ("raw", raw), ("latents", latents) })
        {
            json[$"effective_rank_{name}"] = JsonText.Number(ranks.Plain);
            json[$"effective_rank_{name}_pca"] = JsonText.Number(ranks.Components);
            json[$"effective_rank_{name}_normed_pca"] = JsonText.Number(ranks.NormedComponents);
        }
    }

    public static JsonObject Describe(SaeProbes p) => new()
    {
        ["rows"] = p.Rows,
        ["folds"] = p.Folds,
        ["groups"] = p.Groups,
        ["majority_accuracy"] = JsonText.Number(p.MajorityAccuracy),
        ["raw"] = Describe(p.Raw),
        ["reconstruction"] = Describe(p.Reconstruction),
        ["latents"] = Describe(p.Latents),
        ["recovered_by_reconstruction"] = JsonText.Number(p.RecoveredByReconstruction),
        ["recovered_by_latents"] = JsonText.Number(p.RecoveredByLatents),
    };

    /// <summary>Latents of a comparison that pass every bound and belong to its class, the largest change first.</summary>
    public static DifferentialLatent[] SpecificTo(DifferentialComparison comparison) =>
        [.. comparison.Latents.Where(l => l.Specific && l.Log2FoldChange > 0 && l.TopClass == comparison.Class).OrderBy(l => l.GiniImpurity).ThenByDescending(l => l.Mean).ThenBy(l => l.Latent)];

    private static JsonObject Describe(RepresentationProbe probe)
    {
        JsonObject json = new() { ["features"] = probe.Features, ["settings"] = new JsonArray([.. probe.Settings.Select(s => new JsonObject { ["scale"] = s.CommonScale ? "common" : "column", ["c"] = s.C })]) };
        foreach ((string key, JsonNode? value) in Scores(probe.Logistic)) json[key] = value?.DeepClone();
        if (probe.Published is { } published) json["published"] = Scores(published);
        return json;
    }

    private static JsonObject Scores(LinearProbeResult result) => new()
    {
        ["accuracy"] = JsonText.Number(result.Accuracy),
        ["balanced_accuracy"] = JsonText.Number(result.BalancedAccuracy),
        ["macro_f1"] = JsonText.Number(result.MacroF1),
    };

    private static JsonObject Describe(DifferentialComparison c) => new()
    {
        ["class"] = c.Class,
        ["reference"] = c.Reference,
        ["images"] = c.Images,
        ["reference_images"] = c.ReferenceImages,
        ["selected"] = c.Latents.Count(l => l.Specific),
        ["specific"] = SpecificTo(c).Length,
        ["latents"] = new JsonArray([.. SpecificTo(c).Take(ListedLatents).Select(l => new JsonObject
        {
            ["latent"] = l.Latent,
            ["log2_fold_change"] = JsonText.Number(l.Log2FoldChange),
            ["gini_impurity"] = JsonText.Number(l.GiniImpurity),
            ["log10_q"] = JsonText.Number(l.Log10Q),
            ["active_images"] = l.ActiveImages,
        })]),
    };

    private static JsonObject Quantiles(double[] values)
    {
        double[] sorted = [.. values.Where(double.IsFinite).Order()];
        JsonObject json = new() { ["latents"] = sorted.Length };
        foreach (int percent in new[] { 5, 25, 50, 75, 95 }) json[$"p{percent}"] = JsonText.Number(sorted.Length == 0 ? double.NaN : sorted[(int)Math.Round(percent / 100.0 * (sorted.Length - 1))]);
        return json;
    }
}
