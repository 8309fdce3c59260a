using System.Buffers.Binary;
using System.IO.Compression;
using System.Numerics;
using System.Text;
using System.Text.Json;
using ZstdSharp;

namespace BioSup.Data;

/// <summary>
/// How the elements of a chunk became bytes: <c>bytes</c> or <c>vlen-utf8</c>, then any of zstd, gzip, zlib, blosc and crc32c. <c>sharding_indexed</c>, which packs many chunks into one object, is described here
/// and taken apart by <see cref="ZarrArray"/>.
/// </summary>
internal sealed class ZarrCodecs
{
    /// <summary>No frame of zstd unpacks to more than this many times its bytes: a block of 128 KiB takes four.</summary>
    private const long ZstdRatio = 1 << 15, GzipRatio = 1032, Slack = 1 << 17;
    private static readonly string[] s_compressors = ["zstd", "gzip", "zlib", "blosc", "crc32c"];
    private readonly string[] _compressors;

    private ZarrCodecs(string[] compressors) => _compressors = compressors;

    public bool BigEndian { get; private init; }

    public bool IsText { get; private init; }

    /// <summary>Of a shard.</summary>
    public ZarrShard? Shard { get; private init; }

    /// <exception cref="InvalidDataException">The list names a codec that is not read, or in an order that cannot be.</exception>
    public static ZarrCodecs Parse(JsonElement list, bool inShard = false)
    {
        if (list.ValueKind != JsonValueKind.Array) throw new InvalidDataException("there is no list of codecs");
        string? first = null;
        bool big = false;
        ZarrShard? shard = null;
        List<string> compressors = [];
        foreach (JsonElement codec in list.EnumerateArray())
        {
            string name = codec.ValueKind == JsonValueKind.String ? codec.GetString()! : codec.GetProperty("name").GetString() ?? "";
            JsonElement configuration = codec.ValueKind == JsonValueKind.Object && codec.TryGetProperty("configuration", out JsonElement found) ? found : default;
            if (first is not null)
            {
                if (!s_compressors.Contains(name)) throw Unknown(name);
                compressors.Add(name);
                continue;
            }
            first = name;
            if (name == "bytes") big = configuration.ValueKind == JsonValueKind.Object && configuration.TryGetProperty("endian", out JsonElement endian) && endian.GetString() == "big";
            else if (name == "sharding_indexed" && !inShard) shard = ZarrShard.Parse(configuration);
            else if (name != "vlen-utf8") throw Unknown(name);
        }
        if (first is null) throw new InvalidDataException("the list of codecs is empty");
        if (shard is not null && compressors.Count > 0) throw new InvalidDataException("a shard is compressed as a whole, which is not supported");
        return new ZarrCodecs([.. compressors]) { BigEndian = big, IsText = first == "vlen-utf8", Shard = shard };
    }

    /// <summary>The bytes of a chunk of a known size.</summary>
    /// <exception cref="InvalidDataException">A sum does not match, or there are more or fewer bytes.</exception>
    public byte[] Unpack(byte[] stored, int size)
    {
        byte[] bytes = Undo(stored, size);
        return bytes.Length == size ? bytes : throw new InvalidDataException($"a chunk has {bytes.Length} bytes; {size} were expected");
    }

    /// <summary>The texts of a chunk: their number, and of each its length and bytes.</summary>
    public string[] UnpackText(byte[] stored, int count)
    {
        ReadOnlySpan<byte> bytes = Undo(stored, null);
        if (bytes.Length < 4 || BinaryPrimitives.ReadUInt32LittleEndian(bytes) != count) throw new InvalidDataException($"a chunk of text does not begin with the number {count} of its elements");
        // Four bytes for the length of each.
        if ((bytes.Length - 4) / 4 < count) throw new InvalidDataException("a chunk of text ends too early");
        bytes = bytes[4..];
        string[] text = new string[count];
        for (int i = 0; i < count; i++)
        {
            uint length = bytes.Length >= 4 ? BinaryPrimitives.ReadUInt32LittleEndian(bytes) : uint.MaxValue;
            if (length > bytes.Length - 4) throw new InvalidDataException("a chunk of text ends too early");
            text[i] = Encoding.UTF8.GetString(bytes.Slice(4, (int)length));
            bytes = bytes[(4 + (int)length)..];
        }
        return text;
    }

    private static InvalidDataException Unknown(string name) => new($"the codec '{NpyHeader.Printable(name)}' is not read; bytes, vlen-utf8, sharding_indexed, {string.Join(", ", s_compressors[..^1])} and {s_compressors[^1]} are");

