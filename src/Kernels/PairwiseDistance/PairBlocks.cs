using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Takes the values of pairs while they are in the first-level cache.</summary>
internal unsafe interface IPairSink<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>True when the tiles of a block must stay in place until <see cref="EndBlock"/>.</summary>
    static abstract bool KeepsBlock { get; }

    /// <summary>Raw sums of pairs (row + r, column + c), r &lt; rows, c &lt; columns; six rows of a full panel are there in any case.</summary>
    /// <param name="spare">A second tile, for recomputed values: six rows of a panel.</param>
    void Tile(ref PairProblem<T> problem, int row, int column, int rows, int columns, T* tile, nint stride, T* spare);

    /// <summary>The whole block, <see cref="PairBlocks.Size"/> elements between its rows. In the self form's diagonal blocks only r &lt; c is valid.</summary>
    void EndBlock(ref PairProblem<T> problem, int row, int column, int rows, int columns, T* block);
}

/// <summary>How pairs are cut into blocks.</summary>
internal static class PairBlocks
{
    /// <summary>Rows and columns of a block: a multiple of the register tile of every width; the block and its part of x fit the second-level cache.</summary>
    public const int Size = 192;

    /// <summary>Elements of scratch per worker: a block and a spare tile of the widest lanes.</summary>
    public const int ScratchElements = Size * Size + PairTile.Rows * PairTile.Vectors * 16;

    /// <summary>The number of blocks; depends on the problem alone.</summary>
    public static long Count(int xRows, int yRows, bool self)
    {
        long down = (xRows + Size - 1) / Size, across = (yRows + Size - 1) / Size;
        return self ? across * (across + 1) / 2 : down * across;
    }

    /// <summary>Row and column of a block: row by row, in the self form only those on and above the diagonal.</summary>
    public static (int Row, int Column) Locate(long block, int yRows, bool self)
    {
        long across = (yRows + Size - 1) / Size;
        if (!self) return ((int)(block / across), (int)(block % across));
        // Row i of the triangle starts at block i * across - i (i - 1) / 2.
        double width = across + 0.5;
        long row = (long)(width - Math.Sqrt(Math.Max(0, width * width - 2.0 * block)));
        while (row > 0 && Start(row, across) > block) row--;
        while (Start(row + 1, across) <= block) row++;
        return ((int)row, (int)(row + block - Start(row, across)));

        static long Start(long row, long across) => row * across - row * (row - 1) / 2;
    }
}

/// <summary>Computes one block of pairs, chunk of coordinates by chunk, and hands its tiles to the sink.</summary>
internal unsafe struct PairBlockJob<TSimd, TVector, T, TSink> : IBlockJob
    where TSimd : struct, ISimd<TVector, T>
    where TVector : struct
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where TSink : struct, IPairSink<T>
{
    public PairProblem<T> Problem;
    public TSink Sink;

    /// <summary><see cref="PairBlocks.ScratchElements"/> per worker.</summary>
    public T* Scratch;

    public void Execute(long block, int worker)
    {
        (int blockRow, int blockColumn) = PairBlocks.Locate(block, Problem.YRows, Problem.Self);
        bool diagonal = Problem.Self && blockRow == blockColumn;
        int row = blockRow * PairBlocks.Size, column = blockColumn * PairBlocks.Size;
        int rows = Math.Min(PairBlocks.Size, Problem.XRows - row), columns = Math.Min(PairBlocks.Size, Problem.YRows - column);
        T* scratch = Scratch + (long)worker * PairBlocks.ScratchElements;
        int chunks = Problem.Chunks;
        for (int chunk = 0; chunk < chunks; chunk++)
            RunChunk(chunk, chunks, row, column, rows, columns, diagonal, scratch);
        Sink.EndBlock(ref Problem, row, column, rows, columns, scratch);
    }

    private void RunChunk(int chunk, int chunks, int row, int column, int rows, int columns, bool diagonal, T* scratch)
    {
        int width = Problem.PanelWidth, start = chunk * PairTile.Depth, depth = Math.Min(PairTile.Depth, Problem.Depth - start);
        bool last = chunk == chunks - 1, keeps = chunks > 1 || TSink.KeepsBlock;
        nint stride = keeps ? PairBlocks.Size : width;
        T* spare = scratch + PairBlocks.Size * PairBlocks.Size;
        T** pointers = stackalloc T*[PairTile.Rows];
        for (int c = 0; c < columns; c += width)
        {
            T* panel = Problem.Panel(column + c, start);
            // In a diagonal block the tiles that lie wholly on or below the diagonal are left out.
            int end = diagonal ? Math.Min(rows, c + width - 1) : rows;
            for (int r = 0; r < end; r += PairTile.Rows)
            {
                T* tile = keeps ? scratch + r * PairBlocks.Size + c : scratch;
                Problem.RowPointers(row + r, start, pointers);
                Problem.Tile(pointers, panel, depth, tile, stride, chunk > 0);
                if (last) Sink.Tile(ref Problem, row + r, column + c, Math.Min(PairTile.Rows, rows - r), Math.Min(width, columns - c), tile, stride, spare);
            }
        }
    }
}

