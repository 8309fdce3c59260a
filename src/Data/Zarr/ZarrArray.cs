using System.Buffers.Binary;
using System.Globalization;
using System.Text.Json;

namespace BioSup.Data;

/// <summary>
/// An array of a zarr store: a regular grid of chunks, each under a key of its own or, in shards, many under one. A chunk that is not stored holds the fill value.
/// </summary>
internal sealed class ZarrArray : ZarrFile.Node, IStoreArray
{
    private const int MostChunks = 1 << 24;

    /// <summary>Chunks are read one after the other and unpacked side by side, in waves of at most so many and, but for the last of a wave, so many stored bytes.</summary>
    private const int ChunksOfWave = 256, BytesOfWave = 64 << 20;
    private readonly long[] _shape;
    private readonly int[] _chunk, _shardChunks;
    private readonly ZarrType? _type;
    private readonly string _typeName, _prefix;
    private readonly char _separator;
    private readonly ZarrCodecs _outer, _codecs;
    private readonly JsonElement _fill;
    private string _shardKey = "";
    private byte[]? _shard;

    public ZarrArray(ZarrFile file, string key, JsonElement attributes, JsonElement description) : base(file, key, attributes)
    {
        _shape = [.. description.GetProperty("shape").EnumerateArray().Select(extent => extent.GetInt64())];
        if (_shape.Any(extent => extent < 0)) throw new InvalidDataException("an extent is negative");
        JsonElement type = description.GetProperty("data_type");
        (_type, _typeName) = (ZarrType.Parse(type), type.ValueKind == JsonValueKind.String ? type.GetString()! : type.GetRawText());
        JsonElement grid = description.GetProperty("chunk_grid");
        if (grid.GetProperty("name").GetString() != "regular") throw new InvalidDataException("its chunks are no regular grid");
        int[] stored = Extents(grid.GetProperty("configuration").GetProperty("chunk_shape"));
        (_prefix, _separator) = KeyEncoding(description);
        _fill = description.TryGetProperty("fill_value", out JsonElement fill) ? fill : default;
        _outer = ZarrCodecs.Parse(description.GetProperty("codecs"));
        _codecs = _outer.Shard?.Codecs ?? _outer;
        _chunk = _outer.Shard?.ChunkShape ?? stored;
        if (stored.Length != _shape.Length || _chunk.Length != _shape.Length) throw new InvalidDataException("its chunks do not have as many dimensions as the array");
        _shardChunks = new int[_chunk.Length];
        for (int d = 0; d < _chunk.Length; d++)
        {
            if (stored[d] % _chunk[d] != 0) throw new InvalidDataException("the chunks in a shard do not fill it");
            _shardChunks[d] = stored[d] / _chunk[d];
        }
        if (_type is not null && _codecs.IsText != _type.IsAnyLengthText) throw new InvalidDataException($"its codecs do not fit elements of type {_typeName}");
    }

    public IReadOnlyList<long> Shape => _shape;

    // zarr has no array of nothing; anndata writes a scalar and says in its encoding what it stands for.
    public bool IsNull => HasAttribute("encoding-type") && ReadAttribute("encoding-type") is { Type: ElementType.Text, Length: 1 } text && text.As<string>()[0] == "null";

    public bool IsRecord => _type?.IsRecord ?? false;

    public ElementType? Type => _type?.Element;

    public int RowsPerChunk => _chunk.Length == 0 ? 1 : _chunk[0];

    public NdArray Read() => ReadPart(new long[_shape.Length], _shape);

    public NdArray ReadRows(int start, int count) => _shape.Length == 2 ? ReadPart([start, 0], [count, _shape[1]]) : throw File.Error(Path, $"has the shape {NdArray.Describe(_shape)}; a matrix was expected");

    public NdArray ReadRange(long start, int count) => _shape.Length == 1 ? ReadPart([start], [count]) : throw File.Error(Path, $"has the shape {NdArray.Describe(_shape)}; a list was expected");

    public RecordArray ReadRecords()
    {
        if (_type is not { IsRecord: true } type) throw File.Error(Path, "records were expected");
        return File.Guard(Path, () =>
        {
            byte[] raw = (byte[])Assemble(new long[_shape.Length], _shape, out int count);
            List<(string, NdArray)> fields = [];
            int offset = 0;
            foreach ((string name, ZarrType field) in type.Fields)
            {
                if (fields.Exists(f => f.Item1 == name)) throw File.Error(Path, "two fields of a record have the same name");
                fields.Add((name, NdArrayOf(count == 0 ? field.Element!.Value.NewArray(0) : field.Decode(raw.AsSpan(offset), count, type.Size, _codecs.BigEndian), count)));
                offset += field.Size;
            }
            return new RecordArray(fields);
        });
    }

