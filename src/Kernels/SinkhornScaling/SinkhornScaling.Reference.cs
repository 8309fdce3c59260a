using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class SinkhornScaling
{
    /// <summary>The oracle: log-domain Sinkhorn in double, one element at a time.</summary>
    private static SinkhornResult Reference<T>(MatrixView<T> cost, DeviceSpan<double> a, DeviceSpan<double> b, double epsilon, DeviceSpan<double> f, DeviceSpan<double> g,
        in SinkhornOptions options) where T : unmanaged, IFloatingPointIeee754<T>
    {
        int n = cost.Rows, m = cost.Columns;
        double error = double.PositiveInfinity;
        for (int iteration = 0; iteration < options.MaxIterations; iteration++)
        {
            for (int j = 0; j < m; j++) g.Pointer[j] = epsilon * Math.Log(b.Pointer[j]) - epsilon * ColumnLogSum(cost, f, j, epsilon);
            for (int i = 0; i < n; i++) f.Pointer[i] = epsilon * Math.Log(a.Pointer[i]) - epsilon * RowLogSum(cost, g, i, epsilon);
            if (iteration % options.CheckEvery != 0) continue;
            double sum = 0;
            for (int j = 0; j < m; j++)
            {
                double violation = Math.Exp(g.Pointer[j] / epsilon + ColumnLogSum(cost, f, j, epsilon)) - b.Pointer[j];
                sum += violation * violation;
            }
            error = Math.Sqrt(sum);
            if (error < options.Tolerance) return new SinkhornResult(iteration + 1, error, true, 0);
        }
        return new SinkhornResult(options.MaxIterations, error, false, 0);
    }

    private static double ColumnLogSum<T>(MatrixView<T> cost, DeviceSpan<double> f, int j, double epsilon) where T : unmanaged, IFloatingPointIeee754<T>
    {
        double most = double.NegativeInfinity, sum = 0;
        for (int i = 0; i < cost.Rows; i++) most = Math.Max(most, (f.Pointer[i] - Element(cost, i, j)) / epsilon);
        for (int i = 0; i < cost.Rows; i++) sum += Math.Exp((f.Pointer[i] - Element(cost, i, j)) / epsilon - most);
        return most + Math.Log(sum);
    }

    private static double RowLogSum<T>(MatrixView<T> cost, DeviceSpan<double> g, int i, double epsilon) where T : unmanaged, IFloatingPointIeee754<T>
    {
        double most = double.NegativeInfinity, sum = 0;
        for (int j = 0; j < cost.Columns; j++) most = Math.Max(most, (g.Pointer[j] - Element(cost, i, j)) / epsilon);
        for (int j = 0; j < cost.Columns; j++) sum += Math.Exp((g.Pointer[j] - Element(cost, i, j)) / epsilon - most);
        return most + Math.Log(sum);
    }

    private static double Element<T>(MatrixView<T> matrix, int i, int j) where T : unmanaged, IFloatingPointIeee754<T> =>
        double.CreateTruncating(matrix.Pointer[i * matrix.Stride + j]);
}
