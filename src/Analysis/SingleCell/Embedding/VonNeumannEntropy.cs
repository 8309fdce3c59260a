using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>How much a random walk still tells after t steps, and the t at which it has forgotten the noise (Moon et al. 2019; <c>phate.vne</c>).</summary>
internal static class VonNeumannEntropy
{
    /// <summary>
    /// Singular values of P, all of them. They are the roots of the eigenvalues of P Pᵀ: those below 10⁻⁸ are uncertain, and weigh nothing.
    /// </summary>
    /// <param name="p">[n, n].</param>
    public static double[] Singular(Matrix<double> p)
    {
        using Matrix<double> gram = p.Device.AllocateMatrix<double>(p.Rows, p.Rows);
        Gram.Rows(p.View, default, gram.View);
        using SymmetricEigen eigen = SymmetricEigen.Decompose(gram, vectors: false);
        return Array.ConvertAll(eigen.Values, v => Math.Sqrt(Math.Max(v, 0)));
    }

    /// <summary>Entropy −Σ p ln p of singular values to the power of 1, 2, …, each power scaled to the sum 1.</summary>
    /// <param name="singular">The values, the largest 1 or more.</param>
    /// <param name="weights">How many values each of them stands for; null for one.</param>
    /// <param name="steps">How many powers.</param>
    public static double[] Of(double[] singular, double[]? weights, int steps)
    {
        double[] power = weights is null ? [.. singular.Select(_ => 1.0)] : [.. weights], logarithm = Array.ConvertAll(singular, s => s > 0 ? Math.Log(s) : 0), entropy = new double[steps];
        for (int t = 1; t <= steps; t++)
        {
            double sum = 0, along = 0;
            for (int i = 0; i < power.Length; i++)
            {
                power[i] *= singular[i];
                sum += power[i];
                along += power[i] * logarithm[i];
            }
            entropy[t - 1] = Math.Log(sum) - t * along / sum;
        }
        return entropy;
    }

    /// <summary>
    /// The place at which two straight lines, each a least-squares fit of the values up to it or from it on, leave the smallest sum of absolute residuals; the first of equals, neither end.
    /// </summary>
    /// <param name="y">Values at 0, 1, 2, …, at least four.</param>
    public static int Knee(ReadOnlySpan<double> y)
    {
        int knee = 1;
        double least = double.PositiveInfinity;
        for (int at = 1; at < y.Length - 1; at++)
        {
            double error = Residuals(y[..(at + 1)]) + Residuals(y[at..]);
            if (error < least) (least, knee) = (error, at);
        }
        return knee;
    }

    private static double Residuals(ReadOnlySpan<double> y)
    {
        double middle = 0.5 * (y.Length - 1), mean = 0, along = 0, square = 0, sum = 0;
        foreach (double value in y) mean += value / y.Length;
        for (int i = 0; i < y.Length; i++)
        {
            along += (i - middle) * (y[i] - mean);
            square += (i - middle) * (i - middle);
        }
        for (int i = 0; i < y.Length; i++) sum += Math.Abs(y[i] - mean - along / square * (i - middle));
        return sum;
    }
}
