using BioSup.Analysis.GwMap;
using BioSup.Report;
using BioSup.Report.Figures;

namespace BioSup.Cli.Pipeline.Reporting;

/// <summary>Which soft targets images predict: R² of every scope, z of every gene, within labels and between them.</summary>
internal static class GwMapGeneReport
{
    private const int Extremes = 25;

    public static void Add(ReportDocument report, GwMapOutcome outcome)
    {
        ReportSection section = report.AddSection("What images predict", Lead(outcome));
        section.Paragraph("The coupling gives every image an expected expression, its *soft target*: the mean over its partners. A model then predicts soft targets from the images, in folds it has not seen. "
            + "Within a label, the label itself cannot be what is predicted.");
        AddMeans(section, outcome);
        AddNulls(section, outcome);
        PredictabilityRun[] genes = [.. outcome.Runs.Where(r => r.Label is not null && r.Model == GwMapTargets.Ridge && r.Targets != GwMapTargets.Latent)];
        if (genes.Length == 0) return;
        section.Heading("Gene by gene");
        bool z = genes.All(r => r.Result.ZScore is not null);
        string measure = z ? "z" : "R²";
        if (z) section.Paragraph($"z is the R² of a gene less the mean of its {genes[0].Result.Permutations} permutations, over their standard deviation (ridge regression). Scaled z runs from 0 to 1 over the genes, for each set of targets and label by itself.");
        AddExtremes(section, outcome, genes, measure);
        AddBetweenLabels(section, outcome, genes, measure);
    }

    private static string Lead(GwMapOutcome outcome)
    {
        PredictabilityRun[] within = [.. outcome.Runs.Where(r => r.Label is not null && r.Targets == outcome.Ranking!.Targets && r.Model == GwMapTargets.Ridge)];
        string means = string.Join(", ", within.Select(r => $"{r.Label} {Numbers.Fixed(r.Result.MeanRSquared, 2)}"));
        return $"Mean R² of {outcome.Ranking!.Targets} genes within labels, by ridge regression: {means}.";
    }

    private static void AddMeans(ReportSection section, GwMapOutcome outcome)
    {
        string[] scopes = [.. outcome.Runs.Select(r => r.Label ?? "all labels").Distinct()];
        var kinds = outcome.Runs.Select(r => (r.Targets, r.Model)).Distinct().ToArray();
        List<BarSeries> series = [];
        foreach ((string targets, string model) in kinds)
        {
            PredictabilityRun?[] found = [.. scopes.Select(scope => Find(outcome, scope, targets, model))];
            series.Add(new BarSeries($"{targets}, {model}", [.. found.Select(r => r?.Result.MeanRSquared ?? double.NaN)]));
            if (found.Any(r => NullMean(r) is not null)) series.Add(new BarSeries($"{targets}, {model}, permuted", [.. found.Select(r => NullMean(r) ?? double.NaN)]));
        }
        PredictabilityRun[] all = [.. outcome.Runs.Where(r => r.Label is null)], own = [.. outcome.Runs.Where(r => r.Label is not null)];
        string permuted = string.Join(", ", all.Where(r => r.Result.Permutations > 0).GroupBy(r => r.Model).Select(g => $"{Numbers.Integer(g.First().Result.Permutations)} permutations ({g.Key})"));
        section.Figure(new BarChart { Categories = scopes, Series = series, YLabel = "mean R² over targets", Width = 760, Height = 340, Min = 1.1 * Math.Min(0, series.SelectMany(s => s.Values).Where(double.IsFinite).Min()) },
            $"Mean R² of soft targets in {outcome.Config.Predictability.Folds} held-out folds, over {Numbers.Integer(all[0].Images)} images of all labels and {Numbers.Integer(own[0].Images)} of each"
            + $"{(permuted.Length > 0 ? $", and of soft targets whose rows were permuted: mean of {permuted}" : "")}.", "map_r2");
        TableBlock table = new("Predictability", "scope", "targets", "model", "images", "columns", "mean R²", "null", "p", $"q ≤ {Numbers.Short(PredictabilityRun.Significance)}");
        foreach (PredictabilityRun run in outcome.Runs)
        {
            double[]? nulls = run.Result.NullMeans;
            table.Row(run.Label ?? "all labels", run.Targets, run.Model, run.Images, run.Columns.Count, TableCell.Fixed(run.Result.MeanRSquared, 3), NullMean(run) is { } mean ? TableCell.Fixed(mean, 3) : "",
                nulls is { Length: > 0 } ? TableCell.Number((nulls.Count(m => m >= run.Result.MeanRSquared) + 1.0) / (nulls.Length + 1), 2) : "", run.Predictable is { } count ? count : "");
        }
        section.Table(table);
        section.Paragraph("*Null* is the mean R² after rows of the soft targets were permuted, *p* the share of permutations that reach the observed mean R², *q ≤ 0.05* the number of columns whose own p stays at or below 0.05 "
            + "when adjusted over the columns (Benjamini and Hochberg). A small p says that the coupling is smooth, which wrong couplings are too.");
    }

