using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace BioSup.Kernels;

/// <summary>
/// Copies a strip of an operand into a contiguous panel: panel[p * width + i] = source[i * outerStride + p * depthStride].
/// "Outer" is the row of A or the column of B; both operands are packed by the same code.
/// </summary>
internal static unsafe class GemmPacking
{
    /// <summary>Elements past the end of a panel that <see cref="Pack"/> may overwrite: a register transpose stores whole vectors.</summary>
    public const int Slack = 16;

    /// <param name="source">Element (0, 0) of the strip.</param>
    /// <param name="outer">Rows of A or columns of B present, 1 ≤ outer ≤ width; the rest of the panel is zero.</param>
    /// <param name="panel">Room for depth * width + <see cref="Slack"/> elements.</param>
    public static void Pack<T>(T* source, long outerStride, long depthStride, int outer, int depth, T* panel, int width) where T : unmanaged
    {
        if (outer < width)
        {
            PackPartial(source, outerStride, depthStride, outer, depth, panel, width);
            return;
        }
        if (outerStride == 1)
        {
            PackContiguous(source, depthStride, depth, panel, width);
            return;
        }
        if (depthStride == 1 && Avx.IsSupported && typeof(T) == typeof(float))
        {
            TransposeSingle((float*)source, outerStride, depth, (float*)panel, width);
            return;
        }
        if (depthStride == 1 && Avx.IsSupported && typeof(T) == typeof(double))
        {
            TransposeDouble((double*)source, outerStride, depth, (double*)panel, width);
            return;
        }
        PackPartial(source, outerStride, depthStride, outer, depth, panel, width);
    }

    private static void PackPartial<T>(T* source, long outerStride, long depthStride, int outer, int depth, T* panel, int width) where T : unmanaged
    {
        for (int p = 0; p < depth; p++)
        {
            T* from = source + p * depthStride;
            T* to = panel + (long)p * width;
            for (int i = 0; i < outer; i++) to[i] = from[i * outerStride];
            for (int i = outer; i < width; i++) to[i] = default;
        }
    }

    /// <summary>The strip's rows are contiguous: straight copies of width elements.</summary>
    private static void PackContiguous<T>(T* source, long depthStride, int depth, T* panel, int width) where T : unmanaged
    {
        for (int p = 0; p < depth; p++) CopyLine(source + p * depthStride, panel + (long)p * width, width);
    }

    /// <summary>Copies width contiguous elements; width * sizeof(T) is a multiple of eight bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void CopyLine<T>(T* source, T* destination, int width) where T : unmanaged
    {
        int bytes = width * sizeof(T), i = 0;
        byte* from = (byte*)source;
        byte* to = (byte*)destination;
        for (; i + 32 <= bytes; i += 32) Vector256.Store(Vector256.Load(from + i), to + i);
        for (; i + 16 <= bytes; i += 16) Vector128.Store(Vector128.Load(from + i), to + i);
        for (; i < bytes; i += 8) *(ulong*)(to + i) = *(ulong*)(from + i);
    }

