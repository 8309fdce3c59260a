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
        GeometryFiles.Write(folder.Geometry, study);
    }
}
