using System.Text.Json.Nodes;
using BioSup.Analysis.Sae;
using BioSup.Cli.Pipeline.Reporting;
using BioSup.Data;
using BioSup.Imaging;
using BioSup.Report;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline;

/// <summary>Tells the run as a page: what went in, what came out, whether to believe it, and where it comes from.</summary>
internal static class RunReport
{
    public static void Write(RunConfig config, Func<string, string> locate, RunFolder folder, JsonObject manifest, StageLedger ledger, CommandContext context)
    {
        ReportDocument report = new(config.Title)
        {
            Summary = "Images of cells become tokens of a frozen encoder, a sparse autoencoder takes their superposed concepts apart, and every claim is measured.",
            Footer = $"BioSup.Native {ProductVersion.Text}",
        };
        if (config.Cohort is not null)
            report.Notice = "The data of this report are generated: a simulated cohort with known ground truth, made to check the method. Nothing here is about real cells.";
        else if (config.Images is null) report.Summary = "Two sets of cells without shared features are aligned by the shape of their point clouds, and the alignment is judged.";
        report.Facts.Add(new("date", ((string)manifest["started"]!)[..10]));
        report.Facts.Add(new("version", ProductVersion.Text.Split('+')[0]));

        string[]? labels = config.Images?.Labels is { } locator ? ColumnReader.Read(locate(locator)).Text : null;
        IReadOnlyList<string>? channels = config.Cohort is not null ? CohortNames.Channels.Select(c => c.Replace('_', ' ')).ToArray() : config.Images?.Channels;
        if (config.Images is { } images) ImagesReport.Add(report, folder, images, Encoder(images), labels, channels, context.Seed);
        if (config.Sae is not null) TrainingReport.Add(report, folder);
        if (config is { Images: { } source, Sae: not null }) AddLatents(report, folder, source, config.Cohort is not null, labels, channels, context);
        if (config.Geometry is { } geometry)
        {
            Column value = GeometryStage.Value(geometry, locate, folder);
            string name = value.Name.Replace('_', ' ');
            GeometryReport.Add(report, folder, name);
            MapReport.Add(report, folder, context, labels, value.Numbers, name);
        }
        if (config.Align is { } align)
        {
            (string[]? x, string[]? y) = AlignStage.Labels(align, locate);
            AlignReport.Add(report, folder, context, x, y);
        }
        AddKeyFigures(report, config, folder);
        ProvenanceReport.Add(report, manifest, ledger.Times);
        AtomicFile.Write(folder.Report, stream => HtmlWriter.Write(report, stream));
        HtmlWriter.SaveFigures(report, folder.Figures);
    }

    /// <summary>From all latents to single ones: known concepts, pictures, classes, a page for each.</summary>
    private static void AddLatents(ReportDocument report, RunFolder folder, ImagesSection images, bool recovery, string[]? labels, IReadOnlyList<string>? channels, CommandContext context)
    {
        using Matrix<float> latents = MatrixReader.ReadSingle(context.Host, $"{folder.Latents}:X");
        IReadOnlyList<DifferentialComparison> comparisons = ClassLatentsReport.Compare(latents, labels, context.Cancellation);
        IReadOnlyList<(int Latent, string Note)> pictured = LatentsReport.Choose(folder, latents);
        int[] specific = LatentPages.Choose(comparisons, null, []), paged = [.. specific.Concat(pictured.Select(p => p.Latent)).Distinct()];
        PatchGallery gallery = new(CsvFile.Read(folder.Patches), images.Patch);
        using SaeModel model = SaeModel.Load(context.Host, folder.Sae);
        using TokenShards tokens = TokenShards.Open(folder.Tokens);
        LatentPages pages = LatentPages.Measure(model, tokens, tokens.Index.RowsPerImage, comparisons.Count > 0 ? labels : null, paged, comparisons, new LatentPictures(gallery, null, channels), context);
        if (recovery) RecoveryReport.Add(report, folder, paged);
        LatentsReport.Add(report, latents, pictured, gallery, channels);
        ClassLatentsReport.Add(report, comparisons, pages.Profiles);
        pages.Add(report);
    }

    private static string Encoder(ImagesSection images) => images.Encoder == TokensStage.LearntEncoder
        ? $"convolutional dictionary of {images.DictionaryChannels} channels, learnt from these images (Coates, Lee and Ng 2011)"
        : $"{Path.GetFileName(images.Encoder)}{(images.Output is { } output ? $", output {output}" : "")}";

    private static void AddKeyFigures(ReportDocument report, RunConfig config, RunFolder folder)
    {
        if (config.Sae is not null)
        {
            JsonNode evaluation = JsonNode.Parse(File.ReadAllText(folder.SaeEvaluation))!;
            report.KeyFigures.Add(new KeyFigure("Variance explained", Numbers.Percent(1 - (double)evaluation["fvu"]!), $"with {Numbers.Fixed((double)evaluation["l0"]!, 1)} active latents per token"));
        }
        if (File.Exists(folder.Recovery) && config.Cohort is not null)
        {
            (int before, int after, int all) = RecoveryReport.Count(folder);
            report.KeyFigures.Add(new KeyFigure("Concepts recovered", $"{after} of {all}", $"by one SAE latent each; {before} by one encoder channel", after > before ? Tone.Good : Tone.Neutral));
        }
        if (config.Geometry is not null)
        {
            (double before, double after, int k) = GeometryReport.LocalRatio(folder);
            report.KeyFigures.Add(new KeyFigure("Local SD ratio", $"{Numbers.Fixed(before, 3)} → {Numbers.Fixed(after, 3)}", $"encoder → latents, k = {k}; lower is better", after < before ? Tone.Good : Tone.Warning));
        }
        if (config.Align is not null)
        {
            JsonObject verdict = AlignReport.Read(folder)["verdict"]!.AsObject();
            string trust = (string)verdict["trust"]!;
            if (verdict["label_transfer"] is JsonObject transfer)
                report.KeyFigures.Add(new KeyFigure("Label transfer", Numbers.Percent((double)transfer["barycentric"]!["accuracy"]!), $"barycentric; most frequent class {Numbers.Percent((double)transfer["majority_accuracy"]!)}"));
            report.KeyFigures.Add(new KeyFigure("Alignment", trust, "verdict of the checks", AlignReport.ToneOf(trust)));
        }
    }
}
