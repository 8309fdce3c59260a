using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class MatrixElements
{
    private enum Pass
    {
        Divide,
        DivideRows,
        ReplaceNotFinite,
    }

    private static void RunOnCpu<T>(MatrixView<T> x, Pass pass, double value, DeviceSpan<double> divisors) where T : unmanaged, IFloatingPointIeee754<T>
    {
        PassJob<T> job = new() { X = x.Pointer, Stride = x.Stride, Columns = x.Columns, Pass = pass, Value = value, Divisors = divisors.Pointer };
        Cpu(x.Device).Pool.Run(x.Rows, ref job);
    }

    private struct PassJob<T> : IBlockJob where T : unmanaged, IFloatingPointIeee754<T>
    {
        public T* X;
        public long Stride;
        public int Columns;
        public Pass Pass;
        public double Value;
        public double* Divisors;

        public readonly void Execute(long block, int worker)
        {
            Span<T> row = new(X + block * Stride, Columns);
            if (Pass == Pass.ReplaceNotFinite)
            {
                T value = T.CreateTruncating(Value);
                for (int j = 0; j < row.Length; j++)
                    if (!T.IsFinite(row[j])) row[j] = value;
                return;
            }
            double divisor = Pass == Pass.Divide ? Value : Divisors[block];
            for (int j = 0; j < row.Length; j++) row[j] = T.CreateTruncating(double.CreateTruncating(row[j]) / divisor);
        }
    }

    private struct SummaryJob<T> : IBlockJob where T : unmanaged, IFloatingPointIeee754<T>
    {
        public T* X;
        public long Stride;
        public int Rows, Columns;
        public double* Summary;

        public readonly void Execute(long block, int worker)
        {
            T* row = X + block * Stride;
            double sum = 0, largest = double.NegativeInfinity, smallest = double.PositiveInfinity, strange = 0;
            for (int j = 0; j < Columns; j++)
            {
                double value = double.CreateTruncating(row[j]);
                if (!double.IsFinite(value))
                {
                    strange++;
                    continue;
                }
                sum += value;
                largest = Math.Max(largest, value);
                smallest = Math.Min(smallest, value);
            }
            (Summary[block], Summary[Rows + block], Summary[2L * Rows + block], Summary[3L * Rows + block]) = (sum, largest, smallest, strange);
        }
    }

    private struct OuterJob<T> : IBlockJob where T : unmanaged, IFloatingPointIeee754<T>
    {
        public double* P, Q;
        public T* X;
        public long Stride;
        public int Columns;

        public readonly void Execute(long block, int worker)
        {
            T* row = X + block * Stride;
            for (int j = 0; j < Columns; j++) row[j] = T.CreateTruncating(P[block] * Q[j]);
        }
    }

    private struct ConvertJob<TFrom, TTo> : IBlockJob where TFrom : unmanaged, IFloatingPointIeee754<TFrom> where TTo : unmanaged, IFloatingPointIeee754<TTo>
    {
        public TFrom* From;
        public long FromStride;
        public TTo* To;
        public int Columns;

        public readonly void Execute(long block, int worker)
        {
            TFrom* from = From + block * FromStride;
            TTo* to = To + block * Columns;
            for (int j = 0; j < Columns; j++) to[j] = TTo.CreateTruncating(from[j]);
        }
    }
}
