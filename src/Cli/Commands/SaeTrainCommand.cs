using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Analysis.Sae;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Cli.Commands;

/// <summary>`biosup sae train`.</summary>
internal static class SaeTrainCommand
{
    private static readonly Option<string> s_tokens = SaeCommand.Tokens();
    private static readonly Option<string> s_out = new("--out") { Description = "folder for model.safetensors, config.json, train_log.csv, telemetry.csv, the checkpoint and, where tokens have one, their centre.npy", Required = true };
    private static readonly Option<string?> s_config = new("--config") { Description = "training configuration (JSON, comments allowed); every key is optional" };
    private static readonly Option<string?> s_init = new("--init") { Description = "initial weights (.safetensors with the tensors of the architecture: W_mag, b_mag, b_gate, W_dec, b_dec, untied also W_gate, for a gated one)" };
    private static readonly Option<string> s_order = new("--order") { Description = "fixed (file order) or shuffled", DefaultValueFactory = _ => "shuffled" };
    private static readonly Option<long?> s_steps = new("--steps") { Description = "total steps, instead of epochs × batches" };
    private static readonly Option<bool> s_resume = new("--resume") { Description = "continue from the checkpoint in --out; without one the run starts at step 0" };

    public static Command Create()
    {
        Command command = new("train", "Train a sparse autoencoder on tokens, or on images as they are encoded.") { s_tokens, s_out, s_config, s_init, s_order, s_steps, s_resume };
        TokenInput.AddTo(command);
        return command.Runs(Run);
    }

    private static JsonObject Run(ParseResult parsed, CommandContext context)
    {
        string locator = parsed.GetValue(s_tokens)!, folder = parsed.GetValue(s_out)!;
        TokenOrder order = SaeCommand.Order(parsed.GetValue(s_order));
        SaeConfig config = ReadConfig(parsed.GetValue(s_config), parsed.GetValue(s_init));
        using TokenInput input = TokenInput.Open(parsed, context, locator);
        input.Describe(context, config.Batch, order == TokenOrder.Shuffled, (long)config.ShuffleWindow << 20);
        ITokenSource tokens = input.Source;
        ResultFolder results = ResultFolder.Create(context, folder);
        foreach (string file in input.Files) results.AddInput(file);
        if (parsed.GetValue(s_config) is { } configFile) results.AddInput(configFile);
        if (parsed.GetValue(s_init) is { } initFile) results.AddInput(initFile);
        bool resume = parsed.GetValue(s_resume);
        using SaeTrainingResult result = SaeTrainer.Train(context.Device, tokens, new SaeTrainingOptions
        {
            Config = config,
            Seed = context.Seed,
            Order = order,
            Steps = parsed.GetValue(s_steps),
            InitialWeights = parsed.GetValue(s_init),
            OutputFolder = folder,
            Resume = resume,
            Progress = context.Progress,
            Cancellation = context.Cancellation,
            Warn = context.Warn,
            Planned = plan => context.Note($"memory: {(plan.TotalBytes / 1e6).ToString("F0", CultureInfo.InvariantCulture)} MB at most, of which {(plan.ScratchBytes / 1e6).ToString("F0", CultureInfo.InvariantCulture)} MB for scratch"),
        });
        if (resume && result.ResumedAt == 0) context.Warn($"--resume: {folder} has no checkpoint; the run started at step 0.");
        ModelCentre.Keep(folder, input.Centre);
        results.WriteManifest(JsonNode.Parse(File.ReadAllText(results.Locate(SaeModel.ConfigFile)))!["training"]!);
        SaeLogRow? last = result.Last;
        context.Say(string.Create(CultureInfo.InvariantCulture,
            $"{result.Steps} steps in {result.Seconds:F1} s{(result.ResumedAt > 0 ? $" (resumed at step {result.ResumedAt})" : "")}: {(last is null ? "" : $"FVU {last.Fvu:F4}, L0 {last.L0:F1}, dead {last.Dead} of {result.Model.Latents}; ")}{folder}"));
        JsonObject summary = new()
        {
            ["out"] = folder,
            ["steps"] = result.Steps,
            ["resumed_at"] = result.ResumedAt,
            ["d_in"] = result.Model.InputWidth,
            ["d_sae"] = result.Model.Latents,
            ["architecture"] = SaeConfigFile.Name(result.Model.Shape.Architecture),
            ["tied"] = result.Model.Tied,
            ["seconds"] = JsonText.Number(result.Seconds),
            ["tokens_per_s"] = JsonText.Number(result.TokensPerSecond),
        };
        if (last is not null) summary["last"] = SaeCommand.Describe(last);
        return summary;
    }

    /// <summary>Whatever the file leaves open about the shape is taken from the initial weights.</summary>
    private static SaeConfig ReadConfig(string? file, string? init)
    {
        SaeConfig config = file is null ? SaeConfig.Default : SaeConfigFile.Read(file);
        if (init is null) return config;
        (bool tied, bool latents) = file is null ? (false, false) : SaeConfigFile.Gives(File.ReadAllText(file), file);
        if (!latents) config = config with { Latents = 0 };
        if (tied) return config;
        using SafetensorsFile weights = SafetensorsFile.Open(init);
        return config with { Tied = config.Architecture != SaeArchitecture.Gated || !weights.Contains("W_gate") };
    }
}
