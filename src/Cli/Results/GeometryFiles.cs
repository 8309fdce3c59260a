using System.Text.Json.Nodes;
using BioSup.Analysis.Geometry;
using BioSup.Data;

namespace BioSup.Cli;

/// <summary>Files of a geometry study: geometry.json and one table per metric, with the column names of the published code.</summary>
internal static class GeometryFiles
{
    /// <summary>Writes geometry.json, local_linearity.csv, effective_rank.csv, and where measured ridge_r2.csv and cka.csv, and returns the JSON.</summary>
    public static JsonObject Write(string folder, GeometryStudy study, IReadOnlyList<(string Source, LinearProbeResult Probe, string[] Classes)>? probes = null, CoherenceResult? decoder = null)
    {
        CsvFile.Write(Path.Combine(folder, "local_linearity.csv"), LocalTable(study));
        CsvFile.Write(Path.Combine(folder, "effective_rank.csv"), RankTable(study));
        if (study.Measurements.Any(m => m.Ridge is not null)) CsvFile.Write(Path.Combine(folder, "ridge_r2.csv"), RidgeTable(study));
        if (study.Cka.Count > 0) CsvFile.Write(Path.Combine(folder, "cka.csv"), CkaTable(study));
        JsonObject json = new()
        {
            ["results"] = new JsonArray([.. study.Measurements.Select(Describe)]),
            ["cka"] = new JsonArray([.. study.Cka.Select(c => new JsonObject { ["source_a"] = c.First, ["source_b"] = c.Second, ["mutation"] = c.Group, ["cka"] = JsonText.Number(c.Cka) })]),
            ["linear_probe"] = new JsonArray([.. (probes ?? []).Select(Describe)]),
        };
        if (decoder is not null)
            json["decoder"] = new JsonObject { ["mean_abs_cos"] = decoder.MeanAbsoluteCosine, ["std_abs_cos"] = decoder.Std, ["max_abs_cos"] = decoder.Largest, ["rows"] = decoder.Rows };
        AtomicFile.WriteAllText(Path.Combine(folder, "geometry.json"), json.ToJsonString(JsonText.Readable) + "\n");
        return json;
    }

    private static Table LocalTable(GeometryStudy study)
    {
        (GeometryMeasurement M, LocalLinearityResult L)[] rows = [.. study.Measurements.SelectMany(m => m.Local.Select(l => (m, l)))];
        double[] Each(Func<LocalLinearityResult, double> value) => Array.ConvertAll(rows, r => value(r.L));
        return new Table(
            new Column("source", Array.ConvertAll(rows, r => r.M.Source)),
            new Column("mutation", Array.ConvertAll(rows, r => r.M.Group)),
            new Column("k", Array.ConvertAll(rows, r => r.L.K)),
            new Column("n", Array.ConvertAll(rows, r => r.L.N)),
            new Column("mean_ratio", Each(l => l.MeanRatio)),
            new Column("median_ratio", Each(l => l.MedianRatio)),
            new Column("global_std", Each(l => l.GlobalStd)),
            new Column("wilcoxon_p", Each(l => l.Wilcoxon.P)),
            new Column("wilcoxon_log10_p", Each(l => l.Wilcoxon.Log10P)),
            new Column("perm_pval", Each(l => l.PermutationP ?? double.NaN)),
            new Column("morans_I", Each(l => l.Moran.I)),
            new Column("morans_z", Each(l => l.Moran.Z)),
            new Column("morans_p", Each(l => l.Moran.P)),
            new Column("morans_log10_p", Each(l => l.Moran.Log10P)),
            new Column("moran_z_paper", Each(l => l.Moran.PaperZ)),
            new Column("morans_perm_p", Each(l => l.Moran.PermutationP ?? double.NaN)));
    }

    private static Table RankTable(GeometryStudy study)
    {
        (GeometryMeasurement M, string Condition, EffectiveRankResult R)[] rows =
            [.. study.Measurements.SelectMany(m => new[] { (m, "centred", m.RankCentred), (m, "raw", m.RankRaw) })];
        return new Table(
            new Column("source", Array.ConvertAll(rows, r => r.M.Source)),
            new Column("mutation", Array.ConvertAll(rows, r => r.M.Group)),
            new Column("condition", Array.ConvertAll(rows, r => r.Condition)),
            new Column("erank", Array.ConvertAll(rows, r => r.R.Value)),
            new Column("n_dims", Array.ConvertAll(rows, r => r.M.Columns)),
            new Column("erank_ratio", Array.ConvertAll(rows, r => r.R.Ratio)),
            new Column("n_samples", Array.ConvertAll(rows, r => r.M.Rows)));
    }

