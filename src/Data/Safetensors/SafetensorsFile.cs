using System.Buffers.Binary;
using System.Numerics;
using System.Text.Json;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>One tensor of a safetensors file.</summary>
/// <param name="Name">Its key.</param>
/// <param name="TypeName">The format's name, for example "F32".</param>
/// <param name="Type">The element type; null when this reader cannot convert it (8-bit floats).</param>
/// <param name="Shape">Extents; none for a scalar.</param>
/// <param name="Start">Offset of the first byte, from the start of the data block.</param>
/// <param name="End">Offset past the last byte.</param>
public sealed record SafetensorsEntry(string Name, string TypeName, ElementType? Type, IReadOnlyList<long> Shape, long Start, long End);

/// <summary>
/// Hugging Face's safetensors: an 8-byte length, a JSON header, then raw little-endian tensors. The header is checked as the
/// format's specification asks: tensors neither overlap nor leave holes, and they end where the file ends.
/// </summary>
public sealed class SafetensorsFile : IDisposable
{
    internal const string Kind = "safetensors";
    internal const string MetadataKey = "__metadata__";

    // The specification's own limit.
    private const long MaxHeaderBytes = 100_000_000;
    private readonly string _path;
    private readonly FileStream _stream;
    private readonly long _dataStart;
    private readonly Dictionary<string, SafetensorsEntry> _entries;

    private SafetensorsFile(string path, FileStream stream)
    {
        _path = path;
        _stream = stream;
        Span<byte> size = stackalloc byte[8];
        if (stream.Length < 8) throw new DataException(path, "offset 0", $"the file has {stream.Length} bytes; a safetensors file has at least 8");
        stream.ReadExactly(size);
        ulong headerBytes = BinaryPrimitives.ReadUInt64LittleEndian(size);
        if (headerBytes > MaxHeaderBytes || (long)headerBytes > stream.Length - 8)
            throw new DataException(path, "offset 0", $"the header claims {headerBytes} bytes; the file has {stream.Length - 8} after its first 8, and {MaxHeaderBytes} is the limit");
        byte[] header = new byte[headerBytes];
        stream.ReadExactly(header);
        _dataStart = 8 + (long)headerBytes;
        (_entries, Metadata) = SafetensorsHeader.Parse(header, path, stream.Length - _dataStart);
    }

    /// <summary>Free text stored beside the tensors.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Tensor names in the order of their data.</summary>
    public IReadOnlyList<string> Names => [.. _entries.Values.OrderBy(entry => entry.Start).ThenBy(entry => entry.End).Select(entry => entry.Name)];

