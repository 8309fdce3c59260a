using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// Factors of the scores -cost / epsilon = (L / epsilon)(2 w s_i t_j + 8 x_iᵀ Γ y_j), with s and t the squared norms less their means and w 1 (the number of proximal steps so
/// far in ppa): rank min(d1, d2) + 1, since Γ goes to the side with more coordinates.
/// </summary>
internal readonly struct OnlineFactors(SquaredDistanceDomain x, SquaredDistanceDomain y, GromovOptions options)
{
    private readonly double _scale = options.LinearScale / options.Epsilon;

    /// <summary>True where Γ multiplies the second domain, so that the column factors move with it.</summary>
    public bool MovesColumns => MovesColumnsFor(x.Dimensions, y.Dimensions);
    public int Rank => RankFor(x.Dimensions, y.Dimensions);

    public static bool MovesColumnsFor(int d1, int d2) => d1 < d2;
    public static int RankFor(int d1, int d2) => Math.Min(d1, d2) + 1;

    /// <summary>(2 w s_i, 8 x_i Γ) L / epsilon, or the same without Γ [n, r].</summary>
    public void Left(Matrix<double> gamma, double normWeight, Matrix<double> left)
    {
        if (!MovesColumns) Gemm.Multiply(Transpose.No, Transpose.No, 8 * _scale, x.Points.View, gamma.View, 0, WithoutFirst(left.View));
        for (int i = 0; i < left.Rows; i++)
        {
            Span<double> row = left.Row(i);
            row[0] = 2 * _scale * normWeight * x.Norms[i];
            if (MovesColumns) System.Numerics.Tensors.TensorPrimitives.Multiply(x.Points.Row(i), 8 * _scale, row[1..]);
        }
    }

    /// <summary>(t_j, y_j), or (t_j, Γ y_j) [m, r].</summary>
    public void Right(Matrix<double> gamma, Matrix<double> right)
    {
        if (MovesColumns) Gemm.Multiply(Transpose.No, Transpose.Yes, 1, y.Points.View, gamma.View, 0, WithoutFirst(right.View));
        for (int j = 0; j < right.Rows; j++)
        {
            Span<double> row = right.Row(j);
            row[0] = y.Norms[j];
            if (!MovesColumns) y.Points.Row(j).CopyTo(row[1..]);
        }
    }

    /// <summary>How the row factors of further points of the first domain follow from their coordinates.</summary>
    public PointPlacement Placement(Matrix<double> gamma, double normWeight)
    {
        double[][] weights = new double[x.Dimensions][];
        for (int c = 0; c < weights.Length; c++)
        {
            weights[c] = new double[Rank - 1];
            if (MovesColumns) weights[c][c] = 8 * _scale;
            else System.Numerics.Tensors.TensorPrimitives.Multiply(gamma.Row(c), 8 * _scale, weights[c]);
        }
        return new PointPlacement([.. x.Mean], x.Scale, x.MeanNorm, 2 * _scale * normWeight, weights);
    }

    private static unsafe MatrixView<double> WithoutFirst(MatrixView<double> factors) => new(factors.Pointer + 1, factors.Rows, factors.Columns - 1, factors.Stride, factors.Device);
}
