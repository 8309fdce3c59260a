using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Report;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary>Scanpy's <c>scale</c>.</summary>
internal sealed class ScaleStep : ICellStep
{
    public string Name => "scale";

    public string Summary => "every gene to mean 0 and standard deviation 1 (divisor n - 1)";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        new("zero_center", "true", "whether means are taken off, which makes a sparse matrix dense"),
        new("max_value", StepMatrix.None, "values beyond it are cut to it"),
        StepMatrix.Layer,
    ];

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        (bool centre, double? most, string layer) = Read(settings);
        using CellMatrix stored = StepMatrix.Read(context, layer);
        bool widen = centre && stored.IsSparse;
        if (widen) CellMemory.Require(context, $"{layer} made dense, {stored.Cells} x {stored.Variables}", (long)stored.Cells * stored.Variables * sizeof(float));
        using CellMatrix? dense = widen ? new CellMatrix(stored.ToDense()) : null;
        CellMatrix x = dense ?? stored;
        (double[] means, double[] deviations) = ExpressionScaling.Scale(x, centre, most, context.Cancellation);
        StepMatrix.Write(context, layer, x);
        context.Cells.Var.Set(FrameColumn.Of("mean", means)).Set(FrameColumn.Of("std", deviations));
        return new StepOutcome($"{Numbers.Integer(x.Variables)} genes{(most is { } bound ? $", cut at {Numbers.Short(bound, 4)}" : "")}{(widen ? "; centring made the sparse matrix dense" : "")}");
    }

    private static (bool Centre, double? Most, string Layer) Read(StepSettings settings) => (settings.Flag("zero_center"), settings.NumberOrNone("max_value", double.Epsilon), settings.Text("layer"));
}