    /// <summary>
    /// Eight strips at a time through an 8 x 8 register transpose. When fewer than eight strips remain (a width of 6 or 12), the missing
    /// rows repeat the last one and their stores land on the next line of the panel, which is written afterwards: hence the last group goes first.
    /// </summary>
    private static void TransposeSingle(float* source, long outerStride, int depth, float* panel, int width)
    {
        int p = 0;
        for (; p + 8 <= depth; p += 8)
        {
            for (int i = (width - 1) / 8 * 8; i >= 0; i -= 8)
            {
                long last = width - 1;
                float* s = source + p;
                Transpose8(
                    Vector256.Load(s + i * outerStride),
                    Vector256.Load(s + Math.Min(i + 1, last) * outerStride),
                    Vector256.Load(s + Math.Min(i + 2, last) * outerStride),
                    Vector256.Load(s + Math.Min(i + 3, last) * outerStride),
                    Vector256.Load(s + Math.Min(i + 4, last) * outerStride),
                    Vector256.Load(s + Math.Min(i + 5, last) * outerStride),
                    Vector256.Load(s + Math.Min(i + 6, last) * outerStride),
                    Vector256.Load(s + Math.Min(i + 7, last) * outerStride),
                    panel + (long)p * width + i,
                    width);
            }
        }
        if (p < depth) PackPartial(source + p, outerStride, 1, width, depth - p, panel + (long)p * width, width);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Transpose8(
        Vector256<float> r0, Vector256<float> r1, Vector256<float> r2, Vector256<float> r3,
        Vector256<float> r4, Vector256<float> r5, Vector256<float> r6, Vector256<float> r7, float* to, long stride)
    {
        Vector256<float> t0 = Avx.UnpackLow(r0, r1), t1 = Avx.UnpackHigh(r0, r1), t2 = Avx.UnpackLow(r2, r3), t3 = Avx.UnpackHigh(r2, r3);
        Vector256<float> t4 = Avx.UnpackLow(r4, r5), t5 = Avx.UnpackHigh(r4, r5), t6 = Avx.UnpackLow(r6, r7), t7 = Avx.UnpackHigh(r6, r7);
        Vector256<float> s0 = Avx.Shuffle(t0, t2, 0x44), s1 = Avx.Shuffle(t0, t2, 0xEE), s2 = Avx.Shuffle(t1, t3, 0x44), s3 = Avx.Shuffle(t1, t3, 0xEE);
        Vector256<float> s4 = Avx.Shuffle(t4, t6, 0x44), s5 = Avx.Shuffle(t4, t6, 0xEE), s6 = Avx.Shuffle(t5, t7, 0x44), s7 = Avx.Shuffle(t5, t7, 0xEE);
        Vector256.Store(Avx.Permute2x128(s0, s4, 0x20), to);
        Vector256.Store(Avx.Permute2x128(s1, s5, 0x20), to + stride);
        Vector256.Store(Avx.Permute2x128(s2, s6, 0x20), to + 2 * stride);
        Vector256.Store(Avx.Permute2x128(s3, s7, 0x20), to + 3 * stride);
        Vector256.Store(Avx.Permute2x128(s0, s4, 0x31), to + 4 * stride);
        Vector256.Store(Avx.Permute2x128(s1, s5, 0x31), to + 5 * stride);
        Vector256.Store(Avx.Permute2x128(s2, s6, 0x31), to + 6 * stride);
        Vector256.Store(Avx.Permute2x128(s3, s7, 0x31), to + 7 * stride);
    }

    /// <summary>Four strips at a time through a 4 x 4 register transpose; a rest of two strips goes through 2 x 2.</summary>
    private static void TransposeDouble(double* source, long outerStride, int depth, double* panel, int width)
    {
        int p = 0;
        for (; p + 4 <= depth; p += 4)
        {
            double* line = panel + (long)p * width;
            int i = 0;
            for (; i + 4 <= width; i += 4)
            {
                double* s = source + p + i * outerStride;
                Vector256<double> r0 = Vector256.Load(s), r1 = Vector256.Load(s + outerStride);
                Vector256<double> r2 = Vector256.Load(s + 2 * outerStride), r3 = Vector256.Load(s + 3 * outerStride);
                Vector256<double> t0 = Avx.UnpackLow(r0, r1), t1 = Avx.UnpackHigh(r0, r1), t2 = Avx.UnpackLow(r2, r3), t3 = Avx.UnpackHigh(r2, r3);
                Vector256.Store(Avx.Permute2x128(t0, t2, 0x20), line + i);
                Vector256.Store(Avx.Permute2x128(t1, t3, 0x20), line + width + i);
                Vector256.Store(Avx.Permute2x128(t0, t2, 0x31), line + 2 * width + i);
                Vector256.Store(Avx.Permute2x128(t1, t3, 0x31), line + 3 * width + i);
            }
            for (; i < width; i += 2)
            {
                double* s = source + p + i * outerStride;
                Vector256<double> r0 = Vector256.Load(s), r1 = Vector256.Load(s + outerStride);
                Vector256<double> low = Avx.UnpackLow(r0, r1), high = Avx.UnpackHigh(r0, r1);
                Vector128.Store(low.GetLower(), line + i);
                Vector128.Store(high.GetLower(), line + width + i);
                Vector128.Store(low.GetUpper(), line + 2 * width + i);
                Vector128.Store(high.GetUpper(), line + 3 * width + i);
            }
        }
        if (p < depth) PackPartial(source + p, outerStride, 1, width, depth - p, panel + (long)p * width, width);
    }
}
