using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace BioSup.Kernels;

/// <summary>Out-of-place transposition of a block that fits the cache: moves bits, computes nothing.</summary>
internal static unsafe class BlockTranspose
{
    /// <summary>target[c, r] = source[r, c].</summary>
    public static void Run<T>(T* source, long sourceStride, int rows, int columns, T* target, long targetStride) where T : unmanaged
    {
        int doneRows = 0, doneColumns = 0;
        if (sizeof(T) == sizeof(float) && Avx.IsSupported)
        {
            doneRows = rows & ~7;
            doneColumns = columns & ~7;
            for (int r = 0; r < doneRows; r += 8)
                for (int c = 0; c < doneColumns; c += 8)
                    Eight((float*)(source + r * sourceStride + c), sourceStride, (float*)(target + c * targetStride + r), targetStride);
        }
        for (int r = 0; r < rows; r++)
            for (int c = r < doneRows ? doneColumns : 0; c < columns; c++) target[c * targetStride + r] = source[r * sourceStride + c];
    }

    /// <summary>8 x 8 floats: interleave pairs of rows, then pairs of pairs, then swap the 128-bit halves.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Eight(float* source, long stride, float* target, long targetStride)
    {
        Vector256<float> r0 = Vector256.Load(source), r1 = Vector256.Load(source + stride);
        Vector256<float> r2 = Vector256.Load(source + 2 * stride), r3 = Vector256.Load(source + 3 * stride);
        Vector256<float> r4 = Vector256.Load(source + 4 * stride), r5 = Vector256.Load(source + 5 * stride);
        Vector256<float> r6 = Vector256.Load(source + 6 * stride), r7 = Vector256.Load(source + 7 * stride);
        Quads(r0, r1, r2, r3, out Vector256<float> a0, out Vector256<float> a1, out Vector256<float> a2, out Vector256<float> a3);
        Quads(r4, r5, r6, r7, out Vector256<float> b0, out Vector256<float> b1, out Vector256<float> b2, out Vector256<float> b3);
        Avx.Permute2x128(a0, b0, 0x20).Store(target);
        Avx.Permute2x128(a1, b1, 0x20).Store(target + targetStride);
        Avx.Permute2x128(a2, b2, 0x20).Store(target + 2 * targetStride);
        Avx.Permute2x128(a3, b3, 0x20).Store(target + 3 * targetStride);
        Avx.Permute2x128(a0, b0, 0x31).Store(target + 4 * targetStride);
        Avx.Permute2x128(a1, b1, 0x31).Store(target + 5 * targetStride);
        Avx.Permute2x128(a2, b2, 0x31).Store(target + 6 * targetStride);
        Avx.Permute2x128(a3, b3, 0x31).Store(target + 7 * targetStride);
    }

    /// <summary>Column c of four rows in the low half of output c, column c + 4 in the high half.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Quads(Vector256<float> r0, Vector256<float> r1, Vector256<float> r2, Vector256<float> r3,
        out Vector256<float> c0, out Vector256<float> c1, out Vector256<float> c2, out Vector256<float> c3)
    {
        Vector256<double> low01 = Avx.UnpackLow(r0, r1).AsDouble(), high01 = Avx.UnpackHigh(r0, r1).AsDouble();
        Vector256<double> low23 = Avx.UnpackLow(r2, r3).AsDouble(), high23 = Avx.UnpackHigh(r2, r3).AsDouble();
        c0 = Avx.UnpackLow(low01, low23).AsSingle();
        c1 = Avx.UnpackHigh(low01, low23).AsSingle();
        c2 = Avx.UnpackLow(high01, high23).AsSingle();
        c3 = Avx.UnpackHigh(high01, high23).AsSingle();
    }
}
