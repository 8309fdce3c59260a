using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace BioSup.Kernels;

internal static unsafe partial class SaeEngine<TSimd, TVector>
{
    // A panel of 264 x 16 floats stays in a 32 KiB first-level cache beside the sliver that streams past it.
    private const int MaxDepth = 272;
    private const int MaxRows = SaeWorkspace.MaxSubTokens;

    /// <summary>
    /// C[panel][row][lane] (+)= Σ_k A[row / 6][k][row % 6] · B[panel][k][lane]. Rows are rounded up to whole slivers: A holds zeros there and C has room.
    /// </summary>
    /// <param name="aStride">Elements between slivers of A.</param>
    /// <param name="bStride">Elements between panels of B.</param>
    /// <param name="cStride">Elements between panels of C.</param>
    /// <param name="cRow">Elements between rows of C.</param>
    private static void Product(int rows, int depth, float* a, long aStride, float* b, long bStride, int panels, float* c, long cStride, long cRow, bool accumulate)
    {
        int slivers = Slivers(rows), depthBlocks = (depth + MaxDepth - 1) / MaxDepth, rowBlocks = (slivers * Sliver + MaxRows - 1) / MaxRows;
        for (int depthBlock = 0; depthBlock < depthBlocks; depthBlock++)
        {
            int k0 = (int)((long)depth * depthBlock / depthBlocks), k1 = (int)((long)depth * (depthBlock + 1) / depthBlocks);
            bool add = accumulate || depthBlock > 0;
            for (int rowBlock = 0; rowBlock < rowBlocks; rowBlock++)
            {
                int s0 = slivers * rowBlock / rowBlocks, s1 = slivers * (rowBlock + 1) / rowBlocks;
                for (int panel = 0; panel < panels; panel++)
                {
                    float* bPanel = b + panel * bStride + (long)k0 * Panel, cPanel = c + panel * cStride;
                    for (int sliver = s0; sliver < s1; sliver++)
                        RegisterTile(k1 - k0, a + sliver * aStride + (long)k0 * Sliver, bPanel, cPanel + sliver * Sliver * cRow, cRow, add);
                }
            }
        }
    }

