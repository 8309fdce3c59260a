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
        MemoryPlan plan = LowRankAlignment.Plan(costs, options, (x.Rows, x.Columns), (y.Rows, y.Columns));
        context.Say($"memory           {plan}");

        using LowRankAlignmentResult result = LowRankAlignment.Align(x, y, costs, options, labelsX, labelsY, context.Progress, context.Cancellation);

        foreach (string warning in result.Warnings) context.Warn(warning);
        LowRankCoupling coupling = result.Coupling;
        NpzFile.Write(folder.Locate("coupling.npz"), archive =>
        {
            archive.Add("Q", coupling.First.View);
            archive.Add("R", coupling.Second.View);
            archive.Add("g", coupling.Weights);
        });
        JsonObject json = Describe(result, costs, context.Seed);
        AtomicFile.WriteAllText(folder.Locate("result.json"), json.ToJsonString(JsonText.Readable) + "\n");
        string xLocator = parsed.GetValue(GwAlignOptions.X)!, yLocator = parsed.GetValue(GwAlignOptions.Y)!;
        foreach (string? input in new[] { xLocator, yLocator, parsed.GetValue(GwAlignOptions.LabelsX), parsed.GetValue(GwAlignOptions.LabelsY) })
            if (input is not null) folder.AddInput(input);
        JsonObject configuration = GwAlignCommand.Configuration(costs, xLocator, yLocator);
        foreach (string none in (ReadOnlySpan<string>)["epsilon", "convention", "alpha", "stop", "inner", "starts", "null", "stability"]) configuration.Remove(none);
        (configuration["solver"], configuration["rank"], configuration["tolerance"], configuration["max_iterations"]) = ("lowrank", options.Rank, options.Tolerance, options.MaxIterations);
        folder.WriteManifest(configuration);
        Print(result, context, folder);
        return json;
    }

    private static LowRankOptions Read(ParseResult parsed, ulong seed)
    {
        LowRankOptions options = new() { Rank = parsed.GetValue(GwAlignOptions.Rank) ?? DefaultRank, Seed = seed };
        options = options with { Tolerance = parsed.GetValue(GwAlignOptions.Tolerance) ?? options.Tolerance, MaxIterations = parsed.GetValue(GwAlignOptions.MaxIterations) ?? options.MaxIterations };
        foreach (Option option in (ReadOnlySpan<Option>)[GwAlignOptions.BlocksX, GwAlignOptions.BlocksY, GwAlignOptions.Epsilon, GwAlignOptions.Convention, GwAlignOptions.Fused, GwAlignOptions.Alpha, GwAlignOptions.Init, GwAlignOptions.Starts,
            GwAlignOptions.Coupling, GwAlignOptions.Null, GwAlignOptions.Stability, GwAlignOptions.Marginals, GwAlignOptions.Loss, GwAlignOptions.Stop, GwAlignOptions.Dtype, GwAlignOptions.Inner])
            if (parsed.GetResult(option) is { Implicit: false })
                throw new UsageException($"{option.Name} has no meaning with --solver lowrank, which solves the balanced problem with the square loss in double precision, from clusters, smoothed by its rank alone.");
        options.Validate();
        return options;
    }

    private static JsonObject Describe(LowRankAlignmentResult result, AlignmentOptions costs, ulong seed)
    {
        LowRankResult solve = result.Solve;
        return new JsonObject
        {
            ["gw_loss"] = JsonText.Number(solve.Loss),
            ["solver"] = "lowrank",
            ["rank"] = result.Coupling.Rank,
            ["coupling"] = "T = Q diag(1 / g) R^T",
            ["mean_partners"] = JsonText.Number(result.MeanPartners),
            ["marginal_error_rows"] = JsonText.Number(solve.RowError),
            ["marginal_error_columns"] = JsonText.Number(solve.ColumnError),
            ["converged"] = solve.Converged,
            ["iterations"] = solve.Iterations,
            ["inner_iterations"] = solve.ProjectionIterations,
            ["inner_not_converged"] = solve.ProjectionsNotConverged,
            ["rejected_steps"] = solve.RejectedSteps,
            ["loss_trace"] = JsonText.Numbers(solve.LossTrace),
            ["seed"] = seed,
            ["graph_components"] = new JsonArray(result.GraphComponents.First, result.GraphComponents.Second),
            ["memory_plan_bytes"] = result.Memory.TotalBytes,
            ["seconds"] = JsonText.Number(solve.Seconds),
            ["warnings"] = JsonText.Strings(result.Warnings),
            ["not_measured"] = JsonText.Strings(result.NotMeasured),
            ["verdict"] = new JsonObject
            {
                ["trust"] = result.Verdict.Word,
                ["against"] = JsonText.Strings(result.Verdict.Against),
                ["for"] = JsonText.Strings(result.Verdict.For),
                ["label_transfer"] = GwCommand.Describe(result.Labels, result.NeighbourVote),
                ["foscttm"] = GwCommand.Describe(result.Foscttm),
            },
        };
    }

    private static void Print(LowRankAlignmentResult result, CommandContext context, ResultFolder folder)
    {
        LowRankResult solve = result.Solve;
        context.Say(Text($"GW loss          {solve.Loss:g6} with rank {result.Coupling.Rank} after {solve.Iterations} iterations ({(solve.Converged ? "converged" : "not converged")}), {solve.Seconds:F1} s"));
        if (result.Labels is { } labels)
            context.Say(Text($"label transfer   one-to-one {labels.OneToOne.Accuracy:F3}, barycentric {labels.Barycentric.Accuracy:F3} (most frequent label {labels.Majority:F3})"));
        if (result.Foscttm is { } foscttm) context.Say(Text($"FOSCTTM          {foscttm.Average:F5} (x to y {foscttm.FirstToSecond:F5}, y to x {foscttm.SecondToFirst:F5}; chance 0.5)"));
        context.Say($"verdict          {result.Verdict.Word}");
        foreach (string reason in result.Verdict.Against) context.Say($"  against: {reason}");
        foreach (string reason in result.Verdict.For) context.Say($"  for:     {reason}");
        foreach (string reason in result.NotMeasured) context.Say($"  not measured: {reason}");
        context.Say($"results          {folder.Path}");
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
