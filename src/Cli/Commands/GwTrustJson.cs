using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Analysis.Alignment;

namespace BioSup.Cli.Commands;

/// <summary>What is known about a coupling besides its scores, as it stands in result.json and on the terminal.</summary>
internal static class GwTrustJson
{
    public static JsonObject Certificates(AlignmentResult result)
    {
        AlignmentCertificates certificates = result.Certificates;
        return new JsonObject
        {
            ["state"] = certificates.StateWord,
            ["marginal_error_rows"] = JsonText.Number(result.Gromov.RowError),
            ["marginal_error_columns"] = JsonText.Number(result.Gromov.ColumnError),
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

    /// <summary>Lines for a person; nothing where nothing was measured.</summary>
    public static IEnumerable<string> Lines(AlignmentResult result)
    {
        if (result.Certificates.Bounds is { } bounds)
            yield return Text($"lower bounds     FLB {bounds.First:g4}{Optional("SLB", bounds.Second)}{Optional("TLB", bounds.Third)}");
        if (result.Certificates.Gap is { } gap)
            yield return Text($"stationarity     gap {gap.Objective:g3} ({gap.Relative:P3} of the product coupling's loss); {result.Certificates.StateWord}");
        if (result.Optima is { } optima)
            yield return Text($"optima           {optima.Optima.Count} distinct of {result.Starts.Count} starts, {optima.EquallyGood} equally good");
    }

    private static string Optional(string name, double? value) => value is { } number ? Text($", {name} {number:g4}") : "";

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
