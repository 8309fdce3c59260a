using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Report;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary>Scanpy's <c>log1p</c>.</summary>
internal sealed class Log1pStep : ICellStep
{
    public string Name => "log1p";

    public string Summary => "ln(1 + x)";

    public IReadOnlyList<StepParameter> Parameters { get; } = [new("base", StepMatrix.None, "base of the logarithm, above 1; none for e"), StepMatrix.Layer];

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        (double? logBase, string layer) = Read(settings);
        string[] warnings = layer == "X" && context.Cells.Uns.ContainsKey("log1p") ? ["uns/log1p says that these are logarithms already"] : [];
        using CellMatrix x = StepMatrix.Read(context, layer);
        ExpressionScaling.Log1p(x, logBase, context.Cancellation);
        StepMatrix.Write(context, layer, x);
        context.Cells.Uns["log1p"] = new AnnDictionary { ["base"] = logBase is { } b ? NdArray.Scalar(b) : null };
        return new StepOutcome(x.IsSparse ? $"{Numbers.Integer(x.StoredCount)} stored values" : $"{Numbers.Integer(x.Cells)} x {Numbers.Integer(x.Variables)} values") { Warnings = warnings };
    }

    private static (double? Base, string Layer) Read(StepSettings settings) => (settings.NumberOrNone("base", 1.000001), settings.Text("layer"));
}
