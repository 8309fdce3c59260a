using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using System.Text.Json.Nodes;
using ZstdSharp;

namespace BioSup.Data.Tests;

/// <summary>How a store of the tests keeps its arrays.</summary>
public enum ZarrStyle
{
    /// <summary>One chunk each, zstd.</summary>
    Whole,

    /// <summary>Chunks of about half the extents, gzip and a sum; chunks of zeros are left out; keys c.0.1.</summary>
    Chunked,

    /// <summary>Shards of two inner chunks along each axis, zstd, an index at the end with its sum.</summary>
    Sharded,
}

/// <summary>Writes the tree of an AnnData file as a zarr store of version 3, from the specification, with the metadata that zarr-python gives its nodes.</summary>
internal static class ZarrBuilder
{
    public static void WriteFolder(string path, AnnData data, ZarrStyle style)
    {
        foreach ((string key, byte[] bytes) in Build(data, style))
        {
            string file = Path.Combine(path, key);
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            File.WriteAllBytes(file, bytes);
        }
    }

    public static void WriteZip(string path, AnnData data, ZarrStyle style)
    {
        using FileStream stream = File.Create(path);
        using ZipArchive zip = new(stream, ZipArchiveMode.Create);
        foreach ((string key, byte[] bytes) in Build(data, style))
        {
            // A store that is written to again holds a description twice; the first is out of date.
            if (key == "zarr.json") Add(key, "{\"zarr_format\": 3, \"node_type\": \"group\", \"attributes\": {}}"u8.ToArray());
            Add(key, bytes);
        }

        void Add(string key, byte[] bytes)
        {
            using Stream entry = zip.CreateEntry(key, CompressionLevel.NoCompression).Open();
            entry.Write(bytes);
        }
    }

    public static List<(string Key, byte[] Bytes)> Build(AnnData data, ZarrStyle style)
    {
        List<(string, byte[])> files = [];
        Add(files, "", AnnDataWriter.Build(data), style);
        return files;
    }

    /// <summary>One array, for what no AnnData holds.</summary>
    public static void AddArray(List<(string Key, byte[] Bytes)> files, string key, NdArray array, ZarrStyle style) => AddArray(files, key, array, [], style);

    private static void Add(List<(string, byte[])> files, string key, Hdf5Node node, ZarrStyle style)
    {
        JsonObject attributes = [];
        foreach ((string name, NdArray value) in node.Attributes) attributes[name] = Json(value);
        switch (node)
        {
            case Hdf5Group group:
                Describe(files, key, new JsonObject { ["attributes"] = attributes, ["zarr_format"] = 3, ["node_type"] = "group" });
                foreach ((string name, Hdf5Node child) in group.Children) Add(files, key.Length == 0 ? name : $"{key}/{name}", child, style);
                break;
            case Hdf5Dataset { Array: { } array }: AddArray(files, key, array, attributes, style); break;
            case Hdf5Dataset { Records: { } records }: AddRecords(files, key, records, attributes); break;
            default: throw new NotSupportedException();
        }
    }

