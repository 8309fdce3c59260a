using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>What one reading of a matrix tells, over its finite elements.</summary>
/// <param name="Sum">Of all elements, rows added in order.</param>
/// <param name="Largest">-∞ where no element is finite.</param>
/// <param name="Smallest">∞ where no element is finite.</param>
/// <param name="NotFinite">How many elements are infinite or NaN.</param>
public readonly record struct MatrixSummary(double Sum, double Largest, double Smallest, long NotFinite)
{
    public double LargestMagnitude => Math.Max(Math.Abs(Largest), Math.Abs(Smallest));
}

/// <summary>What is in a matrix, and matrices without values that are not finite. Elements are single or double precision, arithmetic is double and rounded once.</summary>
public static unsafe partial class MatrixElements
{
    /// <summary>Reads the matrix once and says what is in it.</summary>
    public static MatrixSummary Summarise<T>(MatrixView<T> x) where T : unmanaged, IFloatingPointIeee754<T>
    {
        using DeviceBuffer<double> rows = x.Device.Allocate<double>(4L * x.Rows);
        if (x.Device is CudaDevice gpu) CudaSummary(gpu, x, rows.View);
        else
        {
            SummaryJob<T> job = new() { X = x.Pointer, Stride = x.Stride, Rows = x.Rows, Columns = x.Columns, Summary = rows.Pointer };
            Cpu(x.Device).Pool.Run(x.Rows, ref job);
        }
        double[] values = new double[rows.Length];
        rows.CopyTo(values);
        MatrixSummary all = new(0, double.NegativeInfinity, double.PositiveInfinity, 0);
        for (int i = 0; i < x.Rows; i++)
            all = new MatrixSummary(all.Sum + values[i], Math.Max(all.Largest, values[x.Rows + i]), Math.Min(all.Smallest, values[2 * x.Rows + i]), all.NotFinite + (long)values[3 * x.Rows + i]);
        return all;
    }

    /// <summary>Elements that are infinite or NaN become the value.</summary>
    public static void ReplaceNotFinite<T>(MatrixView<T> x, double value) where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (x.Device is CudaDevice gpu) CudaEntry<T>(gpu, "bs_matrix_replace_infinite").Launch(gpu.Stream, Shape(x.Rows, x.Columns), x.Address, x.Stride, x.Columns, value);
        else
        {
            ReplaceJob<T> job = new() { X = x.Pointer, Stride = x.Stride, Columns = x.Columns, Value = T.CreateTruncating(value) };
            Cpu(x.Device).Pool.Run(x.Rows, ref job);
        }
    }

    /// <summary>x_ij = p_i q_j.</summary>
    public static void OuterProduct<T>(DeviceSpan<double> p, DeviceSpan<double> q, MatrixView<T> x) where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (p.Length != x.Rows || q.Length != x.Columns) throw new ArgumentException($"Vectors of {p.Length} and {q.Length} elements give no {x.Rows} x {x.Columns} matrix.", nameof(x));
        if (x.Device is CudaDevice gpu)
        {
            CudaEntry<T>(gpu, "bs_matrix_outer").Launch(gpu.Stream, Shape(x.Rows, x.Columns), p.Address, q.Address, x.Address, x.Stride, x.Columns);
            return;
        }
        OuterJob<T> job = new() { P = p.Pointer, Q = q.Pointer, X = x.Pointer, Stride = x.Stride, Columns = x.Columns };
        Cpu(x.Device).Pool.Run(x.Rows, ref job);
    }

    private static CpuDevice Cpu(ComputeDevice device) => device as CpuDevice ?? throw new DeviceException($"Matrix summaries have no implementation for device '{device.Name}'.");
}