    private static double? NullMean(PredictabilityRun? run) => run?.Result.NullMeans is { Length: > 0 } means ? means.Average() : null;

    /// <summary>The null distributions: mean R² of every permutation in every scope, and z of every gene over all labels.</summary>
    private static void AddNulls(ReportSection section, GwMapOutcome outcome)
    {
        PredictabilityRun[] runs = [.. outcome.Runs.Where(r => r.Targets == outcome.Ranking!.Targets && r.Model == GwMapTargets.Ridge && r.Result.NullMeans is { Length: > 1 })];
        if (runs.Length == 0) return;
        List<FigureItem> figures = [];
        foreach (PredictabilityRun run in runs)
        {
            string scope = run.Label ?? "all labels";
            Histogram histogram = new() { Values = run.Result.NullMeans!, Marks = [new ReferenceLine(run.Result.MeanRSquared, "observed")], XLabel = $"mean R² of {run.Targets} genes, {scope}", YLabel = "permutations", Width = 472, Height = 260 };
            figures.Add(new FigureItem(histogram, $"Mean R² of {Numbers.Integer(run.Columns.Count)} {run.Targets} genes in {Numbers.Integer(run.Result.Permutations)} permutations of their rows (ridge, {scope}, {Numbers.Integer(run.Images)} images), and the observed one.",
                $"map_null_{Results.GwMapFiles.FileName(run.Label ?? "all")}"));
        }
        Histogram scores = new() { Values = runs[0].Result.ZScore!, XLabel = $"z of a gene, {runs[0].Label ?? "all labels"}", YLabel = "genes", Width = 472, Height = 260 };
        figures.Add(new FigureItem(scores, $"z of {Numbers.Integer(runs[0].Columns.Count)} {runs[0].Targets} genes ({runs[0].Label ?? "all labels"}): {runs[0].Predictable} have a q of at most {Numbers.Short(PredictabilityRun.Significance)}.", "map_z"));
        section.Heading("Against permuted soft targets");
        foreach (FigureItem[] row in figures.Chunk(2)) section.Figures(row);
    }

    private static void AddExtremes(ReportSection section, GwMapOutcome outcome, PredictabilityRun[] genes, string measure)
    {
        int[] order = outcome.Ranking!.Top(genes[0].Columns.Count);
        int each = Math.Min(Extremes, order.Length / 2);
        int[] shown = [.. order.Take(each), .. order.TakeLast(each)];
        double[,] values = new double[shown.Length, genes.Length];
        for (int r = 0; r < genes.Length; r++)
        {
            double[] scaled = Scaled(Measure(genes[r], measure));
            for (int g = 0; g < shown.Length; g++) values[g, r] = scaled[shown[g]];
        }
        section.Figure(new Heatmap
        {
            Values = values, RowNames = [.. shown.Select(g => genes[0].Columns[g])], ColumnNames = [.. genes.Select(r => $"{r.Targets}, {r.Label}")], YLabel = $"{each} genes of highest and {each} of lowest {measure}",
            XLabel = "targets and label", ValueLabel = $"scaled {measure}", Min = 0, Max = 1, Width = 640, Height = Math.Max(240, 90 + 14 * shown.Length),
        }, $"Scaled {measure} (ridge{Permutations(genes[0])}) of the {each} genes with the highest and the {each} with the lowest among {Numbers.Integer(order.Length)}, ranked by {measure} {(outcome.Config.Modules.RankBy == "within" ? "averaged over the labels" : "over all labels")} and shown within each label ({Numbers.Integer(genes[0].Images)} images).", "map_extremes");
    }

