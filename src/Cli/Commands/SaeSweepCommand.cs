using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Analysis.Sae;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Commands;

/// <summary>`biosup sae sweep`.</summary>
internal static class SaeSweepCommand
{
    private static readonly Option<string> s_tokens = SaeCommand.Tokens();
    private static readonly Option<string> s_out = new("--out") { Description = "folder for one folder per model, pareto.csv, stability.csv, pareto.svg and pareto.png", Required = true };
    private static readonly Option<string> s_config = new("--config") { Description = "SWEEP.json with \"base\", \"grid\", \"models\", \"seeds\", or \"preset\": \"paper-sweep\"", Required = true };
    private static readonly Option<string> s_order = new("--order") { Description = "fixed (file order) or shuffled", DefaultValueFactory = _ => "shuffled" };
    private static readonly Option<long?> s_steps = new("--steps") { Description = "total steps, instead of epochs × batches" };
    private static readonly Option<bool> s_resume = new("--resume") { Description = "continue from the models' checkpoints; a model that failed is not tried again" };
    private static readonly Option<string?> s_evalTokens = new("--eval-tokens") { Description = "tokens that the models are measured on, for instance held-out ones (default: the training tokens)" };
    private static readonly Option<string?> s_labels = new("--labels") { Description = "a class per evaluated token or per image: adds the accuracy of a linear probe on latents (five stratified folds)" };

    public static Command Create()
    {
        Command command = new("sweep", "Train many sparse autoencoders on one stream of tokens and compare them.") { s_tokens, s_out, s_config, s_order, s_steps, s_resume, s_evalTokens, s_labels };
        TokenInput.AddTo(command);
        return command.Runs(Run);
    }

    private static JsonObject Run(ParseResult parsed, CommandContext context)
    {
        string locator = parsed.GetValue(s_tokens)!, folder = parsed.GetValue(s_out)!, file = parsed.GetValue(s_config)!;
        TokenOrder order = SaeCommand.Order(parsed.GetValue(s_order));
        IReadOnlyList<SaeSweepMember> members = SaeSweepFile.Read(file, context.Seed);
        using TokenInput input = TokenInput.Open(parsed, context, locator);
        input.Describe(context, members[0].Config.Batch, order == TokenOrder.Shuffled, (long)members[0].Config.ShuffleWindow << 20);
        string[]? labels = parsed.GetValue(s_labels) is { } column ? ColumnReader.Read(column).Text : null;
        using ITokenSource? other = parsed.GetValue(s_evalTokens) is { } heldOut ? TokenSource.Open(context.Host, heldOut) : null;
        ITokenSource evaluated = other ?? input.Source;
        IReadOnlyList<int>? images = other is null ? input.RowsPerImage : SaeCommand.RowsPerImage(other);
        SweepEvaluation.RequireLabels(labels, evaluated, images);
        if (evaluated.Columns != input.Source.Columns) throw new UsageException($"--eval-tokens have {evaluated.Columns} dimensions, --tokens {input.Source.Columns}.");
        long probeBytes = labels is null ? 0 : SweepEvaluation.ProbeBytes(members, evaluated, labels);
        ResultFolder results = ResultFolder.Create(context, folder);
        foreach (string name in input.Files) results.AddInput(name);
        results.AddInput(file);
        using SaeSweepResult sweep = SaeSweep.Train(context.Device, input.Source, new SaeSweepOptions
        {
            Members = members,
            Seed = context.Seed,
            Order = order,
            Steps = parsed.GetValue(s_steps),
            OutputFolder = folder,
            Resume = parsed.GetValue(s_resume),
            Progress = context.Progress,
            Cancellation = context.Cancellation,
            Warn = context.Warn,
            Planned = plan => Say(context, plan, probeBytes),
        });
        if (parsed.GetValue(s_resume) && sweep.Outcomes.All(o => o.ResumedAt == 0)) context.Warn($"--resume: {folder} has no checkpoints; the sweep started at step 0.");
        IReadOnlyList<SweepRow> rows = SweepEvaluation.Run(sweep, evaluated, images, labels, folder, context);
        results.WriteManifest(Configuration(sweep));
        foreach (SweepRow row in rows) context.Say(row.Describe());
        context.Say(string.Create(CultureInfo.InvariantCulture, $"{sweep.Outcomes.Count} models, {sweep.Steps} steps in {sweep.Seconds:F1} s, {Megabytes(sweep.PeakBytes)} of {Megabytes(sweep.Plan.TotalBytes)} MB planned: {folder}"));
        return new JsonObject
        {
            ["out"] = folder,
            ["steps"] = sweep.Steps,
            ["seconds"] = JsonText.Number(sweep.Seconds),
            ["tokens_per_s"] = JsonText.Number(sweep.TokensPerSecond),
            ["planned_bytes"] = sweep.Plan.TotalBytes,
            ["peak_bytes"] = sweep.PeakBytes,
            ["planned_probe_bytes"] = probeBytes,
            ["evaluated_on"] = parsed.GetValue(s_evalTokens) ?? "training tokens",
            ["models"] = new JsonArray([.. rows.Select(r => (JsonNode)r.ToJson())]),
        };
    }

    private static void Say(CommandContext context, SaeMemoryPlan plan, long probeBytes)
    {
        foreach ((string name, long bytes) in plan.Models) context.Note($"memory: {name} {Megabytes(bytes)} MB");
        context.Note($"memory: {Megabytes(plan.TotalBytes)} MB in all, {Megabytes(plan.StreamBytes)} MB for tokens and at most {Megabytes(plan.ScratchBytes)} MB for scratch among them");
        if (probeBytes > 0) context.Note($"memory: at most {Megabytes(probeBytes)} MB for the probe of a model, when the training has given back its own");
    }

    private static JsonObject Configuration(SaeSweepResult sweep)
    {
        JsonObject models = [];
        foreach (SaeSweepOutcome o in sweep.Outcomes)
            models[o.Member.Name] = new JsonObject { ["seed"] = o.Member.Seed, ["state"] = o.Problem is null ? "trained" : "failed", ["training"] = JsonNode.Parse(SaeConfigFile.Write(o.Member.Config)) };
        return new JsonObject { ["models"] = models };
    }

    private static string Megabytes(long bytes) => (bytes / 1e6).ToString("F0", CultureInfo.InvariantCulture);
}