    /// <summary>A list of extents above 0.</summary>
    internal static int[] Extents(JsonElement list)
    {
        int[] extents = [.. list.EnumerateArray().Select(extent => extent.GetInt32())];
        return extents.Any(extent => extent <= 0) ? throw new InvalidDataException("an extent of a chunk is not above 0") : extents;
    }

    private static NdArray NdArrayOf(Array values, int count) => new(values, count);

    private NdArray ReadPart(long[] start, long[] count) => File.Guard(Path, () =>
    {
        if (IsNull) throw File.Error(Path, "holds nothing (null)");
        if (_type is not { IsRecord: false } type) throw File.Error(Path, $"has elements of type {NpyHeader.Printable(_typeName)}, which are not supported");
        Array values = Assemble(start, count, out int elements);
        return new NdArray(type.IsAnyLengthText ? values : type.Decode((byte[])values, elements, type.Size, _codecs.BigEndian), count);
    });

    /// <summary>A box of the array in C order: texts, or the bytes of elements as they are stored.</summary>
    private Array Assemble(long[] start, long[] count, out int elements)
    {
        int unit = Math.Max(1, _type!.Size);
        long total = unit, chunks = 1;
        for (int d = 0; d < count.Length; d++)
        {
            total = count[d] == 0 || total <= Array.MaxLength / count[d] ? total * count[d] : throw File.Error(Path, $"claims {NdArray.Describe(count)} elements, too many to be read as a whole");
            chunks = count[d] == 0 ? 0 : Math.Min(chunks * ((start[d] + count[d] - 1) / _chunk[d] - start[d] / _chunk[d] + 1), MostChunks + 1L);
        }
        if (chunks > MostChunks) throw File.Error(Path, $"claims more than {MostChunks} chunks");
        File.RequirePlausible(Path, _type.IsAnyLengthText ? 8 * total : total, count);
        elements = (int)(total / unit);
        Array target = _type.IsAnyLengthText ? NewText(elements) : NewBytes(elements);
        if (total == 0) return target;
        long[] first = [.. start.Select((s, d) => s / _chunk[d])], last = [.. start.Select((s, d) => (s + count[d] - 1) / _chunk[d])], at = [.. first];
        List<(long[] At, byte[] Stored)> wave = [];
        long held = 0;
        bool more = true;
        while (more)
        {
            if (Stored(at) is { } stored)
            {
                wave.Add(([.. at], stored));
                held += stored.Length;
            }
            more = Next(at, first, last);
            if (more && wave.Count < ChunksOfWave && held < BytesOfWave) continue;
            if (wave.Count == 0) continue;
            // Chunks share no element, so they are unpacked into the box side by side.
            SharedWork.Run(wave.Count, wave.Count * ChunkElements() * unit, () => 0, (i, _) => Copy(Unpack(wave[i].Stored), wave[i].At, target, start, count, unit));
            wave.Clear();
            held = 0;
        }
        return target;
    }

    /// <summary>Moves to the next chunk in C order; false after the last one.</summary>
    private static bool Next(long[] at, long[] first, long[] last)
    {
        int axis = at.Length - 1;
        while (axis >= 0 && at[axis] == last[axis]) at[axis] = first[axis--];
        if (axis < 0) return false;
        at[axis]++;
        return true;
    }

    private static string[] NewText(int count)
    {
        string[] text = new string[count];
        Array.Fill(text, "");
        return text;
    }

    private byte[] NewBytes(int count)
    {
        byte[] fill = _type!.Fill(_fill, _codecs.BigEndian), bytes = new byte[count * fill.Length];
        if (fill.AsSpan().ContainsAnyExcept((byte)0))
            for (int i = 0; i < count; i++) fill.CopyTo(bytes, i * fill.Length);
        return bytes;
    }

