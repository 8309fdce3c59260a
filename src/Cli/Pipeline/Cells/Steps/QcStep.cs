using BioSup.Analysis.SingleCell;
using BioSup.Cli.Pipeline.Cells.Reporting;
using BioSup.Data;
using BioSup.Report;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary>Scanpy's <c>calculate_qc_metrics</c>: the same columns of obs and var.</summary>
internal sealed class QcStep : ICellStep
{
    private const string MitochondrialGenes = "mt=MT-|mt-";

    public string Name => "qc";

    public string Summary => "counts, genes and shares per cell and gene (scanpy's calculate_qc_metrics)";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        new("qc_vars", MitochondrialGenes, "sets of genes whose share is wanted: a bool column of var, or name=prefix|prefix, which makes that column; separated by semicolons"),
        new("percent_top", "50;100;200;500", "numbers of top genes whose share is wanted; those beyond the number of genes are left out"),
        StepMatrix.Layer,
    ];

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        (string[] sets, int[] tops, string layer) = Read(settings);
        using CellMatrix counts = StepMatrix.Read(context, layer);
        DataFrame obs = context.Cells.Obs, var = context.Cells.Var;
        (string Name, bool[] Flags)[] found = [.. sets.Select(s => SetOf(s, var, wanted: settings.Has("qc_vars"))).OfType<(string, bool[])>()];
        int[] possible = [.. tops.Where(t => t <= counts.Variables).Order()];
        QualityMetrics metrics = CellQuality.Measure(counts, [.. found.Select(f => f.Flags)], possible, context.Cancellation);
        obs.Set(FrameColumn.Of("n_genes_by_counts", metrics.VariablesByCell)).Set(FrameColumn.Of("log1p_n_genes_by_counts", Logs(metrics.VariablesByCell.Select(n => (double)n))));
        obs.Set(FrameColumn.Of("total_counts", metrics.Totals)).Set(FrameColumn.Of("log1p_total_counts", Logs(metrics.Totals)));
        for (int t = 0; t < possible.Length; t++) obs.Set(FrameColumn.Of($"pct_counts_in_top_{possible[t]}_genes", metrics.TopShares[t]));
        for (int s = 0; s < found.Length; s++)
        {
            var.Set(FrameColumn.Of(found[s].Name, found[s].Flags));
            obs.Set(FrameColumn.Of($"total_counts_{found[s].Name}", metrics.SetTotals[s])).Set(FrameColumn.Of($"log1p_total_counts_{found[s].Name}", Logs(metrics.SetTotals[s])));
            obs.Set(FrameColumn.Of($"pct_counts_{found[s].Name}", metrics.SetShares(s)));
        }
        double[] means = Array.ConvertAll(metrics.VariableTotals, t => t / counts.Cells);
        var.Set(FrameColumn.Of("n_cells_by_counts", metrics.CellsByVariable)).Set(FrameColumn.Of("mean_counts", means)).Set(FrameColumn.Of("log1p_mean_counts", Logs(means)));
        var.Set(FrameColumn.Of("pct_dropout_by_counts", Array.ConvertAll(metrics.CellsByVariable, n => (1 - (double)n / counts.Cells) * 100)));
        var.Set(FrameColumn.Of("total_counts", metrics.VariableTotals)).Set(FrameColumn.Of("log1p_total_counts", Logs(metrics.VariableTotals)));
        string flagged = string.Concat(found.Select((f, s) => $", {f.Name} {Numbers.Significant(Middle(metrics.SetShares(s)), 3)} % ({Genes(f.Flags.Count(flag => flag))})"));
        return new StepOutcome($"medians per cell: {Numbers.Short(Middle([.. metrics.VariablesByCell.Select(n => (double)n)]), 6)} genes, {Numbers.Short(Middle(metrics.Totals), 6)} counts{flagged}")
        {
            Report = QualityReport.Metrics(context),
            Warnings = possible.Length == tops.Length ? [] : [$"there are {counts.Variables} genes, so that the shares of more top genes were left out"],
        };
    }

    private static (string[] Sets, int[] Tops, string Layer) Read(StepSettings settings)
    {
        int[] tops = Array.ConvertAll(settings.List("percent_top"), text => int.TryParse(text, out int top) && top > 0 ? top : throw new UsageException($"percent_top={text}; whole numbers from 1 on were expected, separated by semicolons."));
        return (settings.List("qc_vars"), tops, settings.Text("layer"));
    }

    /// <summary>The flags of a set; null where the genes of the default have other names.</summary>
    private static (string, bool[])? SetOf(string text, DataFrame var, bool wanted)
    {
        string[] parts = text.Split('=', 2);
        if (parts.Length == 2)
        {
            string[] prefixes = parts[1].Split('|');
            bool[] flags = Array.ConvertAll(var.Index, name => prefixes.Any(p => name.StartsWith(p, StringComparison.Ordinal)));
            if (flags.Contains(true)) return (parts[0], flags);
            return wanted ? throw new UsageException($"qc_vars={text}: no name of a gene starts like that; the first is '{var.Index.FirstOrDefault()}'.") : null;
        }
        if (!var.Contains(text)) throw new UsageException($"qc_vars={text}: var has no such column; name a bool column, or give prefixes as {text}=PREFIX|PREFIX.");
        return var[text].Values.Values is bool[] column ? (text, column) : throw new UsageException($"qc_vars={text}: the column of var holds {var[text].Values.Type}; true and false were expected.");
    }

    private static string Genes(int count) => count == 1 ? "1 gene" : $"{Numbers.Integer(count)} genes";

    private static double[] Logs(IEnumerable<double> values) => [.. values.Select(double.LogP1)];

    private static double Middle(double[] values)
    {
        double[] known = [.. values.Where(v => !double.IsNaN(v)).Order()];
        return known.Length == 0 ? double.NaN : (known[(known.Length - 1) / 2] + known[known.Length / 2]) / 2;
    }
}
