using System.Text.Json.Nodes;
using BioSup.Analysis.Alignment;
using BioSup.Analysis.GwMap;
using BioSup.Cli.Results;
using BioSup.Data;
using BioSup.Report;
using BioSup.Report.Figures;

namespace BioSup.Cli.Pipeline.Reporting;

/// <summary>A `gw map` as a page: the verdict first, then where labels go, which genes follow, into which modules they fall, and what none of it proves.</summary>
internal static class GwMapReport
{
    public static void Write(GwMapOutcome outcome, GwMapInput input, ResultFolder folder, JsonObject manifest, CommandContext context)
    {
        string trust = outcome.Alignment.Trust;
        GwMapCoupling labels = outcome.Alignment;
        ReportDocument report = new(outcome.Config.Title)
        {
            Summary = $"{Numbers.Integer(outcome.Sample.Images.Length)} images and as many cells of {outcome.Sample.Labels.Count} labels, coupled by the shape of their point clouds alone. "
                + $"The verdict on the coupling is **{trust}**; everything below it is as good as that.",
            Footer = $"BioSup.Native {ProductVersion.Text}",
        };
        if (input.Planted is not null)
            report.Notice = "The data of this report are generated: a simulated cohort with planted programmes, made to check the method. Its image side is the planted concepts, as a perfect autoencoder would find them. Nothing here is about real cells.";
        report.Facts.Add(new("date", ((string)manifest["started"]!)[..10]));
        report.Facts.Add(new("version", ProductVersion.Text.Split('+')[0]));
        report.KeyFigures.Add(new KeyFigure("Alignment", trust, "verdict of the checks", AlignReport.ToneOf(trust)));
        report.KeyFigures.Add(new KeyFigure("One-to-one", Numbers.Percent(labels.OneToOne.Accuracy), $"chance {Numbers.Percent(labels.Chance)}"));
        report.KeyFigures.Add(new KeyFigure("Barycentric", Numbers.Percent(labels.Barycentric.Accuracy), $"chance {Numbers.Percent(labels.Chance)}"));
        if (outcome.Recovery is { Best: { } best })
            report.KeyFigures.Add(new KeyFigure("Planted programmes", $"{Numbers.Percent(best.Precision, 0)} / {Numbers.Percent(best.Recall, 0)}", $"precision / recall of their modules at resolution {Numbers.Short(outcome.Modules!.Resolutions[best.Level])}"));
        AlignReport.Add(report, new RunFolder(folder.Path) { Align = folder.Path }, context, outcome.Sample.ImageLabels, outcome.Sample.CellLabels);
        AddInputs(report, outcome);
        AddReading(report, outcome);
        GwMapGeneReport.Add(report, outcome);
        GwMapModuleReport.Add(report, outcome);
        GwMapLabelModuleReport.Add(report, outcome);
        AddLimits(report, outcome);
        ProvenanceReport.Add(report, manifest, outcome.Times);
        AtomicFile.Write(folder.Locate(GwMapFiles.Report), stream => HtmlWriter.Write(report, stream));
        HtmlWriter.SaveFigures(report, folder.Locate("figures"));
    }

    private static void AddInputs(ReportDocument report, GwMapOutcome outcome)
    {
        GwMapSpacesUsed spaces = outcome.Spaces;
        ReportSection section = report.AddSection("What was compared", $"{outcome.Sample.PerLabel} images and {outcome.Sample.PerLabel} cells of each label, drawn at random without replacement.");
        section.KeyValues("Both sides",
        [
            new("labels", string.Join(", ", outcome.Sample.Labels)),
            new("image space", $"{spaces.ImageComponents} principal components of {spaces.Latents.Kept.Length} latents: ln(1 + x), standardised, every image to unit length ({Numbers.Percent(spaces.ImageExplained)} of the variance)"),
            new("cell space", $"{spaces.CellSpace}: {spaces.CellDimensions} dimensions{(spaces.CellExplained is { } explained ? $" ({Numbers.Percent(explained)} of the variance)" : "")}"),
            new("genes", $"{Numbers.Integer(spaces.Genes.Length)} of {Numbers.Integer(spaces.GenesGiven)}, the most variable ones; {(spaces.WereCounts ? "counts scaled to 10,000 a cell, ln(1 + x)" : "taken to be logarithms already")}"),
            new("denoised genes", spaces.NotDenoised is null ? "given" : "none given: raw genes only"),
            new("genes are predicted from", $"{spaces.GeneComponents} principal components of the latents"),
        ]);
        bool differential = outcome.Config.Images?.Differential ?? true;
        section.Figure(new BarChart
        {
            Categories = differential ? ["given", "alive", "varying", "differing between labels"] : ["given", "alive", "varying"],
            Series = [new BarSeries("latents", differential
                ? [spaces.Latents.Total, spaces.Latents.Alive, spaces.Latents.Varying, spaces.Latents.Kept.Length] : [spaces.Latents.Total, spaces.Latents.Alive, spaces.Latents.Varying])],
            Horizontal = true, XLabel = "latents", Width = 640, Height = 200,
        }, LatentCaption(outcome), "map_latents");
        if (differential)
            section.Paragraph("The last filter has seen the labels of the images: latents that differ between labels were kept. Label transfer is therefore a check on the coupling, not on the images.");
    }