    /// <summary>What a chunk shares with the box, run by run along the last axis.</summary>
    private void Copy(Array chunk, long[] at, Array target, long[] start, long[] count, int unit)
    {
        int rank = at.Length;
        if (rank == 0)
        {
            Array.Copy(chunk, target, unit);
            return;
        }
        long[] low = [.. at.Select((c, d) => Math.Max(start[d], c * _chunk[d]))], high = [.. at.Select((c, d) => Math.Min(start[d] + count[d], (c + 1) * _chunk[d]))], place = [.. low];
        int run = (int)(high[^1] - low[^1]) * unit;
        while (true)
        {
            long from = 0, to = 0;
            for (int d = 0; d < rank; d++)
            {
                from = from * _chunk[d] + (place[d] - at[d] * _chunk[d]);
                to = to * count[d] + (place[d] - start[d]);
            }
            Array.Copy(chunk, from * unit, target, to * unit, run);
            int axis = rank - 2;
            while (axis >= 0 && ++place[axis] == high[axis])
            {
                place[axis] = low[axis];
                axis--;
            }
            if (axis < 0) return;
        }
    }

    /// <summary>The elements of a chunk.</summary>
    private Array Unpack(byte[] stored)
    {
        long elements = ChunkElements();
        if (_type!.IsAnyLengthText) return _codecs.UnpackText(stored, (int)elements);
        return elements * _type.Size <= Array.MaxLength ? _codecs.Unpack(stored, (int)elements * _type.Size) : throw new InvalidDataException("a chunk is larger than 2 GiB");
    }

    private long ChunkElements()
    {
        long elements = 1;
        foreach (int extent in _chunk) elements = elements <= int.MaxValue / extent ? elements * extent : throw new InvalidDataException("a chunk has more elements than can be read");
        return elements;
    }

    /// <summary>The bytes of a chunk, or null where it is not stored.</summary>
    private byte[]? Stored(long[] at)
    {
        if (_outer.Shard is not { } shard) return File.ReadBytes(KeyOf(at));
        long[] outer = [.. at.Select((c, d) => c / _shardChunks[d])];
        string key = KeyOf(outer);
        if (key != _shardKey) (_shardKey, _shard) = (key, File.ReadBytes(key));
        if (_shard is null) return null;
        long chunks = 1, place = 0;
        for (int d = 0; d < at.Length; d++)
        {
            chunks = Math.Min(chunks * _shardChunks[d], int.MaxValue);
            place = place * _shardChunks[d] + (at[d] - outer[d] * _shardChunks[d]);
        }
        long length = 16 * chunks + (shard.IndexSum ? 4 : 0);
        if (length > _shard.Length) throw new InvalidDataException($"a shard of {_shard.Length} bytes has no room for the index of its {chunks} chunks");
        ReadOnlySpan<byte> index = shard.Index.Unpack((shard.IndexFirst ? _shard.AsSpan(0, (int)length) : _shard.AsSpan(_shard.Length - (int)length)).ToArray(), (int)(16 * chunks)).AsSpan((int)(16 * place));
        ulong offset = Number(index, shard.Index.BigEndian), size = Number(index[8..], shard.Index.BigEndian);
        if (offset == ulong.MaxValue && size == ulong.MaxValue) return null;
        if (size > (ulong)_shard.Length || offset > (ulong)_shard.Length - size) throw new InvalidDataException("the index of a shard points outside it");
        return _shard.AsSpan((int)offset, (int)size).ToArray();
    }

    private static ulong Number(ReadOnlySpan<byte> bytes, bool bigEndian) => bigEndian ? BinaryPrimitives.ReadUInt64BigEndian(bytes) : BinaryPrimitives.ReadUInt64LittleEndian(bytes);

    private string KeyOf(long[] at)
    {
        string numbers = string.Join(_separator, at.Select(c => c.ToString(CultureInfo.InvariantCulture)));
        string name = _prefix.Length == 0 ? numbers.Length == 0 ? "0" : numbers : numbers.Length == 0 ? _prefix : _prefix + _separator + numbers;
        return Key.Length == 0 ? name : $"{Key}/{name}";
    }

    private static (string Prefix, char Separator) KeyEncoding(JsonElement description)
    {
        if (!description.TryGetProperty("chunk_key_encoding", out JsonElement encoding)) return ("c", '/');
        string name = encoding.GetProperty("name").GetString() ?? "";
        if (name is not ("default" or "v2")) throw new InvalidDataException($"keys of chunks in the form '{NpyHeader.Printable(name)}' are not known");
        string? separator = encoding.TryGetProperty("configuration", out JsonElement configuration) && configuration.TryGetProperty("separator", out JsonElement found) ? found.GetString() : null;
        separator ??= name == "default" ? "/" : ".";
        return separator is "/" or "." ? (name == "default" ? "c" : "", separator[0]) : throw new InvalidDataException("the keys of its chunks are separated by neither / nor .");
    }
}
