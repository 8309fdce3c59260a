using System.Numerics;

namespace BioSup.Kernels;

public static unsafe partial class Gemm
{
    /// <summary>The oracle: one dot product per element. Single precision sums in double; double precision carries the rounding errors along (Ogita, Rump and Oishi 2005, Dot2).</summary>
    private static void Reference<T>(in GemmProblem<T> p) where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int i = 0; i < p.Rows; i++)
        {
            for (int j = 0; j < p.Columns; j++)
            {
                double sum = 0, error = 0;
                for (int k = 0; k < p.Depth; k++)
                {
                    double x = double.CreateTruncating(p.A[i * p.RowStrideA + k * p.DepthStrideA]);
                    double y = double.CreateTruncating(p.B[k * p.DepthStrideB + j * p.ColumnStrideB]);
                    double product = x * y, productError = Math.FusedMultiplyAdd(x, y, -product);
                    double next = sum + product, shifted = next - sum;
                    error += (sum - (next - shifted)) + (product - shifted) + productError;
                    sum = next;
                }
                // With infinities or NaN the error terms are meaningless; the plain sum already says which it is.
                if (double.IsFinite(error)) sum += error;
                T* c = p.C + i * p.StrideC + j;
                double result = p.Depth == 0 ? 0 : double.CreateTruncating(p.Alpha) * sum;
                if (p.Beta != T.Zero) result += double.CreateTruncating(p.Beta) * double.CreateTruncating(*c);
                *c = T.CreateTruncating(result);
            }
        }
    }
}
