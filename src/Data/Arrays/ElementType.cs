using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>What one element of an array in a file is.</summary>
public enum ElementType
{
    Boolean,
    Int8,
    UInt8,
    Int16,
    UInt16,
    Int32,
    UInt32,
    Int64,
    UInt64,
    Float16,
    BFloat16,
    Float32,
    Float64,

    /// <summary>Unicode text (<c>string</c>).</summary>
    Text,
}

/// <summary>Names and sizes of element types in the file formats.</summary>
public static class ElementTypes
{
    /// <summary>Bytes of one element; 0 for text, whose length varies.</summary>
    public static int Size(this ElementType type) => type switch
    {
        ElementType.Boolean or ElementType.Int8 or ElementType.UInt8 => 1,
        ElementType.Int16 or ElementType.UInt16 or ElementType.Float16 or ElementType.BFloat16 => 2,
        ElementType.Int32 or ElementType.UInt32 or ElementType.Float32 => 4,
        ElementType.Int64 or ElementType.UInt64 or ElementType.Float64 => 8,
        _ => 0,
    };

    /// <summary>NumPy's name, for messages: "float32", "int64", "str".</summary>
    public static string Name(this ElementType type) => type switch
    {
        ElementType.Boolean => "bool",
        ElementType.BFloat16 => "bfloat16",
        ElementType.Text => "str",
        _ => type.ToString().ToLowerInvariant(),
    };

    public static bool IsInteger(this ElementType type) => type is >= ElementType.Int8 and <= ElementType.UInt64;

    /// <summary>The element type of a managed array's element.</summary>
    public static ElementType Of(Type type)
    {
        if (type == typeof(bool)) return ElementType.Boolean;
        if (type == typeof(sbyte)) return ElementType.Int8;
        if (type == typeof(byte)) return ElementType.UInt8;
        if (type == typeof(short)) return ElementType.Int16;
        if (type == typeof(ushort)) return ElementType.UInt16;
        if (type == typeof(int)) return ElementType.Int32;
        if (type == typeof(uint)) return ElementType.UInt32;
        if (type == typeof(long)) return ElementType.Int64;
        if (type == typeof(ulong)) return ElementType.UInt64;
        if (type == typeof(Half)) return ElementType.Float16;
        if (type == typeof(BFloat16)) return ElementType.BFloat16;
        if (type == typeof(float)) return ElementType.Float32;
        if (type == typeof(double)) return ElementType.Float64;
        if (type == typeof(string)) return ElementType.Text;
        throw new UsageException($"Arrays of {type.Name} cannot be stored in a file.");
    }

    public static ElementType Of<T>() => Of(typeof(T));

    internal static Array NewArray(this ElementType type, int length) => type switch
    {
        ElementType.Boolean => new bool[length],
        ElementType.Int8 => new sbyte[length],
        ElementType.UInt8 => new byte[length],
        ElementType.Int16 => new short[length],
        ElementType.UInt16 => new ushort[length],
        ElementType.Int32 => new int[length],
        ElementType.UInt32 => new uint[length],
        ElementType.Int64 => new long[length],
        ElementType.UInt64 => new ulong[length],
        ElementType.Float16 => new Half[length],
        ElementType.BFloat16 => new BFloat16[length],
        ElementType.Float32 => new float[length],
        ElementType.Float64 => new double[length],
        _ => new string[length],
    };
}

/// <summary>bfloat16: the upper half of a float32.</summary>
public readonly struct BFloat16(ushort bits) : IEquatable<BFloat16>
{
    public ushort Bits { get; } = bits;

    public static explicit operator float(BFloat16 value) => BitConverter.UInt32BitsToSingle((uint)value.Bits << 16);

    /// <summary>Rounds to nearest, ties to even; NaN stays NaN.</summary>
    public static explicit operator BFloat16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        if (float.IsNaN(value)) return new BFloat16((ushort)((bits >> 16) | 0x40));
        return new BFloat16((ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16));
    }

    public bool Equals(BFloat16 other) => Bits == other.Bits;
    public override bool Equals(object? obj) => obj is BFloat16 other && Equals(other);
    public override int GetHashCode() => Bits;
    public static bool operator ==(BFloat16 left, BFloat16 right) => left.Bits == right.Bits;
    public static bool operator !=(BFloat16 left, BFloat16 right) => left.Bits != right.Bits;
}
