using System.Text.Json.Nodes;
using BioSup.Analysis.Sae;
using BioSup.Data;
using BioSup.Report;
using BioSup.Report.Figures;

namespace BioSup.Cli;

/// <summary>An evaluation as a page: how well the dictionary describes the tokens, what it keeps of them, which latents belong to a class, and a page for each of some latents.</summary>
internal static class SaeStudyReport
{
    /// <summary>Writes report.html and the figures.</summary>
    public static void Write(string folder, string model, SaeStudy study, LatentPages pages, JsonObject manifest)
    {
        SaeEvaluation e = study.Evaluation;
        ReportDocument report = new($"Evaluation of the sparse autoencoder {Path.GetFileName(Path.GetFullPath(model).TrimEnd(Path.DirectorySeparatorChar))}")
        {
            Summary = $"What **{Numbers.Integer(e.Latents.Latents)}** latents make of **{Numbers.Integer(e.Tokens)}** tokens.",
            Footer = $"BioSup.Native {ProductVersion.Text}",
        };
        report.Facts.Add(new("date", ((string)manifest["started"]!)[..10]));
        report.Facts.Add(new("version", ProductVersion.Text.Split('+')[0]));
        report.KeyFigures.Add(new KeyFigure("Variance explained", Numbers.Percent(1 - e.Fvu), $"with {Numbers.Fixed(e.L0, 1)} active latents per token"));
        report.KeyFigures.Add(new KeyFigure("Alive latents", Numbers.Integer(e.Alive), $"of {Numbers.Integer(e.Latents.Latents)}; {Numbers.Integer(e.NeverActive)} fire on none of these tokens"));
        if (study.Comparisons.Count > 0) report.KeyFigures.Add(new KeyFigure("Specific to a class", Numbers.Integer(study.Comparisons.Sum(c => SaeStudyJson.SpecificTo(c).Length)), $"latents, over {study.Comparisons.Count} comparisons"));
        if (study.Probes is { } p) report.KeyFigures.Add(new KeyFigure("Probe on latents", Numbers.Percent(p.Latents.Logistic.Accuracy), $"raw {Numbers.Percent(p.Raw.Logistic.Accuracy)}, most frequent class {Numbers.Percent(p.MajorityAccuracy)}"));
        AddDictionary(report, e);
        AddRepresentation(report, study);
        ClassLatentsReport.Add(report, study.Comparisons, pages.Profiles);
        pages.Add(report);
        AddProvenance(report, manifest);
        AtomicFile.Write(Path.Combine(folder, "report.html"), stream => HtmlWriter.Write(report, stream));
        HtmlWriter.SaveFigures(report, Path.Combine(folder, "figures"));
    }

    private static void AddProvenance(ReportDocument report, JsonObject manifest)
    {
        ReportSection section = report.AddSection("Provenance");
        section.KeyValues("The run",
        [
            new("program", $"biosup {manifest["version"]}"),
            new("command line", $"biosup {manifest["command_line"]}"),
            new("started", $"{manifest["started"]}"),
            new("processor", $"{manifest["processor"]}, {manifest["threads"]} threads, kernels {manifest["kernel_variant"]}"),
            new("seed", $"{manifest["seed"]}"),
        ]);
        if (manifest["inputs"] is JsonObject { Count: > 0 } inputs)
        {
            TableBlock table = new("Inputs", "file", "SHA-256");
            foreach ((string file, JsonNode? hash) in inputs) table.Row(file, (string?)(hash?["sha256"] ?? hash?["sha256_of_listing"]) ?? "");
            section.Table(table);
        }
    }

