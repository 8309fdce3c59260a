using System.Text.Json.Nodes;
using BioSup.Analysis.Sae;
using BioSup.Data;
using BioSup.Report;
using BioSup.Report.Figures;

namespace BioSup.Cli;

/// <summary>Files of an evaluation: evaluation.json, per_latent.csv, differential_latents.csv, figures/.</summary>
internal static class SaeStudyFiles
{
    private const double LargestChange = 10;
    private const int NamedPoints = 12;

    public static void Write(string folder, SaeModel model, SaeStudy study, JsonObject json)
    {
        AtomicFile.WriteAllText(Path.Combine(folder, "evaluation.json"), json.ToJsonString(JsonText.Readable) + "\n");
        CsvFile.Write(Path.Combine(folder, "per_latent.csv"), PerLatent(model, study.Evaluation));
        if (study.Comparisons.Count > 0) CsvFile.Write(Path.Combine(folder, "differential_latents.csv"), Differential(study.Comparisons));
        foreach (FigureItem item in Figures(study))
        {
            string name = Path.Combine(folder, "figures", string.Concat(item.Name!.Select(c => char.IsLetterOrDigit(c) || c is '-' or '_' ? c : '_')));
            AtomicFile.Write(name + ".png", stream => stream.Write(item.Figure.ToPng()));
            AtomicFile.WriteAllText(name + ".svg", item.Figure.ToSvg() + "\n");
        }
    }

    /// <summary>latent_pages.csv: the numbers of the pages of the report, one latent a row.</summary>
    public static void WriteProfiles(string folder, IReadOnlyList<LatentProfile> profiles)
    {
        string file = Path.Combine(folder, "latent_pages.csv");
        if (profiles.Count == 0)
        {
            File.Delete(file);
            return;
        }
        CsvFile.Write(file, new Table([
            new("latent", [.. profiles.Select(p => (double)p.Latent)]),
            new("firing_rate", [.. profiles.Select(p => p.Rate)]),
            new("active_images", [.. profiles.Select(p => p.Images > 0 ? p.ActiveImages : double.NaN)]),
            new("mean_activation", [.. profiles.Select(p => p.MeanActivation)]),
            new("max_activation", [.. profiles.Select(p => (double)p.MaxActivation)]),
            new("coverage", [.. profiles.Select(p => p.Coverage)]),
            new("background_share", [.. profiles.Select(p => p.Background?.Share ?? double.NaN)]),
            new("background_if_even", [.. profiles.Select(p => p.Background?.Even ?? double.NaN)]),
            new("strongest_images", [.. profiles.Select(p => string.Join(' ', p.Strongest.Select(i => i.Image)))]),
            new("nearest_by_direction", [.. profiles.Select(p => string.Join(' ', p.ByDirection.Select(n => n.Latent)))]),
            new("nearest_by_activity", [.. profiles.Select(p => string.Join(' ', p.ByActivity.Select(n => n.Latent)))]),
        ]));
    }

    /// <summary>Every figure of an evaluation, with its caption.</summary>
    public static IEnumerable<FigureItem> Figures(SaeStudy study)
    {
        yield return Density(study.Evaluation);
        yield return Coherence(study.Evaluation);
        if (study.Evaluation.Latents.Classes.Count > 0) yield return Impurity(study.Evaluation);
        foreach (DifferentialComparison comparison in study.Comparisons) yield return Volcano(comparison);
    }

    public static FigureItem Density(SaeEvaluation e) => new(new Histogram
    {
        Values = e.Latents.LogRates(),
        XLabel = "log10 of the share of tokens a latent fires on",
        YLabel = "latents",
        Width = 472,
        Height = 320,
    }, $"How often latents fire; {Numbers.Integer(e.NeverActive)} of {Numbers.Integer(e.Latents.Latents)} fire on none of these tokens and are not drawn.", "feature_density");

    public static FigureItem Coherence(SaeEvaluation e) => new(new Histogram
    {
        Values = [.. e.Decoder.MaxAbsoluteCosine.Select(c => (double)c)],
        XLabel = "largest |cos| with another decoder row",
        YLabel = "latents",
        Width = 472,
        Height = 320,
    }, $"How near each of the {Numbers.Integer(e.Alive)} alive latents comes to another one; the mean over all pairs is {Numbers.Significant(e.MeanAbsoluteCosine, 3)}.", "decoder_coherence");

    public static FigureItem Impurity(SaeEvaluation e) => new(new Histogram
    {
        Values = [.. Enumerable.Range(0, e.Latents.Latents).Where(j => e.Latents.Active[j] > 0).Select(e.Latents.GiniImpurity)],
        XLabel = "Gini impurity over class means",
        YLabel = "latents",
        Marks = [new ReferenceLine(new DifferentialOptions().MaxGiniImpurity, "specific to a class")],
        Width = 472,
        Height = 320,
    }, $"How latents share their activation among {e.Latents.Classes.Count} classes: 0 is one class alone, {Numbers.Fixed(1 - 1.0 / e.Latents.Classes.Count, 2)} all classes alike.", "gini_impurity");

