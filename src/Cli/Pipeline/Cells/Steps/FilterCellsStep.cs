using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Report;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary>Scanpy's <c>filter_cells</c>, and a filter by any number of obs.</summary>
internal sealed class FilterCellsStep : ICellStep
{
    public string Name => "filter_cells";

    public string Summary => "keeps cells by their counts, their genes or a column of obs; all bounds are included";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        new("min_counts", StepMatrix.None, "fewest counts of a cell"), new("max_counts", StepMatrix.None, "most counts of a cell"),
        new("min_genes", StepMatrix.None, "fewest genes of a cell"), new("max_genes", StepMatrix.None, "most genes of a cell"),
        new("column", StepMatrix.None, "a column of obs, such as pct_counts_mt"), new("min_value", StepMatrix.None, "its smallest value"), new("max_value", StepMatrix.None, "its largest value"),
    ];

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        Bounds bounds = Read(settings);
        int before = context.Cells.ObservationCount;
        HashSet<int> kept = [.. Enumerable.Range(0, before)];
        if (bounds.Counts is not null || bounds.Genes is not null)
        {
            using CellMatrix x = StepMatrix.Read(context, "X");
            QualityMetrics metrics = CellQuality.Measure(x, [], [], context.Cancellation);
            if (bounds.Counts is { } counts)
            {
                context.Cells.Obs.Set(FrameColumn.Of("n_counts", metrics.Totals));
                kept.IntersectWith(CellQuality.Within(metrics.Totals, counts.Least, counts.Most));
            }
            if (bounds.Genes is { } genes)
            {
                context.Cells.Obs.Set(FrameColumn.Of("n_genes", metrics.VariablesByCell));
                kept.IntersectWith(CellQuality.Within([.. metrics.VariablesByCell.Select(n => (double)n)], genes.Least, genes.Most));
            }
        }
        if (bounds.Column is { } column) kept.IntersectWith(CellQuality.Within(CellMatrices.Numbers(context, column), bounds.Value.Least, bounds.Value.Most));
        if (kept.Count == 0) throw new DataException(context.Source, "obs", "no cell passes filter_cells");
        if (kept.Count < before) context.Cells = context.Cells.SelectCells([.. kept.Order()]);
        return new StepOutcome($"{Numbers.Integer(kept.Count)} of {Numbers.Integer(before)} cells stay");
    }

    internal static (double Least, double Most)? Pair(StepSettings settings, string what)
    {
        double? least = settings.NumberOrNone("min_" + what, 0), most = settings.NumberOrNone("max_" + what, 0);
        if (least > most) throw new UsageException($"min_{what}={least} is larger than max_{what}={most}; nothing could stay.");
        return least is null && most is null ? null : (least ?? double.NegativeInfinity, most ?? double.PositiveInfinity);
    }

    private static Bounds Read(StepSettings settings)
    {
        Bounds bounds = new(Pair(settings, "counts"), Pair(settings, "genes"), settings.TextOrNone("column"), (settings.NumberOrNone("min_value") ?? double.NegativeInfinity, settings.NumberOrNone("max_value") ?? double.PositiveInfinity));
        if (bounds is { Counts: null, Genes: null, Column: null }) throw new UsageException("give at least one of min_counts, max_counts, min_genes, max_genes and column.");
        return bounds;
    }

    private sealed record Bounds((double Least, double Most)? Counts, (double Least, double Most)? Genes, string? Column, (double Least, double Most) Value);
}
