using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// The five loops around the register tile (Goto and van de Geijn 2008): columns of C in strips, depth in slices, the slice of op(B) packed once and shared,
/// then blocks of rows handed to the threads, each packing its own block of op(A) into its second-level cache.
/// </summary>
/// <remarks>
/// An element of C is summed over the depth in slices of a fixed size, whatever block or thread it falls into, so the partition cannot change a result.
/// </remarks>
internal static unsafe class GemmDriver<TTile, T>
    where TTile : struct, IGemmTile<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    // A slice reads and writes all of C once more, so it is deep: of half the depth, products are 5 % slower on AVX2 and AVX-512 alike. A panel of B is then
    // 32 KB, the first level, on registers of 256 bits (measured with 32 KB of first level and 512 KB of second), and 64 KB on those of 512 bits, where it
    // streams from the second level without being waited for (measured with 48 KB and 2 MB; 1 MB is the least such processors have).
    // The block of A takes two thirds of the second level or a little more, the strip of B a few megabytes of the third.
    private const int SliceDepth = 512;
    private const int StripColumns = 3072;
    private static int BlockBytes => TTile.TileColumns * sizeof(T) == 2 * 64 ? 640 << 10 : 384 << 10;
    private static int BlockRows => BlockBytes / (SliceDepth * sizeof(T)) / TTile.TileRows * TTile.TileRows;

    public static void Run(CpuDevice cpu, in GemmProblem<T> problem)
    {
        if (problem.Depth == 0)
        {
            ScaleOnly(problem);
            return;
        }
        if (problem.Columns <= TTile.TileRows && problem.Columns < problem.Rows)
        {
            ThinGemm<TTile, T>.Run(cpu, problem.Transposed, SliceDepth);
            return;
        }
        if (problem.Rows <= ThinGemm<TTile, T>.MaximumRows(problem.Columns))
        {
            ThinGemm<TTile, T>.Run(cpu, problem, SliceDepth);
            return;
        }
        for (int column = 0; column < problem.Columns; column += StripColumns)
        {
            int columns = Math.Min(StripColumns, problem.Columns - column);
            int panels = (columns + TTile.TileColumns - 1) / TTile.TileColumns;
            int depthPerSlice = Math.Min(SliceDepth, problem.Depth);
            T* packed = ThreadScratch.Get<T>(ScratchSlot.GemmRightPanels, (long)panels * TTile.TileColumns * depthPerSlice + GemmPacking.Slack, cpu);
            for (int depth = 0; depth < problem.Depth; depth += SliceDepth)
            {
                Slice slice = new()
                {
                    Problem = problem,
                    Cpu = cpu,
                    FirstColumn = column,
                    Columns = columns,
                    FirstDepth = depth,
                    Depth = Math.Min(SliceDepth, problem.Depth - depth),
                    PackedB = packed,
                    Beta = depth == 0 ? problem.Beta : T.One,
                };
                PackJob pack = new() { Slice = slice, Panels = panels };
                cpu.Pool.Run((panels + PackJob.PanelsPerBlock - 1) / PackJob.PanelsPerBlock, ref pack);
                RowBlockJob rows = new() { Slice = slice, RowsPerBlock = EvenBlocks(problem.Rows) };
                cpu.Pool.Run((problem.Rows + rows.RowsPerBlock - 1) / rows.RowsPerBlock, ref rows);
            }
        }
    }

    /// <summary>Rows per block so that blocks are nearly equal and their number divides well among threads.</summary>
    private static int EvenBlocks(int rows)
    {
        int blocks = (rows + BlockRows - 1) / BlockRows;
        if (rows > 4 * TTile.TileRows) blocks = (blocks + 3) / 4 * 4;
        int size = (rows + blocks - 1) / blocks;
        return (size + TTile.TileRows - 1) / TTile.TileRows * TTile.TileRows;
    }

    private static void ScaleOnly(in GemmProblem<T> p)
    {
        for (int i = 0; i < p.Rows; i++)
        {
            Span<T> row = new(p.C + i * p.StrideC, p.Columns);
            if (p.Beta == T.Zero) row.Clear();
            else if (p.Beta != T.One)
                for (int j = 0; j < row.Length; j++) row[j] *= p.Beta;
        }
    }

    private struct Slice
    {
        public GemmProblem<T> Problem;
        public CpuDevice Cpu;
        public int FirstColumn, Columns, FirstDepth, Depth;
        public T* PackedB;
        public T Beta;
    }

    private struct PackJob : IBlockJob
    {
        public const int PanelsPerBlock = 8;
        public Slice Slice;
        public int Panels;

        public readonly void Execute(long block, int worker)
        {
            int width = TTile.TileColumns;
            int last = Math.Min(Panels, (int)(block + 1) * PanelsPerBlock);
            for (int panel = (int)block * PanelsPerBlock; panel < last; panel++)
            {
                int column = panel * width;
                T* source = Slice.Problem.B + (Slice.FirstColumn + column) * Slice.Problem.ColumnStrideB + Slice.FirstDepth * Slice.Problem.DepthStrideB;
                GemmPacking.Pack(source, Slice.Problem.ColumnStrideB, Slice.Problem.DepthStrideB, Math.Min(width, Slice.Columns - column), Slice.Depth,
                    Slice.PackedB + (long)panel * width * Slice.Depth, width);
            }
        }
    }

    private struct RowBlockJob : IBlockJob
    {
        public Slice Slice;
        public int RowsPerBlock;

        public readonly void Execute(long block, int worker)
        {
            int height = TTile.TileRows, first = (int)block * RowsPerBlock, rows = Math.Min(RowsPerBlock, Slice.Problem.Rows - first);
            T* packedA = ThreadScratch.Get<T>(ScratchSlot.GemmLeftPanels, (long)(RowsPerBlock + height) * Slice.Depth + GemmPacking.Slack, Slice.Cpu);
            for (int i = 0; i < rows; i += height)
            {
                T* source = Slice.Problem.A + (first + i) * Slice.Problem.RowStrideA + Slice.FirstDepth * Slice.Problem.DepthStrideA;
                GemmPacking.Pack(source, Slice.Problem.RowStrideA, Slice.Problem.DepthStrideA, Math.Min(height, rows - i), Slice.Depth, packedA + (long)i * Slice.Depth, height);
            }
            int width = TTile.TileColumns;
            T* edge = ThreadScratch.Get<T>(ScratchSlot.GemmTile, height * width, Slice.Cpu);
            for (int j = 0; j < Slice.Columns; j += width)
            {
                T* b = Slice.PackedB + (long)j * Slice.Depth;
                T* c = Slice.Problem.C + first * Slice.Problem.StrideC + Slice.FirstColumn + j;
                int columns = Math.Min(width, Slice.Columns - j);
                for (int i = 0; i < rows; i += height, c += height * Slice.Problem.StrideC)
                {
                    int tall = Math.Min(height, rows - i);
                    if (tall == height && columns == width)
                        TTile.Multiply(Slice.Depth, packedA + (long)i * Slice.Depth, b, c, Slice.Problem.StrideC, Slice.Problem.Alpha, Slice.Beta);
                    else
                        EdgeTile(packedA + (long)i * Slice.Depth, b, c, tall, columns, edge);
                }
            }
        }

        /// <summary>A tile that sticks out of C is computed aside, with the same arithmetic, and its inner part copied.</summary>
        private readonly void EdgeTile(T* a, T* b, T* c, int rows, int columns, T* edge)
        {
            int width = TTile.TileColumns;
            if (Slice.Beta != T.Zero)
                for (int i = 0; i < rows; i++) new ReadOnlySpan<T>(c + i * Slice.Problem.StrideC, columns).CopyTo(new Span<T>(edge + i * width, columns));
            TTile.Multiply(Slice.Depth, a, b, edge, width, Slice.Problem.Alpha, Slice.Beta);
            for (int i = 0; i < rows; i++) new ReadOnlySpan<T>(edge + i * width, columns).CopyTo(new Span<T>(c + i * Slice.Problem.StrideC, columns));
        }
    }
}
