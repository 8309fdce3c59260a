using System.Text.Json.Nodes;
using BioSup.Report;
using BioSup.Report.Figures;

namespace BioSup.Cli.Pipeline.Reporting;

/// <summary>Did the geometry get cleaner? Encoder vectors against SAE latents.</summary>
internal static class GeometryReport
{
    public static void Add(ReportDocument report, RunFolder folder)
    {
        JsonObject geometry = JsonNode.Parse(File.ReadAllText(GeometryStage.Result(folder)))!.AsObject();
        string value = ((string)geometry["value"]!).Replace('_', ' ');
        JsonObject[] all = [.. geometry["measurements"]!.AsArray().Select(m => m!.AsObject())];
        string[] groups = [.. all.Select(m => (string)m["group"]!).Distinct()];
        JsonObject encoder = First(all, GeometryStage.Encoder), latents = First(all, GeometryStage.Latents);
        int k = IndexOf15(encoder);
        double before = Values(encoder, "local_sd_ratio")[k], after = Values(latents, "local_sd_ratio")[k];
        ReportSection section = report.AddSection("Did the geometry get cleaner?",
            $"Neighbours agree about {value} {(after < before ? "**better**" : "**no better**")} among SAE latents than among encoder vectors: local SD ratio "
            + $"{Numbers.Fixed(after, 3)} against {Numbers.Fixed(before, 3)} (k = {Values(encoder, "k")[k]}).");
        section.Paragraph($"If distances mean something, cells that lie close together should have similar {value}. *Local SD ratio*: spread of the value among a cell's nearest neighbours, "
            + "relative to all cells; 1 means that neighbours know nothing, lower is better. *Moran's I*: correlation of the value with that of the neighbours; 0 is chance, higher is better. "
            + "*Effective rank*: dimensions that the cloud of cells really fills. *Ridge R²*: how well a straight line through the vectors predicts the value on cells it has not seen.");
        section.Figures(
            new FigureItem(Sweep(all, groups[0], "local_sd_ratio", "local SD ratio (lower is better)"), "Local SD ratio over neighbourhood sizes.", "geometry_local_sd"),
            new FigureItem(Sweep(all, groups[0], "morans_i", "Moran's I (higher is better)"), "Moran's I over neighbourhood sizes.", "geometry_morans_i"));

        TableBlock table = new($"Geometry against {value}", "representation", "group", "cells", "dimensions", "local SD ratio", "p (permutation)", "Moran's I", "z", "effective rank", "ridge R²", "p (permutation)");
        foreach (JsonObject m in all)
        {
            int at = IndexOf15(m);
            table.Row((string)m["source"]! == GeometryStage.Encoder ? "encoder vectors" : "SAE latents", (string)m["group"]!, (int)m["rows"]!, (int)m["columns"]!,
                TableCell.Fixed(Values(m, "local_sd_ratio")[at], 3), TableCell.Number(Values(m, "local_sd_permutation_p")[at], 2), TableCell.Fixed(Values(m, "morans_i")[at], 3),
                TableCell.Fixed(Values(m, "morans_z")[at], 1), TableCell.Fixed((double?)m["effective_rank_centred"] ?? double.NaN, 1),
                TableCell.Fixed((double?)m["ridge_r2"] ?? double.NaN, 3), TableCell.Number((double?)m["ridge_permutation_p"] ?? double.NaN, 2));
        }
        section.Table(table);
        if (geometry["cka"]!.AsArray() is { Count: > 0 } cka)
            section.Paragraph($"Linear CKA between the two representations: {Numbers.Fixed((double)cka[0]!["cka"]!, 3)} (1: the same geometry up to rotation and scale).");

        static int IndexOf15(JsonObject m) => Math.Max(0, Array.IndexOf([.. m["k"]!.AsArray().Select(v => (int)v!)], 15));
    }

    /// <summary>Ratio and Moran's I of both representations, for the key figures of the report.</summary>
    public static (double Before, double After) LocalRatio(RunFolder folder)
    {
        JsonObject[] all = [.. JsonNode.Parse(File.ReadAllText(GeometryStage.Result(folder)))!["measurements"]!.AsArray().Select(m => m!.AsObject())];
        return (Values(First(all, GeometryStage.Encoder), "local_sd_ratio")[^1], Values(First(all, GeometryStage.Latents), "local_sd_ratio")[^1]);
    }

    private static LineChart Sweep(JsonObject[] all, string group, string key, string label) => new()
    {
        Series =
        [
            .. new[] { (GeometryStage.Encoder, "encoder vectors"), (GeometryStage.Latents, "SAE latents") }.Select(s =>
            {
                JsonObject m = all.First(a => (string)a["source"]! == s.Item1 && (string)a["group"]! == group);
                return new LineSeries(s.Item2, Values(m, "k"), Values(m, key)) { Markers = true };
            }),
        ],
        XLabel = "neighbours k",
        YLabel = label,
        Width = 472,
        Height = 340,
    };

    private static JsonObject First(JsonObject[] all, string source) => all.First(m => (string)m["source"]! == source);

    private static double[] Values(JsonObject m, string key) => [.. m[key]!.AsArray().Select(v => (double?)v ?? double.NaN)];
}
