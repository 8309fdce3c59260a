using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Analysis.Alignment;

namespace BioSup.Cli.Commands;

/// <summary>What result.json and the terminal say of every alignment, whatever the form of its coupling.</summary>
internal static class GwResultJson
{
    /// <summary>How the solve went.</summary>
    public static JsonObject Solve(string solver, double loss, (double Rows, double Columns) error, bool converged, int iterations, long innerIterations, int innerNotConverged) => new()
    {
        ["gw_loss"] = JsonText.Number(loss),
        ["solver"] = solver,
        ["marginal_error_rows"] = JsonText.Number(error.Rows),
        ["marginal_error_columns"] = JsonText.Number(error.Columns),
        ["converged"] = converged,
        ["iterations"] = iterations,
        ["inner_iterations"] = innerIterations,
        ["inner_not_converged"] = innerNotConverged,
    };

    /// <summary>What is known of the coupling, added after <see cref="Solve"/> and what a form has of its own.</summary>
    /// <param name="json">Receives the members.</param>
    /// <param name="report">The alignment.</param>
    /// <param name="error">L1 violation of the marginals.</param>
    /// <param name="seed">Seed of the command.</param>
    public static void Add(JsonObject json, AlignmentReport report, (double Rows, double Columns) error, ulong seed)
    {
        json["mean_partners"] = JsonText.Number(report.MeanPartners);
        json["seed"] = seed;
        json["graph_components"] = new JsonArray(report.GraphComponents.First, report.GraphComponents.Second);
        json["memory_plan_bytes"] = report.Memory.TotalBytes;
        json["warnings"] = JsonText.Strings(report.Warnings);
        json["certificates"] = GwTrustJson.Certificates(report.Certificates, error);
        JsonObject verdict = Verdict(report.Verdict, report.Labels, report.NeighbourVote, report.Foscttm);
        verdict["selected_start"] = report.SelectedStart;
        verdict["starts"] = new JsonArray([.. report.Starts.Select(start => (JsonNode)Describe(start))]);
        verdict["optima"] = GwTrustJson.Optima(report.Optima);
        verdict["mirrored_optimum"] = report.Starts.LastOrDefault(start => start.Kind == "mirrored") is { } mirrored ? Describe(mirrored) : null;
        json["verdict"] = verdict;
    }

    public static JsonObject Verdict(AlignmentVerdict verdict, LabelTransferResult? labels, ConfusionMatrix? vote, FosctTm? foscttm) => new()
    {
        ["trust"] = verdict.Word,
        ["against"] = JsonText.Strings(verdict.Against),
        ["for"] = JsonText.Strings(verdict.For),
        ["label_transfer"] = GwCommand.Describe(labels, vote),
        ["foscttm"] = GwCommand.Describe(foscttm),
    };

    /// <summary>Scores and verdict for a person.</summary>
    /// <param name="further">Lines between the scores and the verdict.</param>
    public static IEnumerable<string> Lines(AlignmentVerdict verdict, LabelTransferResult? labels, FosctTm? foscttm, params IEnumerable<string> further)
    {
        if (labels is not null) yield return Text($"label transfer   one-to-one {labels.OneToOne.Accuracy:F3}, barycentric {labels.Barycentric.Accuracy:F3} (most frequent label {labels.Majority:F3})");
        if (foscttm is not null) yield return Text($"FOSCTTM          {foscttm.Average:F5} (x to y {foscttm.FirstToSecond:F5}, y to x {foscttm.SecondToFirst:F5}; chance 0.5)");
        foreach (string line in further) yield return line;
        yield return $"verdict          {verdict.Word}";
        foreach (string reason in verdict.Against) yield return $"  against: {reason}";
        foreach (string reason in verdict.For) yield return $"  for:     {reason}";
    }

    private static JsonObject Describe(StartOutcome start) => new()
    {
        ["kind"] = start.Kind,
        ["loss"] = JsonText.Number(start.Loss),
        ["converged"] = start.Converged,
        ["displacement"] = JsonText.Number(start.Displacement),
        ["barycentric_accuracy"] = start.BarycentricAccuracy is { } accuracy ? JsonText.Number(accuracy) : null,
    };

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
