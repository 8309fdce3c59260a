using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Scalar products of the rows of two matrices: four vector accumulators, joined in a fixed order.</summary>
internal static unsafe class RowDots<TSimd, TVector, T>
    where TSimd : struct, ISimd<TVector, double>
    where TVector : struct
    where T : unmanaged, INumberBase<T>
{
    private const long ElementsPerBlock = 1 << 15;

    public static void Run(CpuDevice cpu, MatrixView<T> x, MatrixView<T> y, double* results)
    {
        Job job = new() { X = x.Pointer, StrideX = x.Stride, Y = y.Pointer, StrideY = y.Stride, Rows = x.Rows, Columns = x.Columns, Results = results };
        job.RowsPerBlock = (int)Math.Clamp(ElementsPerBlock / Math.Max(1, x.Columns), 1, Math.Max(1, x.Rows));
        cpu.Pool.Run((x.Rows + job.RowsPerBlock - 1) / job.RowsPerBlock, ref job);
    }

    private struct Job : IBlockJob
    {
        public T* X, Y;
        public long StrideX, StrideY;
        public int Rows, Columns, RowsPerBlock;
        public double* Results;

        public readonly void Execute(long block, int worker)
        {
            int first = (int)block * RowsPerBlock, last = Math.Min(Rows, first + RowsPerBlock);
            for (int row = first; row < last; row++) Results[row] = Dot(X + row * StrideX, Y + row * StrideY, Columns);
        }
    }

    private static double Dot(T* x, T* y, int length)
    {
        int lanes = TSimd.Count, j = 0;
        TVector a = TSimd.Zero, b = a, c = a, d = a;
        for (; j <= length - 4 * lanes; j += 4 * lanes)
        {
            a = TSimd.MultiplyAdd(TSimd.LoadWidened(x + j), TSimd.LoadWidened(y + j), a);
            b = TSimd.MultiplyAdd(TSimd.LoadWidened(x + j + lanes), TSimd.LoadWidened(y + j + lanes), b);
            c = TSimd.MultiplyAdd(TSimd.LoadWidened(x + j + 2 * lanes), TSimd.LoadWidened(y + j + 2 * lanes), c);
            d = TSimd.MultiplyAdd(TSimd.LoadWidened(x + j + 3 * lanes), TSimd.LoadWidened(y + j + 3 * lanes), d);
        }
        for (; j <= length - lanes; j += lanes) a = TSimd.MultiplyAdd(TSimd.LoadWidened(x + j), TSimd.LoadWidened(y + j), a);
        a = TSimd.Add(TSimd.Add(a, b), TSimd.Add(c, d));
        double* lane = stackalloc double[8];
        TSimd.Store(lane, a);
        double result = lane[0];
        for (int i = 1; i < lanes; i++) result += lane[i];
        for (; j < length; j++) result += double.CreateTruncating(x[j]) * double.CreateTruncating(y[j]);
        return result;
    }
}
