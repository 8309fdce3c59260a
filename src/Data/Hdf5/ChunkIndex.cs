using System.Buffers.Binary;

namespace BioSup.Data;

/// <summary>How the chunks of a dataset are found.</summary>
internal enum ChunkIndexKind
{
    BTree1,
    Single,
    Implicit,
    FixedArray,
    ExtensibleArray,
    BTree2,
}

/// <summary>
/// Reads where the chunks of a dataset lie, from the indexes that the HDF5 file format knows (version 3 of its specification, III.A.1, VII and
/// III.A.2). In a sound file no byte belongs to two nodes of an index or to two chunks, so what an index and its chunks claim together is held against the size of the file:
/// whatever a damaged one says, the work and the memory stay in proportion.
/// </summary>
internal sealed partial class ChunkIndex
{
    private readonly Hdf5Bytes _file;
    private readonly ChunkGrid _grid;
    private readonly bool _filtered;
    private readonly ChunkPlace[] _places;
    private long _left, _stored;

    private ChunkIndex(Hdf5Bytes file, ChunkGrid grid, bool filtered)
    {
        (_file, _grid, _filtered) = (file, grid, filtered);
        (_left, _stored) = (file.FileLength, file.FileLength);
        _places = new ChunkPlace[grid.Total];
    }

    /// <summary>The place of every chunk of the grid.</summary>
    /// <param name="file">The file.</param>
    /// <param name="grid">The array and its chunks.</param>
    /// <param name="kind">The kind of the index.</param>
    /// <param name="address">Where it begins.</param>
    /// <param name="filtered">Whether chunks go through filters.</param>
    /// <param name="single">For <see cref="ChunkIndexKind.Single"/> behind filters: stored bytes and filters not applied.</param>
    public static ChunkPlace[] Read(Hdf5Bytes file, ChunkGrid grid, ChunkIndexKind kind, ulong address, bool filtered, (ulong Bytes, uint Skipped) single)
    {
        ChunkIndex index = new(file, grid, filtered);
        if (file.IsUndefined(address) || grid.Total == 0) return index._places;
        switch (kind)
        {
            case ChunkIndexKind.BTree1: index.ReadBTree1(address, level: -1); break;
            case ChunkIndexKind.Single: index.Set(0, address, filtered && single.Bytes > 0 ? single.Bytes : (ulong)grid.ChunkBytes, single.Skipped); break;
            case ChunkIndexKind.Implicit: index.ReadImplicit(address); break;
            case ChunkIndexKind.FixedArray: index.ReadFixedArray(address); break;
            case ChunkIndexKind.ExtensibleArray: index.ReadExtensibleArray(address); break;
            default: index.ReadBTree2(address); break;
        }
        return index._places;
    }

    private void ReadBTree1(ulong address, int level)
    {
        int offset = _file.OffsetBytes, rank = _grid.Rank;
        byte[] head = Load(address, 8 + 2 * offset);
        Expect(head, "TREE"u8);
        if (head[4] != 1) throw new InvalidDataException("a B-tree of chunks was expected");
        if (level >= 0 && head[5] != level) throw new InvalidDataException("the levels of a B-tree do not descend");
        int entries = BinaryPrimitives.ReadUInt16LittleEndian(head.AsSpan(6));
        // A key holds the stored size, the mask of skipped filters, and where the chunk begins along each axis, the bytes of an element being the last.
        int key = 8 + 8 * (rank + 1), step = key + offset;
        byte[] body = Load(address + (ulong)head.Length, (long)entries * step);
        Span<long> at = stackalloc long[rank];
        for (int e = 0; e < entries; e++)
        {
            ReadOnlySpan<byte> entry = body.AsSpan(e * step, step);
            ulong child = Hdf5Bytes.Unsigned(entry[key..], offset);
            if (head[5] > 0)
            {
                ReadBTree1(child, head[5] - 1);
                continue;
            }
            for (int i = 0; i < rank; i++)
            {
                long start = BinaryPrimitives.ReadInt64LittleEndian(entry[(8 + 8 * i)..]);
                if (start < 0 || start % _grid.Extents[i] != 0) throw new InvalidDataException($"a chunk begins at {start} where chunks are {_grid.Extents[i]} long");
                at[i] = start / _grid.Extents[i];
            }
            uint bytes = BinaryPrimitives.ReadUInt32LittleEndian(entry);
            Set(_grid.Number(at), child, _filtered ? bytes : (ulong)_grid.ChunkBytes, BinaryPrimitives.ReadUInt32LittleEndian(entry[4..]));
        }
    }

