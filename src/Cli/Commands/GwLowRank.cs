using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Analysis.Alignment;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Commands;

/// <summary>`biosup gw align --solver lowrank`: coupling.npz with the factors, result.json and manifest.json.</summary>
internal static class GwLowRank
{
    private const int DefaultRank = 20;

    public static bool Wanted(ParseResult parsed) => string.Equals(parsed.GetValue(GwAlignOptions.Solver), "lowrank", StringComparison.OrdinalIgnoreCase);

    public static JsonObject Run(ParseResult parsed, CommandContext context, ResultFolder folder, Matrix<double> x, Matrix<double> y, AlignmentOptions costs, string[]? labelsX, string[]? labelsY)
    {
        LowRankOptions options = Read(parsed, context.Seed);
        MemoryPlan plan = LowRankAlignment.Plan(costs, options, (x.Rows, x.Columns), (y.Rows, y.Columns), context.Host.Pool.Threads);
        context.Say($"memory           {plan}");

        using LowRankAlignmentResult result = LowRankAlignment.Align(x, y, costs, options, labelsX, labelsY, context.Progress, context.Cancellation);

        foreach (string warning in result.Warnings) context.Warn(warning);
        CouplingFile.Write(folder.Locate(CouplingFile.Name), result.Coupling);
        JsonObject json = Describe(result, context.Seed);
        AtomicFile.WriteAllText(folder.Locate("result.json"), json.ToJsonString(JsonText.Readable) + "\n");
        string xLocator = parsed.GetValue(GwAlignOptions.X)!, yLocator = parsed.GetValue(GwAlignOptions.Y)!;
        foreach (string? input in new[] { xLocator, yLocator, parsed.GetValue(GwAlignOptions.LabelsX), parsed.GetValue(GwAlignOptions.LabelsY) })
            if (input is not null) folder.AddInput(input);
        JsonObject configuration = GwAlignCommand.Configuration(costs, xLocator, yLocator);
        foreach (string none in (ReadOnlySpan<string>)["epsilon", "convention", "alpha", "stop", "inner", "start", "null", "stability"]) configuration.Remove(none);
        (configuration["solver"], configuration["rank"], configuration["tolerance"], configuration["max_iterations"]) = ("lowrank", options.Rank, options.Tolerance, options.MaxIterations);
        folder.WriteManifest(configuration);
        Print(result, context, folder);
        return json;
    }

    private static LowRankOptions Read(ParseResult parsed, ulong seed)
    {
        LowRankOptions options = new() { Rank = parsed.GetValue(GwAlignOptions.Rank) ?? DefaultRank, Seed = seed };
        options = options with { Tolerance = parsed.GetValue(GwAlignOptions.Tolerance) ?? options.Tolerance, MaxIterations = parsed.GetValue(GwAlignOptions.MaxIterations) ?? options.MaxIterations };
        foreach (Option option in (ReadOnlySpan<Option>)[GwAlignOptions.BlocksX, GwAlignOptions.BlocksY, GwAlignOptions.Epsilon, GwAlignOptions.Convention, GwAlignOptions.Fused, GwAlignOptions.Alpha, GwAlignOptions.Init, GwAlignOptions.Start,
            GwAlignOptions.Coupling, GwAlignOptions.Null, GwAlignOptions.Stability, GwAlignOptions.Marginals, GwAlignOptions.Loss, GwAlignOptions.Stop, GwAlignOptions.Dtype, GwAlignOptions.Inner])
            if (parsed.GetResult(option) is { Implicit: false })
                throw new UsageException($"{option.Name} has no meaning with --solver lowrank, which solves the balanced problem with the square loss in double precision, from clusters, smoothed by its rank alone.");
        options.Validate();
        return options;
    }

    private static JsonObject Describe(LowRankAlignmentResult result, ulong seed)
    {
        LowRankResult solve = result.Solve;
        (double Rows, double Columns) error = (solve.RowError, solve.ColumnError);
        JsonObject json = GwResultJson.Solve("lowrank", solve.Loss, error, solve.Converged, solve.Iterations, solve.ProjectionIterations, solve.ProjectionsNotConverged);
        json["rank"] = result.Coupling.Rank;
        json["coupling"] = new JsonObject { ["form"] = "low-rank", ["reason"] = "asked for" };
        json["rejected_steps"] = solve.RejectedSteps;
        json["loss_trace"] = JsonText.Numbers(solve.LossTrace);
        json["seconds"] = JsonText.Number(solve.Seconds);
        GwResultJson.Add(json, result, error, seed);
        return json;
    }

    private static void Print(LowRankAlignmentResult result, CommandContext context, ResultFolder folder)
    {
        LowRankResult solve = result.Solve;
        context.Say(Text($"GW loss          {solve.Loss:g6} with rank {result.Coupling.Rank} after {solve.Iterations} iterations ({(solve.Converged ? "converged" : "not converged")}), {solve.Seconds:F1} s"));
        foreach (string line in GwTrustJson.Lines(result)) context.Say(line);
        foreach (string line in GwResultJson.Lines(result.Verdict, result.Labels, result.Foscttm)) context.Say(line);
        foreach (string reason in result.Certificates.NotMeasured) context.Say($"  not measured: {reason}");
        context.Say($"results          {folder.Path}");
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