    public static SafetensorsFile Open(string path) => SourceGuard.Read(path, Kind, () =>
    {
        FileStream stream = SourceGuard.Open(path);
        try
        {
            return new SafetensorsFile(path, stream);
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    });

    /// <summary>Writes a file; the delegate names the tensors. Equal content gives equal bytes.</summary>
    public static void Write(string path, Action<SafetensorsWriter> add)
    {
        SafetensorsWriter writer = new();
        add(writer);
        AtomicFile.Write(path, writer.WriteTo);
    }

    public bool Contains(string name) => _entries.ContainsKey(name);

    public SafetensorsEntry Entry(string name) => _entries.TryGetValue(name, out SafetensorsEntry? entry)
        ? entry
        : throw new DataException(_path, name, $"there is no such tensor; the file has {Listing.Of(Names)}");

    /// <summary>Offset in the file of a tensor's first byte.</summary>
    internal long OffsetOf(SafetensorsEntry entry) => _dataStart + entry.Start;

    /// <summary>A tensor of any shape in managed memory.</summary>
    public NdArray Read(string name) => SourceGuard.Read(_path, Kind, () =>
    {
        ElementType type = Seek(name, out SafetensorsEntry entry);
        if (entry.End - entry.Start > Array.MaxLength) throw new DataException(_path, name, "is too large to be read as a whole");
        Array values = type.NewArray((int)((entry.End - entry.Start) / type.Size()));
        Span<byte> bytes = ElementDecoder.Bytes(values);
        _stream.ReadExactly(bytes);
        if (type == ElementType.Boolean)
            foreach (ref byte b in bytes) b = (byte)(b != 0 ? 1 : 0);
        return new NdArray(values, [.. entry.Shape]);
    });

    /// <summary>A matrix, or a vector as n x 1, converted to float32.</summary>
    public Matrix<float> ReadSingle(ComputeDevice device, string name) => ReadMatrix<float>(device, name);

    /// <summary>A matrix, or a vector as n x 1, converted to float64.</summary>
    public Matrix<double> ReadDouble(ComputeDevice device, string name) => ReadMatrix<double>(device, name);

    /// <summary>A tensor that must have exactly this shape, as floats in C order.</summary>
    public float[] ReadVector(string name, params long[] shape)
    {
        SafetensorsEntry entry = Entry(name);
        if (!entry.Shape.SequenceEqual(shape))
            throw new DataException(_path, name, $"has the shape {NdArray.Describe(entry.Shape)}; {NdArray.Describe(shape)} was expected");
        NdArray array = Read(name);
        float[] values = new float[array.Length];
        ElementDecoder.Convert(array, values);
        return values;
    }

    public void Dispose() => _stream.Dispose();

    internal Matrix<T> ReadMatrix<T>(ComputeDevice device, string name) where T : unmanaged, INumberBase<T> => SourceGuard.Read(_path, Kind, () =>
    {
        ElementType type = Seek(name, out SafetensorsEntry entry);
        (int rows, int columns) = MatrixLoader.MatrixShape(entry.Shape, $"{_path}:{name}");
        return MatrixLoader.Load<T>(device, _stream, new MatrixLoader.Layout(type, false, false), rows, columns);
    });

    private ElementType Seek(string name, out SafetensorsEntry entry)
    {
        entry = Entry(name);
        _stream.Position = _dataStart + entry.Start;
        return entry.Type ?? throw new DataException(_path, name, $"has elements of type {entry.TypeName}, which are not supported");
    }
}

/// <summary>Parses and checks the JSON header of a safetensors file.</summary>
internal static class SafetensorsHeader
{
    public static (Dictionary<string, SafetensorsEntry> Entries, Dictionary<string, string> Metadata) Parse(byte[] header, string path, long dataBytes)
    {
        Dictionary<string, SafetensorsEntry> entries = new(StringComparer.Ordinal);
        Dictionary<string, string> metadata = new(StringComparer.Ordinal);
        using JsonDocument document = JsonDocument.Parse(header, new JsonDocumentOptions { MaxDepth = 8 });
        if (document.RootElement.ValueKind != JsonValueKind.Object) throw new DataException(path, "header", "is not a JSON object");
        foreach (JsonProperty property in document.RootElement.EnumerateObject())
        {
            if (property.Name == SafetensorsFile.MetadataKey)
            {
                if (property.Value.ValueKind != JsonValueKind.Object) throw new DataException(path, SafetensorsFile.MetadataKey, "is not a JSON object");
                foreach (JsonProperty item in property.Value.EnumerateObject())
                    metadata[item.Name] = item.Value.ValueKind == JsonValueKind.String
                        ? item.Value.GetString()!
                        : throw new DataException(path, SafetensorsFile.MetadataKey, $"the value of '{NpyHeader.Printable(item.Name)}' is not text");
                continue;
            }
            if (!entries.TryAdd(property.Name, ParseEntry(property, path))) throw new DataException(path, property.Name, "the header names this tensor twice");
        }
        CheckLayout(entries.Values, path, dataBytes);
        return (entries, metadata);
    }

