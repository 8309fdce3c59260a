using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Softmax or log-sum-exp of whole rows; a row is never cut, so threads cannot change a result.</summary>
internal static unsafe class RowSoftmax<TSimd, TVector, T>
    where TSimd : struct, ISimd<TVector, T>
    where TVector : struct
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const long ElementsPerBlock = 1 << 14;
    private const int MaximumLanes = 16;
    // Lanes are summed in the matrix's own type over this many vectors, then moved to double precision.
    private const int VectorsPerPartial = 32;

    /// <param name="logSums">Where the log-sum-exp of each row goes; when null, the softmax goes to <paramref name="y"/>.</param>
    public static void Run(CpuDevice cpu, MatrixView<T> x, MatrixView<T> y, T* logSums)
    {
        Job job = new() { X = x.Pointer, StrideX = x.Stride, Y = y.Pointer, StrideY = y.Stride, LogSums = logSums, Rows = x.Rows, Columns = x.Columns };
        job.RowsPerBlock = (int)Math.Clamp(ElementsPerBlock / Math.Max(1, x.Columns), 1, Math.Max(1, x.Rows));
        cpu.Pool.Run((x.Rows + job.RowsPerBlock - 1) / job.RowsPerBlock, ref job);
    }

    private struct Job : IBlockJob
    {
        public T* X, Y, LogSums;
        public long StrideX, StrideY;
        public int Rows, Columns, RowsPerBlock;

        public readonly void Execute(long block, int worker)
        {
            int first = (int)block * RowsPerBlock, last = Math.Min(Rows, first + RowsPerBlock);
            for (int row = first; row < last; row++)
            {
                T* x = X + row * StrideX;
                T largest = Largest(x, Columns);
                if (LogSums != null)
                {
                    double sum = SumOfExponentials(x, null, Columns, largest);
                    LogSums[row] = T.IsInfinity(largest) ? largest : T.CreateTruncating(double.CreateTruncating(largest) + Math.Log(sum));
                    continue;
                }
                T* y = Y + row * StrideY;
                double total = SumOfExponentials(x, y, Columns, largest);
                Scale(y, Columns, T.CreateTruncating(1 / total));
            }
        }
    }

    private static T Largest(T* x, int length)
    {
        int j = 0;
        T result = T.NegativeInfinity;
        if (length >= TSimd.Count)
        {
            TVector best = TSimd.Load(x);
            for (j = TSimd.Count; j <= length - TSimd.Count; j += TSimd.Count) best = TSimd.Max(best, TSimd.Load(x + j));
            T* lanes = stackalloc T[MaximumLanes];
            TSimd.Store(lanes, best);
            for (int i = 0; i < TSimd.Count; i++) result = T.Max(result, lanes[i]);
        }
        for (; j < length; j++) result = T.Max(result, x[j]);
        return result;
    }

    /// <summary>Σ exp(x − shift); the exponentials are kept in y when it is not null.</summary>
    private static double SumOfExponentials(T* x, T* y, int length, T shift)
    {
        TVector down = TSimd.Broadcast(shift);
        int lanes = TSimd.Count, j = 0;
        double sum = 0;
        while (j <= length - lanes)
        {
            TVector partial = TSimd.Zero;
            int end = Math.Min(length - lanes, j + (VectorsPerPartial - 1) * lanes);
            for (; j <= end; j += lanes)
            {
                TVector e = TSimd.Exp(TSimd.Subtract(TSimd.Load(x + j), down));
                if (y != null) TSimd.Store(y + j, e);
                partial = TSimd.Add(partial, e);
            }
            sum += double.CreateTruncating(SumInOrder<TSimd, TVector, T>.Of(partial));
        }
        if (j < length)
        {
            T* rest = stackalloc T[MaximumLanes];
            new Span<T>(rest, lanes).Fill(T.NegativeInfinity);
            new Span<T>(x + j, length - j).CopyTo(new Span<T>(rest, lanes));
            TSimd.Store(rest, TSimd.Exp(TSimd.Subtract(TSimd.Load(rest), down)));
            for (int i = 0; i < length - j; i++) sum += double.CreateTruncating(rest[i]);
            if (y != null) new Span<T>(rest, length - j).CopyTo(new Span<T>(y + j, length - j));
        }
        return sum;
    }

    private static void Scale(T* y, int length, T factor)
    {
        TVector f = TSimd.Broadcast(factor);
        int j = 0;
        for (; j <= length - TSimd.Count; j += TSimd.Count) TSimd.Store(y + j, TSimd.Multiply(TSimd.Load(y + j), f));
        for (; j < length; j++) y[j] *= factor;
    }
}
