using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace BioSup.Kernels;

/// <summary>
/// C [6, two vectors] = alpha A B + beta C of packed operands, a [depth][6] and b [depth][two vectors]. 12 accumulators, two vectors of B and one broadcast fill 15 of
/// the 16 registers that AVX2 and SSE have; the twelve independent chains cover the latency of the fused multiply-add; 8 x 16 would spill, 8 x 8 is bound by loads.
/// </summary>
internal static unsafe class SixRowTile<TSimd, TVector, T>
    where TSimd : struct, ISimd<TVector, T>
    where TVector : unmanaged
    where T : unmanaged, IFloatingPointIeee754<T>
{
    public const int Rows = 6;

    public static void Multiply(long depth, T* a, T* b, T* c, long strideC, T alpha, T beta)
    {
        TVector c00 = TSimd.Zero, c01 = TSimd.Zero;
        TVector c10 = TSimd.Zero, c11 = TSimd.Zero;
        TVector c20 = TSimd.Zero, c21 = TSimd.Zero;
        TVector c30 = TSimd.Zero, c31 = TSimd.Zero;
        TVector c40 = TSimd.Zero, c41 = TSimd.Zero;
        TVector c50 = TSimd.Zero, c51 = TSimd.Zero;
        Prefetch(c, strideC, Rows);
        do
        {
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
            a += Rows;
            b += 2 * TSimd.Count;
        }
        while (--depth != 0);
        TVector scale = TSimd.Broadcast(alpha);
        StoreRow(c + 0 * strideC, c00, c01, scale, beta);
        StoreRow(c + 1 * strideC, c10, c11, scale, beta);
        StoreRow(c + 2 * strideC, c20, c21, scale, beta);
        StoreRow(c + 3 * strideC, c30, c31, scale, beta);
        StoreRow(c + 4 * strideC, c40, c41, scale, beta);
        StoreRow(c + 5 * strideC, c50, c51, scale, beta);
    }

    /// <summary>The tile of C is needed at the end, a few thousand cycles from now: fetch it while the sums run.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(T* c, long strideC, int rows)
    {
        if (!Sse.IsSupported) return;
        for (int row = 0; row < rows; row++)
        {
            Sse.Prefetch0(c + row * strideC);
            // Two vectors of 512 bits are two lines.
            if (sizeof(TVector) == 64) Sse.Prefetch0(c + row * strideC + TSimd.Count);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreRow(T* c, TVector left, TVector right, TVector scale, T beta)
    {
        left = TSimd.Multiply(left, scale);
        right = TSimd.Multiply(right, scale);
        if (beta != T.Zero)
        {
            TVector keep = TSimd.Broadcast(beta);
            left = TSimd.MultiplyAdd(keep, TSimd.Load(c), left);
            right = TSimd.MultiplyAdd(keep, TSimd.Load(c + TSimd.Count), right);
        }
        TSimd.Store(c, left);
        TSimd.Store(c + TSimd.Count, right);
    }
}
