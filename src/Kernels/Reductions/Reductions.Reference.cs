using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class Reductions
{
    private static void ReferenceRows<TTerm, T>(MatrixView<T> x, double* shifts, double* results) where TTerm : struct, ITerm where T : unmanaged, INumberBase<T>
    {
        for (int i = 0; i < x.Rows; i++) results[i] = ReferenceSum<TTerm, T>(x.Pointer + i * x.Stride, 1, x.Columns, shifts == null ? 0 : shifts[i]);
    }

    private static void ReferenceColumns<TTerm, T>(MatrixView<T> x, double* shifts, double* results) where TTerm : struct, ITerm where T : unmanaged, INumberBase<T>
    {
        for (int j = 0; j < x.Columns; j++) results[j] = ReferenceSum<TTerm, T>(x.Pointer + j, x.Stride, x.Rows, shifts == null ? 0 : shifts[j]);
    }

    private static void ReferenceDots<T>(MatrixView<T> x, MatrixView<T> y, double* results) where T : unmanaged, INumberBase<T>
    {
        for (int i = 0; i < x.Rows; i++)
        {
            double sum = 0, error = 0;
            for (int j = 0; j < x.Columns; j++)
            {
                double term = double.CreateTruncating(x.Pointer[i * x.Stride + j]) * double.CreateTruncating(y.Pointer[i * y.Stride + j]), next = sum + term;
                error += Math.Abs(sum) >= Math.Abs(term) ? sum - next + term : term - next + sum;
                sum = next;
            }
            results[i] = double.IsFinite(error) ? sum + error : sum;
        }
    }

    /// <summary>One element after the other. Sums carry their rounding errors along (Neumaier 1974).</summary>
    private static double ReferenceSum<TTerm, T>(T* x, long stride, int count, double shift) where TTerm : struct, ITerm where T : unmanaged, INumberBase<T>
    {
        double result = TTerm.Start, error = 0;
        for (int i = 0; i < count; i++)
        {
            double value = double.CreateTruncating(x[i * stride]);
            if (typeof(TTerm) == typeof(MaximumTerm) || typeof(TTerm) == typeof(AbsoluteMaximumTerm))
            {
                result = TTerm.Step(result, value, shift);
                continue;
            }
            double term = TTerm.Step(0, value, shift), next = result + term;
            error += Math.Abs(result) >= Math.Abs(term) ? result - next + term : term - next + result;
            result = next;
        }
        return double.IsFinite(error) ? result + error : result;
    }
}
