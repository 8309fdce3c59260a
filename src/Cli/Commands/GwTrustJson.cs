using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Analysis.Alignment;

namespace BioSup.Cli.Commands;

/// <summary>What is known about a coupling besides its scores, as it stands in result.json and on the terminal.</summary>
internal static class GwTrustJson
{
    public static JsonObject Certificates(AlignmentCertificates certificates, (double Rows, double Columns) error)
    {
        return new JsonObject
        {
            ["state"] = certificates.StateWord,
            ["marginal_error_rows"] = JsonText.Number(error.Rows),
            ["marginal_error_columns"] = JsonText.Number(error.Columns),
            ["stationarity_gap"] = certificates.Gap is not { } gap ? null : new JsonObject
            {
                ["objective"] = JsonText.Number(gap.Objective),
                ["relative"] = JsonText.Number(gap.Relative),
                ["loss"] = JsonText.Number(gap.Loss),
                ["slack"] = JsonText.Number(gap.Slack),
                ["product_coupling_loss"] = JsonText.Number(gap.Scale),
            },
            ["lower_bounds"] = certificates.Bounds is not { } bounds ? null : new JsonObject
            {
                ["flb"] = JsonText.Number(bounds.First),
                ["slb"] = bounds.Second is { } second ? JsonText.Number(second) : null,
                ["tlb"] = bounds.Third is { } third ? JsonText.Number(third) : null,
                ["tlb_slack"] = bounds.Third is null ? null : JsonText.Number(bounds.ThirdSlack),
            },
            ["not_measured"] = JsonText.Strings(certificates.NotMeasured),
        };
    }

    public static JsonObject? Optima(DistinctOptima? optima) => optima is null ? null : new JsonObject
    {
        ["distinct"] = optima.Optima.Count,
        ["equally_good"] = optima.EquallyGood,
        ["optima"] = new JsonArray([.. optima.Optima.Select(o => (JsonNode)new JsonObject
        {
            ["loss"] = JsonText.Number(o.Loss),
            ["equally_good"] = o.EquallyGood,
            ["starts"] = new JsonArray([.. o.Starts.Select(s => (JsonNode)s)]),
        })]),
        ["displacement"] = new JsonArray([.. optima.Displacement.Select(row => (JsonNode)JsonText.Numbers(row))]),
    };

    public static JsonObject? Stability(CellStability? stability) => stability is null ? null : new JsonObject
    {
        ["mean"] = JsonText.Number(stability.Mean),
        ["chance"] = JsonText.Number(stability.Chance),
        ["replicates"] = stability.Replicates,
        ["failed_replicates"] = stability.Failed,
        ["cells_below_half_x"] = stability.First.Count(share => share < 0.5),
        ["cells_below_half_y"] = stability.Second.Count(share => share < 0.5),
    };

    public static JsonObject? Nulls(SmoothnessNulls? nulls) => nulls is null ? null : new JsonObject
    {
        ["rotated_targets"] = nulls.Rotated is not { } rotated ? null : new JsonObject
        {
            ["kind"] = "the coupling followed by smooth wrong maps of the second domain onto itself",
            ["correlations"] = JsonText.Numbers(rotated.Correlations),
            ["barycentric_accuracies"] = rotated.Accuracies is { } accuracies ? JsonText.Numbers(accuracies) : null,
            ["soft_target_r2"] = JsonText.Numbers(rotated.Predictabilities),
        },
        ["held_out_cells"] = nulls.HeldOut is not { } held ? null : new JsonObject
        {
            ["cells"] = held.Cells,
            ["folds"] = held.Folds,
            ["same_neighbourhood"] = JsonText.Number(held.SamePartner),
            ["chance"] = JsonText.Number(held.Chance),
            ["barycentric_accuracy"] = held.Accuracy is { } accuracy ? JsonText.Number(accuracy) : null,
            ["barycentric_accuracy_in_sample"] = held.InSampleAccuracy is { } inSample ? JsonText.Number(inSample) : null,
        },
        ["permuted_soft_targets"] = new JsonObject
        {
            ["kind"] = "destroys smoothness: tests that the coupling is smooth, which wrong couplings are too; no evidence for the alignment",
            ["r2"] = JsonText.Number(nulls.Permuted.Observed),
            ["null_mean"] = JsonText.Number(nulls.Permuted.NullMean),
            ["null_deviation"] = JsonText.Number(nulls.Permuted.NullDeviation),
            ["z"] = JsonText.Number(nulls.Permuted.ZScore),
            ["p"] = JsonText.Number(nulls.Permuted.P),
            ["permutations"] = nulls.Permuted.Permutations,
        },
        ["not_measured"] = JsonText.Strings(nulls.NotMeasured),
    };

    /// <summary>Lines for a person; nothing where nothing was measured.</summary>
    public static IEnumerable<string> Lines(AlignmentReport result, CellStability? cells = null, SmoothnessNulls? smooth = null)
    {
        if (result.Certificates.Bounds is { } bounds)
            yield return Text($"lower bounds     FLB {bounds.First:g4}{Optional("SLB", bounds.Second)}{Optional("TLB", bounds.Third)}");
        if (result.Certificates.Gap is { } gap)
            yield return Text($"stationarity     gap {gap.Objective:g3} ({gap.Relative:P3} of the product coupling's loss); {result.Certificates.StateWord}");
        if (result.Optima is { } optima)
            yield return Text($"optima           {optima.Optima.Count} distinct of {result.Starts.Count} starts, {optima.EquallyGood} equally good");
        if (cells is { } stability)
            yield return Text($"stability        {stability.Mean:P0} of partners stay in their neighbourhood over {stability.Replicates} bootstrap replicates (chance {stability.Chance:P0})");
        if (smooth is { } nulls)
            yield return Text($"permuted targets R² {nulls.Permuted.Observed:F3} against {nulls.Permuted.NullMean:F3} (z {nulls.Permuted.ZScore:F1}): says that the coupling is smooth, not that it is right");
    }

    private static string Optional(string name, double? value) => value is { } number ? Text($", {name} {number:g4}") : "";

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
