using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using BioSup.Runtime;

namespace BioSup.Benchmarks.Device.Results;

/// <summary>One thing that the engine has to reach.</summary>
internal sealed record Gate
{
    [JsonPropertyName("gate")]
    public required string Title { get; init; }

    /// <summary>"suite/name" of a figure of the engine.</summary>
    public required string Figure { get; init; }

    /// <summary>ms, percent_of_roofline or value.</summary>
    public string? Field { get; init; }

    /// <summary>"suite/name [contender]" of the peer whose time is divided by ours.</summary>
    public string? Over { get; init; }
    public double? AtMost { get; init; }
    public double? AtLeast { get; init; }
}

/// <summary>What became of a gate.</summary>
internal enum Verdict
{
    NotMeasured,
    Met,
    NotMet,
}

/// <param name="Gate">The gate.</param>
/// <param name="Verdict">What became of it.</param>
/// <param name="Value">The quantity, where it was measured.</param>
/// <param name="Reason">Why it was not.</param>
internal sealed record GateResult(Gate Gate, Verdict Verdict, double? Value, string? Reason)
{
    public string Limit => (Gate.AtMost is { } most ? $"≤ {Text(most)}" : $"≥ {Text(Gate.AtLeast!.Value)}") + Unit;

    public string Measured => Value is { } value ? Text(value) + Unit : "–";

    public string Outcome => Verdict switch { Verdict.Met => "met", Verdict.NotMet => "not met", _ => "not measured" };

    private string Unit => Gate.Over is not null ? " ×" : Gate.Field switch { "ms" => " ms", "percent_of_roofline" => " %", _ => " ×" };

    private static string Text(double value) => value.ToString("G4", CultureInfo.InvariantCulture);
}

/// <summary>The committed list of gates, and its filling from figures.</summary>
internal static class Gates
{
    /// <exception cref="DataException">The file is no list of gates.</exception>
    public static IReadOnlyList<Gate> Read(string path)
    {
        try
        {
            List<Gate> gates = JsonSerializer.Deserialize(File.ReadAllText(path), GateJson.Default.ListGate) ?? [];
            foreach (Gate gate in gates)
            {
                if (gate.AtMost is null == gate.AtLeast is null) throw new DataException(path, gate.Title, "one of at_most and at_least is needed");
                if (gate.Over is null && gate.Field is not ("ms" or "percent_of_roofline" or "value")) throw new DataException(path, gate.Title, "field must be ms, percent_of_roofline or value");
            }
            return gates;
        }
        catch (JsonException e)
        {
            throw new DataException(path, null, e.Message);
        }
    }

    /// <summary>The last figure of a name counts: a repeated section replaces the earlier one.</summary>
    public static IReadOnlyList<GateResult> Judge(IReadOnlyList<Gate> gates, IReadOnlyList<Figure> figures) => [.. gates.Select(g => Judge(g, figures))];

    private static GateResult Judge(Gate gate, IReadOnlyList<Figure> figures)
    {
        if (!Find(figures, gate.Figure, Figure.Own, out Figure? mine, out string? reason)) return new GateResult(gate, Verdict.NotMeasured, null, reason);
        double? value;
        if (gate.Over is { } over)
        {
            int bracket = over.LastIndexOf(" [", StringComparison.Ordinal);
            if (!Find(figures, over[..bracket], over[(bracket + 2)..^1], out Figure? peer, out reason)) return new GateResult(gate, Verdict.NotMeasured, null, $"peer: {reason}");
            value = peer!.Ms / mine!.Ms;
        }
        else
        {
            value = gate.Field switch { "ms" => mine!.Ms, "percent_of_roofline" => mine!.PercentOfRoofline, _ => mine!.Value };
        }
        if (value is not { } v || !double.IsFinite(v)) return new GateResult(gate, Verdict.NotMeasured, null, gate.Field == "percent_of_roofline" ? "its ceiling was not measured" : "the figure has no such quantity");
        bool met = gate.AtMost is { } most ? v <= most : v >= gate.AtLeast!.Value;
        return new GateResult(gate, met ? Verdict.Met : Verdict.NotMet, v, null);
    }

    private static bool Find(IReadOnlyList<Figure> figures, string name, string contender, out Figure? found, out string? reason)
    {
        found = figures.LastOrDefault(f => $"{f.Suite}/{f.Name}" == name && f.Contender == contender);
        reason = found is null ? "no such figure in this run" : found.Status != FigureStatus.Measured ? found.Reason : null;
        return reason is null && found is not null;
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, ReadCommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(List<Gate>))]
internal sealed partial class GateJson : JsonSerializerContext;