    private static Table RidgeTable(GeometryStudy study)
    {
        (GeometryMeasurement M, string Fold, double R2)[] rows =
            [.. study.Measurements.Where(m => m.Ridge is not null).SelectMany(m => m.Ridge!.FoldR2.Select((r, f) => (m, f.ToString(), r)).Append((m, "pooled", m.Ridge.R2)))];
        return new Table(
            new Column("Model", Array.ConvertAll(rows, r => r.M.Source)),
            new Column("Group", Array.ConvertAll(rows, r => r.M.Group)),
            new Column("Fold_idx", Array.ConvertAll(rows, r => r.Fold)),
            new Column("R2", Array.ConvertAll(rows, r => r.R2)));
    }

    private static Table CkaTable(GeometryStudy study) => new(
        new Column("source_a", [.. study.Cka.Select(c => c.First)]),
        new Column("source_b", [.. study.Cka.Select(c => c.Second)]),
        new Column("mutation", [.. study.Cka.Select(c => c.Group)]),
        new Column("cka", (double[])[.. study.Cka.Select(c => c.Cka)]));

    private static JsonObject Describe(GeometryMeasurement m)
    {
        JsonObject json = new()
        {
            ["source"] = m.Source,
            ["mutation"] = m.Group,
            ["n"] = m.Rows,
            ["n_dims"] = m.Columns,
            ["local"] = new JsonArray([.. m.Local.Select(Describe)]),
            ["erank"] = JsonText.Number(m.RankCentred.Value),
            ["erank_ratio"] = JsonText.Number(m.RankCentred.Ratio),
            ["erank_raw"] = JsonText.Number(m.RankRaw.Value),
            ["cumulative_variance"] = JsonText.Numbers(m.RankCentred.CumulativeVariance),
        };
        if (m.Ridge is { } ridge)
        {
            json["ridge"] = new JsonObject
            {
                ["r2"] = JsonText.Number(ridge.R2),
                ["r2_mean"] = JsonText.Number(ridge.FoldR2.Average()),
                ["r2_folds"] = JsonText.Numbers(ridge.FoldR2),
                ["alphas"] = JsonText.Numbers(ridge.Alphas),
                ["perm_pval"] = ridge.PermutationP,
                ["null_r2_mean"] = ridge.NullR2.Length > 0 ? JsonText.Number(ridge.NullR2.Average()) : null,
            };
        }
        return json;
    }

    private static JsonObject Describe(LocalLinearityResult l) => new()
    {
        ["k"] = l.K,
        ["mean_ratio"] = JsonText.Number(l.MeanRatio),
        ["median_ratio"] = JsonText.Number(l.MedianRatio),
        ["global_std"] = JsonText.Number(l.GlobalStd),
        ["wilcoxon_p"] = JsonText.Number(l.Wilcoxon.P),
        ["wilcoxon_log10_p"] = JsonText.Number(l.Wilcoxon.Log10P),
        ["perm_pval"] = l.PermutationP,
        ["morans_I"] = JsonText.Number(l.Moran.I),
        ["morans_variance"] = JsonText.Number(l.Moran.Variance),
        ["morans_z"] = JsonText.Number(l.Moran.Z),
        ["morans_p"] = JsonText.Number(l.Moran.P),
        ["morans_log10_p"] = JsonText.Number(l.Moran.Log10P),
        ["moran_z_paper"] = JsonText.Number(l.Moran.PaperZ),
        ["morans_perm_p"] = l.Moran.PermutationP,
    };

    private static JsonObject Describe((string Source, LinearProbeResult Probe, string[] Classes) p) => new()
    {
        ["source"] = p.Source,
        ["probe"] = "multinomial logistic regression, L2, C = 1, standardised columns, 5 stratified folds",
        ["classes"] = JsonText.Strings(p.Classes),
        ["accuracy"] = p.Probe.Accuracy,
        ["balanced_accuracy"] = p.Probe.BalancedAccuracy,
        ["macro_f1"] = p.Probe.MacroF1,
        ["confusion"] = new JsonArray([.. p.Probe.Confusion.Select(row => JsonText.Numbers(row.Select(c => (double)c)))]),
    };
}
