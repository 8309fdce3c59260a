using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Analysis.Sae;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Commands;

/// <summary>`biosup sae eval`.</summary>
internal static class SaeEvalCommand
{
    private static readonly Option<string> s_model = SaeCommand.Model();
    private static readonly Option<string> s_tokens = SaeCommand.Tokens();
    private static readonly Option<string?> s_labels = new("--labels") { Description = "a class per token or per image: FILE.csv:column, FILE.h5ad:obs/NAME, FILE.npy, FILE.npz:member" };
    private static readonly Option<string[]> s_groups = new("--groups")
    {
        Description = "columns, as --labels, whose combinations (plate and well, donor) stay whole in the folds of the probes; without them folds are stratified by class",
        AllowMultipleArgumentsPerToken = true,
    };
    private static readonly Option<string?> s_control = new("--control") { Description = "class that differential latents compare the others with; default: each class with all others" };
    private static readonly Option<bool> s_probe = new("--probe") { Description = "also probes on raw activations, reconstructions and latents, differential latents, ranks and CKA; implied by --groups and --out" };
    private static readonly Option<string?> s_out = new("--out") { Description = "folder for evaluation.json, per_latent.csv, differential_latents.csv and figures" };

    public static Command Create() => new Command("eval", "Measure a trained autoencoder on tokens.") { s_model, s_tokens, s_labels, s_groups, s_control, s_probe, s_out }.Runs(Run);

    private static JsonObject Run(ParseResult parsed, CommandContext context)
    {
        string? folder = parsed.GetValue(s_out), control = parsed.GetValue(s_control);
        string[] groupColumns = parsed.GetValue(s_groups) ?? [];
        if (parsed.GetValue(s_labels) is null && (groupColumns.Length > 0 || control is not null)) throw new UsageException("--groups and --control need --labels: what shall be told apart?");
        ResultFolder? results = folder is null ? null : ResultFolder.Create(context, folder);
        using SaeModel model = SaeModel.Load(context.Device, parsed.GetValue(s_model)!);
        using ITokenSource tokens = TokenSource.Open(context.Host, parsed.GetValue(s_tokens)!);
        string[]? labels = parsed.GetValue(s_labels) is { } locator ? ColumnReader.Read(locator).Text : null;
        IReadOnlyList<int>? images = SaeCommand.RowsPerImage(tokens);
        if (folder is null && groupColumns.Length == 0 && !parsed.GetValue(s_probe))
        {
            SaeEvaluation quick = SaeEvaluation.Run(model, tokens, images, labels, context.Progress, context.Cancellation);
            Say(quick, model, context);
            return SaeStudyJson.Describe(quick);
        }
        SaeStudy study = SaeStudy.Run(model, tokens, images, labels, new SaeStudyOptions
        {
            Groups = Groups(groupColumns),
            Differential = new DifferentialOptions { Control = control },
            Seed = context.Seed,
        }, context.Progress, context.Cancellation);
        Say(study.Evaluation, model, context);
        Say(study, context);
        JsonObject json = SaeStudyJson.Describe(study);
        if (results is null) return json;
        foreach (string? input in (string?[])[parsed.GetValue(s_model), parsed.GetValue(s_tokens), parsed.GetValue(s_labels), .. groupColumns]) if (input is not null) results.AddInput(input);
        SaeStudyFiles.Write(folder!, model, study, json);
        results.WriteManifest(new JsonObject { ["groups"] = JsonText.Strings(groupColumns), ["control"] = control });
        context.Say($"{folder} written.");
        return json;
    }

    /// <summary>One name per row for every combination of the columns.</summary>
    private static string[]? Groups(string[] locators)
    {
        if (locators.Length == 0) return null;
        Column[] columns = [.. locators.Select(ColumnReader.Read)];
        if (columns.Any(c => c.Length != columns[0].Length)) throw new DataException("--groups", null, $"the columns have {string.Join(" and ", columns.Select(c => c.Length))} rows");
        return [.. Enumerable.Range(0, columns[0].Length).Select(i => string.Join('\u001f', columns.Select(c => c.Text[i])))];
    }

    private static void Say(SaeEvaluation e, SaeModel model, CommandContext context)
    {
        context.Say(string.Create(CultureInfo.InvariantCulture,
            $"FVU {e.Fvu:F4}   L0 {e.L0:F2} ({e.ConditionalL0:F2} over active tokens)   alive {e.Alive} of {model.Latents}   mean |cos| {e.MeanAbsoluteCosine:F4}   effective rank {e.DecoderEffectiveRank:F1}"));
        if (e.Purity is { } p) context.Say(string.Create(CultureInfo.InvariantCulture, $"purity {p.MeanPurity:F3}, entropy {p.MeanEntropy:F3} bits over {p.Latents} latents and {p.Classes.Count} classes"));
    }

    private static void Say(SaeStudy study, CommandContext context)
    {
        if (study.Representation is { } r)
            context.Say(string.Create(CultureInfo.InvariantCulture, $"effective rank of {r.Samples} images: raw {r.RawRank:F1}, latents {r.LatentRank:F1}   CKA with raw: latents {r.CkaLatents:F3}, reconstruction {r.CkaReconstruction:F3}"));
        if (study.Comparisons.Count > 0) context.Say($"latents specific to a class: {string.Join(", ", study.Comparisons.Select(c => $"{c.Class} {SaeStudyJson.SpecificTo(c).Length}"))}");
        if (study.Probes is not { } p) return;
        foreach (RepresentationProbe side in new[] { p.Raw, p.Reconstruction, p.Latents })
            context.Say(string.Create(CultureInfo.InvariantCulture, $"probe on {side.Name,-14} accuracy {side.Logistic.Accuracy:F3}   balanced {side.Logistic.BalancedAccuracy:F3}   macro-F1 {side.Logistic.MacroF1:F3}{(side.Published is { } o ? $"   published probe {o.Accuracy:F3}" : "")}"));
        context.Say(string.Create(CultureInfo.InvariantCulture, $"{p.Folds} folds of {p.Rows} rows{(p.Groups > 0 ? $" in {p.Groups} groups kept whole" : "")}; most frequent class {p.MajorityAccuracy:F3}; recovered by reconstruction {p.RecoveredByReconstruction:F3}, by latents {p.RecoveredByLatents:F3}"));
    }
}