    /// <summary>Six rows by two vectors: twelve accumulators, two loads and six broadcasts for twelve multiply-adds.</summary>
    private static void RegisterTile(int depth, float* a, float* b, float* c, long cRow, bool accumulate)
    {
        int lanes = TSimd.Count;
        TVector c00 = TSimd.Zero, c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00, c40 = c00, c41 = c00, c50 = c00, c51 = c00;
        for (int k = depth; k > 0; k--)
        {
            TVector b0 = TSimd.Load(b), b1 = TSimd.Load(b + lanes);
            TVector x = TSimd.Broadcast(a[0]);
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
            a += Sliver;
            b += 2 * lanes;
        }
        StoreRow(c, c00, c01, accumulate);
        StoreRow(c + cRow, c10, c11, accumulate);
        StoreRow(c + 2 * cRow, c20, c21, accumulate);
        StoreRow(c + 3 * cRow, c30, c31, accumulate);
        StoreRow(c + 4 * cRow, c40, c41, accumulate);
        StoreRow(c + 5 * cRow, c50, c51, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreRow(float* c, TVector left, TVector right, bool accumulate)
    {
        if (accumulate)
        {
            left = TSimd.Add(TSimd.Load(c), left);
            right = TSimd.Add(TSimd.Load(c + TSimd.Count), right);
        }
        TSimd.Store(c, left);
        TSimd.Store(c + TSimd.Count, right);
    }

    /// <summary>y += alpha x.</summary>
    private static void AddScaled(int length, float alpha, float* x, float* y)
    {
        int lanes = TSimd.Count, i = 0;
        TVector factor = TSimd.Broadcast(alpha);
        for (; i <= length - 2 * lanes; i += 2 * lanes)
        {
            TVector left = TSimd.MultiplyAdd(factor, TSimd.Load(x + i), TSimd.Load(y + i));
            TVector right = TSimd.MultiplyAdd(factor, TSimd.Load(x + i + lanes), TSimd.Load(y + i + lanes));
            TSimd.Store(y + i, left);
            TSimd.Store(y + i + lanes, right);
        }
        for (; i < length; i++) y[i] = MathF.FusedMultiplyAdd(alpha, x[i], y[i]);
    }

    /// <summary>
    /// y += Σ values[n] rows[indices[n]], four rows at a time so that y is touched a quarter as often; the order of additions stays. While four rows are added the
    /// next four are fetched: they lie anywhere, so the processor does not see them coming.
    /// </summary>
    private static void AddRows(int length, int count, int* indices, float* values, float* rows, long rowStride, float* y)
    {
        int n = 0, lanes = TSimd.Count;
        for (; n <= count - 4; n += 4)
        {
            float* x0 = rows + indices[n] * rowStride, x1 = rows + indices[n + 1] * rowStride, x2 = rows + indices[n + 2] * rowStride, x3 = rows + indices[n + 3] * rowStride;
            Following(n, count, indices, rows, rowStride, out float* p0, out float* p1, out float* p2, out float* p3);
            TVector v0 = TSimd.Broadcast(values[n]), v1 = TSimd.Broadcast(values[n + 1]), v2 = TSimd.Broadcast(values[n + 2]), v3 = TSimd.Broadcast(values[n + 3]);
            int i = 0;
            for (; i <= length - 2 * lanes; i += 2 * lanes)
            {
                Fetch(p0 + i, p1 + i, p2 + i, p3 + i);
                TVector left = TSimd.MultiplyAdd(v0, TSimd.Load(x0 + i), TSimd.Load(y + i)), right = TSimd.MultiplyAdd(v0, TSimd.Load(x0 + i + lanes), TSimd.Load(y + i + lanes));
                left = TSimd.MultiplyAdd(v1, TSimd.Load(x1 + i), left);
                right = TSimd.MultiplyAdd(v1, TSimd.Load(x1 + i + lanes), right);
                left = TSimd.MultiplyAdd(v2, TSimd.Load(x2 + i), left);
                right = TSimd.MultiplyAdd(v2, TSimd.Load(x2 + i + lanes), right);
                TSimd.Store(y + i, TSimd.MultiplyAdd(v3, TSimd.Load(x3 + i), left));
                TSimd.Store(y + i + lanes, TSimd.MultiplyAdd(v3, TSimd.Load(x3 + i + lanes), right));
            }
            for (; i < length; i++)
                y[i] = MathF.FusedMultiplyAdd(values[n + 3], x3[i], MathF.FusedMultiplyAdd(values[n + 2], x2[i], MathF.FusedMultiplyAdd(values[n + 1], x1[i], MathF.FusedMultiplyAdd(values[n], x0[i], y[i]))));
        }
        for (; n < count; n++) AddScaled(length, values[n], rows + indices[n] * rowStride, y);
    }

    /// <summary>The four rows after the four at n, as far as there are any.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Following(int n, int count, int* indices, float* rows, long rowStride, out float* p0, out float* p1, out float* p2, out float* p3)
    {
        int last = count - 1;
        p0 = rows + indices[Math.Min(n + 4, last)] * rowStride;
        p1 = rows + indices[Math.Min(n + 5, last)] * rowStride;
        p2 = rows + indices[Math.Min(n + 6, last)] * rowStride;
        p3 = rows + indices[Math.Min(n + 7, last)] * rowStride;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Fetch(float* p0, float* p1, float* p2, float* p3)
    {
        if (!Sse.IsSupported) return;
        Sse.Prefetch0(p0);
        Sse.Prefetch0(p1);
        Sse.Prefetch0(p2);
        Sse.Prefetch0(p3);
    }

    internal static float Dot(int length, float* x, float* y)
    {
        int lanes = TSimd.Count, i = 0;
        TVector s0 = TSimd.Zero, s1 = s0, s2 = s0, s3 = s0;
        for (; i <= length - 4 * lanes; i += 4 * lanes)
        {
            s0 = TSimd.MultiplyAdd(TSimd.Load(x + i), TSimd.Load(y + i), s0);
            s1 = TSimd.MultiplyAdd(TSimd.Load(x + i + lanes), TSimd.Load(y + i + lanes), s1);
            s2 = TSimd.MultiplyAdd(TSimd.Load(x + i + 2 * lanes), TSimd.Load(y + i + 2 * lanes), s2);
            s3 = TSimd.MultiplyAdd(TSimd.Load(x + i + 3 * lanes), TSimd.Load(y + i + 3 * lanes), s3);
        }
        float sum = TSimd.Sum(TSimd.Add(TSimd.Add(s0, s1), TSimd.Add(s2, s3)));
        for (; i < length; i++) sum = MathF.FusedMultiplyAdd(x[i], y[i], sum);
        return sum;
    }

    /// <summary>s(g)(1 − s(g)) of the sigmoid s, through e^−|g|: no overflow, relative error below 1e-6.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector SigmoidSlope(TVector g)
    {
        // 2^y with y = −|g| log2 e: the integer part through the rounding constant 1.5 · 2^23, the rest by a polynomial of degree 6.
        TVector magic = TSimd.Broadcast(12582912f);
        TVector y = TSimd.MaxOrSecond(TSimd.Multiply(TSimd.Abs(g), TSimd.Broadcast(-1.442695040888963f)), TSimd.Broadcast(-126f));
        TVector shifted = TSimd.Add(y, magic), f = TSimd.Subtract(y, TSimd.Subtract(shifted, magic));
        TVector p = TSimd.MultiplyAdd(TSimd.Broadcast(1.54035304e-4f), f, TSimd.Broadcast(1.33335581e-3f));
        p = TSimd.MultiplyAdd(p, f, TSimd.Broadcast(9.61812911e-3f));
        p = TSimd.MultiplyAdd(p, f, TSimd.Broadcast(5.55041087e-2f));
        p = TSimd.MultiplyAdd(p, f, TSimd.Broadcast(0.240226507f));
        p = TSimd.MultiplyAdd(p, f, TSimd.Broadcast(0.693147181f));
        p = TSimd.MultiplyAdd(p, f, TSimd.Broadcast(1f));
        TVector e = TSimd.AddBits(p, TSimd.ShiftBitsLeft(shifted, 23)), one = TSimd.Add(e, TSimd.Broadcast(1f));
        return TSimd.Divide(e, TSimd.Multiply(one, one));
    }
}
