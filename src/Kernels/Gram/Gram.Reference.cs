using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static partial class Gram
{
    /// <summary>One scalar product after the other. Sums carry their rounding errors along (Neumaier 1974).</summary>
    private static unsafe void Reference<T>(MatrixView<T> x, DeviceSpan<double> means, double scale, MatrixView<double> gram, bool byColumns) where T : unmanaged, INumberBase<T>
    {
        int depth = byColumns ? x.Rows : x.Columns;
        for (int i = 0; i < gram.Rows; i++)
        {
            for (int j = 0; j < gram.Rows; j++)
            {
                double sum = 0, error = 0;
                for (int k = 0; k < depth; k++)
                {
                    double term = byColumns ? Centred(x, means, k, i) * Centred(x, means, k, j) : Centred(x, means, i, k) * Centred(x, means, j, k);
                    double next = sum + term;
                    error += Math.Abs(sum) >= Math.Abs(term) ? sum - next + term : term - next + sum;
                    sum = next;
                }
                gram.Pointer[i * gram.Stride + j] = scale * (sum + error);
            }
        }
    }

    private static unsafe double Centred<T>(MatrixView<T> x, DeviceSpan<double> means, int row, int column) where T : unmanaged, INumberBase<T> =>
        double.CreateTruncating(x.Pointer[row * x.Stride + column]) - (means.Length == 0 ? 0 : means.Pointer[column]);
}
