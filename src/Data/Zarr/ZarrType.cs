using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace BioSup.Data;

/// <summary>What an element of a zarr array is: a number or bool, text of any or of a fixed length, or a record of these.</summary>
internal sealed class ZarrType
{
    private enum Form
    {
        Number,
        AnyLengthText,
        FixedUtf32,
        FixedBytes,
        Record,
    }

    private readonly Form _form;
    private readonly ElementType _element;

    private ZarrType(Form form, ElementType element, int size) => (_form, _element, Size) = (form, element, size);

    /// <summary>Bytes of an element; 0 for text of any length.</summary>
    public int Size { get; }

    public bool IsRecord => _form == Form.Record;

    public bool IsAnyLengthText => _form == Form.AnyLengthText;

    /// <summary>Null for records.</summary>
    public ElementType? Element => IsRecord ? null : _element;

    /// <summary>Of a record, in order.</summary>
    public IReadOnlyList<(string Name, ZarrType Type)> Fields { get; private init; } = [];

    /// <summary>The type that <c>data_type</c> names, or null for one that is not known.</summary>
    public static ZarrType? Parse(JsonElement description)
    {
        if (description.ValueKind == JsonValueKind.String) return Named(description.GetString()!);
        if (description.ValueKind != JsonValueKind.Object || !description.TryGetProperty("name", out JsonElement name)) return null;
        JsonElement configuration = description.TryGetProperty("configuration", out JsonElement found) ? found : default;
        switch (name.GetString())
        {
            case "fixed_length_utf32": return Length(configuration) is { } wide && wide % 4 == 0 ? new ZarrType(Form.FixedUtf32, ElementType.Text, wide) : null;
            case "null_terminated_bytes": return Length(configuration) is { } bytes ? new ZarrType(Form.FixedBytes, ElementType.Text, bytes) : null;
            case "structured" or "struct": return Record(configuration);
            case { } simple: return Named(simple);
            default: return null;
        }
    }

