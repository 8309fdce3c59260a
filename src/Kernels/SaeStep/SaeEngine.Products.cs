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
                        SixRowTile<TSimd, TVector, float>.Multiply(k1 - k0, a + sliver * aStride + (long)k0 * Sliver, bPanel, cPanel + sliver * Sliver * cRow, cRow, 1, add ? 1 : 0);
                }
            }
        }
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
