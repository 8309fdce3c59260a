using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>One result per row: four vector accumulators, joined in a fixed order. Rows are cut into blocks among the threads; a row never is.</summary>
internal static unsafe class RowReduction<TSimd, TVector, T, TTerm>
    where TSimd : struct, ISimd<TVector, double>
    where TVector : struct
    where T : unmanaged, INumberBase<T>
    where TTerm : struct, ITerm
{
    private const long ElementsPerBlock = 1 << 15;

    /// <param name="shifts">One per row, or null.</param>
    public static void Run(CpuDevice cpu, MatrixView<T> x, double* shifts, double* results)
    {
        Job job = new() { X = x.Pointer, Stride = x.Stride, Rows = x.Rows, Columns = x.Columns, Shifts = shifts, Results = results };
        job.RowsPerBlock = (int)Math.Clamp(ElementsPerBlock / Math.Max(1, x.Columns), 1, Math.Max(1, x.Rows));
        cpu.Pool.Run((x.Rows + job.RowsPerBlock - 1) / job.RowsPerBlock, ref job);
    }

    private struct Job : IBlockJob
    {
        public T* X;
        public long Stride;
        public int Rows, Columns, RowsPerBlock;
        public double* Shifts, Results;

        public readonly void Execute(long block, int worker)
        {
            int first = (int)block * RowsPerBlock, last = Math.Min(Rows, first + RowsPerBlock);
            for (int row = first; row < last; row++) Results[row] = Reduce(X + row * Stride, Columns, Shifts == null ? 0 : Shifts[row]);
        }
    }

    private static double Reduce(T* x, int length, double shift)
    {
        int lanes = TSimd.Count, j = 0;
        TVector a = TSimd.Broadcast(TTerm.Start), b = a, c = a, d = a, s = TSimd.Broadcast(shift);
        for (; j <= length - 4 * lanes; j += 4 * lanes)
        {
            a = TTerm.Step<TSimd, TVector>(a, TSimd.LoadWidened(x + j), s);
            b = TTerm.Step<TSimd, TVector>(b, TSimd.LoadWidened(x + j + lanes), s);
            c = TTerm.Step<TSimd, TVector>(c, TSimd.LoadWidened(x + j + 2 * lanes), s);
            d = TTerm.Step<TSimd, TVector>(d, TSimd.LoadWidened(x + j + 3 * lanes), s);
        }
        for (; j <= length - lanes; j += lanes) a = TTerm.Step<TSimd, TVector>(a, TSimd.LoadWidened(x + j), s);
        a = TTerm.Join<TSimd, TVector>(TTerm.Join<TSimd, TVector>(a, b), TTerm.Join<TSimd, TVector>(c, d));
        double* lane = stackalloc double[8];
        TSimd.Store(lane, a);
        double result = lane[0];
        for (int i = 1; i < lanes; i++) result = TTerm.Join(result, lane[i]);
        for (; j < length; j++) result = TTerm.Step(result, double.CreateTruncating(x[j]), shift);
        return result;
    }
}
