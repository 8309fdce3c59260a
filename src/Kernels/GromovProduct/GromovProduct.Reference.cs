using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class GromovProduct
{
    /// <summary>The oracle: (L ⊗ T)_ij = sum_kl L(C1_ik, C2_jl) T_kl by four nested loops, straight from the definition.</summary>
    internal static void ReferenceTensor(GromovLoss loss, MatrixView<double> c1, MatrixView<double> c2, MatrixView<double> coupling, MatrixView<double> tensor)
    {
        for (int i = 0; i < c1.Rows; i++)
            for (int j = 0; j < c2.Rows; j++)
            {
                double sum = 0;
                for (int k = 0; k < c1.Rows; k++)
                    for (int l = 0; l < c2.Rows; l++)
                    {
                        double a = c1.Pointer[i * c1.Stride + k], b = c2.Pointer[j * c2.Stride + l];
                        double value = loss == GromovLoss.Square ? (a - b) * (a - b) : a * Math.Log(a / b) - a + b;
                        sum += value * coupling.Pointer[k * coupling.Stride + l];
                    }
                tensor.Pointer[i * tensor.Stride + j] = sum;
            }
    }

    private static void ReferenceProduct<T>(GromovOperands<T> operands, MatrixView<T> coupling, MatrixView<T> product) where T : unmanaged, IFloatingPointIeee754<T>
    {
        int n = operands.Rows, m = operands.Columns;
        PointFactors<T>? points = operands.Points;
        double[] half = new double[(long)n * m];
        for (int pass = 0; pass < (operands.Symmetric ? 1 : 2); pass++)
        {
            bool transposed = pass == 1;
            for (int i = 0; i < n; i++)
                for (int l = 0; l < m; l++)
                {
                    double sum = 0;
                    for (int k = 0; k < n; k++)
                        sum += (points is not null ? Of(points.Left, points.LeftOther, i, k) : transposed ? At(operands.Left, k, i) : At(operands.Left, i, k)) * double.CreateTruncating(coupling.Pointer[k * coupling.Stride + l]);
                    half[(long)i * m + l] = sum;
                }
            for (int i = 0; i < n; i++)
                for (int j = 0; j < m; j++)
                {
                    double sum = 0;
                    for (int l = 0; l < m; l++) sum += half[(long)i * m + l] * (points is not null ? 2 * Of(points.Right, points.RightOther, j, l) : transposed ? At(operands.Right, l, j) : At(operands.Right, j, l));
                    T* target = product.Pointer + i * product.Stride + j;
                    if (operands.Symmetric) *target = T.CreateTruncating(sum);
                    else *target = T.CreateTruncating(0.5 * sum + (transposed ? double.CreateTruncating(*target) : 0));
                }
        }
    }

    /// <summary>An element of a cost from its factors.</summary>
    private static double Of<T>(Matrix<T> first, Matrix<T> second, int i, int k) where T : unmanaged, IFloatingPointIeee754<T>
    {
        double sum = 0;
        for (int c = 0; c < first.Columns; c++) sum += At(first, i, c) * At(second, k, c);
        return sum;
    }

    private static double At<T>(Matrix<T> matrix, int i, int j) where T : unmanaged, IFloatingPointIeee754<T> =>
        double.CreateTruncating(matrix.Buffer.Pointer[(long)i * matrix.Columns + j]);
}
