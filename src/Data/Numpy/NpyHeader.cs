using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>How the elements of an npy array are stored.</summary>
public enum NpyStorage
{
    /// <summary>Fixed-size numbers or bool.</summary>
    Numeric,

    /// <summary>NumPy <c>&lt;U</c>: UTF-32 padded with zeros.</summary>
    Unicode,

    /// <summary>NumPy <c>|S</c>: bytes padded with zeros, read as UTF-8.</summary>
    Bytes,

    /// <summary>A pickled array of Python objects, of which text, numbers, bool and None are read.</summary>
    Pickled,
}

/// <summary>The header of a NumPy <c>.npy</c> array (format versions 1 to 3 of numpy.lib.format).</summary>
public sealed class NpyHeader
{
    private const int MaxHeaderBytes = 1 << 20;
    private static readonly byte[] s_magic = [0x93, (byte)'N', (byte)'U', (byte)'M', (byte)'P', (byte)'Y'];
    private readonly long[] _shape;

    internal NpyHeader(NpyStorage storage, ElementType type, int itemSize, bool bigEndian, bool fortranOrder, long[] shape, int dataOffset, long count)
    {
        Storage = storage;
        Type = type;
        ItemSize = itemSize;
        BigEndian = bigEndian;
        FortranOrder = fortranOrder;
        _shape = shape;
        DataOffset = dataOffset;
        Count = count;
    }

    public NpyStorage Storage { get; }
    public ElementType Type { get; }

    /// <summary>Bytes per element; 0 for pickled arrays.</summary>
    public int ItemSize { get; }

    public bool BigEndian { get; }

    /// <summary>True when the first index runs fastest and the array has more than one dimension.</summary>
    public bool FortranOrder { get; }

    public IReadOnlyList<long> Shape => _shape;

    /// <summary>Bytes before the first element.</summary>
    public int DataOffset { get; }

    /// <summary>Number of elements.</summary>
    public long Count { get; }

    internal long[] ShapeArray => _shape;
    internal string ShapeText => NdArray.Describe(_shape);

    /// <summary>Reads a header; the stream then stands at the first element.</summary>
    /// <param name="stream">Positioned at the magic bytes.</param>
    /// <param name="source">The file, for error messages.</param>
    /// <param name="where">The member of an archive, or null.</param>
    public static NpyHeader Read(Stream stream, string source, string? where = null)
    {
        Span<byte> start = stackalloc byte[12];
        if (stream.ReadAtLeast(start[..10], 10, throwOnEndOfStream: false) < 10 || !start[..6].SequenceEqual(s_magic))
            throw new DataException(source, where, "is not an npy array: the first bytes are not \\x93NUMPY");
        int major = start[6];
        if (major is < 1 or > 3) throw new DataException(source, where ?? "offset 6", $"npy format version {major}.{start[7]} is not known; 1 to 3 are");
        long length = BinaryPrimitives.ReadUInt16LittleEndian(start[8..]);
        int offset = 10;
        if (major > 1)
        {
            stream.ReadExactly(start[10..12]);
            length = BinaryPrimitives.ReadUInt32LittleEndian(start[8..]);
            offset = 12;
        }
        if (length > MaxHeaderBytes) throw new DataException(source, where ?? "offset 8", $"the npy header claims {length} bytes; at most {MaxHeaderBytes} are accepted");
        byte[] bytes = new byte[length];
        stream.ReadExactly(bytes);
        string text = major == 3 ? Encoding.UTF8.GetString(bytes) : Encoding.Latin1.GetString(bytes);
        return Build(new NpyHeaderParser(text, source, where ?? $"offset {offset}").Parse(), source, where, offset + (int)length);
    }

