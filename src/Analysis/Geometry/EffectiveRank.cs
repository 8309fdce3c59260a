using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>How many dimensions a representation really uses.</summary>
/// <param name="Value">exp(-Σ p log p), p = singular values / their sum (Roy and Vetterli 2007): 1 … min(n, d).</param>
/// <param name="Ratio">Value / number of columns.</param>
/// <param name="SingularValues">Falling; those below rounding (1e-7 of the largest, as the Gram matrix gives them) are left out.</param>
/// <param name="CumulativeVariance">Share of Σ s² in the first 1, 2, … singular values.</param>
public sealed record EffectiveRankResult(double Value, double Ratio, double[] SingularValues, double[] CumulativeVariance);

/// <summary>Effective rank by the entropy of the singular-value distribution.</summary>
public static class EffectiveRank
{
    private const double Smallest = 1e-12, RoundingShare = 1e-7;

    /// <param name="x">[n, d], finite.</param>
    /// <param name="centre">Take off the column means first, as the paper does for representations (not for decoders).</param>
    /// <exception cref="DataException">Every singular value is zero.</exception>
    public static EffectiveRankResult Measure(Matrix<double> x, bool centre)
    {
        using DeviceBuffer<double>? means = centre ? ColumnStatistics.Means(x) : null;
        int size = Math.Min(x.Rows, x.Columns);
        using Matrix<double> gram = x.Device.AllocateMatrix<double>(size, size);
        if (x.Columns <= x.Rows) Gram.Columns(x.View, means is null ? default : means.View, gram.View);
        else Gram.Rows(x.View, means is null ? default : means.View, gram.View);
        using SymmetricEigen eigen = SymmetricEigen.Decompose(gram, vectors: false);
        double[] singular = Array.ConvertAll(eigen.Values, v => Math.Sqrt(Math.Max(v, 0)));
        double floor = Math.Max(Smallest, singular.Length > 0 ? RoundingShare * singular[0] : 0);
        singular = [.. singular.Where(s => s > floor)];
        if (singular.Length == 0) throw new DataException("x", null, "all rows are equal: the effective rank is not defined.");
        return new EffectiveRankResult(OfSpectrum(singular), OfSpectrum(singular) / x.Columns, singular, Cumulative(singular));
    }

    /// <summary>Effective rank of a given spectrum of positive singular values.</summary>
    public static double OfSpectrum(ReadOnlySpan<double> singularValues)
    {
        double sum = 0, entropy = 0;
        foreach (double s in singularValues) sum += s;
        foreach (double s in singularValues) entropy -= s / sum * Math.Log(s / sum);
        return Math.Exp(entropy);
    }

    private static double[] Cumulative(double[] singular)
    {
        double total = singular.Sum(s => s * s), running = 0;
        return Array.ConvertAll(singular, s => (running += s * s) / total);
    }
}
