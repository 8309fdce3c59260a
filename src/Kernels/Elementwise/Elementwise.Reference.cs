using System.Numerics;

namespace BioSup.Kernels;

public static unsafe partial class Elementwise
{
    /// <summary>One element after the other.</summary>
    private static void Reference<TTerm, TIn, TOut>(in ElementProblem<TIn, TOut> p)
        where TTerm : struct, IElementTerm where TIn : unmanaged, INumberBase<TIn> where TOut : unmanaged, INumberBase<TOut>
    {
        for (int i = 0; i < p.Rows; i++)
        {
            for (int j = 0; j < p.Columns; j++)
            {
                double x = double.CreateTruncating(p.X[i * p.StrideX + j]), target = double.CreateTruncating(p.Y[i * p.StrideY + j]);
                double shift = p.Shifts == null ? 0 : p.Shifts[j], divisor = p.Divisors == null ? 1 : p.Divisors[j], value = p.RowValues == null ? p.Value : p.RowValues[i];
                p.Y[i * p.StrideY + j] = TOut.CreateTruncating(TTerm.Of(x, shift, divisor, value, target));
            }
        }
    }
}