    private void ReadImplicit(ulong address)
    {
        ForEach(-1, (chunk, index) => Set(chunk, checked(address + index * (ulong)_grid.ChunkBytes), (ulong)_grid.ChunkBytes, 0));
    }

    /// <summary>
    /// Calls back with every chunk and its place among all that the array may ever have, in the order in which arrays of chunks store them: an axis
    /// without limit comes first, the last runs fastest.
    /// </summary>
    private void ForEach(int unlimited, Action<int, ulong> visit)
    {
        int rank = _grid.Rank;
        ulong[] steps = new ulong[rank];
        ulong step = 1;
        for (int i = rank - 1; i >= 0; i--)
        {
            if (i == unlimited) continue;
            steps[i] = step;
            long limit = Math.Max(_grid.Limits[i] < 0 ? 0 : _grid.Limits[i], _grid.Shape[i]);
            step = checked(step * (ulong)(limit / _grid.Extents[i] + (limit % _grid.Extents[i] != 0 ? 1 : 0)));
        }
        if (unlimited >= 0) steps[unlimited] = step;
        long[] at = new long[rank];
        for (int chunk = 0; chunk < _grid.Total; chunk++)
        {
            _grid.Locate(chunk, at);
            ulong index = 0;
            for (int i = 0; i < rank; i++) index = checked(index + (ulong)at[i] * steps[i]);
            visit(chunk, index);
        }
    }

    /// <summary>An element of an array of chunks: an address, and behind filters the stored size and the mask.</summary>
    private void SetElement(int chunk, ReadOnlySpan<byte> element)
    {
        int offset = _file.OffsetBytes;
        ulong address = Hdf5Bytes.Unsigned(element, offset);
        if (!_filtered) Set(chunk, address, (ulong)_grid.ChunkBytes, 0);
        else Set(chunk, address, Hdf5Bytes.Unsigned(element[offset..], element.Length - offset - 4), BinaryPrimitives.ReadUInt32LittleEndian(element[^4..]));
    }

    private int ElementBytes(byte claimed)
    {
        int least = _file.OffsetBytes + (_filtered ? 5 : 0), most = _file.OffsetBytes + (_filtered ? 12 : 0);
        return claimed >= least && claimed <= most ? claimed : throw new InvalidDataException($"an index of chunks has elements of {claimed} bytes");
    }

    private void Set(int chunk, ulong address, ulong bytes, uint skipped)
    {
        // What lies outside the array, as after shrinking, is not asked for.
        if (chunk < 0 || _file.IsUndefined(address)) return;
        if (bytes == 0) throw new InvalidDataException("a chunk has no bytes");
        if (_places[chunk].Exists) throw new InvalidDataException("a chunk is stored twice");
        if (bytes > (ulong)_file.FileLength) throw new InvalidDataException($"a chunk claims {bytes} stored bytes, the file has {_file.FileLength}");
        _file.Require(address, (long)bytes);
        _stored -= (long)bytes;
        if (_stored < 0) throw new InvalidDataException("its chunks overlap");
        _places[chunk] = new ChunkPlace(address, (long)bytes, skipped);
    }

    private byte[] Load(ulong address, long count)
    {
        _file.Require(address, count);
        _left -= count;
        if (_left < 0) throw new InvalidDataException("the index of its chunks runs in circles");
        byte[] bytes = new byte[count];
        _file.Read(address, bytes);
        return bytes;
    }

    private static void Expect(ReadOnlySpan<byte> bytes, ReadOnlySpan<byte> signature)
    {
        if (!bytes.StartsWith(signature)) throw new InvalidDataException($"'{System.Text.Encoding.ASCII.GetString(signature)}' was expected in the index of its chunks");
    }
}