    /// <summary>Elements that were stored as bytes; the bytes are swapped in place.</summary>
    /// <param name="raw">Elements of <see cref="Size"/> bytes each, <paramref name="stride"/> apart.</param>
    /// <param name="count">How many.</param>
    /// <param name="stride">From one element to the next.</param>
    /// <param name="bigEndian">Byte order of numbers.</param>
    public Array Decode(ReadOnlySpan<byte> raw, int count, int stride, bool bigEndian)
    {
        Array values = _element.NewArray(count);
        if (_form == Form.Number)
        {
            if (values is bool[] flags)
            {
                for (int i = 0; i < count; i++) flags[i] = raw[i * stride] != 0;
                return flags;
            }
            Span<byte> target = ElementDecoder.Bytes(values);
            for (int i = 0; i < count && stride != Size; i++) raw.Slice(i * stride, Size).CopyTo(target[(i * Size)..]);
            if (stride == Size) raw[..target.Length].CopyTo(target);
            if (bigEndian) ElementDecoder.SwapBytes(target, Size);
            return values;
        }
        string[] text = (string[])values;
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> element = raw.Slice(i * stride, Size);
            text[i] = _form == Form.FixedUtf32 ? Wide(element, bigEndian) : Encoding.UTF8.GetString(element[..(element.IndexOf((byte)0) is >= 0 and var end ? end : element.Length)]);
        }
        return text;
    }

    /// <summary>The value of elements whose chunk is not stored, as bytes of one element; text of any length is empty.</summary>
    /// <exception cref="FormatException">It is no value of this type.</exception>
    public byte[] Fill(JsonElement value, bool bigEndian)
    {
        byte[] bytes = new byte[Size];
        if (_form != Form.Number || value.ValueKind is JsonValueKind.Null or JsonValueKind.Undefined) return bytes;
        Array one = _element.NewArray(1);
        object number = value.ValueKind switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            JsonValueKind.String => Special(value.GetString()!),
            _ when _element == ElementType.UInt64 => value.GetUInt64(),
            _ when _element.IsInteger() => value.GetInt64(),
            _ => value.GetDouble(),
        };
        if (one is Half[] half) half[0] = (Half)Convert.ToDouble(number, CultureInfo.InvariantCulture);
        else one.SetValue(Convert.ChangeType(number, one.GetType().GetElementType()!, CultureInfo.InvariantCulture), 0);
        ElementDecoder.Bytes(one).CopyTo(bytes);
        if (bigEndian) ElementDecoder.SwapBytes(bytes, Size);
        return bytes;
    }

    private object Special(string text)
    {
        if (text.StartsWith("0x", StringComparison.Ordinal))
        {
            ulong bits = ulong.Parse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
            return _element switch
            {
                ElementType.Float64 => BitConverter.UInt64BitsToDouble(bits),
                ElementType.Float32 => (double)BitConverter.UInt32BitsToSingle(checked((uint)bits)),
                ElementType.Float16 => (double)BitConverter.UInt16BitsToHalf(checked((ushort)bits)),
                _ => throw new FormatException($"'{text}' is no fill value of {_element.Name()}"),
            };
        }
        return text switch
        {
            "NaN" => double.NaN,
            "Infinity" => double.PositiveInfinity,
            "-Infinity" => double.NegativeInfinity,
            _ => throw new FormatException($"'{NpyHeader.Printable(text)}' is no fill value of {_element.Name()}"),
        };
    }

    private static ZarrType? Named(string name)
    {
        ElementType? element = name switch
        {
            "bool" => ElementType.Boolean,
            "int8" => ElementType.Int8,
            "uint8" => ElementType.UInt8,
            "int16" => ElementType.Int16,
            "uint16" => ElementType.UInt16,
            "int32" => ElementType.Int32,
            "uint32" => ElementType.UInt32,
            "int64" => ElementType.Int64,
            "uint64" => ElementType.UInt64,
            "float16" => ElementType.Float16,
            "float32" => ElementType.Float32,
            "float64" => ElementType.Float64,
            _ => null,
        };
        if (element is { } known) return new ZarrType(Form.Number, known, known.Size());
        return name == "string" ? new ZarrType(Form.AnyLengthText, ElementType.Text, 0) : null;
    }

    private static int? Length(JsonElement configuration) =>
        configuration.ValueKind == JsonValueKind.Object && configuration.TryGetProperty("length_bytes", out JsonElement length) && length.TryGetInt32(out int bytes) && bytes is >= 0 and < 1 << 20 ? bytes : null;

    // zarr-python writes a field as [name, type], the extension's text as {name, data_type}.
    private static ZarrType? Record(JsonElement configuration)
    {
        if (configuration.ValueKind != JsonValueKind.Object || !configuration.TryGetProperty("fields", out JsonElement listed) || listed.ValueKind != JsonValueKind.Array) return null;
        List<(string, ZarrType)> fields = [];
        int size = 0;
        foreach (JsonElement field in listed.EnumerateArray())
        {
            (JsonElement name, JsonElement type) = field.ValueKind == JsonValueKind.Array && field.GetArrayLength() == 2 ? (field[0], field[1])
                : field.ValueKind == JsonValueKind.Object && field.TryGetProperty("name", out JsonElement n) && field.TryGetProperty("data_type", out JsonElement t) ? (n, t) : default;
            if (name.ValueKind != JsonValueKind.String || Parse(type) is not { Size: > 0, IsRecord: false } known) return null;
            fields.Add((name.GetString()!, known));
            size = checked(size + known.Size);
        }
        return size == 0 ? null : new ZarrType(Form.Record, ElementType.UInt8, size) { Fields = fields };
    }

    private static string Wide(ReadOnlySpan<byte> element, bool bigEndian)
    {
        StringBuilder text = new();
        for (int i = 0; i + 4 <= element.Length; i += 4)
        {
            uint code = bigEndian ? BinaryPrimitives.ReadUInt32BigEndian(element[i..]) : BinaryPrimitives.ReadUInt32LittleEndian(element[i..]);
            if (code == 0) break;
            text.Append((Rune.IsValid(code) ? new Rune(code) : Rune.ReplacementChar).ToString());
        }
        return text.ToString();
    }
}
