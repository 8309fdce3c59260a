namespace BioSup.Analysis.Prediction;

/// <summary>How well held-out rows of each target are predicted from the features, beside what permuted targets give.</summary>
/// <param name="RSquared">
/// Per target 1 − Σ(y − ŷ)² / Σ(y − ȳ)² over the pooled out-of-fold predictions of all rows (scikit-learn's <c>r2_score(y, cross_val_predict(...))</c>).
/// Below 0 where the mean predicts better. A constant target has nothing to predict and gets 0.
/// </param>
/// <param name="MeanRSquared">Mean over the targets that vary; 0 if none does.</param>
/// <param name="Permutations">Permutations of the rows of the targets behind the null; 0 for none.</param>
/// <param name="NullMean">Per target the mean R² of the permutations; null without permutations, as are the following.</param>
/// <param name="NullDeviation">Per target their standard deviation (population).</param>
/// <param name="ZScore">Per target (R² − null mean) / max(null deviation, 1e-6); 0 for a constant target.</param>
/// <param name="PValue">Per target (#{null ≥ R²} + 1) / (permutations + 1); 1 for a constant target.</param>
/// <param name="NullMeans">Per permutation the mean R² over the targets that vary.</param>
public sealed record PredictabilityResult(
    double[] RSquared, double MeanRSquared, int Permutations, double[]? NullMean, double[]? NullDeviation, double[]? ZScore, double[]? PValue, double[]? NullMeans)
{
    /// <summary>Targets that do not vary; they take no part in any mean over targets.</summary>
    public int ConstantTargets { get; init; }

    /// <summary>All of it as one row of numbers, for <see cref="IPartStore"/>.</summary>
    internal double[] Pack() =>
        [Permutations, ConstantTargets, MeanRSquared, .. RSquared, .. NullMean ?? [], .. NullDeviation ?? [], .. ZScore ?? [], .. PValue ?? [], .. NullMeans ?? []];

    /// <summary>What <see cref="Pack"/> made of a result for a number of targets; null for anything else.</summary>
    internal static PredictabilityResult? Unpack(double[] packed, int targets)
    {
        const int Head = 3;
        if (packed.Length < Head) return null;
        int permutations = (int)packed[0];
        if (packed.Length != Head + targets + (permutations > 0 ? 4 * targets + permutations : 0)) return null;
        double[] Column(int number, int length) => packed.AsSpan(Head + number * targets, length).ToArray();
        double[]? OfNull(int number, int length) => permutations > 0 ? Column(number, length) : null;
        return new PredictabilityResult(Column(0, targets), packed[2], permutations, OfNull(1, targets), OfNull(2, targets), OfNull(3, targets), OfNull(4, targets), OfNull(5, permutations))
        {
            ConstantTargets = (int)packed[1],
        };
    }
}
