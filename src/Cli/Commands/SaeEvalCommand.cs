using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Analysis.Sae;
using BioSup.Data;

namespace BioSup.Cli.Commands;

/// <summary>`biosup sae eval`.</summary>
internal static class SaeEvalCommand
{
    private static readonly Option<string> s_model = SaeCommand.Model();
    private static readonly Option<string> s_tokens = SaeCommand.Tokens();
    private static readonly Option<string?> s_labels = new("--labels") { Description = "a class per token or per image: FILE.csv:column, FILE.h5ad:obs/NAME, FILE.npy, FILE.npz:member" };

    public static Command Create() => new Command("eval", "Measure a trained autoencoder on tokens.") { s_model, s_tokens, s_labels }.Runs(Run);

    private static JsonObject Run(ParseResult parsed, CommandContext context)
    {
        using SaeModel model = SaeModel.Load(context.Device, parsed.GetValue(s_model)!);
        using ITokenSource tokens = TokenSource.Open(context.Host, parsed.GetValue(s_tokens)!);
        string[]? labels = parsed.GetValue(s_labels) is { } locator ? ColumnReader.Read(locator).Text : null;
        SaeEvaluation e = SaeEvaluation.Run(model, tokens, SaeCommand.RowsPerImage(tokens), labels, context.Progress, context.Cancellation);
        context.Say(string.Create(CultureInfo.InvariantCulture,
            $"FVU {e.Fvu:F4}   L0 {e.L0:F2} ({e.ConditionalL0:F2} over active tokens)   alive {e.Alive} of {model.Latents}   mean |cos| {e.MeanAbsoluteCosine:F4}   effective rank {e.DecoderEffectiveRank:F1}"));
        if (e.Purity is { } p) context.Say(string.Create(CultureInfo.InvariantCulture, $"purity {p.MeanPurity:F3}, entropy {p.MeanEntropy:F3} bits over {p.Latents} latents and {p.Classes.Count} classes"));
        return Describe(e);
    }

    /// <summary>The evaluation as the object that --json prints and evaluation.json holds.</summary>
    internal static JsonObject Describe(SaeEvaluation e)
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
            ["decoder_effective_rank"] = JsonText.Number(e.DecoderEffectiveRank),
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
        }
        return json;
    }
}
