using System.Runtime.CompilerServices;

namespace BioSup.Kernels;

/// <summary>Sizes shared by everything that walks pairs of rows.</summary>
internal static class PairTile
{
    /// <summary>Rows of x in a register tile. With two vectors of y rows that is twelve sums, what 16 vector registers can hold.</summary>
    public const int Rows = 6;

    /// <summary>Vectors of y rows in a register tile; a panel of packed y has this many vectors' worth of rows.</summary>
    public const int Vectors = 2;

    /// <summary>
    /// Coordinates summed in one run before the sum joins the total: a panel of this depth stays in the first-level cache, and short runs
    /// keep the rounding error of long rows down. Part of the definition of a pair's value: every path sums in chunks of this length.
    /// </summary>
    public const int Depth = 256;
}

/// <summary>The register tile: <see cref="PairTile.Rows"/> rows of x against one panel of y, each pair summed in order of the coordinates.</summary>
internal static unsafe class PairTile<TSimd, TVector, T, TTerm>
    where TSimd : struct, ISimd<TVector, T>
    where TVector : struct
    where T : unmanaged
    where TTerm : IPairTerm
{
    /// <summary>tile[r, c] = (join ? tile[r, c] joined with : ) the value of <paramref name="depth"/> coordinates of row r and panel column c.</summary>
    /// <param name="rows">Six row pointers, at the first coordinate of the chunk.</param>
    /// <param name="panel">Packed y: coordinate k of column c at k * 2 * lanes + c.</param>
    /// <param name="depth">Coordinates in the chunk.</param>
    /// <param name="tile">Six rows of 2 * lanes values.</param>
    /// <param name="stride">Elements between rows of the tile.</param>
    /// <param name="join">False for the first chunk.</param>
    public static void Run(T** rows, T* panel, nint depth, T* tile, nint stride, bool join)
    {
        T* x0 = rows[0], x1 = rows[1], x2 = rows[2], x3 = rows[3], x4 = rows[4], x5 = rows[5];
        TVector s00 = default, s01 = default, s10 = default, s11 = default, s20 = default, s21 = default;
        TVector s30 = default, s31 = default, s40 = default, s41 = default, s50 = default, s51 = default;
        for (nint k = 0; k < depth; k++)
        {
            TVector y0 = TSimd.Load(panel), y1 = TSimd.Load(panel + TSimd.Count);
            panel += 2 * TSimd.Count;
            TVector x = TSimd.Broadcast(x0[k]);
            s00 = TTerm.Accumulate<TSimd, TVector, T>(s00, x, y0);
            s01 = TTerm.Accumulate<TSimd, TVector, T>(s01, x, y1);
            x = TSimd.Broadcast(x1[k]);
            s10 = TTerm.Accumulate<TSimd, TVector, T>(s10, x, y0);
            s11 = TTerm.Accumulate<TSimd, TVector, T>(s11, x, y1);
            x = TSimd.Broadcast(x2[k]);
            s20 = TTerm.Accumulate<TSimd, TVector, T>(s20, x, y0);
            s21 = TTerm.Accumulate<TSimd, TVector, T>(s21, x, y1);
            x = TSimd.Broadcast(x3[k]);
            s30 = TTerm.Accumulate<TSimd, TVector, T>(s30, x, y0);
            s31 = TTerm.Accumulate<TSimd, TVector, T>(s31, x, y1);
            x = TSimd.Broadcast(x4[k]);
            s40 = TTerm.Accumulate<TSimd, TVector, T>(s40, x, y0);
            s41 = TTerm.Accumulate<TSimd, TVector, T>(s41, x, y1);
            x = TSimd.Broadcast(x5[k]);
            s50 = TTerm.Accumulate<TSimd, TVector, T>(s50, x, y0);
            s51 = TTerm.Accumulate<TSimd, TVector, T>(s51, x, y1);
        }
        Write(tile, s00, s01, join);
        Write(tile + stride, s10, s11, join);
        Write(tile + 2 * stride, s20, s21, join);
        Write(tile + 3 * stride, s30, s31, join);
        Write(tile + 4 * stride, s40, s41, join);
        Write(tile + 5 * stride, s50, s51, join);
    }

    /// <summary>The same for one row: the same bits, for when a single row of a tile has to be recomputed.</summary>
    public static void RunRow(T* row, T* panel, nint depth, T* tile, bool join)
    {
        TVector s0 = default, s1 = default;
        for (nint k = 0; k < depth; k++)
        {
            TVector x = TSimd.Broadcast(row[k]);
            s0 = TTerm.Accumulate<TSimd, TVector, T>(s0, x, TSimd.Load(panel));
            s1 = TTerm.Accumulate<TSimd, TVector, T>(s1, x, TSimd.Load(panel + TSimd.Count));
            panel += 2 * TSimd.Count;
        }
        Write(tile, s0, s1, join);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Write(T* tile, TVector first, TVector second, bool join)
    {
        first = TTerm.ChunkValue<TSimd, TVector, T>(first);
        second = TTerm.ChunkValue<TSimd, TVector, T>(second);
        if (join)
        {
            first = TTerm.Join<TSimd, TVector, T>(TSimd.Load(tile), first);
            second = TTerm.Join<TSimd, TVector, T>(TSimd.Load(tile + TSimd.Count), second);
        }
        TSimd.Store(tile, first);
        TSimd.Store(tile + TSimd.Count, second);
    }
}
