using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Turns raw values into distances and writes finished blocks to the matrix, in the self form also mirrored.</summary>
internal unsafe struct DistanceSink<TSimd, TVector, T> : IPairSink<T>
    where TSimd : struct, ISimd<TVector, T>
    where TVector : struct
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly T* _distances;
    private readonly long _stride;
    private readonly bool _patchZeroRows;

    /// <param name="distances">Where the blocks go.</param>
    /// <param name="patchZeroRows">Direct form of unit rows: a zero row, which no unit length fits, is set to distance 1.</param>
    public DistanceSink(MatrixView<T> distances, bool patchZeroRows)
    {
        _distances = distances.Pointer;
        _stride = distances.Stride;
        _patchZeroRows = patchZeroRows;
    }

    public static bool KeepsBlock => true;

    public readonly void Tile(ref PairProblem<T> problem, int row, int column, int rows, int columns, T* tile, nint stride, T* spare)
    {
        if (problem.Expanded) PairExpansion<TSimd, TVector, T>.Resolve(ref problem, row, column, rows, uint.MaxValue, tile, stride, spare);
        switch (problem.Value)
        {
            case PairValue.SquareRoot:
                for (int r = 0; r < rows; r++)
                    for (T* p = tile + r * stride, end = p + problem.PanelWidth; p < end; p += TSimd.Count)
                        TSimd.Store(p, TSimd.Sqrt(TSimd.Load(p)));
                break;
            case PairValue.HalfOfUnit:
                TVector half = TSimd.Broadcast(T.CreateTruncating(0.5)), two = TSimd.Broadcast(T.CreateTruncating(2));
                for (int r = 0; r < rows; r++)
                    for (T* p = tile + r * stride, end = p + problem.PanelWidth; p < end; p += TSimd.Count)
                        TSimd.Store(p, TSimd.MinOrSecond(TSimd.Multiply(TSimd.Load(p), half), two));
                break;
            case PairValue.Fraction:
                TVector depth = TSimd.Broadcast(T.CreateTruncating(Math.Max(1, problem.Depth)));
                for (int r = 0; r < rows; r++)
                    for (T* p = tile + r * stride, end = p + problem.PanelWidth; p < end; p += TSimd.Count)
                        TSimd.Store(p, TSimd.Divide(TSimd.Load(p), depth));
                break;
        }
    }

    public readonly void EndBlock(ref PairProblem<T> problem, int row, int column, int rows, int columns, T* block)
    {
        if (_patchZeroRows) PatchZeroRows(ref problem, row, column, rows, columns, block);
        if (problem.Self && row == column)
        {
            WriteDiagonalBlock(row, rows, block);
            return;
        }
        for (int r = 0; r < rows; r++) WriteRow(block + r * PairBlocks.Size, _distances + (row + r) * _stride + column, columns);
        // The end of the job is a barrier for ordinary stores; this one covers the streamed ones on every processor.
        Interlocked.MemoryBarrier();
        if (problem.Self) BlockTranspose.Run(block, PairBlocks.Size, rows, columns, _distances + column * _stride + row, _stride);
    }

    /// <summary>The result is rarely read soon and mostly larger than the caches: full vectors go past them, which spares reading each line first.</summary>
    private static void WriteRow(T* source, T* target, int count)
    {
        int done = 0;
        if ((nuint)target % (nuint)(TSimd.Count * sizeof(T)) == 0)
            for (; done + TSimd.Count <= count; done += TSimd.Count) TSimd.StoreStreaming(target + done, TSimd.Load(source + done));
        for (; done < count; done++) target[done] = source[done];
    }

    private readonly void WriteDiagonalBlock(int row, int rows, T* block)
    {
        T* corner = _distances + row * _stride + row;
        for (int r = 0; r < rows; r++)
        {
            corner[r * _stride + r] = T.Zero;
            for (int c = r + 1; c < rows; c++)
            {
                T value = block[r * PairBlocks.Size + c];
                corner[r * _stride + c] = value;
                corner[c * _stride + r] = value;
            }
        }
    }

    private static void PatchZeroRows(ref PairProblem<T> problem, int row, int column, int rows, int columns, T* block)
    {
        for (int r = 0; r < rows; r++)
            if (IsZero(problem.X + (row + r) * problem.XStride, 1, problem.Depth))
                new Span<T>(block + r * PairBlocks.Size, columns).Fill(T.One);
        for (int c = 0; c < columns; c++)
        {
            int width = problem.PanelWidth;
            if (!IsZero(problem.Panel(column + c, 0) + (column + c) % width, width, problem.Depth)) continue;
            for (int r = 0; r < rows; r++) block[r * PairBlocks.Size + c] = T.One;
        }
    }

    private static bool IsZero(T* values, int step, int count)
    {
        for (int k = 0; k < count; k++)
            if (values[(long)k * step] != T.Zero) return false;
        return true;
    }
}