    private static void AddBetweenLabels(ReportSection section, GwMapOutcome outcome, PredictabilityRun[] genes, string measure)
    {
        PredictabilityRun[] ranked = [.. genes.Where(r => r.Targets == outcome.Ranking!.Targets)];
        int[] top = outcome.TopGenes;
        string[] modules = [.. outcome.Modules!.Module[^1].Select(m => outcome.ModuleName(outcome.Modules.Levels - 1, m))];
        string[] order = [.. Enumerable.Range(0, outcome.Modules.Sizes[^1].Length).Select(m => outcome.ModuleName(outcome.Modules.Levels - 1, m))];
        List<FigureItem> figures = [];
        for (int a = 0; a < ranked.Length; a++)
        {
            // Few labels are compared in pairs, many each with the mean of the others.
            if (ranked.Length <= 3)
                for (int b = a + 1; b < ranked.Length; b++) figures.Add(Compare(ranked[a], ranked[b].Label!, Measure(ranked[b], measure), top, measure, modules, order));
            else figures.Add(Compare(ranked[a], "the other labels", MeanOf([.. ranked.Where(r => r != ranked[a])], measure), top, measure, modules, order));
        }
        section.Paragraph($"Are the same genes predictable in every label? Each point is one of the {top.Length} most predictable genes, coloured by its module at resolution {Numbers.Short(outcome.Modules.Resolutions[^1])} (next section).");
        foreach (FigureItem[] row in figures.Chunk(2)) section.Figures(row);
    }

    private static FigureItem Compare(PredictabilityRun first, string otherName, double[] other, int[] top, string measure, string[] modules, string[] order)
    {
        double[] x = Scaled(Measure(first, measure)), y = Scaled(other);
        ScatterMap map = new()
        {
            X = [.. top.Select(g => x[g])], Y = [.. top.Select(g => y[g])], XLabel = $"scaled {measure}, {first.Label}", YLabel = $"scaled {measure}, {otherName}",
            ShowTicks = true, EqualAspect = false, Diagonal = true, Categories = modules, CategoryOrder = order, Labels = [.. Enumerable.Range(0, Math.Min(12, top.Length)).Select(i => new PointLabel(i, first.Columns[top[i]]))], Width = 472, Height = 400,
        };
        return new FigureItem(map, $"Scaled {measure} (ridge{Permutations(first)}) of the {top.Length} most predictable {first.Targets} genes: {first.Label} against {otherName}. Names: of the twelve of highest rank those that have room. Dashed: equal.", $"map_{measure.Replace("²", "2", StringComparison.Ordinal)}_{Results.GwMapFiles.FileName(first.Label!)}_{Results.GwMapFiles.FileName(otherName)}");
    }

    private static string Permutations(PredictabilityRun run) => run.Result.Permutations > 0 ? $", {Numbers.Integer(run.Result.Permutations)} permutations" : "";

    private static double[] MeanOf(PredictabilityRun[] runs, string measure) =>
        [.. Enumerable.Range(0, runs[0].Columns.Count).Select(g => runs.Average(r => Measure(r, measure)[g]))];

    private static double[] Measure(PredictabilityRun run, string measure) => measure == "z" ? run.Result.ZScore! : run.Result.RSquared;

    private static double[] Scaled(double[] values)
    {
        double low = values.Min(), span = values.Max() - low;
        return span > 0 ? Array.ConvertAll(values, v => (v - low) / span) : new double[values.Length];
    }

    private static PredictabilityRun? Find(GwMapOutcome outcome, string scope, string targets, string model) =>
        outcome.Runs.FirstOrDefault(r => (r.Label ?? "all labels") == scope && r.Targets == targets && r.Model == model);
}
