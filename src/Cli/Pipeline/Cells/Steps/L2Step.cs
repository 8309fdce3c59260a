using BioSup.Analysis.SingleCell;
using BioSup.Report;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary>Every cell divided by its Euclidean norm.</summary>
internal sealed class L2Step : ICellStep
{
    public string Name => "l2";

    public string Summary => "brings every cell to unit length";

    public IReadOnlyList<StepParameter> Parameters { get; } = [StepMatrix.Layer];

    public void Check(StepSettings settings) => settings.Text("layer");

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        string layer = settings.Text("layer");
        using CellMatrix x = StepMatrix.Read(context, layer);
        ExpressionScaling.UnitRows(x, context.Cancellation);
        StepMatrix.Write(context, layer, x);
        return new StepOutcome($"{Numbers.Integer(x.Cells)} cells");
    }
}