    private static SafetensorsEntry ParseEntry(JsonProperty property, string path)
    {
        string name = NpyHeader.Printable(property.Name);
        JsonElement value = property.Value;
        if (value.ValueKind != JsonValueKind.Object
            || !value.TryGetProperty("dtype", out JsonElement type) || type.ValueKind != JsonValueKind.String
            || !value.TryGetProperty("shape", out JsonElement shape) || shape.ValueKind != JsonValueKind.Array
            || !value.TryGetProperty("data_offsets", out JsonElement offsets) || offsets.ValueKind != JsonValueKind.Array || offsets.GetArrayLength() != 2)
            throw new DataException(path, name, "the header entry needs 'dtype' (text), 'shape' (list) and 'data_offsets' (two numbers)");
        long[] extents = [.. shape.EnumerateArray().Select(e => Offset(e, name, path))];
        long start = Offset(offsets[0], name, path), end = Offset(offsets[1], name, path);
        string typeName = type.GetString()!;
        ElementType? element = FromName(typeName);
        int size = element?.Size() ?? (typeName.StartsWith("F8_", StringComparison.Ordinal) ? 1 : 0);
        if (size == 0) throw new DataException(path, name, $"the dtype '{NpyHeader.Printable(typeName)}' is not known");
        long bytes = size;
        foreach (long extent in extents)
        {
            if (extent != 0 && bytes > long.MaxValue / extent) throw new DataException(path, name, "the shape is too large");
            bytes *= extent;
        }
        if (end < start || end - start != bytes)
            throw new DataException(path, name, $"{NdArray.Describe(extents)} elements of {typeName} need {bytes} bytes, data_offsets [{start}, {end}] give {end - start}");
        return new SafetensorsEntry(property.Name, typeName, element, extents, start, end);
    }

    private static long Offset(JsonElement element, string name, string path) =>
        element.ValueKind == JsonValueKind.Number && element.TryGetInt64(out long value) && value >= 0
            ? value
            : throw new DataException(path, name, "shape and data_offsets must be whole numbers of at least 0");

    private static void CheckLayout(IEnumerable<SafetensorsEntry> entries, string path, long dataBytes)
    {
        long at = 0;
        foreach (SafetensorsEntry entry in entries.OrderBy(e => e.Start).ThenBy(e => e.End))
        {
            string name = NpyHeader.Printable(entry.Name);
            if (entry.Start < at) throw new DataException(path, name, $"its data start at {entry.Start}, inside the tensor before it, which ends at {at}");
            if (entry.Start > at) throw new DataException(path, name, $"its data start at {entry.Start}, leaving a hole after {at}");
            at = entry.End;
            if (at > dataBytes) throw new DataException(path, name, $"its data end at {at}, beyond the {dataBytes} bytes of data in the file; the file may be truncated");
        }
        if (at != dataBytes) throw new DataException(path, "header", $"the tensors take {at} bytes, the file has {dataBytes} bytes of data");
    }

    public static ElementType? FromName(string name) => name switch
    {
        "BOOL" => ElementType.Boolean,
        "I8" => ElementType.Int8,
        "U8" => ElementType.UInt8,
        "I16" => ElementType.Int16,
        "U16" => ElementType.UInt16,
        "I32" => ElementType.Int32,
        "U32" => ElementType.UInt32,
        "I64" => ElementType.Int64,
        "U64" => ElementType.UInt64,
        "F16" => ElementType.Float16,
        "BF16" => ElementType.BFloat16,
        "F32" => ElementType.Float32,
        "F64" => ElementType.Float64,
        _ => null,
    };

    public static string ToName(ElementType type) => type switch
    {
        ElementType.Boolean => "BOOL",
        ElementType.Int8 => "I8",
        ElementType.UInt8 => "U8",
        ElementType.Int16 => "I16",
        ElementType.UInt16 => "U16",
        ElementType.Int32 => "I32",
        ElementType.UInt32 => "U32",
        ElementType.Int64 => "I64",
        ElementType.UInt64 => "U64",
        ElementType.Float16 => "F16",
        ElementType.BFloat16 => "BF16",
        ElementType.Float32 => "F32",
        ElementType.Float64 => "F64",
        _ => throw new UsageException("safetensors files hold no text."),
    };
}
