using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Report;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary>Scanpy's <c>filter_genes</c>.</summary>
internal sealed class FilterGenesStep : ICellStep
{
    public string Name => "filter_genes";

    public string Summary => "keeps genes by the cells that have them or by their counts; all bounds are included";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        new("min_cells", StepMatrix.None, "fewest cells that have the gene"), new("max_cells", StepMatrix.None, "most cells that have the gene"),
        new("min_counts", StepMatrix.None, "fewest counts of a gene"), new("max_counts", StepMatrix.None, "most counts of a gene"),
    ];

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        ((double Least, double Most)? cells, (double Least, double Most)? counts) = Read(settings);
        int before = context.Cells.VariableCount;
        using CellMatrix x = StepMatrix.Read(context, "X");
        QualityMetrics metrics = CellQuality.Measure(x, [], [], context.Cancellation);
        HashSet<int> kept = [.. Enumerable.Range(0, before)];
        if (cells is { } byCells)
        {
            context.Cells.Var.Set(FrameColumn.Of("n_cells", metrics.CellsByVariable));
            kept.IntersectWith(CellQuality.Within([.. metrics.CellsByVariable.Select(n => (double)n)], byCells.Least, byCells.Most));
        }
        if (counts is { } byCounts)
        {
            context.Cells.Var.Set(FrameColumn.Of("n_counts", metrics.VariableTotals));
            kept.IntersectWith(CellQuality.Within(metrics.VariableTotals, byCounts.Least, byCounts.Most));
        }
        if (kept.Count == 0) throw new DataException(context.Source, "var", "no gene passes filter_genes");
        if (kept.Count < before) context.Cells = context.Cells.SelectVariables([.. kept.Order()]);
        return new StepOutcome($"{Numbers.Integer(kept.Count)} of {Numbers.Integer(before)} genes stay");
    }

    private static ((double Least, double Most)? Cells, (double Least, double Most)? Counts) Read(StepSettings settings)
    {
        (double, double)? cells = FilterCellsStep.Pair(settings, "cells"), counts = FilterCellsStep.Pair(settings, "counts");
        return cells is null && counts is null ? throw new UsageException("give at least one of min_cells, max_cells, min_counts and max_counts.") : (cells, counts);
    }
}
