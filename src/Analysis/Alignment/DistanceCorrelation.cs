using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// How well a coupling T carries the distances of one domain onto those of the other: Pearson's correlation of C1_ik and C2_jl over the pairs of pairs
/// weighted by T_ij T_kl. 1 for an isometry, 0 for unrelated distances.
/// </summary>
/// <remarks>
/// The loss is mean squares of both costs minus twice the cross term, so it also falls when a target merely has less spread; losses against different
/// targets cannot be compared, correlations can.
/// </remarks>
internal static class DistanceCorrelation
{
    /// <param name="c1">Cost within the first domain [n, n].</param>
    /// <param name="c2">Cost within the second domain [m, m].</param>
    /// <param name="coupling">[n, m], of any mass: pairs of pairs are weighted by their share of it.</param>
    /// <returns>In [-1, 1]; 0 where a domain has no spread of distances.</returns>
    public static double Of(Matrix<double> c1, Matrix<double> c2, Matrix<double> coupling)
    {
        using PlacedMatrix<double> weights = coupling.At(c1.Device), readable = coupling.OnHost();
        using Matrix<double> left = c1.Device.AllocateMatrix<double>(c1.Rows, c2.Rows), both = c1.Device.AllocateMatrix<double>(c1.Rows, c2.Rows);
        Gemm.Multiply(Transpose.No, Transpose.No, 1, c1.View, weights.Matrix.View, 0, left.View);
        Gemm.Multiply(Transpose.No, Transpose.Yes, 1, left.View, c2.View, 0, both.View);
        double cross = GromovProduct.InnerProduct(both.View, weights.Matrix.View);
        double[] p = new double[c1.Rows], q = new double[c2.Rows];
        for (int i = 0; i < p.Length; i++)
        {
            ReadOnlySpan<double> mass = readable.Matrix.Row(i);
            for (int j = 0; j < q.Length; j++)
            {
                p[i] += mass[j];
                q[j] += mass[j];
            }
        }
        double whole = p.Sum();
        if (!(whole > 0)) return 0;
        for (int i = 0; i < p.Length; i++) p[i] /= whole;
        for (int j = 0; j < q.Length; j++) q[j] /= whole;
        cross /= whole * whole;
        (double mean1, double variance1) = Moments(c1, p);
        (double mean2, double variance2) = Moments(c2, q);
        double spread = Math.Sqrt(variance1 * variance2);
        return spread > 0 ? Math.Clamp((cross - mean1 * mean2) / spread, -1, 1) : 0;
    }

    private static (double Mean, double Variance) Moments(Matrix<double> cost, double[] mass)
    {
        (double[] means, double[] squares) = RowMoments(cost, mass);
        double mean = 0, square = 0;
        for (int i = 0; i < mass.Length; i++)
        {
            mean += mass[i] * means[i];
            square += mass[i] * squares[i];
        }
        return (mean, Math.Max(0, square - mean * mean));
    }

    /// <summary>Per row of a cost, the weighted sums of its elements and of their squares.</summary>
    internal static (double[] Means, double[] Squares) RowMoments(Matrix<double> cost, double[] weights)
    {
        using DeviceBuffer<double> there = cost.Device.Allocate<double>(weights.Length), means = cost.Device.Allocate<double>(cost.Rows), squares = cost.Device.Allocate<double>(cost.Rows);
        there.CopyFrom(weights);
        GromovProduct.RowMoments(cost.View, there.View, means.View, squares.View);
        double[] mean = new double[cost.Rows], square = new double[cost.Rows];
        means.CopyTo(mean);
        squares.CopyTo(square);
        return (mean, square);
    }
}