    private static void AddDictionary(ReportDocument report, SaeEvaluation e)
    {
        ReportSection section = report.AddSection("The dictionary on these tokens",
            $"Each token is rebuilt from **{Numbers.Fixed(e.L0, 1)} of {Numbers.Integer(e.Latents.Latents)}** latents on average; **{Numbers.Percent(e.Fvu)}** of the variance stays unexplained.");
        TableBlock table = new("Measures of the dictionary", "measure", "value", "reading");
        table.Row("FVU", TableCell.Number(e.Fvu, 4), "variance the reconstruction loses: 0 is perfect, 1 no better than the mean");
        table.Row("L0", TableCell.Number(e.L0, 4), "active latents per token");
        table.Row("alive latents", e.Alive, $"used by at least {Numbers.Significant(SaeEvaluation.AliveThreshold, 1)} of the training tokens");
        table.Row("mean |cos|", TableCell.Number(e.MeanAbsoluteCosine, 3), "overlap of pairs of decoder rows: 0 is orthogonal");
        table.Row("effective rank", TableCell.Number(e.DecoderEffectiveRank, 3), "dimensions that the dictionary really spans");
        if (e.Purity is { Latents: > 0 } p) table.Row("mean purity", TableCell.Number(p.MeanPurity, 3), $"share of a latent's activation in its strongest class, over {Numbers.Integer(p.Latents)} latents");
        section.Table(table);
        section.Figures(SaeStudyFiles.Density(e), SaeStudyFiles.Coherence(e));
        if (e.Latents.Classes.Count > 0) section.Add(new FigureRowBlock([SaeStudyFiles.Impurity(e)]));
    }

    private static void AddRepresentation(ReportDocument report, SaeStudy study)
    {
        if (study.Representation is not { } r) return;
        ReportSection section = report.AddSection("What the latents keep",
            study.Probes is { } q ? $"A linear probe tells the classes apart with **{Numbers.Percent(q.Latents.Logistic.Accuracy)}** accuracy on latents and **{Numbers.Percent(q.Raw.Logistic.Accuracy)}** on raw activations; latents keep **{Numbers.Percent(q.RecoveredByLatents, 0)}** of the gain over the most frequent class."
            : $"Effective rank {Numbers.Fixed(r.Raw.Plain, 1)} of raw activations, {Numbers.Fixed(r.Latents.Plain, 1)} of latents.");
        if (study.Probes is { } probes)
        {
            TableBlock table = new($"Probes on {Numbers.Integer(probes.Rows)} rows in {probes.Folds} folds{(probes.Groups > 0 ? $", {Numbers.Integer(probes.Groups)} groups kept whole" : ", stratified by class")}", "representation", "columns", "accuracy", "balanced", "macro-F1", "published probe");
            foreach (RepresentationProbe side in new[] { probes.Raw, probes.Reconstruction, probes.Latents })
                table.Row(side.Name, side.Features, TableCell.Fixed(side.Logistic.Accuracy, 3), TableCell.Fixed(side.Logistic.BalancedAccuracy, 3), TableCell.Fixed(side.Logistic.MacroF1, 3), side.Published is { } published ? TableCell.Fixed(published.Accuracy, 3) : "");
            section.Table(table);
        }
        TableBlock ranks = new($"Effective rank of {Numbers.Integer(r.Samples)} mean vectors; with “first {r.Components}” on so many principal components, with “normed” after rows were brought to unit length and columns to unit deviation",
            "images", "raw", $"raw, first {r.Components}", "raw, normed", "latents", $"latents, first {r.Components}", "latents, normed");
        Row("all", r.Raw, r.Latents);
        foreach (ClassRank c in r.Classes) Row($"{c.Class} ({Numbers.Integer(c.Images)})", c.Raw, c.Latents);
        section.Table(ranks);
        section.Paragraph($"Linear CKA with raw activations: latents {Numbers.Fixed(r.CkaLatents, 3)}, reconstructions {Numbers.Fixed(r.CkaReconstruction, 3)} (1: the same geometry up to rotation and scale).");

        void Row(string name, RepresentationRanks raw, RepresentationRanks latents) => ranks.Row(name, TableCell.Fixed(raw.Plain, 1), TableCell.Fixed(raw.Components, 1), TableCell.Fixed(raw.NormedComponents, 1),
            TableCell.Fixed(latents.Plain, 1), TableCell.Fixed(latents.Components, 1), TableCell.Fixed(latents.NormedComponents, 1));
    }
}