    /// <summary>The bytes of a version 1 header, padded so that the data start at a multiple of 64, and not before <paramref name="atLeast"/>.</summary>
    internal static byte[] Compose(string descr, ReadOnlySpan<long> shape, int atLeast = 0)
    {
        StringBuilder text = new("{'descr': '" + descr + "', 'fortran_order': False, 'shape': (");
        foreach (long extent in shape) text.Append(CultureInfo.InvariantCulture, $"{extent}, ");
        if (shape.Length > 1) text.Length -= 2;
        else if (shape.Length == 1) text.Length -= 1;
        text.Append("), }");
        int padded = Math.Max((10 + text.Length + 1 + 63) / 64 * 64, atLeast);
        text.Append(' ', padded - 10 - text.Length - 1).Append('\n');
        byte[] bytes = new byte[padded];
        s_magic.CopyTo(bytes, 0);
        bytes[6] = 1;
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(8), (ushort)text.Length);
        Encoding.ASCII.GetBytes(text.ToString(), bytes.AsSpan(10));
        return bytes;
    }

    /// <summary>NumPy's type string for what we write.</summary>
    internal static string Descr(ElementType type) => type switch
    {
        ElementType.Boolean => "|b1",
        ElementType.Int8 => "|i1",
        ElementType.UInt8 => "|u1",
        ElementType.Int16 => "<i2",
        ElementType.UInt16 => "<u2",
        ElementType.Int32 => "<i4",
        ElementType.UInt32 => "<u4",
        ElementType.Int64 => "<i8",
        ElementType.UInt64 => "<u8",
        ElementType.Float16 => "<f2",
        // What NumPy writes for an array of ml_dtypes.bfloat16.
        ElementType.BFloat16 => "<V2",
        ElementType.Float32 => "<f4",
        ElementType.Float64 => "<f8",
        _ => throw new UsageException($"npy has no type for {type.Name()}."),
    };

    private static NpyHeader Build(NpyHeaderParser.Fields fields, string source, string? where, int dataOffset)
    {
        long count = 1;
        foreach (long extent in fields.Shape)
        {
            if (extent == 0)
            {
                count = 0;
                break;
            }
            if (count > long.MaxValue / 64 / extent) throw new DataException(source, where, $"the shape {NdArray.Describe(fields.Shape)} is too large");
            count *= extent;
        }
        string descr = fields.Descr;
        bool big = descr.StartsWith('>');
        string code = descr.Length > 0 && descr[0] is '<' or '>' or '|' or '=' ? descr[1..] : descr;
        bool fortran = fields.FortranOrder && fields.Shape.Length > 1;
        if (code.StartsWith('O')) return new NpyHeader(NpyStorage.Pickled, ElementType.Text, 0, false, fortran, fields.Shape, dataOffset, count);
        if (code.Length > 1 && code[0] is 'U' or 'S' or 'a' && int.TryParse(code.AsSpan(1), NumberStyles.None, CultureInfo.InvariantCulture, out int characters)
            && characters < 1 << 24)
        {
            NpyStorage storage = code[0] == 'U' ? NpyStorage.Unicode : NpyStorage.Bytes;
            return new NpyHeader(storage, ElementType.Text, storage == NpyStorage.Unicode ? 4 * characters : characters, big, fortran, fields.Shape, dataOffset, count);
        }
        ElementType? type = code switch
        {
            "b1" or "?" => ElementType.Boolean,
            "i1" => ElementType.Int8,
            "u1" => ElementType.UInt8,
            "i2" => ElementType.Int16,
            "u2" => ElementType.UInt16,
            "i4" => ElementType.Int32,
            "u4" => ElementType.UInt32,
            "i8" => ElementType.Int64,
            "u8" => ElementType.UInt64,
            "f2" => ElementType.Float16,
            "V2" => ElementType.BFloat16,
            "f4" => ElementType.Float32,
            "f8" => ElementType.Float64,
            _ => null,
        };
        if (type is null)
            throw new DataException(source, where, $"elements of type '{Printable(descr)}' are not supported; bool, integers, float16/32/64, bfloat16 (V2) and text are");
        return new NpyHeader(NpyStorage.Numeric, type.Value, type.Value.Size(), big, fortran, fields.Shape, dataOffset, count);
    }

    internal static string Printable(string text)
    {
        string cut = text.Length > 40 ? text[..40] + "..." : text;
        return string.Concat(cut.Select(c => char.IsControl(c) ? '?' : c));
    }
}
