using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// One result per column. The matrix is cut into blocks of rows whose number depends on the shape alone; each block sums into its own row of partials,
/// walking the data in memory order, and the partials are joined in block order.
/// </summary>
internal static unsafe class ColumnReduction<TSimd, TVector, T, TTerm>
    where TSimd : struct, ISimd<TVector, double>
    where TVector : struct
    where T : unmanaged, INumberBase<T>
    where TTerm : struct, ITerm
{
    private const int MaximumBlocks = 64;
    private const long ElementsPerBlock = 1 << 15;
    // Partials of a chunk of columns stay in the first-level cache while the rows of a block pass by.
    private const int ChunkColumns = 1024;

    /// <param name="shifts">One per column, or null.</param>
    public static void Run(CpuDevice cpu, MatrixView<T> x, double* shifts, double* results)
    {
        if (x.Columns == 0) return;
        int blocks = (int)Math.Clamp((long)x.Rows * x.Columns / ElementsPerBlock, 1, Math.Min(MaximumBlocks, Math.Max(1, x.Rows)));
        Job job = new()
        {
            X = x.Pointer, Stride = x.Stride, Rows = x.Rows, Columns = x.Columns, Shifts = shifts, Blocks = blocks,
            Partials = blocks == 1 ? results : ThreadScratch.Get<double>(ScratchSlot.ReductionPartials, (long)blocks * x.Columns, cpu),
        };
        cpu.Pool.Run(blocks, ref job);
        if (blocks == 1) return;
        for (int j = 0; j < x.Columns; j++)
        {
            double result = job.Partials[j];
            for (int block = 1; block < blocks; block++) result = TTerm.Join(result, job.Partials[(long)block * x.Columns + j]);
            results[j] = result;
        }
    }

    private struct Job : IBlockJob
    {
        public T* X;
        public long Stride;
        public int Rows, Columns, Blocks;
        public double* Shifts, Partials;

        public readonly void Execute(long block, int worker)
        {
            int first = (int)(block * Rows / Blocks), last = (int)((block + 1) * Rows / Blocks);
            double* partials = Partials + block * Columns;
            new Span<double>(partials, Columns).Fill(TTerm.Start);
            for (int start = 0; start < Columns; start += ChunkColumns)
            {
                int width = Math.Min(ChunkColumns, Columns - start);
                for (int row = first; row < last; row++)
                    Accumulate(X + row * Stride + start, partials + start, Shifts == null ? null : Shifts + start, width);
            }
        }
    }

    private static void Accumulate(T* x, double* partials, double* shifts, int width)
    {
        int lanes = TSimd.Count, j = 0;
        if (shifts == null)
            for (; j <= width - lanes; j += lanes) TSimd.Store(partials + j, TTerm.Step<TSimd, TVector>(TSimd.Load(partials + j), TSimd.LoadWidened(x + j), TSimd.Zero));
        else
            for (; j <= width - lanes; j += lanes) TSimd.Store(partials + j, TTerm.Step<TSimd, TVector>(TSimd.Load(partials + j), TSimd.LoadWidened(x + j), TSimd.Load(shifts + j)));
        for (; j < width; j++) partials[j] = TTerm.Step(partials[j], double.CreateTruncating(x[j]), shifts == null ? 0 : shifts[j]);
    }
}