/// <summary>The expanded form's raw values from scalar products, with the direct value where the expansion cancels.</summary>
internal static unsafe class PairExpansion<TSimd, TVector, T>
    where TSimd : struct, ISimd<TVector, T>
    where TVector : struct
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>Replaces the scalar products in the first rows of a tile by raw values.</summary>
    /// <param name="wanted">Bit r set: row r is needed. Other rows may be left without correction.</param>
    public static void Resolve(ref PairProblem<T> problem, int row, int column, int rows, uint wanted, T* tile, nint stride, T* spare)
    {
        uint cancelled = Expand(ref problem, row, column, rows, tile, stride) & wanted;
        if (cancelled == 0) return;
        int width = problem.PanelWidth;
        if ((cancelled & (cancelled - 1)) == 0)
            RunDirectRow(ref problem, row, column, BitOperations.TrailingZeroCount(cancelled), spare);
        else
            RunDirectTile(ref problem, row, column, spare);
        for (int r = 0; r < rows; r++)
            if ((cancelled >> r & 1) != 0) Replace(problem.XNorms[row + r], problem.YNorms + column, tile + r * stride, spare + r * width);
    }

    /// <summary>tile = |x|² + |y|² − 2 tile. Returns the rows in which some value is at or below the cancellation threshold.</summary>
    private static uint Expand(ref PairProblem<T> problem, int row, int column, int rows, T* tile, nint stride)
    {
        TVector minusTwo = TSimd.Broadcast(T.CreateTruncating(-2)), threshold = TSimd.Broadcast(T.CreateTruncating(PairProblem<T>.Cancellation));
        T* yNorms = problem.YNorms + column;
        TVector y0 = TSimd.Load(yNorms), y1 = TSimd.Load(yNorms + TSimd.Count);
        uint cancelled = 0;
        for (int r = 0; r < rows; r++, tile += stride)
        {
            TVector x = TSimd.Broadcast(problem.XNorms[row + r]);
            TVector sum0 = TSimd.Add(x, y0), sum1 = TSimd.Add(x, y1);
            TVector raw0 = TSimd.MultiplyAdd(minusTwo, TSimd.Load(tile), sum0), raw1 = TSimd.MultiplyAdd(minusTwo, TSimd.Load(tile + TSimd.Count), sum1);
            TSimd.Store(tile, raw0);
            TSimd.Store(tile + TSimd.Count, raw1);
            uint lanes = TSimd.Bits(TSimd.LessOrEqual(raw0, TSimd.Multiply(threshold, sum0))) | TSimd.Bits(TSimd.LessOrEqual(raw1, TSimd.Multiply(threshold, sum1)));
            if (lanes != 0) cancelled |= 1u << r;
        }
        return cancelled;
    }

    private static void Replace(T xNorm, T* yNorms, T* raw, T* direct)
    {
        TVector threshold = TSimd.Broadcast(T.CreateTruncating(PairProblem<T>.Cancellation)), x = TSimd.Broadcast(xNorm);
        for (int lane = 0; lane < PairTile.Vectors * TSimd.Count; lane += TSimd.Count)
        {
            TVector value = TSimd.Load(raw + lane), limit = TSimd.Multiply(threshold, TSimd.Add(x, TSimd.Load(yNorms + lane)));
            TSimd.Store(raw + lane, TSimd.Select(TSimd.GreaterThan(value, limit), value, TSimd.Load(direct + lane)));
        }
    }

    private static void RunDirectTile(ref PairProblem<T> problem, int row, int column, T* spare)
    {
        T** pointers = stackalloc T*[PairTile.Rows];
        for (int chunk = 0; chunk < problem.Chunks; chunk++)
        {
            int start = chunk * PairTile.Depth;
            problem.RowPointers(row, start, pointers);
            problem.DirectTile(pointers, problem.Panel(column, start), Math.Min(PairTile.Depth, problem.Depth - start), spare, problem.PanelWidth, chunk > 0);
        }
    }

    private static void RunDirectRow(ref PairProblem<T> problem, int row, int column, int r, T* spare)
    {
        for (int chunk = 0; chunk < problem.Chunks; chunk++)
        {
            int start = chunk * PairTile.Depth;
            problem.DirectRow(problem.X + (row + r) * problem.XStride + start, problem.Panel(column, start),
                Math.Min(PairTile.Depth, problem.Depth - start), spare + r * problem.PanelWidth, chunk > 0);
        }
    }
}