    private static void AddArray(List<(string, byte[])> files, string key, NdArray array, JsonObject attributes, ZarrStyle style)
    {
        bool text = array.Type == ElementType.Text;
        int[] shape = [.. array.Shape.Select(extent => (int)extent)], half = [.. shape.Select(extent => Math.Max(1, (extent + 1) / 2))];
        // Scalars and empty arrays are one chunk.
        if (shape.Length == 0 || shape.Contains(0)) style = ZarrStyle.Whole;
        int[] inner = style == ZarrStyle.Whole ? [.. shape.Select(extent => Math.Max(1, extent))] : half, outer = style == ZarrStyle.Sharded ? [.. half.Select(extent => 2 * extent)] : inner;
        JsonArray packed = [Codec(text ? "vlen-utf8" : "bytes")];
        packed.Add(style == ZarrStyle.Chunked ? new JsonObject { ["name"] = "gzip", ["configuration"] = new JsonObject { ["level"] = 5 } } : new JsonObject { ["name"] = "zstd", ["configuration"] = new JsonObject { ["level"] = 0, ["checksum"] = false } });
        if (style == ZarrStyle.Chunked) packed.Add(new JsonObject { ["name"] = "crc32c" });
        JsonArray codecs = style != ZarrStyle.Sharded ? packed : [new JsonObject
        {
            ["name"] = "sharding_indexed",
            ["configuration"] = new JsonObject { ["chunk_shape"] = Numbers(inner), ["codecs"] = packed, ["index_codecs"] = new JsonArray(Codec("bytes"), new JsonObject { ["name"] = "crc32c" }), ["index_location"] = "end" },
        }];
        char separator = style == ZarrStyle.Chunked ? '.' : '/';
        Describe(files, key, Array(attributes, shape, text ? "string" : array.Type.Name(), outer, separator, text ? "" : array.Type == ElementType.Boolean ? false : (JsonNode)0, codecs));
        if (shape.Contains(0)) return;
        int[] grid = [.. shape.Select((extent, d) => (extent + inner[d] - 1) / inner[d])], shards = [.. shape.Select((extent, d) => (extent + outer[d] - 1) / outer[d])];
        if (style != ZarrStyle.Sharded)
        {
            foreach (int[] at in Places(grid))
                if (Pack(array, shape, inner, at, style) is { } bytes) files.Add(($"{key}/{Name(at, separator)}", bytes));
            return;
        }
        foreach (int[] shard in Places(shards))
        {
            MemoryStream body = new();
            List<ulong> index = [];
            foreach (int[] within in Places([.. shape.Select(_ => 2)]))
            {
                int[] at = [.. shard.Select((s, d) => 2 * s + within[d])];
                byte[]? bytes = at.Where((a, d) => a >= grid[d]).Any() ? null : Pack(array, shape, inner, at, style);
                index.AddRange(bytes is null ? [ulong.MaxValue, ulong.MaxValue] : [(ulong)body.Position, (ulong)bytes.Length]);
                if (bytes is not null) body.Write(bytes);
            }
            byte[] places = new byte[8 * index.Count];
            for (int i = 0; i < index.Count; i++) BinaryPrimitives.WriteUInt64LittleEndian(places.AsSpan(8 * i), index[i]);
            body.Write(WithSum(places));
            files.Add(($"{key}/{Name(shard, separator)}", body.ToArray()));
        }
    }

    private static void AddRecords(List<(string, byte[])> files, string key, RecordArray records, JsonObject attributes)
    {
        int count = records.Fields[0].Values.Length;
        JsonArray fields = [];
        List<byte[]>[] rows = [.. Enumerable.Range(0, count).Select(_ => new List<byte[]>())];
        foreach ((string name, NdArray values) in records.Fields)
        {
            if (values.Values is string[] text)
            {
                int length = 4 * text.Max(t => t.EnumerateRunes().Count());
                fields.Add(new JsonArray(name, new JsonObject { ["name"] = "fixed_length_utf32", ["configuration"] = new JsonObject { ["length_bytes"] = length } }));
                for (int i = 0; i < count; i++) rows[i].Add([.. Encoding.UTF32.GetBytes(text[i]), .. new byte[length - Encoding.UTF32.GetByteCount(text[i])]]);
                continue;
            }
            fields.Add(new JsonArray(name, values.Type.Name()));
            byte[] raw = ElementDecoder.Bytes(values.Values).ToArray();
            for (int i = 0; i < count; i++) rows[i].Add(raw.AsSpan(i * values.Type.Size(), values.Type.Size()).ToArray());
        }
        JsonObject type = new() { ["name"] = "structured", ["configuration"] = new JsonObject { ["fields"] = fields } };
        Describe(files, key, Array(attributes, [count], type, [count], '/', "", [Codec("bytes")]));
        files.Add(($"{key}/c/0", rows.SelectMany(row => row).SelectMany(part => part).ToArray()));
    }

    private static JsonObject Array(JsonObject attributes, int[] shape, JsonNode type, int[] chunk, char separator, JsonNode fill, JsonArray codecs) => new()
    {
        ["shape"] = Numbers(shape),
        ["data_type"] = type,
        ["chunk_grid"] = new JsonObject { ["name"] = "regular", ["configuration"] = new JsonObject { ["chunk_shape"] = Numbers(chunk) } },
        ["chunk_key_encoding"] = new JsonObject { ["name"] = "default", ["configuration"] = new JsonObject { ["separator"] = separator.ToString() } },
        ["fill_value"] = fill,
        ["codecs"] = codecs,
        ["attributes"] = attributes,
        ["zarr_format"] = 3,
        ["node_type"] = "array",
        ["storage_transformers"] = new JsonArray(),
    };

