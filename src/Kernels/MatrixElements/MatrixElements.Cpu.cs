using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class MatrixElements
{
    private struct ReplaceJob<T> : IBlockJob where T : unmanaged, IFloatingPointIeee754<T>
    {
        public T* X;
        public long Stride;
        public int Columns;
        public T Value;

        public readonly void Execute(long block, int worker)
        {
            Span<T> row = new(X + block * Stride, Columns);
            for (int j = 0; j < row.Length; j++)
                if (!T.IsFinite(row[j])) row[j] = Value;
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
}