    /// <param name="stored">As it lies in the store.</param>
    /// <param name="size">Bytes that have to come out; null where that is not known.</param>
    private byte[] Undo(byte[] stored, int? size)
    {
        byte[] bytes = stored;
        for (int i = _compressors.Length - 1; i >= 0; i--)
        {
            // Sums add four bytes to what is packed.
            long? expected = size + 4L * _compressors[..i].Count(c => c == "crc32c");
            bool last = !_compressors[..i].Any(c => c != "crc32c");
            bytes = _compressors[i] switch
            {
                "crc32c" => Checked(bytes),
                "zstd" => Zstd(bytes, Limit(bytes, ZstdRatio, last ? expected : null)),
                "blosc" => Blosc1(bytes, Limit(bytes, ZstdRatio, last ? expected : null)),
                "zlib" => Zlib(bytes, Limit(bytes, GzipRatio, last ? expected : null)),
                _ => Gzip(bytes, Limit(bytes, GzipRatio, last ? expected : null)),
            };
        }
        return bytes;
    }

    private static int Limit(byte[] packed, long ratio, long? expected)
    {
        long most = Math.Min(packed.Length * ratio + Slack, Array.MaxLength);
        if (expected > most) throw new InvalidDataException($"a chunk claims {expected} bytes, more than its {packed.Length} can hold");
        return (int)(expected ?? most);
    }

    private static byte[] Checked(byte[] bytes)
    {
        if (bytes.Length < 4) throw new InvalidDataException("a checked chunk has fewer than the four bytes of its sum");
        ReadOnlySpan<byte> content = bytes.AsSpan(0, bytes.Length - 4);
        if (Crc32C(content) != BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(content.Length))) throw new InvalidDataException("a chunk does not match its crc32c sum");
        return content.ToArray();
    }

    /// <summary>Castagnoli's sum, as iSCSI and zarr take it.</summary>
    public static uint Crc32C(ReadOnlySpan<byte> bytes)
    {
        uint sum = uint.MaxValue;
        for (; bytes.Length >= 8; bytes = bytes[8..]) sum = BitOperations.Crc32C(sum, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        foreach (byte value in bytes) sum = BitOperations.Crc32C(sum, value);
        return ~sum;
    }

    private static byte[] Zstd(byte[] packed, int limit)
    {
        using DecompressionStream stream = new(new MemoryStream(packed));
        return ReadAll(stream, limit);
    }

    private static byte[] Gzip(byte[] packed, int limit)
    {
        using GZipStream stream = new(new MemoryStream(packed), CompressionMode.Decompress);
        return ReadAll(stream, limit);
    }

    private static byte[] Zlib(byte[] packed, int limit)
    {
        using ZLibStream stream = new(new MemoryStream(packed), CompressionMode.Decompress);
        return ReadAll(stream, limit);
    }

    private static byte[] Blosc1(byte[] packed, int limit)
    {
        int length = Blosc.UnpackedBytes(packed);
        if (length > limit) throw new InvalidDataException($"a chunk unpacks to more than the {limit} bytes expected");
        byte[] bytes = new byte[length];
        Blosc.Unpack(packed, bytes);
        return bytes;
    }

    private static byte[] ReadAll(Stream stream, int limit)
    {
        byte[] buffer = new byte[Math.Min(limit, 1 << 16) + 1];
        int length = 0;
        while (true)
        {
            int read = stream.Read(buffer, length, buffer.Length - length);
            if (read == 0) break;
            length += read;
            if (length > limit) throw new InvalidDataException($"a chunk unpacks to more than the {limit} bytes expected");
            if (length == buffer.Length) Array.Resize(ref buffer, (int)Math.Min(2L * buffer.Length, limit + 1L));
        }
        return length == buffer.Length ? buffer : buffer[..length];
    }
}

/// <summary>The inside of a shard: chunks of one shape, packed alike, and an index of where each lies.</summary>
/// <param name="ChunkShape">Of an inner chunk.</param>
/// <param name="Codecs">Of an inner chunk.</param>
/// <param name="Index">Of the index.</param>
/// <param name="IndexSum">Whether a sum follows the index.</param>
/// <param name="IndexFirst">Whether the index lies at the start; else at the end.</param>
internal sealed record ZarrShard(int[] ChunkShape, ZarrCodecs Codecs, ZarrCodecs Index, bool IndexSum, bool IndexFirst)
{
    public static ZarrShard Parse(JsonElement configuration)
    {
        JsonElement index = configuration.GetProperty("index_codecs");
        bool sum = index.EnumerateArray().Any(codec => codec.GetProperty("name").GetString() == "crc32c");
        // Its size must be known before it is read.
        if (index.EnumerateArray().Any(codec => codec.GetProperty("name").GetString() is not ("bytes" or "crc32c"))) throw new InvalidDataException("the index of a shard is compressed, which is not supported");
        bool first = configuration.TryGetProperty("index_location", out JsonElement location) && location.GetString() == "start";
        return new ZarrShard(ZarrArray.Extents(configuration.GetProperty("chunk_shape")), ZarrCodecs.Parse(configuration.GetProperty("codecs"), inShard: true), ZarrCodecs.Parse(index, inShard: true), sum, first);
    }
}
