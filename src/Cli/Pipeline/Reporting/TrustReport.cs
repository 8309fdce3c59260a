using System.Text.Json.Nodes;
using BioSup.Analysis.Alignment;
using BioSup.Data;
using BioSup.Report;
using BioSup.Report.Figures;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Reporting;

/// <summary>Every check behind the verdict on a coupling: what it asks, what came out, what it was compared with.</summary>
internal static class TrustReport
{
    public static void Add(ReportSection section, RunFolder folder, CommandContext context, JsonObject result, JsonObject verdict)
    {
        section.Heading("What was checked");
        section.Paragraph("Each row asks one question of the coupling. The first rows hold whatever the data mean: they say how good the solution is as a solution. The others ask whether "
            + "the solution says something about the cells, by comparing it with couplings that are wrong but just as smooth.");
        TableBlock checks = new("Checks of the coupling", "question", "answer", "compared with");
        AddSolution(checks, result, verdict);
        AddMeaning(checks, verdict);
        section.Table(checks);
        AddFigures(section, folder, context, verdict);
        string[] missing = [.. NotMeasured(result["certificates"]), .. NotMeasured(verdict["smoothness_nulls"])];
        if (missing.Length > 0)
        {
            section.Paragraph("Not measured:");
            section.Bullets(missing);
        }
    }

    private static void AddSolution(TableBlock checks, JsonObject result, JsonObject verdict)
    {
        if (result["certificates"] is JsonObject certificates)
        {
            string state = (string)certificates["state"]!;
            checks.Row("Did the solve settle?", Said($"{state} after {result["iterations"]} iterations", state == "converged" || (bool?)result["settled"]?["within_floor"] == true),
                $"marginals missed by {Numbers.Significant((double)certificates["marginal_error_rows"]! + (double)certificates["marginal_error_columns"]!, 2)} in L1; {Short(AlignmentVerdict.MarginalLimit)} is allowed");
            if (certificates["stationarity_gap"] is JsonObject gap)
            {
                double share = (double)gap["relative"]!;
                checks.Row("Is it a first-order optimum?", Said($"no coupling promises to lower it by more than {Numbers.Percent(share, 3)}", share <= AlignmentVerdict.GapLimit),
                    $"of the product coupling's loss; up to {Numbers.Percent(AlignmentVerdict.GapLimit, 0)} is rounding and epsilon");
            }
            if (certificates["lower_bounds"] is JsonObject bounds)
            {
                double best = new[] { "flb", "slb", "tlb" }.Max(name => (double?)bounds[name] ?? 0), loss = (double)result["gw_loss"]!;
                checks.Row("Could any coupling be better?", $"none has a loss below {Numbers.Significant(best, 3)}",
                    $"{Numbers.Significant(loss, 3)} was found; lower bounds of Mémoli, far below the least loss where shapes differ in detail");
            }
        }
        if (verdict["optima"] is JsonObject optima)
        {
            int good = (int)optima["equally_good"]!;
            checks.Row("Is the optimum the only one?", Said($"{optima["distinct"]} distinct optima, {good} as good as the best", good == 1),
                $"{verdict["starts"]!.AsArray().Count} starts; losses within {Numbers.Percent(AlignmentVerdict.EqualLossShare, 0)} count as equal");
        }
        if (result["cells_without_partner"] is JsonArray { Count: 2 } left && (int)left[0]! + (int)left[1]! > 0)
            checks.Row("Do all cells have a partner?", $"{left[0]} of the first and {left[1]} of the second domain have none", $"coupling of mass {Short((double)result["mass"]!)}; these cells are left out of every score");
    }

    private static void AddMeaning(TableBlock checks, JsonObject verdict)
    {
        if (verdict["null"] is JsonObject decoys && decoys["decoys"] is JsonArray { Count: > 0 } against)
        {
            double observed = (double)decoys["observed"]!, highest = against.Max(v => (double)v!);
            checks.Row("Do distances agree?", Said($"matched distances correlate with {Numbers.Fixed(observed, 3)}", observed > highest),
                $"{Numbers.Fixed(highest, 3)} at most with {against.Count} decoys, whose clusters are arranged wrongly");
        }
        if (verdict["smoothness_nulls"] is JsonObject nulls) AddNulls(checks, verdict, nulls);
        if (verdict["stability"] is JsonObject stability)
        {
            double mean = (double)stability["mean"]!, chance = (double)stability["chance"]!;
            checks.Row("Do partners depend on the sample?", Said($"{Numbers.Percent(mean)} stay in their neighbourhood", mean >= Math.Min(AlignmentVerdict.KeptPartners, AlignmentVerdict.StabilityOverChance * chance)),
                $"{stability["replicates"]} bootstrap replicates; chance {Numbers.Percent(chance)}; below half: {stability["cells_below_half_x"]} and {stability["cells_below_half_y"]} cells of the two domains");
        }
    }