    private static string LatentCaption(GwMapOutcome outcome)
    {
        GwMapImagesSection images = outcome.Config.Images ?? new();
        string differing = images.Differential
            ? $", and differing between labels (|log2 fold change| of one label against the others at least {Numbers.Short(images.MinLog2fc)}, two-sided Mann-Whitney test, Benjamini-Hochberg q at most {Numbers.Short(images.MaxP)})" : "";
        return $"Latents left after each filter, over {Numbers.Integer(outcome.Sample.Images.Length)} images: alive (mean above {Numbers.Significant(images.DeadThreshold, 1)}), varying (deviation over mean at least {Numbers.Short(images.MinCv)}){differing}.";
    }

    private static void AddReading(ReportDocument report, GwMapOutcome outcome)
    {
        GwMapCoupling labels = outcome.Alignment;
        CouplingReading reading = outcome.Reading;
        ReportSection section = report.AddSection("Label transfer in three ways",
            $"One-to-one matching gives {Numbers.Percent(labels.OneToOne.Accuracy)} of the images a cell of their own label, the barycentric vote {Numbers.Percent(labels.Barycentric.Accuracy)}; chance is {Numbers.Percent(labels.Chance)}.");
        List<(string Name, double Value)> bars = [("likeliest cell", labels.OneToOne.Accuracy)];
        if (reading.Assignment is { } assignment) bars.Add(("assignment", assignment.Accuracy));
        bars.Add(("barycentric", labels.Barycentric.Accuracy));
        BarChart accuracy = new()
        {
            Categories = [.. bars.Select(b => b.Name)], Series = [new BarSeries("accuracy", [.. bars.Select(b => b.Value)])], YLabel = "images with their own label",
            Reference = new ReferenceLine(labels.Chance, "chance"), Min = 0, Max = 1, Width = 472, Height = 320,
        };
        Heatmap probability = new()
        {
            Values = Square(reading.MeanProbability), RowNames = reading.Classes, ColumnNames = reading.Classes, XLabel = "label of the cells", YLabel = "label of the images",
            ValueLabel = "mean probability", Scale = ColorScale.Blues, Min = 0, Max = 1, Decimals = 2, Width = 472, Height = 320,
        };
        section.Figures(
            new FigureItem(accuracy, $"Accuracy over {Numbers.Integer(outcome.Sample.Images.Length)} images of the likeliest cell (argmax){(reading.Assignment is null ? "" : ", of the assignment in which every cell is used once,")} and of the label with most mass. Dashed: chance with equal labels.", "map_accuracy"),
            new FigureItem(probability, $"Mean share of an image's mass on the cells of each label, P(label), by the label of the image ({outcome.Sample.PerLabel} images each).", "map_probability"));
        if (reading.Assignment is { } matrix)
        {
            long[,] counts = new long[matrix.Classes.Count, matrix.Classes.Count];
            for (int i = 0; i < matrix.Classes.Count; i++)
                for (int j = 0; j < matrix.Classes.Count; j++) counts[i, j] = matrix.Counts[i][j];
            section.Figure(new Report.Figures.ConfusionMatrix { Counts = counts, RowNames = matrix.Classes, ColumnNames = matrix.Classes, RowLabel = "label of the image", ColumnLabel = "label of its cell", Width = 472, Height = 400 },
                "The assignment of largest total mass: every image another cell. The confusion matrices of the other two stand with the verdict.", "map_assignment");
        }
        section.KeyValues("How definite the coupling is",
        [
            new("entropy", $"{Numbers.Fixed(reading.Entropy, 3)} nats; a row has {Numbers.Percent(reading.RelativeRowEntropy)} of the entropy of one that knows nothing"),
            new("neighbours stay together", $"{Numbers.Percent(reading.NeighbourConsistency)} of an image's 10 nearest images have likeliest cells near its own (chance {Numbers.Percent(reading.NeighbourChance)})"),
        ]);
        TableBlock table = new("Within each label", "label", "mass kept", "partners per image", "relative row entropy", "neighbours together", "chance");
        foreach (LabelBlock block in outcome.Blocks)
            table.Row(block.Label, TableCell.Percent(block.MassKept), TableCell.Fixed(block.Partners, 1), TableCell.Percent(block.Reading.RelativeRowEntropy),
                TableCell.Percent(block.Reading.NeighbourConsistency), TableCell.Percent(block.Reading.NeighbourChance));
        section.Table(table);
        section.Paragraph("*Mass kept* is the share of a label's mass that its own cells receive. Only that block, its rows divided by their sums, is used within a label.");
    }

    private static void AddLimits(ReportDocument report, GwMapOutcome outcome)
    {
        ReportSection section = report.AddSection("What this does not prove", "A gene that images predict well need not be a gene that images show.");
        section.Bullets(
            "Images and cells are different cells. Nothing here knows which image belongs to which cell; labels alone can be checked.",
            "Soft targets are smooth functions of the images, whatever the coupling: a mirrored or otherwise wrong coupling has a high R² too. The permutation null destroys that smoothness, so its z and p say that the coupling is smooth, not that it is right.",
            "Modules are groups of genes that go together among the cells. They come back from a wrong coupling as well, since any mixture of the cells keeps much of what goes together: they say nothing about the coupling.",
            "What speaks for or against the coupling stands in the verdict: starts, decoys, rotated targets, held-out cells, labels that were not used to align.",
            !outcome.Alignment.HasDecoys ? "This run made no decoys (align.null) and so has no null that keeps smoothness." : "The decoys and rotated targets above are nulls that keep smoothness.");
    }

    private static double[,] Square(double[][] rows)
    {
        double[,] square = new double[rows.Length, rows.Length];
        for (int i = 0; i < rows.Length; i++)
            for (int j = 0; j < rows.Length; j++) square[i, j] = rows[i][j];
        return square;
    }
}
