using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Analysis.Alignment;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Commands;

/// <summary>`biosup gw align`: coupling.npy (or coupling.npz), result.json and manifest.json.</summary>
internal static class GwAlignCommand
{
    public static Command Create()
    {
        Command command = new("align", "Couple the rows of two matrices by entropic Gromov-Wasserstein and judge the result.");
        foreach (Option option in GwAlignOptions.All) command.Options.Add(option);
        return command.Runs(Run);
    }

    private static JsonObject Run(ParseResult parsed, CommandContext context)
    {
        string xLocator = parsed.GetValue(GwAlignOptions.X)!, yLocator = parsed.GetValue(GwAlignOptions.Y)!;
        ResultFolder folder = ResultFolder.Create(context, parsed.GetValue(GwAlignOptions.Out)!);
        using Matrix<double> x = MatrixReader.ReadDouble(context.Device, xLocator), y = MatrixReader.ReadDouble(context.Device, yLocator);
        RequireCells(x, xLocator);
        RequireCells(y, yLocator);
        AlignmentOptions options = GwAlignOptions.Read(parsed, context.Seed, x.Rows, y.Rows);
        (string[]? labelsX, string[]? labelsY) = GwCommand.ReadPair(parsed, GwAlignOptions.LabelsX, GwAlignOptions.LabelsY);
        if (GwLowRank.Wanted(parsed)) return GwLowRank.Run(parsed, context, folder, x, y, options, labelsX, labelsY);
        using Matrix<double>? fused = parsed.GetValue(GwAlignOptions.Fused) is { } m ? MatrixReader.ReadDouble(context.Device, m) : null;
        using Matrix<double>? initial = parsed.GetValue(GwAlignOptions.Init) is { } g ? MatrixReader.ReadDouble(context.Device, g) : null;
        CouplingChoice choice = CouplingChoice.Decide(options, (x.Rows, x.Columns), (y.Rows, y.Columns), fused is not null, initial is not null, context.Device);
        context.Say($"coupling         {choice.Word}: {choice.Reason}");
        context.Say($"memory           {choice.Plan}");

        using AlignmentResult result = GromovAlignment.Align(x, y, options, labelsX, labelsY, fused, initial, context.Progress, context.Cancellation);

        foreach (string warning in result.Warnings) context.Warn(warning);
        if (result.Gromov.Implicit is { } known) CouplingFile.Write(folder.Locate(CouplingFile.Name), known);
        else MatrixWriter.Write(folder.Locate("coupling.npy"), result.Coupling.View);
        if (result.Stability is { } stability)
        {
            WriteColumn(context, folder.Locate("stability_x.npy"), Spread(stability.First, result.SampledCells?.First, x.Rows));
            WriteColumn(context, folder.Locate("stability_y.npy"), Spread(stability.Second, result.SampledCells?.Second, y.Rows));
        }
        JsonObject json = Describe(result, options);
        AtomicFile.WriteAllText(folder.Locate("result.json"), json.ToJsonString(JsonText.Readable) + "\n");
        folder.AddInput(xLocator);
        folder.AddInput(yLocator);
        foreach (Option<string?> option in (ReadOnlySpan<Option<string?>>)[GwAlignOptions.LabelsX, GwAlignOptions.LabelsY, GwAlignOptions.BlocksX, GwAlignOptions.BlocksY, GwAlignOptions.Fused, GwAlignOptions.Init])
            if (parsed.GetValue(option) is { } input) folder.AddInput(input);
        JsonObject configuration = Configuration(options, xLocator, yLocator);
        (configuration["blocks_x"], configuration["blocks_y"]) = (parsed.GetValue(GwAlignOptions.BlocksX), parsed.GetValue(GwAlignOptions.BlocksY));
        folder.WriteManifest(configuration);
        Print(result, options, context, folder);
        return json;
    }

    private static void RequireCells(Matrix<double> matrix, string locator)
    {
        if (matrix.Rows < 2 || matrix.Columns == 0) throw new DataException(locator, null, $"the matrix is {matrix.Rows} x {matrix.Columns}; an alignment needs at least two rows and one column");
    }

    internal static void WriteColumn(CommandContext context, string path, double[] values)
    {
        using Matrix<double> column = Matrix<double>.From(context.Host, values.Length, 1, values);
        MatrixWriter.Write(path, column.View);
    }

