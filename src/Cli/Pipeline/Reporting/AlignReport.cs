using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Report;
using BioSup.Report.Figures;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Reporting;

/// <summary>The coupling, what it says about classes, and whether to believe it.</summary>
internal static class AlignReport
{
    public static Tone ToneOf(string trust) => trust switch { "reliable" => Tone.Good, "not reliable" => Tone.Bad, _ => Tone.Warning };

    public static JsonObject Read(RunFolder folder) => JsonNode.Parse(File.ReadAllText(AlignStage.Result(folder)))!.AsObject();

    public static void Add(ReportDocument report, RunFolder folder, CommandContext context, string[]? labelsX, string[]? labelsY)
    {
        JsonObject result = Read(folder), verdict = result["verdict"]!.AsObject();
        string trust = (string)verdict["trust"]!;
        ReportSection section = report.AddSection("Alignment by Gromov-Wasserstein",
            $"The coupling keeps distances within each domain as well as it can; the verdict on it is **{trust}**.");
        section.Paragraph("The two domains share no cells and no features, so only the shapes of the two point clouds can be compared. A low loss alone proves nothing: "
            + "mirrored or rearranged couplings can be just as low. The checks below are what the verdict rests on.");
        section.Callout(ToneOf(trust), $"Verdict: {trust}", Reasons(verdict));
        AddCoupling(section, folder, context, labelsX, labelsY);
        if (verdict["label_transfer"] is JsonObject labels) AddLabels(section, labels);
        TrustReport.Add(section, folder, context, result, verdict);
        AddSolve(section, result, verdict);
    }

    private static string Reasons(JsonObject verdict)
    {
        IEnumerable<string> against = verdict["against"]!.AsArray().Select(r => $"Against: {r}"), supporting = verdict["for"]!.AsArray().Select(r => $"For: {r}");
        return string.Join(' ', against.Concat(supporting));
    }

    private static void AddCoupling(ReportSection section, RunFolder folder, CommandContext context, string[]? labelsX, string[]? labelsY)
    {
        using Matrix<double> coupling = MatrixReader.ReadDouble(context.Host, AlignStage.Coupling(folder));
        string[]? order = labelsX?.Concat(labelsY!).Distinct().Order(StringComparer.Ordinal).ToArray();
        section.Figure(CouplingHeatmap.Of(coupling.View, labelsX, labelsY, order, null, "cells of the second domain", "cells of the first domain"),
            $"Coupling of {Numbers.Integer(coupling.Rows)} with {Numbers.Integer(coupling.Columns)} cells{(order is null ? "" : ", sorted by class; lines are class boundaries")}. "
            + "Mass on the diagonal blocks means that classes find themselves.", "gw_coupling");
    }

    private static void AddLabels(ReportSection section, JsonObject labels)
    {
        string[] classes = [.. labels["classes"]!.AsArray().Select(c => (string)c!)];
        section.Heading("Do classes find themselves?");
        section.Paragraph($"Labels are not used by the alignment, only to judge it. *One-to-one* gives each cell the class of its strongest partner, *barycentric* the class with most of "
            + $"its mass. Always naming the most frequent class would reach {Numbers.Percent((double)labels["majority_accuracy"]!)}.");
        section.Figures(Matrix(labels["one_to_one"]!.AsObject(), classes, "One-to-one", "gw_one_to_one"), Matrix(labels["barycentric"]!.AsObject(), classes, "Barycentric", "gw_barycentric"));
        section.Paragraph($"Under the best renaming of the classes the accuracy would be {Numbers.Percent((double)labels["best_renamed_accuracy"]!)}: "
            + "far more than the accuracy itself would mean a mirrored optimum, in which classes are matched consistently but wrongly.");
    }

