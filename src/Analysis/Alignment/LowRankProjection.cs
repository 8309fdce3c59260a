namespace BioSup.Analysis.Alignment;

/// <summary>
/// The Kullback-Leibler projection of kernels (K1, K2, k3) onto factors Q, R and weights g with Q 1 = 1 / n, R 1 = 1 / m, Qᵀ 1 = Rᵀ 1 = g and g at least a bound:
/// Dykstra's iteration (Scetbon, Cuturi and Peyré 2021, algorithm 2, LR-Dykstra), iterate by iteration that of POT.
/// </summary>
internal sealed class LowRankProjection(LowRankFactor first, LowRankFactor second, double smallest)
{
    /// <summary>Sums that underflow must not divide by zero.</summary>
    private const double Least = 1e-300;
    private readonly double[] _bounded = new double[first.Rank], _weightsBound = new double[first.Rank], _weightsMean = new double[first.Rank];
    private readonly double[] _firstCorrection = new double[first.Rank], _secondCorrection = new double[first.Rank];

    /// <summary>g of the last projection [r].</summary>
    public double[] Weights { get; } = new double[first.Rank];

    /// <summary>Projects; the factors' kernels hold K1 and K2 on entry and, scaled, the new Q and R on return.</summary>
    /// <param name="weights">k3 [r].</param>
    /// <param name="tolerance">L1 error of the row sums at which to stop.</param>
    /// <param name="limit">Most iterations.</param>
    /// <param name="measure">Whether to measure the change of the factors.</param>
    public (int Iterations, bool Converged, double Change) Run(ReadOnlySpan<double> weights, double tolerance, int limit, bool measure)
    {
        weights.CopyTo(_bounded);
        foreach (double[] ones in (ReadOnlySpan<double[]>)[_weightsBound, _weightsMean, _firstCorrection, _secondCorrection]) Array.Fill(ones, 1);
        weights.CopyTo(Weights);
        int iteration = 0;
        bool converged = false;
        while (iteration < limit)
        {
            double error = first.ScaleRows() + second.ScaleRows();
            if (iteration > 0 && error <= tolerance)
            {
                first.StepBack();
                second.StepBack();
                converged = true;
                break;
            }
            Weigh();
            iteration++;
            if (double.IsNaN(error)) break;
        }
        return (iteration, converged, first.Finish(measure) + second.Finish(measure));
    }

    private void Weigh()
    {
        Span<double> v1 = first.Scale, v2 = second.Scale;
        for (int k = 0; k < Weights.Length; k++)
        {
            double s1 = Math.Max(first.ColumnSums[k], Least), s2 = Math.Max(second.ColumnSums[k], Least);
            double raised = Math.Max(smallest, _bounded[k] * _weightsBound[k]);
            _weightsBound[k] = _bounded[k] * _weightsBound[k] / raised;
            double mean = Math.Cbrt(raised * _weightsMean[k] * (v1[k] * _firstCorrection[k] * s1) * (v2[k] * _secondCorrection[k] * s2));
            double next1 = mean / s1, next2 = mean / s2;
            _firstCorrection[k] *= v1[k] / next1;
            _secondCorrection[k] *= v2[k] / next2;
            _weightsMean[k] *= raised / mean;
            (v1[k], v2[k]) = (next1, next2);
            _bounded[k] = mean;
            Weights[k] = mean;
        }
    }
}
