using System.Runtime.CompilerServices;

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
