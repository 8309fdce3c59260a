using System.Text.Json.Nodes;
using BioSup.Analysis.Geometry;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline;

/// <summary>The geometry of the encoder's vectors and of the SAE latents, against the same value of the same cells.</summary>
internal static class GeometryStage
{
    public const string Encoder = "encoder", Latents = "latents", CohortValue = "death_rate";

    public static string Result(RunFolder folder) => Path.Combine(folder.Geometry, "geometry.json");

    /// <summary>The value of the geometry section: the user's column, or the death rate of the generated cohort.</summary>
    public static Column Value(GeometrySection section, Func<string, string> locate, RunFolder folder) =>
        ColumnReader.Read(section.Value is { } value ? locate(value) : $"{CohortStage.Cells(folder)}:{CohortValue}");

    public static void Run(GeometrySection section, Func<string, string> locate, RunFolder folder, CommandContext context)
    {
        Column value = Value(section, locate, folder);
        string[]? groups = section.Group is { } group ? ColumnReader.Read(locate(group)).Text : null;
        using Matrix<double> encoder = MatrixReader.ReadDouble(context.Device, folder.EncoderVectors), latents = MatrixReader.ReadDouble(context.Device, $"{folder.Latents}:X");
        if (value.Length != encoder.Rows)
            throw new DataException(section.Value ?? CohortValue, null, $"{value.Length} values were given for {encoder.Rows} patches; they must be in the order of {folder.Patches}");
        GeometryOptions options = new() { K = section.K, Permutations = section.Permutations, Seed = context.Seed };
        GeometryStudy study = GeometryStudy.Run([new GeometrySource(Encoder, encoder), new GeometrySource(Latents, latents)], value.Numbers, groups, options, context.Progress, context.Cancellation);
        Directory.CreateDirectory(folder.Geometry);
        AtomicFile.WriteAllText(Result(folder), Describe(study, value.Name).ToJsonString(JsonText.Readable) + "\n");
    }

    private static JsonObject Describe(GeometryStudy study, string value) => new()
    {
        ["value"] = value,
        ["measurements"] = new JsonArray([.. study.Measurements.Select(m => (JsonNode)Describe(m))]),
        ["cka"] = new JsonArray([.. study.Cka.Select(c => (JsonNode)new JsonObject { ["group"] = c.Group, ["cka"] = JsonText.Number(c.Cka) })]),
    };

    private static JsonObject Describe(GeometryMeasurement m) => new()
    {
        ["source"] = m.Source,
        ["group"] = m.Group,
        ["rows"] = m.Rows,
        ["columns"] = m.Columns,
        ["k"] = new JsonArray([.. m.Local.Select(l => (JsonNode)l.K)]),
        ["local_sd_ratio"] = JsonText.Numbers(m.Local.Select(l => l.MeanRatio)),
        ["local_sd_ratio_median"] = JsonText.Numbers(m.Local.Select(l => l.MedianRatio)),
        ["local_sd_permutation_p"] = JsonText.Numbers(m.Local.Select(l => l.PermutationP ?? double.NaN)),
        ["morans_i"] = JsonText.Numbers(m.Local.Select(l => l.Moran.I)),
        ["morans_z"] = JsonText.Numbers(m.Local.Select(l => l.Moran.Z)),
        ["moran_z_paper"] = JsonText.Numbers(m.Local.Select(l => l.Moran.PaperZ)),
        ["effective_rank_centred"] = JsonText.Number(m.RankCentred.Value),
        ["effective_rank_raw"] = JsonText.Number(m.RankRaw.Value),
        ["ridge_r2"] = m.Ridge is { } ridge ? JsonText.Number(ridge.R2) : null,
        ["ridge_r2_folds"] = m.Ridge is { } folds ? JsonText.Numbers(folds.FoldR2) : null,
        ["ridge_permutation_p"] = m.Ridge?.PermutationP is { } p ? JsonText.Number(p) : null,
    };
}
