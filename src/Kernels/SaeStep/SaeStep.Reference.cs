using BioSup.Runtime;

namespace BioSup.Kernels;

public static partial class SaeStep
{
    private static unsafe void RunReference(MatrixView<float> tokens, SaeParameters parameters, SaeParameters gradients, bool backward, in SaeObjective objective,
        SaeWorkspace workspace, SaeStatistics statistics)
    {
        SaeShape shape = workspace.Shape;
        SaeReference<double>.Parameters? result = backward ? SaeReference<double>.Parameters.Zero(shape) : null;
        SaeReference<double>.Result r = SaeReference<double>.Step(SaeReference<double>.Values(tokens), tokens.Rows, SaeReference<double>.Parameters.From(parameters, shape), objective, result,
            workspace.Dead.View.Host);
        result?.CopyTo(gradients);
        statistics.Tokens = tokens.Rows;
        (statistics.Loss, statistics.Reconstruction, statistics.Sparsity, statistics.Auxiliary, statistics.PreActivation) = (r.Loss, r.Reconstruction, r.Sparsity, r.Auxiliary, r.PreActivation);
        (statistics.SumSquaredError, statistics.SumSquares) = (r.SquaredError, r.Squares);
        statistics.SumSquaredTotal = r.Squares - r.TokenSums.Sum(v => v * v) / tokens.Rows;
        (statistics.Active, statistics.ClosedGate, statistics.NoMagnitude) = (r.Active, r.MagnitudePositive - r.Active, r.GatePositive - r.Active);
        statistics.TokensWithActive = r.TokensWithActive;
        statistics.SmallestActive = r.SmallestActive;
        r.Usage.CopyTo(new Span<int>(workspace.Usage, shape.Latents));
        r.TokenSums.CopyTo(new Span<double>(workspace.ColumnSums, shape.InputWidth));
    }

    private static void EncodeReference(MatrixView<float> tokens, SaeParameters parameters, SaeWorkspace workspace, MatrixView<float> activations)
    {
        SaeReference<double>.Parameters p = SaeReference<double>.Parameters.From(parameters, workspace.Shape);
        SaeReference<double>.Batch batch = SaeReference<double>.Forward(SaeReference<double>.Values(tokens), tokens.Rows, p, false);
        for (int t = 0; t < tokens.Rows; t++)
            for (int j = 0; j < p.Latents; j++) activations.Row(t)[j] = (float)batch.Activation(t * p.Latents + j);
    }
}