    /// <summary>Values of some cells in a column of all; NaN for the others.</summary>
    private static double[] Spread(double[] values, int[]? cells, int count)
    {
        if (cells is null) return values;
        double[] all = new double[count];
        Array.Fill(all, double.NaN);
        for (int c = 0; c < cells.Length; c++) all[cells[c]] = values[c];
        return all;
    }

    private static void Print(AlignmentResult result, AlignmentOptions options, CommandContext context, ResultFolder folder)
    {
        GromovResult gromov = result.Gromov;
        context.Say(Text($"GW loss          {gromov.Loss:g6} after {gromov.Iterations} iterations ({(gromov.Converged ? "converged" : gromov.Settled is null ? "not converged" : result.Certificates.StateWord)}), {gromov.Timing.Total:F1} s"));
        if (options.Gromov.Marginals != MarginalConstraint.Balanced)
            context.Say(Text($"mass             {gromov.Mass:g4}, rows {gromov.RowDeviation:g3} and columns {gromov.ColumnDeviation:g3} away from uniform in L1; {result.Matched.LeftOutFirst} and {result.Matched.LeftOutSecond} cells without a partner"));
        foreach (string line in GwTrustJson.Lines(result, result.Stability, result.SmoothNulls)) context.Say(line);
        string[] within = result.FoscttmWithinBlocks is not { } found ? []
            : [Text($"  within blocks  {found.Average:F5} (x to y {found.FirstToSecond:F5}, y to x {found.SecondToFirst:F5}; chance 0.5, the blocks' own share taken out)")];
        foreach (string line in GwResultJson.Lines(result.Verdict, result.Labels, result.Foscttm, within)) context.Say(line);
        context.Say($"results          {folder.Path}");
    }

    internal static JsonObject Describe(AlignmentResult result, AlignmentOptions options)
    {
        GromovResult gromov = result.Gromov;
        (double Rows, double Columns) error = (gromov.RowError, gromov.ColumnError);
        JsonObject json = GwResultJson.Solve(options.Gromov.Solver.ToString().ToLowerInvariant(), gromov.Loss, error, gromov.Converged, gromov.Iterations, gromov.InnerIterations, gromov.InnerNotConverged);
        json["fused_loss"] = JsonText.Number(gromov.FusedLoss);
        json["regularised_objective"] = JsonText.Number(gromov.RegularisedObjective);
        json["entropy"] = JsonText.Number(gromov.Entropy);
        json["marginals"] = Name(options.Gromov.Marginals);
        json["coupling"] = result.Choice is not { } choice ? null : new JsonObject { ["form"] = choice.Word, ["reason"] = choice.Reason };
        json["mass"] = JsonText.Number(gromov.Mass);
        json["blocks"] = result.Blocks is not { } blocks ? null : new JsonArray([.. blocks.Select(b => (JsonNode)new JsonObject { ["label"] = b.Label, ["cells_x"] = b.First, ["cells_y"] = b.Second, ["mass"] = JsonText.Number(b.Mass) })]);
        json["cells_without_partner"] = new JsonArray(result.Matched.LeftOutFirst, result.Matched.LeftOutSecond);
        json["marginal_deviation_rows"] = JsonText.Number(gromov.RowDeviation);
        json["marginal_deviation_columns"] = JsonText.Number(gromov.ColumnDeviation);
        json["settled"] = gromov.Settled is not { } settled ? null : new JsonObject { ["change"] = JsonText.Number(settled.Change), ["floor"] = JsonText.Number(settled.Floor), ["within_floor"] = settled.WithinFloor };
        json["symmetric_costs"] = gromov.Symmetric;
        json["last_inner_error"] = JsonText.Number(gromov.LastInnerError);
        json["error_trace"] = JsonText.Numbers(gromov.ErrorTrace);
        json["cost_trace"] = options.Gromov.Stop == StoppingRule.Ott ? JsonText.Numbers(gromov.CostTrace) : null;
        json["epsilon"] = options.Gromov.Epsilon;
        json["convention"] = options.Gromov.Convention.ToString().ToLowerInvariant();
        json["dtype"] = options.Gromov.Precision == GromovPrecision.Double ? "float64" : "float32";
        json["embeddings"] = result.Embeddings is { First: { } first, Second: { } second } ? new JsonArray(Describe(first), Describe(second)) : null;
        json["seconds"] = new JsonObject { ["products"] = gromov.Timing.Products, ["linearise"] = gromov.Timing.Linearise, ["sinkhorn"] = gromov.Timing.Sinkhorn, ["coupling"] = gromov.Timing.Coupling };
        GwResultJson.Add(json, result, error, options.Seed);
        JsonObject verdict = json["verdict"]!.AsObject();
        verdict["foscttm_within_blocks"] = GwCommand.Describe(result.FoscttmWithinBlocks);
        verdict["sampled_cells"] = result.SampledCells is not { } cells ? null : new JsonArray(cells.First.Length, cells.Second.Length);
        verdict["stability"] = GwTrustJson.Stability(result.Stability);
        verdict["smoothness_nulls"] = GwTrustJson.Nulls(result.SmoothNulls);
        verdict["null"] = result.Null is not { } decoys ? null : new JsonObject
        {
            ["kind"] = "targets with rearranged clusters",
            ["statistic"] = "correlation of matched distances",
            ["observed"] = JsonText.Number(decoys.Observed),
            ["decoys"] = JsonText.Numbers(decoys.Decoys),
            ["rejected_arrangements"] = decoys.Rejected,
            ["p"] = JsonText.Number(decoys.P),
        };
        return json;
    }

