using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Report;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary>Scanpy's <c>normalize_total</c>.</summary>
internal sealed class NormalizeTotalStep : ICellStep
{
    public string Name => "normalize_total";

    public string Summary => "brings every cell to the same total of counts";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        new("target_sum", StepMatrix.None, "total per cell; none for the median of the totals that are not 0"),
        new("exclude_highly_expressed", "false", "whether genes that dominate a cell do not count towards totals"),
        new("max_fraction", "0.05", "share of a cell's counts beyond which a gene dominates it, 0 to 1"),
        new("key_added", StepMatrix.None, "column of obs for the factors"),
        StepMatrix.Layer,
    ];

    /// <summary>Far from where single precision ends.</summary>
    private const double MostTotal = 1e30;

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        (double? target, bool exclude, double fraction, string? key, string layer) = Read(settings);
        using CellMatrix x = StepMatrix.Read(context, layer);
        TotalNormalisation done = ExpressionScaling.NormaliseTotal(x, target, exclude, fraction, context.Cancellation);
        StepMatrix.Write(context, layer, x);
        if (key is not null) context.Cells.Obs.Set(FrameColumn.Of(key, done.Factors));
        int empty = done.Factors.Count(f => f == 0);
        string without = done.Excluded.Length == 0 ? "" : $"; {done.Excluded.Length} genes left out of the totals";
        return new StepOutcome($"every cell has {Numbers.Short(done.Target, 6)} counts{without}") { Warnings = empty == 0 ? [] : [$"{empty} cells have no counts and stay as they are"] };
    }

    private static (double? Target, bool Exclude, double Fraction, string? Key, string Layer) Read(StepSettings settings) =>
        (settings.NumberOrNone("target_sum", double.Epsilon, MostTotal), settings.Flag("exclude_highly_expressed"), settings.Number("max_fraction", 0, 1), settings.TextOrNone("key_added"), settings.Text("layer"));
}