    private static void AddNulls(TableBlock checks, JsonObject verdict, JsonObject nulls)
    {
        if (nulls["rotated_targets"]?["barycentric_accuracies"] is JsonArray { Count: > 0 } rotated && verdict["label_transfer"]?["barycentric"]?["accuracy"] is { } accuracy)
        {
            double highest = rotated.Max(v => (double)v!);
            checks.Row("Would a turned target do as well?", Said($"labels are transferred with accuracy {Numbers.Percent((double)accuracy)}", (double)accuracy > highest),
                $"{Numbers.Percent(highest)} at most onto {rotated.Count} turned or mirrored targets");
        }
        if (nulls["held_out_cells"] is JsonObject held)
        {
            double same = (double)held["same_neighbourhood"]!, chance = (double)held["chance"]!;
            checks.Row("Does it predict cells it has not seen?", Said($"{Numbers.Percent(same)} of {held["cells"]} held-out cells come to the same neighbourhood", same >= AlignmentVerdict.KeptPartners || chance >= AlignmentVerdict.KeptPartners),
                $"{held["folds"]} folds, out-of-sample map; chance {Numbers.Percent(chance)}");
        }
        if (nulls["permuted_soft_targets"] is JsonObject permuted)
            checks.Row("Is it smooth?", $"R² {Numbers.Fixed((double)permuted["r2"]!, 3)} of soft targets from a cell's neighbours",
                $"{Numbers.Fixed((double)permuted["null_mean"]!, 3)} for permuted cells (z {Numbers.Fixed((double)permuted["z"]!, 1)}). Wrong couplings are as smooth: this is no evidence");
    }

    private static void AddFigures(ReportSection section, RunFolder folder, CommandContext context, JsonObject verdict)
    {
        List<FigureItem> figures = [];
        if (verdict["null"] is JsonObject decoys && decoys["decoys"] is JsonArray { Count: > 1 } correlations)
        {
            Histogram histogram = new()
            {
                Values = [.. correlations.Select(v => (double)v!)],
                Marks = [new ReferenceLine((double)decoys["observed"]!, "observed")],
                XLabel = "correlation of matched distances", YLabel = "decoys", Width = 472, Height = 320,
            };
            figures.Add(new FigureItem(histogram,
                $"Correlation of matched distances against {correlations.Count} decoys ({decoys["kind"]}): smooth targets whose shape is wrong. p = {Numbers.Significant((double)decoys["p"]!, 2)}.", "gw_null"));
        }
        if (verdict["stability"] is JsonObject stability && File.Exists(AlignStage.Stability(folder, "x")))
        {
            using Matrix<double> shares = MatrixReader.ReadDouble(context.Host, AlignStage.Stability(folder, "x"), requireFinite: false);
            Histogram histogram = new()
            {
                Values = shares.ToArray(), Bins = 10, Marks = [new ReferenceLine((double)stability["chance"]!, "chance")],
                XLabel = "share of replicates that keep the partner", YLabel = "cells of the first domain", Width = 472, Height = 320,
            };
            figures.Add(new FigureItem(histogram, $"Stability of each cell's partner over {stability["replicates"]} bootstrap replicates. Cells on the left have partners that another sample would change.", "gw_stability"));
        }
        if (figures.Count > 0) section.Figures([.. figures]);
    }

    private static TableCell Said(string text, bool good) => new(text, Tone: good ? Tone.Good : Tone.Bad);

    private static IEnumerable<string> NotMeasured(JsonNode? part) => part?["not_measured"] is JsonArray reasons ? reasons.Select(r => (string)r!) : [];

    private static string Short(double value) => Numbers.Short(value);
}
