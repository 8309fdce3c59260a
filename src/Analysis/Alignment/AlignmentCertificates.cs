using System.Globalization;

namespace BioSup.Analysis.Alignment;

/// <summary>How a solve ended.</summary>
public enum SolveState
{
    /// <summary>The change of the coupling fell to the tolerance.</summary>
    Converged,

    /// <summary>The iterations were used up before that.</summary>
    IterationLimit,

    /// <summary>The change stopped falling above the tolerance, where single precision shows no smaller one: <see cref="GromovResult.Settled"/>.</summary>
    Settled,

    /// <summary>What came out is no coupling of the masses, or not finite.</summary>
    Diverged,
}

/// <summary>What can be proved about a coupling, whatever the data mean.</summary>
/// <param name="State">How the solve ended.</param>
/// <param name="Gap">Distance from a first-order optimum; null where it was not measured.</param>
/// <param name="Bounds">Lower bounds of the loss; null where there are none.</param>
/// <param name="NotMeasured">Why something is missing, one sentence each.</param>
public sealed record AlignmentCertificates(SolveState State, StationarityGap? Gap, LowerBounds? Bounds, IReadOnlyList<string> NotMeasured)
{
    /// <summary>"converged", "settled above the tolerance", "iteration limit" or "diverged".</summary>
    public string StateWord => Word(State);

    /// <summary>A state in words.</summary>
    public static string Word(SolveState state) => state switch { SolveState.Converged => "converged", SolveState.Settled => "settled above the tolerance", SolveState.IterationLimit => "iteration limit", _ => "diverged" };

    /// <summary>How a solve ended, from its numbers alone.</summary>
    public static SolveState StateOf(GromovResult result) =>
        StateOf(result.Loss, result.RowError + result.ColumnError, result.Converged) is var state && state == SolveState.IterationLimit && result.Settled is not null ? SolveState.Settled : state;

    internal static SolveState StateOf(double loss, double marginals, bool converged) =>
        !double.IsFinite(loss) || !(marginals <= EpsilonCheck.NoCoupling) ? SolveState.Diverged : converged ? SolveState.Converged : SolveState.IterationLimit;

    internal static AlignmentCertificates Of(GromovResult result, DomainCostResult c1, DomainCostResult c2, GromovOptions options, Runtime.Matrix<double>? fused, BlockLabels? blocks,
        CancellationToken cancellation)
    {
        List<string> missing = [];
        if (options.Marginals != MarginalConstraint.Balanced)
            return new AlignmentCertificates(StateOf(result), null, null, ["The stationarity gap and the lower bounds are those of balanced problems, whose masses are kept."]);
        int largest = Math.Max(c1.Count, c2.Count);
        StationarityGap? gap = null;
        if (largest <= StationarityGap.MostPoints) gap = blocks is null ? StationarityGap.Of(c1, c2, result.Coupling, options, fused, cancellation) : LabelBlockGromovWasserstein.Gap(c1.Cost, c2.Cost, blocks, result.Coupling, options, fused, cancellation);
        else missing.Add(Text($"The stationarity gap takes dense transport problems and is measured up to {StationarityGap.MostPoints} points."));
        LowerBounds? bounds = null;
        if (options.Loss != Kernels.GromovLoss.Square) missing.Add("The lower bounds are those of the square loss.");
        else if (blocks is not null && !LabelBlocks.Of(blocks.First, blocks.Second).EqualShares) missing.Add("The lower bounds are those of uniform masses, which blocks with unequal shares in the two domains do not have.");
        else if (largest > LowerBounds.MostPoints && c1.Points is not null) missing.Add("The lower bounds need the costs, which were not formed.");
        else
        {
            bounds = LowerBounds.Of(c1.Cost, c2.Cost, cancellation);
            if (bounds.Third is null) missing.Add(Text($"The second and third lower bound sort all distances and are computed up to {LowerBounds.MostPoints} points."));
        }
        return new AlignmentCertificates(StateOf(result), gap, bounds, missing);
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
