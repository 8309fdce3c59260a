using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace BioSup.Data;

/// <summary>Undoes HDF5's shuffle: the first bytes of all elements, then the second bytes, and so on, become elements again.</summary>
internal static class Shuffle
{
    /// <summary>Puts the bytes of elements of <paramref name="size"/> bytes together; bytes beyond the last whole element stand at the end of both.</summary>
    public static void Undo(ReadOnlySpan<byte> source, Span<byte> target, int size)
    {
        int count = size <= 1 ? 0 : source.Length / size, done = 0;
        if (size is 2 or 4 or 8) done = Vectors(source, target, count, size);
        for (int b = 0; b < size && count > 0; b++)
        {
            ReadOnlySpan<byte> plane = source.Slice(b * count, count);
            for (int i = done, to = done * size + b; i < plane.Length; i++, to += size) target[to] = plane[i];
        }
        source[(count * size)..].CopyTo(target[(count * size)..]);
    }

    // 16 elements at a time: the planes are interleaved in pairs until the bytes of an element lie side by side.
    private static int Vectors(ReadOnlySpan<byte> source, Span<byte> target, int count, int size)
    {
        if (!Vector128.IsHardwareAccelerated) return 0;
        ref byte from = ref MemoryMarshal.GetReference(source);
        ref byte to = ref MemoryMarshal.GetReference(target);
        int end = count - count % 16;
        Span<Vector128<byte>> v = stackalloc Vector128<byte>[8], w = stackalloc Vector128<byte>[8];
        for (int i = 0; i < end; i += 16)
        {
            for (int b = 0; b < size; b++) v[b] = Vector128.LoadUnsafe(ref from, (nuint)(b * count + i));
            // Plane b meets plane b + size/2, so that after log2(size) rounds the bytes stand in their order.
            for (int round = size; round > 1; round /= 2)
            {
                for (int b = 0; b < size / 2; b++) (w[2 * b], w[2 * b + 1]) = Interleave(v[b], v[b + size / 2]);
                w[..size].CopyTo(v);
            }
            for (int b = 0; b < size; b++) v[b].StoreUnsafe(ref to, (nuint)(i * size + 16 * b));
        }
        return end;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector128<byte> Low, Vector128<byte> High) Interleave(Vector128<byte> a, Vector128<byte> b)
    {
        if (System.Runtime.Intrinsics.X86.Sse2.IsSupported)
            return (System.Runtime.Intrinsics.X86.Sse2.UnpackLow(a, b), System.Runtime.Intrinsics.X86.Sse2.UnpackHigh(a, b));
        if (System.Runtime.Intrinsics.Arm.AdvSimd.Arm64.IsSupported)
            return (System.Runtime.Intrinsics.Arm.AdvSimd.Arm64.ZipLow(a, b), System.Runtime.Intrinsics.Arm.AdvSimd.Arm64.ZipHigh(a, b));
        Span<byte> mixed = stackalloc byte[32];
        for (int i = 0; i < 16; i++) (mixed[2 * i], mixed[2 * i + 1]) = (a[i], b[i]);
        return (Vector128.Create<byte>(mixed), Vector128.Create<byte>(mixed[16..]));
    }
}
