using System.CommandLine;
using System.Text.Json.Nodes;
using BioSup.Cli.Pipeline.Cells;
using BioSup.Data;
using BioSup.Report;
using BioSup.Runtime;

namespace BioSup.Cli.Commands;

/// <summary>`biosup cells`: single-cell methods on latents and counts, AnnData in and out.</summary>
internal static class CellsCommand
{
    private static readonly Argument<string?> s_input = new("IN") { Description = CellsInput.Formats, Arity = ArgumentArity.ZeroOrOne };
    private static readonly Option<string?> s_out = new("--out") { Description = "OUT.h5ad: everything in IN and the results, under scanpy's keys; may be IN itself" };
    private static readonly Option<string?> s_steps = new("--steps") { Description = "steps in order, name:key=value:key=value,name,…; 'help' lists them with their settings; default: by what the matrix holds, and printed" };
    private static readonly Option<string?> s_results = new("--results") { Description = "folder of tables, figures, report.html and manifest.json; default: OUT without .h5ad" };
    private static readonly Option<bool> s_resume = new("--resume") { Description = "go on with the steps that an interrupted run kept in OUT.partial.h5ad; without one the run begins with the first step" };
    private static readonly Option<string?> s_obs = new("--obs") { Description = "table (.csv) whose columns are added to obs, rows matched by name: classes, cell death" };

    public static Command Create() =>
        new Command("cells", "Single-cell analysis in named steps, on SAE latents or counts; AnnData in and out.") { s_input, s_out, s_steps, s_obs, s_results, s_resume }.Runs(Run);

    private static JsonObject Run(ParseResult parsed, CommandContext context)
    {
        if (parsed.GetValue(s_steps) == "help") return Help(context);
        string source = parsed.GetValue(s_input) ?? throw new UsageException("The input is missing: biosup cells IN.h5ad --out OUT.h5ad.");
        string path = parsed.GetValue(s_out) ?? throw new UsageException("--out is missing: name the .h5ad file to write.");
        if (!path.EndsWith(".h5ad", StringComparison.OrdinalIgnoreCase) || Path.GetFileNameWithoutExtension(path).Length == 0) throw new UsageException($"--out {path}: expected a name that ends in .h5ad.");
        IReadOnlyList<PlannedStep>? plan = parsed.GetValue(s_steps) is { } text ? CellSteps.Parse(text, CellSteps.All) : null;
        AnnData data = CellsInput.Read(context.Host, source);
        CellsCheckpoint.Strip(data);
        foreach (string warning in data.Warnings) context.Warn(warning);
        context.Say($"{source}: {Numbers.Integer(data.ObservationCount)} cells x {Numbers.Integer(data.VariableCount)} variables");
        if (parsed.GetValue(s_obs) is { } table) context.Say(CellColumns.Add(data, table));
        plan ??= Choose(data, context);
        CellOrder.Require(plan, data);
        // A file that could not be written at the end would cost all the work: both folders are tried before it.
        if (Directory.Exists(path)) throw new UsageException($"--out {path}: is a folder; a file was expected.");
        ResultFolder.Create(context, Path.GetDirectoryName(Path.GetFullPath(path))!);
        ResultFolder folder = ResultFolder.Create(context, parsed.GetValue(s_results) ?? CellsResults.FolderOf(path), "--results");
        folder.AddInput(source);
        if (parsed.GetValue(s_obs) is { } added) folder.AddInput(added);
        CellsContext cells = Context(data, source, context);
        CellsCheckpoint checkpoint = new(context, path, folder.InputHashes, plan);
        IReadOnlyList<FinishedStep> earlier = parsed.GetValue(s_resume) ? checkpoint.Resume(cells) : [];
        IReadOnlyList<FinishedStep> done = CellsRunner.Run(plan, cells, step => Announce(step, context), checkpoint, earlier);
        AnnDataFile.Write(path, cells.Cells);
        JsonObject configuration = new() { ["input"] = source, ["out"] = path, ["steps"] = JsonText.Strings(done.Select(s => s.Text)) };
        (IReadOnlyList<string> tables, IReadOnlyList<string> figures) = CellsResults.Write(folder, source, cells, done, configuration);
        checkpoint.Remove(source);
        context.Say($"written: {path}");
        context.Say($"report: {folder.Locate("report.html")}");
        return new JsonObject
        {
            ["out"] = path,
            ["resumed_steps"] = earlier.Count,
            ["results"] = folder.Path,
            ["cells"] = cells.Cells.ObservationCount,
            ["variables"] = cells.Cells.VariableCount,
            ["steps"] = new JsonArray([.. done.Select(Describe)]),
            ["tables"] = JsonText.Strings(tables),
            ["figures"] = JsonText.Strings(figures),
        };
    }

    private static IReadOnlyList<PlannedStep> Choose(AnnData data, CommandContext context)
    {
        (string holds, string steps) = CellDefaults.For(data);
        context.Say($"the matrix holds {holds}; the steps are --steps \"{steps}\"");
        return CellSteps.Parse(steps, CellSteps.All);
    }

    private static CellsContext Context(AnnData data, string source, CommandContext context) => new()
    {
        Cells = data,
        Source = source,
        Device = context.Device,
        Host = context.Host,
        Seed = context.Seed,
        Note = context.Note,
        Progress = context.Progress,
        Cancellation = context.Cancellation,
    };

    private static void Announce(FinishedStep step, CommandContext context)
    {
        context.Say($"{step.Name}: {step.Outcome.Said} ({Numbers.Duration(TimeSpan.FromSeconds(step.Seconds))})");
        foreach (string warning in step.Outcome.Warnings) context.Warn($"{step.Name}: {warning}");
    }

    private static JsonObject Describe(FinishedStep step) => new()
    {
        ["step"] = step.Name,
        ["text"] = step.Text,
        ["said"] = step.Outcome.Said,
        ["seconds"] = Math.Round(step.Seconds, 3),
        ["warnings"] = JsonText.Strings(step.Outcome.Warnings),
    };

    private static JsonObject Help(CommandContext context)
    {
        foreach (ICellStep step in CellSteps.All)
        {
            context.Say($"{step.Name}: {step.Summary}");
            foreach (StepParameter p in step.Parameters) context.Say($"    {p.Name}={p.Default}  {p.Meaning}");
        }
        return new JsonObject { ["steps"] = new JsonArray([.. CellSteps.All.Select(Describe)]) };
    }

    private static JsonObject Describe(ICellStep step) => new()
    {
        ["step"] = step.Name,
        ["summary"] = step.Summary,
        ["settings"] = new JsonArray([.. step.Parameters.Select(p => new JsonObject { ["name"] = p.Name, ["default"] = p.Default, ["meaning"] = p.Meaning })]),
    };
}