    /// <summary>Change of a latent against its significance; the ones that belong to the class by change and Gini impurity stand out.</summary>
    public static FigureItem Volcano(DifferentialComparison comparison)
    {
        IReadOnlyList<DifferentialLatent> latents = comparison.Latents;
        DifferentialLatent[] named = [.. SaeStudyJson.SpecificTo(comparison).OrderBy(l => l.Log10Q).Take(NamedPoints)];
        Dictionary<int, int> place = latents.Select((l, i) => (l.Latent, i)).ToDictionary(p => p.Latent, p => p.i);
        double bound = new DifferentialOptions().MinLog2FoldChange;
        int beyond = latents.Count(l => Math.Abs(l.Log2FoldChange) > LargestChange);
        string up = $"specific, more in {comparison.Class}", down = $"specific, less in {comparison.Class}";
        return new FigureItem(new ScatterMap
        {
            X = [.. latents.Select(l => Math.Clamp(l.Log2FoldChange, -LargestChange, LargestChange))],
            Y = [.. latents.Select(l => -l.Log10Q)],
            Categories = [.. latents.Select(l => !l.Specific ? "other latents" : l.Log2FoldChange > 0 ? up : down)],
            CategoryOrder = [up, down, "other latents"],
            ContextCategory = "other latents",
            VerticalLines = [-bound, bound],
            Labels = [.. named.Select(l => new PointLabel(place[l.Latent], $"{l.Latent}"))],
            XLabel = $"log2 fold change, {comparison.Class} over {comparison.Reference}",
            YLabel = "−log10 of the false discovery rate",
            ShowTicks = true,
            EqualAspect = false,
            PointSize = 4,
            Width = 640,
            Height = 340,
        }, $"Volcano plot of {Numbers.Integer(latents.Count)} active latents, {comparison.Images} images of {comparison.Class} against {comparison.ReferenceImages} of {comparison.Reference}. "
            + $"Specific: |log2 fold change| ≥ {bound} (dashed), Gini impurity ≤ {new DifferentialOptions().MaxGiniImpurity}, active in at least {new DifferentialOptions().MinActiveImages} images; the test takes no part in the choice."
            + (beyond > 0 ? $" Latents whose change is larger, being silent on one side, are drawn at ±{LargestChange}: {Numbers.Integer(beyond)}." : ""), $"volcano_{comparison.Class}");
    }

    private static Table PerLatent(SaeModel model, SaeEvaluation e)
    {
        LatentTable t = e.Latents;
        int[] all = [.. Enumerable.Range(0, t.Latents)];
        float[] usage = new float[t.Latents];
        model.Usage.CopyTo(usage);
        double[] largest = new double[t.Latents];
        int[] nearest = new int[t.Latents];
        Array.Fill(largest, double.NaN);
        Array.Fill(nearest, -1);
        for (int i = 0; i < e.Decoder.Latents.Length; i++) (largest[e.Decoder.Latents[i]], nearest[e.Decoder.Latents[i]]) = (e.Decoder.MaxAbsoluteCosine[i], e.Decoder.Nearest[i]);
        List<Column> columns =
        [
            new("latent", all),
            new("usage_ema", Array.ConvertAll(usage, u => (double)u)),
            new("is_alive", Array.ConvertAll(usage, u => u >= SaeEvaluation.AliveThreshold ? 1 : 0)),
            new("firing_rate", Array.ConvertAll(all, t.Rate)),
            new("mean_activation", Array.ConvertAll(all, t.MeanActivation)),
            new("max_activation", Array.ConvertAll(all, j => (double)t.MaxActivation(j))),
            new("total", Array.ConvertAll(all, t.Total)),
            new("max_abs_cos", largest),
            new("nearest_latent", nearest),
        ];
        if (t.Classes.Count > 0)
        {
            columns.AddRange([
                new("purity", Array.ConvertAll(all, t.Purity)),
                new("entropy_bits", Array.ConvertAll(all, t.Entropy)),
                new("gini_impurity", Array.ConvertAll(all, j => t.Active[j] > 0 ? t.GiniImpurity(j) : double.NaN)),
                new("max_min_ratio", Array.ConvertAll(all, j => t.Active[j] > 0 ? t.MaxMinRatio(j) : double.NaN)),
                new("max_class", Array.ConvertAll(all, j => t.Active[j] > 0 ? t.Classes[t.TopClass(j)] : "")),
            ]);
            for (int c = 0; c < t.Classes.Count; c++)
            {
                columns.Add(new($"mean_{t.Classes[c]}", t.ClassMeans[c]));
                columns.Add(new($"active_{t.Classes[c]}", t.ActiveImages[c]));
            }
        }
        return new Table([.. columns]);
    }

    private static Table Differential(IReadOnlyList<DifferentialComparison> comparisons)
    {
        (DifferentialComparison C, DifferentialLatent L)[] rows = [.. comparisons.SelectMany(c => c.Latents.Select(l => (c, l)))];
        return new Table(
            new Column("class", Array.ConvertAll(rows, r => r.C.Class)),
            new Column("reference", Array.ConvertAll(rows, r => r.C.Reference)),
            new Column("latent", Array.ConvertAll(rows, r => r.L.Latent)),
            new Column("mean", Array.ConvertAll(rows, r => r.L.Mean)),
            new Column("reference_mean", Array.ConvertAll(rows, r => r.L.ReferenceMean)),
            new Column("log2_fold_change", Array.ConvertAll(rows, r => r.L.Log2FoldChange)),
            new Column("log10_p", Array.ConvertAll(rows, r => r.L.Log10P)),
            new Column("log10_q", Array.ConvertAll(rows, r => r.L.Log10Q)),
            new Column("gini_impurity", Array.ConvertAll(rows, r => r.L.GiniImpurity)),
            new Column("max_class", Array.ConvertAll(rows, r => r.L.TopClass)),
            new Column("active_images", Array.ConvertAll(rows, r => r.L.ActiveImages)),
            new Column("specific", Array.ConvertAll(rows, r => r.L.Specific ? 1 : 0)));
    }
}
