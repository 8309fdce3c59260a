using System.Numerics;
using System.Runtime.InteropServices;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>Rows of tokens between their stored type and float32. Decoding is exact; encoding rounds to nearest, ties to even.</summary>
internal static class TokenCodec
{
    // 2^112 brings a half's exponent, moved to a float's place, to its value; 2^16 is where infinity and NaN end up.
    private const float HalfScale = 5.192296858534828e33f;
    private const uint HalfLimit = 0x4780_0000;

    /// <summary>Whether a token folder may hold this type.</summary>
    public static bool IsStored(ElementType type) => type is ElementType.Float32 or ElementType.Float16 or ElementType.BFloat16;

    /// <exception cref="UsageException">Token folders do not hold this type.</exception>
    public static ElementType RequireStored(ElementType type) =>
        IsStored(type) ? type : throw new UsageException($"Token shards hold float32, float16 or bfloat16, not {type.Name()}.");

    /// <summary>Converts stored little-endian values; float64 is rounded.</summary>
    public static void Decode(ElementType type, ReadOnlySpan<byte> raw, Span<float> values)
    {
        switch (type)
        {
            case ElementType.Float32:
                MemoryMarshal.Cast<byte, float>(raw).CopyTo(values);
                break;
            case ElementType.BFloat16:
                DecodeBrain(MemoryMarshal.Cast<byte, ushort>(raw), values);
                break;
            case ElementType.Float16:
                DecodeHalf(MemoryMarshal.Cast<byte, ushort>(raw), values);
                break;
            case ElementType.Float64:
                ReadOnlySpan<double> wide = MemoryMarshal.Cast<byte, double>(raw);
                for (int i = 0; i < values.Length; i++) values[i] = (float)wide[i];
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(type), type, "Tokens are floating-point numbers.");
        }
    }

    /// <summary>Converts to the stored type.</summary>
    public static void Encode(ElementType type, ReadOnlySpan<float> values, Span<byte> raw)
    {
        switch (type)
        {
            case ElementType.Float32:
                values.CopyTo(MemoryMarshal.Cast<byte, float>(raw));
                break;
            case ElementType.BFloat16:
                Span<BFloat16> brain = MemoryMarshal.Cast<byte, BFloat16>(raw);
                for (int i = 0; i < values.Length; i++) brain[i] = (BFloat16)values[i];
                break;
            case ElementType.Float16:
                Span<Half> half = MemoryMarshal.Cast<byte, Half>(raw);
                for (int i = 0; i < values.Length; i++) half[i] = (Half)values[i];
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(type), type, "Token shards hold float32, float16 or bfloat16.");
        }
    }

    /// <summary>Replaces the values by what a store of this type gives back.</summary>
    public static void Round(ElementType type, Span<float> values)
    {
        if (type == ElementType.BFloat16)
            foreach (ref float value in values) value = (float)(BFloat16)value;
        else if (type == ElementType.Float16)
            foreach (ref float value in values) value = (float)(Half)value;
    }

    private static void DecodeBrain(ReadOnlySpan<ushort> raw, Span<float> values)
    {
        Span<uint> bits = MemoryMarshal.Cast<float, uint>(values);
        int i = 0;
        for (; i <= raw.Length - Vector<ushort>.Count; i += Vector<ushort>.Count)
        {
            Vector.Widen(new Vector<ushort>(raw[i..]), out Vector<uint> low, out Vector<uint> high);
            (low << 16).CopyTo(bits[i..]);
            (high << 16).CopyTo(bits[(i + Vector<uint>.Count)..]);
        }
        for (; i < raw.Length; i++) bits[i] = (uint)raw[i] << 16;
    }

    private static void DecodeHalf(ReadOnlySpan<ushort> raw, Span<float> values)
    {
        int i = 0;
        for (; i <= raw.Length - Vector<ushort>.Count; i += Vector<ushort>.Count)
        {
            Vector.Widen(new Vector<ushort>(raw[i..]), out Vector<uint> low, out Vector<uint> high);
            Widen(low).CopyTo(values[i..]);
            Widen(high).CopyTo(values[(i + Vector<uint>.Count)..]);
        }
        for (; i < raw.Length; i++) values[i] = (float)BitConverter.UInt16BitsToHalf(raw[i]);
    }

    private static Vector<float> Widen(Vector<uint> half)
    {
        Vector<uint> magnitude = Vector.AsVectorUInt32(Vector.AsVectorSingle((half & new Vector<uint>(0x7FFF)) << 13) * new Vector<float>(HalfScale));
        magnitude |= Vector.GreaterThanOrEqual(magnitude, new Vector<uint>(HalfLimit)) & new Vector<uint>(0x7F80_0000);
        return Vector.AsVectorSingle(magnitude | ((half & new Vector<uint>(0x8000)) << 16));
    }
}
