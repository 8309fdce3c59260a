using System.Text.Json.Nodes;
using BioSup.Report;
using BioSup.Report.Figures;

namespace BioSup.Cli.Pipeline.Reporting;

/// <summary>Did the geometry get cleaner? Encoder vectors against SAE latents.</summary>
internal static class GeometryReport
{
    /// <param name="value">The value of the cells that the geometry was measured against, for people.</param>
    public static void Add(ReportDocument report, RunFolder folder, string value)
    {
        (JsonObject geometry, JsonObject[] all) = Read(folder);
        string[] groups = [.. all.Select(m => (string)m["mutation"]!).Distinct()];
        JsonObject encoder = First(all, GeometryStage.Encoder), latents = First(all, GeometryStage.Latents);
        int k = IndexOf15(encoder);
        double before = Values(encoder, "mean_ratio")[k], after = Values(latents, "mean_ratio")[k];
        ReportSection section = report.AddSection("Did the geometry get cleaner?",
            $"Neighbours agree about {value} {(after < before ? "**better**" : "**no better**")} among SAE latents than among encoder vectors: local SD ratio "
            + $"{Numbers.Fixed(after, 3)} against {Numbers.Fixed(before, 3)} (k = {Values(encoder, "k")[k]}).");
        section.Paragraph($"If distances mean something, cells that lie close together should have similar {value}. *Local SD ratio*: spread of the value among a cell's nearest neighbours, "
            + "relative to all cells; 1 means that neighbours know nothing, lower is better. *Moran's I*: correlation of the value with that of the neighbours; 0 is chance, higher is better. "
            + "*Effective rank*: dimensions that the cloud of cells really fills. *Ridge R²*: how well a straight line through the vectors predicts the value on cells it has not seen.");
        section.Figures(
            new FigureItem(Sweep(all, groups[0], "mean_ratio", "local SD ratio (lower is better)"), "Local SD ratio over neighbourhood sizes.", "geometry_local_sd"),
            new FigureItem(Sweep(all, groups[0], "morans_I", "Moran's I (higher is better)"), "Moran's I over neighbourhood sizes.", "geometry_morans_i"));

        TableBlock table = new($"Geometry against {value}", "representation", "group", "cells", "dimensions", "local SD ratio", "p (permutation)", "Moran's I", "z", "effective rank", "ridge R²", "p (permutation)");
        foreach (JsonObject m in all)
        {
            int at = IndexOf15(m);
            table.Row((string)m["source"]! == GeometryStage.Encoder ? "encoder vectors" : "SAE latents", (string)m["mutation"]!, (int)m["n"]!, (int)m["n_dims"]!,
                TableCell.Fixed(Values(m, "mean_ratio")[at], 3), TableCell.Number(Values(m, "perm_pval")[at], 2), TableCell.Fixed(Values(m, "morans_I")[at], 3),
                TableCell.Fixed(Values(m, "morans_z")[at], 1), TableCell.Fixed((double?)m["erank"] ?? double.NaN, 1),
                TableCell.Fixed((double?)m["ridge"]?["r2"] ?? double.NaN, 3), TableCell.Number((double?)m["ridge"]?["perm_pval"] ?? double.NaN, 2));
        }
        section.Table(table);
        if (geometry["cka"]!.AsArray() is { Count: > 0 } cka)
            section.Paragraph($"Linear CKA between the two representations: {Numbers.Fixed((double)cka[0]!["cka"]!, 3)} (1: the same geometry up to rotation and scale).");
    }

    /// <summary>Local SD ratio of both representations, for the key figures of the report: the very numbers of the section's first sentence.</summary>
    public static (double Before, double After, int K) LocalRatio(RunFolder folder)
    {
        JsonObject[] all = Read(folder).All;
        JsonObject encoder = First(all, GeometryStage.Encoder), latents = First(all, GeometryStage.Latents);
        int at = IndexOf15(encoder);
        return (Values(encoder, "mean_ratio")[at], Values(latents, "mean_ratio")[at], (int)Values(encoder, "k")[at]);
    }

    /// <summary>The neighbourhood size that sentences and key figures speak of: 15 where it was measured, else the first.</summary>
    private static int IndexOf15(JsonObject m) => Math.Max(0, Array.IndexOf(Values(m, "k"), 15));

    private static (JsonObject Geometry, JsonObject[] All) Read(RunFolder folder)
    {
        JsonObject geometry = JsonNode.Parse(File.ReadAllText(GeometryStage.Result(folder)))!.AsObject();
        return (geometry, [.. geometry["results"]!.AsArray().Select(m => m!.AsObject())]);
    }

    private static LineChart Sweep(JsonObject[] all, string group, string key, string label) => new()
    {
        Series =
        [
            .. new[] { (GeometryStage.Encoder, "encoder vectors"), (GeometryStage.Latents, "SAE latents") }.Select(s =>
            {
                JsonObject m = all.First(a => (string)a["source"]! == s.Item1 && (string)a["mutation"]! == group);
                return new LineSeries(s.Item2, Values(m, "k"), Values(m, key)) { Markers = true };
            }),
        ],
        XLabel = "neighbours k",
        YLabel = label,
        Width = 472,
        Height = 340,
    };

    private static JsonObject First(JsonObject[] all, string source) => all.First(m => (string)m["source"]! == source);

    /// <summary>One figure of the neighbourhoods, in the order of their sizes.</summary>
    private static double[] Values(JsonObject m, string key) => [.. m["local"]!.AsArray().Select(l => (double?)l![key] ?? double.NaN)];
}
