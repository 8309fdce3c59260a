using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace BioSup.Data;

/// <summary>Numbers of a dataset as an array of their .NET type.</summary>
internal static class PlainValues
{
    /// <summary>Rows of the first axis, the other axes whole.</summary>
    /// <param name="storage">Where the numbers lie.</param>
    /// <param name="type">Their type.</param>
    /// <param name="whole">Extents of the dataset.</param>
    /// <param name="start">The first row.</param>
    /// <param name="shape">Extents of what is read.</param>
    /// <param name="count">Elements in it.</param>
    /// <param name="reversed">Whether the bytes of a number stand in the other order than the processor's.</param>
    public static Array Read(DatasetStorage storage, ElementType type, long[] whole, long start, long[] shape, int count, bool reversed)
    {
        long rows = shape.Length == 0 ? 1 : shape[0];
        switch (type)
        {
            case ElementType.Boolean:
                return Array.ConvertAll(Of<byte>(), value => value != 0);
            case ElementType.Int8: return Of<sbyte>();
            case ElementType.UInt8: return Of<byte>();
            case ElementType.Int16: return Turned(Of<short>(), span => BinaryPrimitives.ReverseEndianness(span, span));
            case ElementType.UInt16: return Turned(Of<ushort>(), span => BinaryPrimitives.ReverseEndianness(span, span));
            case ElementType.Int32: return Turned(Of<int>(), span => BinaryPrimitives.ReverseEndianness(span, span));
            case ElementType.UInt32: return Turned(Of<uint>(), span => BinaryPrimitives.ReverseEndianness(span, span));
            case ElementType.Int64: return Turned(Of<long>(), span => BinaryPrimitives.ReverseEndianness(span, span));
            case ElementType.UInt64: return Turned(Of<ulong>(), span => BinaryPrimitives.ReverseEndianness(span, span));
            case ElementType.Float16: return Turned(Of<Half>(), span => Reverse(MemoryMarshal.Cast<Half, ushort>(span)));
            case ElementType.Float32: return Turned(Of<float>(), span => Reverse(MemoryMarshal.Cast<float, uint>(span)));
            case ElementType.Float64: return Turned(Of<double>(), span => Reverse(MemoryMarshal.Cast<double, ulong>(span)));
            default: throw new NotSupportedException($"{type.Name()} is not a number");
        }

        T[] Of<T>() where T : unmanaged
        {
            T[] values = GC.AllocateUninitializedArray<T>(count);
            storage.Read(values, whole, start, rows);
            return values;
        }

        T[] Turned<T>(T[] values, Action<Span<T>> reverse)
        {
            if (reversed) reverse(values);
            return values;
        }
    }

    private static void Reverse(Span<ushort> values) => BinaryPrimitives.ReverseEndianness(values, values);
    private static void Reverse(Span<uint> values) => BinaryPrimitives.ReverseEndianness(values, values);
    private static void Reverse(Span<ulong> values) => BinaryPrimitives.ReverseEndianness(values, values);
}