    private static JsonObject Describe(EmbeddingReport embedding) => new()
    {
        ["rank"] = embedding.Rank,
        ["relative_error"] = JsonText.Number(embedding.RelativeError),
        ["negative_share"] = JsonText.Number(embedding.NegativeShare),
        ["landmarks"] = embedding.Landmarks,
    };

    internal static JsonObject Configuration(AlignmentOptions options, string x, string y) => new()
    {
        ["x"] = x,
        ["y"] = y,
        ["cost_x"] = Cost(options.FirstCost),
        ["cost_y"] = Cost(options.SecondCost),
        ["epsilon"] = options.Gromov.Epsilon,
        ["convention"] = options.Gromov.Convention.ToString().ToLowerInvariant(),
        ["loss"] = options.Gromov.Loss.ToString().ToLowerInvariant(),
        ["solver"] = options.Gromov.Solver.ToString().ToLowerInvariant(),
        ["alpha"] = options.Gromov.Alpha,
        ["marginals"] = Name(options.Gromov.Marginals),
        ["mass"] = options.Gromov.Marginals == MarginalConstraint.Partial ? options.Gromov.Mass : null,
        ["rho"] = options.Gromov.Marginals == MarginalConstraint.Unbalanced ? options.Gromov.Rho : null,
        ["stop"] = options.Gromov.Stop.ToString().ToLowerInvariant(),
        ["tolerance"] = options.Gromov.Tolerance,
        ["max_iterations"] = options.Gromov.MaxIterations,
        ["inner"] = options.Gromov.InnerSolve == InnerSolve.Converged ? "converged" : "pot",
        ["dtype"] = options.Gromov.Precision == GromovPrecision.Double ? "float64" : "float32",
        ["coupling"] = options.Coupling.ToString().ToLowerInvariant(),
        ["start"] = options.FirstStart.ToString().ToLowerInvariant(),
        ["starts"] = options.Starts,
        ["null"] = options.Decoys,
        ["stability"] = options.Replicates,
        ["truth"] = options.TruthIsIdentity ? "identity" : null,
    };

    private static string Name(MarginalConstraint marginals) => marginals == MarginalConstraint.SemiRelaxed ? "semi-relaxed" : marginals.ToString().ToLowerInvariant();

    private static JsonObject Cost(DomainCostOptions cost) => new()
    {
        ["cost"] = cost.Cost.ToString().ToLowerInvariant(),
        ["knn"] = cost.Neighbours,
        ["graph_metric"] = cost.GraphMetric.ToString().ToLowerInvariant(),
        ["graph_weights"] = cost.GraphWeights.ToString().ToLowerInvariant(),
        ["graph_self"] = cost.IncludeSelf ? "include" : "exclude",
        ["row_norm"] = cost.RowNormalisation.ToString().ToLowerInvariant(),
        ["embed"] = cost.EmbeddingRank == 0 ? null : cost.EmbeddingRank,
        ["scale"] = cost.Scale.ToString().ToLowerInvariant(),
        ["components"] = cost.Components switch { ComponentRule.LargestFinite => "max", ComponentRule.Bridge => "bridge", _ => "error" },
    };

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