    private static FigureItem Matrix(JsonObject matrix, string[] classes, string name, string file)
    {
        long[,] counts = new long[classes.Length, classes.Length];
        for (int i = 0; i < classes.Length; i++)
            for (int j = 0; j < classes.Length; j++) counts[i, j] = (long)(double)matrix["confusion"]![i]![j]!;
        ConfusionMatrix figure = new() { Counts = counts, RowNames = classes, ColumnNames = classes, RowLabel = "class of the cell", ColumnLabel = "class of its partners", Width = 472, Height = 400 };
        return new FigureItem(figure, $"{name} matching: accuracy {Numbers.Percent((double)matrix["accuracy"]!)}, balanced {Numbers.Percent((double)matrix["balanced_accuracy"]!)}.", file);
    }

    private static void AddSolve(ReportSection section, JsonObject result, JsonObject verdict)
    {
        section.Heading("How the solve went");
        double[] trace = [.. result["error_trace"]!.AsArray().Select(v => (double?)v ?? double.NaN)];
        LineChart errors = new()
        {
            Series = [new LineSeries("change", [.. trace.Select((_, i) => 10.0 * i)], trace) { Markers = true }],
            XLabel = "iteration", YLabel = "change of the coupling (Frobenius)", LogY = true, Width = 472, Height = 320,
        };
        FigureItem convergence = new(errors, $"Convergence over {result["iterations"]} iterations ({((bool)result["converged"]! ? "converged" : result["settled"] is null ? "stopped before the tolerance" : "settled above the tolerance, at the resolution of single precision")}).", "gw_trace");
        section.Figures(convergence);
        TableBlock starts = new("Starts", "start", "optimum", "loss", "converged", "displacement", "barycentric accuracy");
        JsonArray tried = verdict["starts"]!.AsArray();
        for (int s = 0; s < tried.Count; s++)
        {
            JsonNode start = tried[s]!;
            starts.Row((string)start["kind"]!, Optimum(verdict, s), TableCell.Number((double)start["loss"]!, 5), (bool)start["converged"]! ? "yes" : "no", TableCell.Fixed((double?)start["displacement"] ?? double.NaN, 2),
                start["barycentric_accuracy"] is { } accuracy ? TableCell.Percent((double)accuracy) : "");
        }
        if (starts.Rows.Count > 0)
        {
            section.Table(starts);
            section.Paragraph("*Displacement* compares where a start sends the cells with where the returned coupling sends them: 0 is the same place, 1 unrelated. "
                + "Starts that end at the same place share an *optimum*; they are numbered by loss, and a star marks those as good as the best.");
        }
        section.KeyValues("The solve", Facts(result, verdict));
    }

    private static string Optimum(JsonObject verdict, int start)
    {
        if (verdict["optima"]?["optima"] is not JsonArray optima) return "";
        int index = optima.ToList().FindIndex(o => o!["starts"]!.AsArray().Any(s => (int)s! == start));
        return index < 0 ? "" : $"{index + 1}{((bool)optima[index]!["equally_good"]! ? "*" : "")}";
    }

    private static List<KeyValuePair<string, string>> Facts(JsonObject result, JsonObject verdict)
    {
        List<KeyValuePair<string, string>> facts =
        [
            new("loss (without entropy)", Numbers.Significant((double)result["gw_loss"]!, 6)),
            new("epsilon", $"{Numbers.Significant((double)result["epsilon"]!, 3)} ({((string)result["convention"]!).ToUpperInvariant()} convention)"),
            new("partners per cell", $"{Numbers.Fixed((double)result["mean_partners"]!, 1)} on average (exponential of the row entropy)"),
            new("marginal errors", $"rows {Numbers.Significant((double)result["marginal_error_rows"]!, 2)}, columns {Numbers.Significant((double)result["marginal_error_columns"]!, 2)} (L1)"),
        ];
        if (verdict["foscttm"] is JsonObject foscttm)
            facts.Add(new("FOSCTTM", $"{Numbers.Fixed((double)foscttm["average"]!, 5)} (x to y {Numbers.Fixed((double)foscttm["x_to_y"]!, 5)}, y to x {Numbers.Fixed((double)foscttm["y_to_x"]!, 5)}; 0 is perfect, 0.5 chance)"));
        return facts;
    }
}