    /// <summary>A chunk, padded with zeros beyond the array; null where it is all zero and the style leaves such out.</summary>
    private static byte[]? Pack(NdArray array, int[] shape, int[] chunk, int[] at, ZarrStyle style)
    {
        MemoryStream raw = new();
        int size = array.Type.Size(), count = chunk.Aggregate(1, (a, b) => a * b);
        ReadOnlySpan<byte> bytes = array.Type == ElementType.Text ? [] : ElementDecoder.Bytes(array.Values);
        Span<byte> four = stackalloc byte[4];
        if (array.Type == ElementType.Text) Number(raw, four, count);
        foreach (int[] within in Places(chunk))
        {
            long place = 0;
            bool inside = true;
            for (int d = 0; d < shape.Length; d++)
            {
                int along = at[d] * chunk[d] + within[d];
                inside &= along < shape[d];
                place = place * shape[d] + along;
            }
            if (array.Values is string[] text)
            {
                byte[] utf8 = Encoding.UTF8.GetBytes(inside ? text[place] : "");
                Number(raw, four, utf8.Length);
                raw.Write(utf8);
            }
            else if (inside) raw.Write(bytes.Slice((int)place * size, size));
            else raw.Write(new byte[size]);
        }
        byte[] plain = raw.ToArray();
        if (style == ZarrStyle.Chunked && array.Type != ElementType.Text && !plain.AsSpan().ContainsAnyExcept((byte)0)) return null;
        if (style != ZarrStyle.Chunked)
        {
            using Compressor zstd = new();
            return zstd.Wrap(plain).ToArray();
        }
        MemoryStream packed = new();
        using (GZipStream gzip = new(packed, CompressionLevel.Fastest)) gzip.Write(plain);
        return WithSum(packed.ToArray());
    }

    private static void Number(Stream stream, Span<byte> four, int value)
    {
        BinaryPrimitives.WriteInt32LittleEndian(four, value);
        stream.Write(four);
    }

    /// <summary>Castagnoli's sum bit by bit.</summary>
    private static byte[] WithSum(byte[] bytes)
    {
        uint sum = uint.MaxValue;
        foreach (byte value in bytes)
        {
            sum ^= value;
            for (int bit = 0; bit < 8; bit++) sum = (sum & 1) != 0 ? (sum >> 1) ^ 0x82F63B78 : sum >> 1;
        }
        byte[] result = [.. bytes, 0, 0, 0, 0];
        BinaryPrimitives.WriteUInt32LittleEndian(result.AsSpan(bytes.Length), ~sum);
        return result;
    }

    private static JsonObject Codec(string name) => name == "bytes" ? new JsonObject { ["name"] = name, ["configuration"] = new JsonObject { ["endian"] = "little" } } : new JsonObject { ["name"] = name, ["configuration"] = new JsonObject() };

    private static JsonArray Numbers(int[] values) => [.. values.Select(v => (JsonNode)v)];

    private static string Name(int[] at, char separator) => string.Join(separator, at.Select(a => $"{a}").Prepend("c"));

    private static void Describe(List<(string, byte[])> files, string key, JsonObject node) => files.Add((key.Length == 0 ? "zarr.json" : $"{key}/zarr.json", Encoding.UTF8.GetBytes(node.ToJsonString())));

    private static IEnumerable<int[]> Places(int[] extents)
    {
        int[] at = new int[extents.Length];
        while (true)
        {
            yield return [.. at];
            int axis = at.Length - 1;
            while (axis >= 0 && ++at[axis] == extents[axis]) at[axis--] = 0;
            if (axis < 0) yield break;
        }
    }

    private static JsonNode Json(NdArray value)
    {
        JsonNode[] items = [.. value.Values switch
        {
            string[] text => text.Select(t => (JsonNode)t),
            bool[] flags => flags.Select(f => (JsonNode)f),
            _ when value.Type.IsInteger() => value.ToInt64().Select(v => (JsonNode)v),
            _ => value.ToDoubles().Select(v => (JsonNode)v),
        }];
        return value.Rank == 0 ? items[0] : new JsonArray(items);
    }
}
