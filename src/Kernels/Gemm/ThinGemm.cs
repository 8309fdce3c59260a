using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Products with few rows, where reading op(B) is much of the work: slice by slice of the depth, each thread takes groups of columns, packs its group into its own
/// second-level cache and multiplies it at once with every row. Products with few columns come here transposed.
/// The sums run in the same order as in <see cref="GemmDriver{TTile, T}"/>, so an element has the same bits whichever way it was computed.
/// </summary>
internal static unsafe class ThinGemm<TTile, T>
    where TTile : struct, IGemmTile<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    /// <summary>A group's slice of B, 256 or 512 KB, stays in the second-level cache; few columns are cut finer, so that there are groups for every thread.</summary>
    private const int MostPanelsPerGroup = 8, FewestGroups = 16;

    /// <summary>
    /// Up to here the rows of A stay in cache while the columns of B stream past. Where there are too few columns to share them among threads, rows are
    /// shared (<see cref="GemmDriver{TTile, T}"/>) as soon as they make blocks.
    /// </summary>
    public static int MaximumRows(int columns) => (columns >= 4 * TTile.TileColumns ? 16 : 4) * TTile.TileRows;

    public static void Run(CpuDevice cpu, in GemmProblem<T> problem, int sliceDepth)
    {
        int height = TTile.TileRows, panels = (problem.Rows + height - 1) / height;
        int panelsPerGroup = Math.Clamp(problem.Columns / (FewestGroups * TTile.TileColumns), 1, MostPanelsPerGroup), group = panelsPerGroup * TTile.TileColumns;
        T* packedA = ThreadScratch.Get<T>(ScratchSlot.GemmThinRows, (long)panels * height * Math.Min(sliceDepth, problem.Depth) + GemmPacking.Slack, cpu);
        for (int depth = 0; depth < problem.Depth; depth += sliceDepth)
        {
            int length = Math.Min(sliceDepth, problem.Depth - depth);
            for (int row = 0; row < problem.Rows; row += height)
            {
                GemmPacking.Pack(problem.A + row * problem.RowStrideA + depth * problem.DepthStrideA, problem.RowStrideA, problem.DepthStrideA,
                    Math.Min(height, problem.Rows - row), length, packedA + (long)row * length, height);
            }
            Job job = new()
            {
                Problem = problem,
                Cpu = cpu,
                PackedA = packedA,
                FirstDepth = depth,
                Depth = length,
                ColumnsPerGroup = group,
                Beta = depth == 0 ? problem.Beta : T.One,
            };
            cpu.Pool.Run((problem.Columns + group - 1) / group, ref job);
        }
    }

    private struct Job : IBlockJob
    {
        public GemmProblem<T> Problem;
        public CpuDevice Cpu;
        public T* PackedA;
        public int FirstDepth, Depth, ColumnsPerGroup;
        public T Beta;

        public readonly void Execute(long block, int worker)
        {
            int width = TTile.TileColumns, height = TTile.TileRows, first = (int)block * ColumnsPerGroup;
            int columns = Math.Min(ColumnsPerGroup, Problem.Columns - first);
            T* packedB = ThreadScratch.Get<T>(ScratchSlot.GemmLeftPanels, (long)ColumnsPerGroup * Depth + GemmPacking.Slack, Cpu);
            T* tile = ThreadScratch.Get<T>(ScratchSlot.GemmTile, height * width, Cpu);
            PackGroup(first, columns, FirstDepth, Depth, packedB);
            for (int j = 0; j < columns; j += width)
                for (int row = 0; row < Problem.Rows; row += height)
                    Tile(Depth, PackedA + (long)row * Depth, packedB + (long)j * Depth, row, first + j, Math.Min(width, columns - j), Beta, tile);
        }

        private readonly void PackGroup(int first, int columns, int depth, int length, T* packed)
        {
            int width = TTile.TileColumns;
            T* source = Problem.B + first * Problem.ColumnStrideB + depth * Problem.DepthStrideB;
            int whole = columns / width;
            if (Problem.ColumnStrideB == 1)
            {
                // Along the rows of B, all panels of the group at once: consecutive lines of memory.
                for (int p = 0; p < length; p++)
                {
                    T* from = source + p * Problem.DepthStrideB;
                    T* to = packed + (long)p * width;
                    for (int panel = 0; panel < whole; panel++) GemmPacking.CopyLine(from + panel * width, to + (long)panel * width * length, width);
                }
            }
            else
            {
                for (int panel = 0; panel < whole; panel++)
                    GemmPacking.Pack(source + (long)panel * width * Problem.ColumnStrideB, Problem.ColumnStrideB, Problem.DepthStrideB, width, length, packed + (long)panel * width * length, width);
            }
            if (columns % width != 0)
                GemmPacking.Pack(source + (long)whole * width * Problem.ColumnStrideB, Problem.ColumnStrideB, Problem.DepthStrideB, columns % width, length, packed + (long)whole * width * length, width);
        }

        private readonly void Tile(int length, T* a, T* b, int row, int column, int columns, T beta, T* tile)
        {
            int width = TTile.TileColumns, rows = Math.Min(TTile.TileRows, Problem.Rows - row);
            T* c = Problem.C + row * Problem.StrideC + column * Problem.ColumnStrideC;
            if (rows == TTile.TileRows && columns == width && Problem.ColumnStrideC == 1)
            {
                TTile.Multiply(length, a, b, c, Problem.StrideC, Problem.Alpha, beta);
                return;
            }
            if (beta != T.Zero)
                for (int i = 0; i < rows; i++)
                    for (int j = 0; j < columns; j++) tile[i * width + j] = c[i * Problem.StrideC + j * Problem.ColumnStrideC];
            TTile.Multiply(length, a, b, tile, width, Problem.Alpha, beta);
            for (int i = 0; i < rows; i++)
                for (int j = 0; j < columns; j++) c[i * Problem.StrideC + j * Problem.ColumnStrideC] = tile[i * width + j];
        }
    }
}
