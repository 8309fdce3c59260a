using BioSup.Data;
using BioSup.Report;
using BioSup.Report.Figures;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Reporting;

/// <summary>The cells in two dimensions, before and after the autoencoder.</summary>
internal static class MapReport
{
    public static void Add(ReportDocument report, RunFolder folder, CommandContext context, string[]? labels, double[]? values, string valueName)
    {
        using Matrix<double> encoder = Preparation.Read(context.Host, folder.EncoderVectors, Preparation.Latents, 2);
        using Matrix<double> latents = Preparation.Read(context.Host, $"{folder.Latents}:X", Preparation.Latents, 2);
        ReportSection section = report.AddSection("The cells in two dimensions",
            "The two leading principal components of the encoder's vectors and of the SAE latents, prepared alike. A plane shows only part of the geometry; the numbers above measure all of it.");
        if (labels is not null)
            section.Figures(
                new FigureItem(Map(encoder, labels, null, ""), "Encoder vectors, coloured by class.", "map_encoder_class"),
                new FigureItem(Map(latents, labels, null, ""), "SAE latents, coloured by class.", "map_latents_class"));
        if (values is not null)
            section.Figures(
                new FigureItem(Map(encoder, null, values, valueName), $"Encoder vectors, coloured by {valueName}.", "map_encoder_value"),
                new FigureItem(Map(latents, null, values, valueName), $"SAE latents, coloured by {valueName}.", "map_latents_value"));
    }

    private static ScatterMap Map(Matrix<double> plane, string[]? labels, double[]? values, string valueName)
    {
        double[] x = new double[plane.Rows], y = new double[plane.Rows];
        for (int i = 0; i < plane.Rows; i++) (x[i], y[i]) = (plane.Row(i)[0], plane.Columns > 1 ? plane.Row(i)[1] : 0);
        return new ScatterMap { X = x, Y = y, Categories = labels, Values = values, ValueLabel = valueName, XLabel = "PC 1", YLabel = "PC 2", Width = 472, Height = 420 };
    }
}
