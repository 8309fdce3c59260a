using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class Softmax
{
    private static void ReferenceRows<T>(MatrixView<T> x, MatrixView<T> y) where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int i = 0; i < x.Rows; i++)
        {
            T* from = x.Pointer + i * x.Stride;
            T* to = y.Pointer + i * y.Stride;
            double largest = double.NegativeInfinity, sum = 0, error = 0;
            for (int j = 0; j < x.Columns; j++) largest = Math.Max(largest, double.CreateTruncating(from[j]));
            for (int j = 0; j < x.Columns; j++)
            {
                double term = Math.Exp(double.CreateTruncating(from[j]) - largest), next = sum + term;
                error += sum >= term ? sum - next + term : term - next + sum;
                sum = next;
            }
            sum += error;
            for (int j = 0; j < x.Columns; j++) to[j] = T.CreateTruncating(Math.Exp(double.CreateTruncating(from[j]) - largest) / sum);
        }
    }

    private static double ReferenceLogSumExp<T>(T* x, long stride, int count) where T : unmanaged, IFloatingPointIeee754<T>
    {
        double largest = double.NegativeInfinity, sum = 0;
        for (int i = 0; i < count; i++) largest = Math.Max(largest, double.CreateTruncating(x[i * stride]));
        if (double.IsInfinity(largest)) return largest;
        for (int i = 0; i < count; i++) sum += Math.Exp(double.CreateTruncating(x[i * stride]) - largest);
        return largest + Math.Log(sum);
    }
}
