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
    private static readonly Option<string?> s_out = new("--out") { Description = "folder for report.html, evaluation.json, per_latent.csv, differential_latents.csv and figures" };
    private static readonly Option<string?> s_latents = new("--latents") { Description = "with --out: numbers of latents that get a page of the report, e.g. 5,17, before those that are specific to a class" };
    private static readonly Option<string[]> s_masks = new("--masks")
    {
        Description = "with --out: mask images or folders of them, one for every image and named alike; what is zero there is background. Without them background is what is dark in every channel",
        AllowMultipleArgumentsPerToken = true,
    };
    private static readonly Option<int> s_components = new("--pca") { Description = "principal components that the effective ranks of representations are also measured on", DefaultValueFactory = _ => 250 };

    public static Command Create()
    {
        Command command = new("eval", "Measure a trained autoencoder on tokens, or on images as they are encoded.") { s_model, s_tokens, s_labels, s_groups, s_control, s_probe, s_out, s_latents, s_masks, s_components };
        TokenInput.AddReadingTo(command);
        return command.Runs(Run);
    }

    private static JsonObject Run(ParseResult parsed, CommandContext context)
    {
        string? folder = parsed.GetValue(s_out), control = parsed.GetValue(s_control);
        string file = parsed.GetValue(s_model)!;
        string[] groupColumns = parsed.GetValue(s_groups) ?? [];
        if (parsed.GetValue(s_labels) is null && (groupColumns.Length > 0 || control is not null)) throw new UsageException("--groups and --control need --labels: what shall be told apart?");
        int[] asked = Latents(parsed.GetValue(s_latents));
        if (asked.Length > 0 && folder is null) throw new UsageException("--latents names pages of the report, which --out asks for.");
        string[] masks = parsed.GetValue(s_masks) ?? [];
        if (masks.Length > 0 && folder is null) throw new UsageException("--masks are for the report, which --out asks for.");
        bool quick = folder is null && groupColumns.Length == 0 && !parsed.GetValue(s_probe);
        ResultFolder? results = folder is null ? null : ResultFolder.Create(context, folder);
        using SaeModel model = SaeModel.Load(context.Device, file);
        if (asked.FirstOrDefault(j => j >= model.Latents, -1) is >= 0 and int beyond) throw new UsageException($"--latents {beyond}: the model has {model.Latents} latents, numbered from 0.");
        string[]? labels = parsed.GetValue(s_labels) is { } locator ? ColumnReader.Read(locator).Text : null;
        using TokenInput input = TokenInput.OpenFor(parsed, context, parsed.GetValue(s_tokens)!, file, quick ? 1 : 3);
        if (masks.Length > 0) (input.Pictures.Gallery ?? throw new UsageException($"--masks: there are no pictures that they could belong to: {input.Pictures.Reason}.")).UseMasks(masks);
        ITokenSource tokens = input.Source;
        IReadOnlyList<int>? images = input.RowsPerImage;
        if (quick)
        {
            SaeEvaluation evaluation = SaeEvaluation.Run(model, tokens, images, labels, context.Progress, context.Cancellation);
            Say(evaluation, model, context);
            return SaeStudyJson.Describe(evaluation);
        }
        SaeStudy study = SaeStudy.Run(model, tokens, images, labels, new SaeStudyOptions
        {
            Groups = Groups(groupColumns),
            Differential = new DifferentialOptions { Control = control },
            Components = parsed.GetValue(s_components),
            Seed = context.Seed,
        }, context.Progress, context.Cancellation);
        Say(study.Evaluation, model, context);
        Say(study, context);
        JsonObject json = SaeStudyJson.Describe(study);
        if (results is null) return json;
        foreach (string? read in (string?[])[file, .. input.Files, parsed.GetValue(s_labels), .. groupColumns, .. masks]) if (read is not null) results.AddInput(read);
        SaeStudyFiles.Write(folder!, model, study, json);
        JsonObject configuration = new() { ["groups"] = JsonText.Strings(groupColumns), ["control"] = control, ["masks"] = JsonText.Strings(masks), ["latents"] = new JsonArray([.. asked.Select(j => (JsonNode)j)]), ["pca"] = parsed.GetValue(s_components) };
        LatentPages pages = LatentPages.Measure(model, tokens, images, labels, LatentPages.Choose(study.Comparisons, study.Evaluation.Latents, asked), study.Comparisons, input.Pictures, context);
        SaeStudyFiles.WriteProfiles(folder!, pages.Profiles);
        SaeStudyReport.Write(folder!, file, study, pages, results.CreateManifest(configuration));
        results.WriteManifest(configuration);
        context.Say($"report: {Path.Combine(folder!, "report.html")}");
        return json;
    }

    private static int[] Latents(string? text) => text is null ? [] :
        [.. text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(part => int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int latent) ? latent
            : throw new UsageException($"--latents {text}: '{part}' is no number of a latent; expected numbers such as 5,17.")).Distinct()];

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
            context.Say(string.Create(CultureInfo.InvariantCulture, $"effective rank of {r.Samples} images: raw {r.Raw.Plain:F1}, latents {r.Latents.Plain:F1}   on {r.Components} components: {r.Raw.Components:F1}, {r.Latents.Components:F1}; normed: {r.Raw.NormedComponents:F1}, {r.Latents.NormedComponents:F1}   CKA with raw: latents {r.CkaLatents:F3}, reconstruction {r.CkaReconstruction:F3}"));
        if (study.Comparisons.Count > 0) context.Say($"latents specific to a class: {string.Join(", ", study.Comparisons.Select(c => $"{c.Class} {SaeStudyJson.SpecificTo(c).Length}"))}");
        if (study.Probes is not { } p) return;
        foreach (RepresentationProbe side in new[] { p.Raw, p.Reconstruction, p.Latents })
            context.Say(string.Create(CultureInfo.InvariantCulture, $"probe on {side.Name,-14} accuracy {side.Logistic.Accuracy:F3}   balanced {side.Logistic.BalancedAccuracy:F3}   macro-F1 {side.Logistic.MacroF1:F3}{(side.Published is { } o ? $"   published probe {o.Accuracy:F3}" : "")}"));
        context.Say(string.Create(CultureInfo.InvariantCulture, $"{p.Folds} folds of {p.Rows} rows{(p.Groups > 0 ? $" in {p.Groups} groups kept whole" : "")}; most frequent class {p.MajorityAccuracy:F3}; recovered by reconstruction {p.RecoveredByReconstruction:F3}, by latents {p.RecoveredByLatents:F3}"));
    }
}
