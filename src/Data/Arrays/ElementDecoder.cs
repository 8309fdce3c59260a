using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;

namespace BioSup.Data;

/// <summary>Converts raw little- or big-endian elements of any type to float or double.</summary>
internal static class ElementDecoder
{
    /// <summary>Converts <c>destination.Length</c> elements. <paramref name="raw"/> is byte-swapped in place first when asked.</summary>
    public static void Decode<T>(ElementType type, bool swap, Span<byte> raw, Span<T> destination) where T : unmanaged, INumberBase<T>
    {
        if (swap) SwapBytes(raw, type.Size());
        switch (type)
        {
            case ElementType.Boolean:
                for (int i = 0; i < destination.Length; i++) destination[i] = raw[i] != 0 ? T.One : T.Zero;
                break;
            case ElementType.Int8: Convert<sbyte, T>(raw, destination); break;
            case ElementType.UInt8: Convert<byte, T>(raw, destination); break;
            case ElementType.Int16: Convert<short, T>(raw, destination); break;
            case ElementType.UInt16: Convert<ushort, T>(raw, destination); break;
            case ElementType.Int32: Convert<int, T>(raw, destination); break;
            case ElementType.UInt32: Convert<uint, T>(raw, destination); break;
            case ElementType.Int64: Convert<long, T>(raw, destination); break;
            case ElementType.UInt64: Convert<ulong, T>(raw, destination); break;
            case ElementType.Float16: Convert<Half, T>(raw, destination); break;
            case ElementType.BFloat16:
                ReadOnlySpan<BFloat16> brain = MemoryMarshal.Cast<byte, BFloat16>(raw);
                for (int i = 0; i < destination.Length; i++) destination[i] = T.CreateTruncating((float)brain[i]);
                break;
            case ElementType.Float32: Convert<float, T>(raw, destination); break;
            case ElementType.Float64: Convert<double, T>(raw, destination); break;
            default: throw new InvalidOperationException("Text has no numeric value.");
        }
    }

    /// <summary>Converts a managed array.</summary>
    public static void Convert<T>(NdArray source, Span<T> destination) where T : unmanaged, INumberBase<T>
    {
        if (source.Type == ElementType.Text) throw new InvalidOperationException("Text has no numeric value.");
        Decode(source.Type, swap: false, Bytes(source.Values), destination);
    }

    /// <summary>The bytes of a managed array of unmanaged elements.</summary>
    public static Span<byte> Bytes(Array values) =>
        values.Length == 0
            ? []
            : MemoryMarshal.CreateSpan(ref MemoryMarshal.GetArrayDataReference(values), checked(values.Length * ElementTypes.Of(values.GetType().GetElementType()!).Size()));

    public static void SwapBytes(Span<byte> raw, int size)
    {
        switch (size)
        {
            case 2:
                Span<ushort> two = MemoryMarshal.Cast<byte, ushort>(raw);
                BinaryPrimitives.ReverseEndianness(two, two);
                break;
            case 4:
                Span<uint> four = MemoryMarshal.Cast<byte, uint>(raw);
                BinaryPrimitives.ReverseEndianness(four, four);
                break;
            case 8:
                Span<ulong> eight = MemoryMarshal.Cast<byte, ulong>(raw);
                BinaryPrimitives.ReverseEndianness(eight, eight);
                break;
        }
    }

    private static void Convert<TFrom, TTo>(ReadOnlySpan<byte> raw, Span<TTo> destination)
        where TFrom : unmanaged, INumberBase<TFrom> where TTo : unmanaged, INumberBase<TTo>
    {
        ReadOnlySpan<TFrom> source = MemoryMarshal.Cast<byte, TFrom>(raw);
        if (typeof(TFrom) == typeof(TTo))
        {
            MemoryMarshal.Cast<TFrom, TTo>(source[..destination.Length]).CopyTo(destination);
            return;
        }
        source = source[..destination.Length];
        for (int i = 0; i < source.Length; i++) destination[i] = TTo.CreateTruncating(source[i]);
    }
}
