using System.Numerics;
using System.Runtime.Intrinsics.X86;

namespace BioSup.Kernels;

/// <summary>
/// Two vectors by as many rows as the registers allow: six (<see cref="SixRowTile{TSimd, TVector, T}"/>), or twelve for AVX-512, which has 32 registers: 24 accumulators, so that a broadcast feeds as many multiply-adds with half the loads of B.
/// </summary>
internal readonly unsafe struct GemmTile<TSimd, TVector, T> : IGemmTile<T>
    where TSimd : struct, ISimd<TVector, T>
    where TVector : unmanaged
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int StepsAhead = 16;

    public static int TileRows => sizeof(TVector) == 64 ? 12 : SixRowTile<TSimd, TVector, T>.Rows;
    public static int TileColumns => 2 * TSimd.Count;

    public static void Multiply(long depth, T* a, T* b, T* c, long strideC, T alpha, T beta)
    {
        if (sizeof(TVector) == 64) MultiplyTwelve(depth, a, b, c, strideC, alpha, beta);
        else SixRowTile<TSimd, TVector, T>.Multiply(depth, a, b, c, strideC, alpha, beta);
    }

    private static void MultiplyTwelve(long depth, T* a, T* b, T* c, long strideC, T alpha, T beta)
    {
        TVector c00 = TSimd.Zero, c01 = TSimd.Zero;
        TVector c10 = TSimd.Zero, c11 = TSimd.Zero;
        TVector c20 = TSimd.Zero, c21 = TSimd.Zero;
        TVector c30 = TSimd.Zero, c31 = TSimd.Zero;
        TVector c40 = TSimd.Zero, c41 = TSimd.Zero;
        TVector c50 = TSimd.Zero, c51 = TSimd.Zero;
        TVector c60 = TSimd.Zero, c61 = TSimd.Zero;
        TVector c70 = TSimd.Zero, c71 = TSimd.Zero;
        TVector c80 = TSimd.Zero, c81 = TSimd.Zero;
        TVector c90 = TSimd.Zero, c91 = TSimd.Zero;
        TVector c100 = TSimd.Zero, c101 = TSimd.Zero;
        TVector c110 = TSimd.Zero, c111 = TSimd.Zero;
        SixRowTile<TSimd, TVector, T>.Prefetch(c, strideC, TileRows);
        do
        {
            // The panel of A comes from the second level, 48 bytes a step, which is too slow a stream for the processor to run far enough ahead of.
            if (Sse.IsSupported) Sse.Prefetch0(a + StepsAhead * TileRows);
            TVector b0 = TSimd.Load(b), b1 = TSimd.Load(b + TSimd.Count);
            TVector x;
            x = TSimd.Broadcast(a[0]);
            c00 = TSimd.MultiplyAdd(x, b0, c00);
            c01 = TSimd.MultiplyAdd(x, b1, c01);
            x = TSimd.Broadcast(a[1]);
            c10 = TSimd.MultiplyAdd(x, b0, c10);
            c11 = TSimd.MultiplyAdd(x, b1, c11);
            x = TSimd.Broadcast(a[2]);
            c20 = TSimd.MultiplyAdd(x, b0, c20);
            c21 = TSimd.MultiplyAdd(x, b1, c21);
            x = TSimd.Broadcast(a[3]);
            c30 = TSimd.MultiplyAdd(x, b0, c30);
            c31 = TSimd.MultiplyAdd(x, b1, c31);
            x = TSimd.Broadcast(a[4]);
            c40 = TSimd.MultiplyAdd(x, b0, c40);
            c41 = TSimd.MultiplyAdd(x, b1, c41);
            x = TSimd.Broadcast(a[5]);
            c50 = TSimd.MultiplyAdd(x, b0, c50);
            c51 = TSimd.MultiplyAdd(x, b1, c51);
            x = TSimd.Broadcast(a[6]);
            c60 = TSimd.MultiplyAdd(x, b0, c60);
            c61 = TSimd.MultiplyAdd(x, b1, c61);
            x = TSimd.Broadcast(a[7]);
            c70 = TSimd.MultiplyAdd(x, b0, c70);
            c71 = TSimd.MultiplyAdd(x, b1, c71);
            x = TSimd.Broadcast(a[8]);
            c80 = TSimd.MultiplyAdd(x, b0, c80);
            c81 = TSimd.MultiplyAdd(x, b1, c81);
            x = TSimd.Broadcast(a[9]);
            c90 = TSimd.MultiplyAdd(x, b0, c90);
            c91 = TSimd.MultiplyAdd(x, b1, c91);
            x = TSimd.Broadcast(a[10]);
            c100 = TSimd.MultiplyAdd(x, b0, c100);
            c101 = TSimd.MultiplyAdd(x, b1, c101);
            x = TSimd.Broadcast(a[11]);
            c110 = TSimd.MultiplyAdd(x, b0, c110);
            c111 = TSimd.MultiplyAdd(x, b1, c111);
            a += TileRows;
            b += TileColumns;
        }
        while (--depth != 0);
        TVector scale = TSimd.Broadcast(alpha);
        SixRowTile<TSimd, TVector, T>.StoreRow(c + 0 * strideC, c00, c01, scale, beta);
        SixRowTile<TSimd, TVector, T>.StoreRow(c + 1 * strideC, c10, c11, scale, beta);
        SixRowTile<TSimd, TVector, T>.StoreRow(c + 2 * strideC, c20, c21, scale, beta);
        SixRowTile<TSimd, TVector, T>.StoreRow(c + 3 * strideC, c30, c31, scale, beta);
        SixRowTile<TSimd, TVector, T>.StoreRow(c + 4 * strideC, c40, c41, scale, beta);
        SixRowTile<TSimd, TVector, T>.StoreRow(c + 5 * strideC, c50, c51, scale, beta);
        SixRowTile<TSimd, TVector, T>.StoreRow(c + 6 * strideC, c60, c61, scale, beta);
        SixRowTile<TSimd, TVector, T>.StoreRow(c + 7 * strideC, c70, c71, scale, beta);
        SixRowTile<TSimd, TVector, T>.StoreRow(c + 8 * strideC, c80, c81, scale, beta);
        SixRowTile<TSimd, TVector, T>.StoreRow(c + 9 * strideC, c90, c91, scale, beta);
        SixRowTile<TSimd, TVector, T>.StoreRow(c + 10 * strideC, c100, c101, scale, beta);
        SixRowTile<TSimd, TVector, T>.StoreRow(c + 11 * strideC, c110, c111, scale, beta);
    }
}
