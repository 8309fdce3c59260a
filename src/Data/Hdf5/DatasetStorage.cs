using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using PureHDF;
using PureHDF.VOL.Native;

namespace BioSup.Data;

/// <summary>
/// Reads the stored bytes of a contiguous or chunked dataset straight to their place, chunks side by side. PureHDF 2.2 hands values over row after row and
/// keeps where they lie to itself; it is asked for the description of the dataset alone.
/// </summary>
internal sealed class DatasetStorage
{
    // Contiguous data is read in pieces of this size, so that several threads share them.
    private const int PieceBytes = 4 << 20;
    private const BindingFlags Hidden = BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.Public;

    private readonly Hdf5Bytes _file;
    private readonly int _elementBytes;
    private readonly byte[]? _fill;
    private readonly ulong _address;
    private readonly ChunkGrid? _grid;
    private readonly ChunkFilters? _filters;
    private readonly bool _wholePartialChunks;
    private readonly Func<ChunkPlace[]>? _index;
    private ChunkPlace[]? _places;

    private DatasetStorage(Hdf5Bytes file, NativeDataset dataset, object layout, long[] shape, int elementBytes)
    {
        (_file, _elementBytes) = (file, elementBytes);
        _fill = Get(Get(dataset, "InternalFillValue")!, "Value") as byte[];
        object storage = Get(layout, "Properties") ?? layout;
        _address = (ulong)Get(storage, "Address")!;
        if (dataset.Layout.Class != H5DataLayoutClass.Chunked) return;

        long[] extents = [.. dataset.Layout.Chunks.Take(shape.Length).Select(extent => (long)extent)];
        long[] limits = [.. (dataset.Space.MaxDimensions is { } most && most.Length == shape.Length ? most : dataset.Space.Dimensions).Select(limit => limit > long.MaxValue ? -1 : (long)limit)];
        ChunkGrid grid = _grid = new ChunkGrid(shape, limits, extents, elementBytes);
        (ushort, uint[])[] filters = Get(dataset, "InternalFilterPipeline") is { } pipeline
            ? [.. ((Array)Get(pipeline, "FilterDescriptions")!).Cast<object>().Select(filter => ((ushort)Get(filter, "Identifier")!, (uint[])Get(filter, "ClientData")!))]
            : [];
        _filters = ChunkFilters.Of(filters, elementBytes);
        object? indexing = Get(storage, "IndexingInformation");
        ChunkIndexKind kind = indexing?.GetType().Name switch
        {
            null => ChunkIndexKind.BTree1,
            "SingleChunkIndexingInformation" => ChunkIndexKind.Single,
            "ImplicitIndexingInformation" => ChunkIndexKind.Implicit,
            "FixedArrayIndexingInformation" => ChunkIndexKind.FixedArray,
            "ExtensibleArrayIndexingInformation" => ChunkIndexKind.ExtensibleArray,
            "BTree2IndexingInformation" => ChunkIndexKind.BTree2,
            string other => throw new NotSupportedException($"the index of its chunks is of the unknown kind {other}"),
        };
        _wholePartialChunks = indexing is not null && (Convert.ToInt32(Get(storage, "Flags"), null) & 1) != 0;
        (ulong, uint) single = kind == ChunkIndexKind.Single ? ((ulong)Get(indexing!, "FilteredChunkSize")!, (uint)Get(indexing!, "ChunkFilters")!) : default;
        _index = () => ChunkIndex.Read(file, grid, kind, _address, filters.Length > 0, single);
    }

    /// <summary>The storage of a dataset; null where values lie in its header or in other files.</summary>
    /// <param name="file">The file.</param>
    /// <param name="dataset">Its description.</param>
    /// <param name="shape">Its extents; those of its chunks are positive.</param>
    /// <param name="elementBytes">Bytes of an element.</param>
    public static DatasetStorage? Of(Hdf5Bytes file, NativeDataset dataset, long[] shape, int elementBytes)
    {
        object layout = Get(dataset, "InternalDataLayout")!;
        return dataset.Layout.Class switch
        {
            H5DataLayoutClass.Chunked when shape.Length > 0 => new DatasetStorage(file, dataset, layout, shape, elementBytes),
            H5DataLayoutClass.Contiguous when Get(dataset, "InternalExternalFileList") is null => new DatasetStorage(file, dataset, layout, shape, elementBytes),
            _ => null,
        };
    }

    /// <summary>Whether all filters are known; otherwise only <see cref="RequireStored"/> may be called.</summary>
    public bool IsReadable => _grid is null || _filters is not null;

    /// <summary>Rows of the first axis, the other axes whole.</summary>
    /// <typeparam name="T">Of as many bytes as an element, or of one.</typeparam>
    /// <param name="target">Receives the elements in C order.</param>
    /// <param name="shape">Extents of the dataset.</param>
    /// <param name="start">The first row.</param>
    /// <param name="count">Rows.</param>
    public void Read<T>(T[] target, long[] shape, long start, long count) where T : unmanaged
    {
        if (target.Length == 0) return;
        if (_grid is null) ReadContiguous(target, shape.Length == 0 ? 0 : start * (RowElements(shape) * _elementBytes));
        else ReadChunks(target, _grid, start, count);
    }

    /// <summary>One chunk as it was before its filters, for a decoder of values that are not plain numbers.</summary>
    public byte[] ReadChunk(int number)
    {
        byte[] chunk = new byte[_grid!.ChunkBytes];
        Span<long> at = stackalloc long[_grid.Rank];
        _grid.Locate(number, at);
        ChunkPlace place = Places[number];
        if (place.Exists) Decode(place, SkippedOf(place, at), chunk, new Scratch());
        else Fill<byte>(chunk);
        return chunk;
    }

    /// <summary>Refuses chunks that claim more stored bytes than the file has, and one that skips a filter, which PureHDF 2.2 would mistake for the one before it.</summary>
    public void RequireStored(int number)
    {
        if (Places[number].Skipped != 0) throw new NotSupportedException("a chunk skips one of its filters, of which some are not known");
    }

    private ChunkPlace[] Places => _places ??= _index!();

    private static long RowElements(long[] shape)
    {
        long elements = 1;
        for (int i = 1; i < shape.Length; i++) elements *= shape[i];
        return elements;
    }

    private void ReadContiguous<T>(T[] target, long skip) where T : unmanaged
    {
        if (_file.IsUndefined(_address))
        {
            Fill<T>(target);
            return;
        }
        int unit = Unsafe.SizeOf<T>();
        _file.Require(checked(_address + (ulong)skip), (long)target.Length * unit);
        int piece = PieceBytes / unit, pieces = (target.Length + piece - 1) / piece;
        SharedWork.Run(pieces, (long)target.Length * unit, () => 0, (p, _) =>
        {
            int first = p * piece;
            _file.Read(_address + (ulong)(skip + (long)first * unit), MemoryMarshal.AsBytes(target.AsSpan(first, Math.Min(piece, target.Length - first))));
        });
    }

    private void ReadChunks<T>(T[] target, ChunkGrid grid, long start, long count) where T : unmanaged
    {
        ChunkPlace[] places = Places;
        // Chunks are numbered row of chunks by row of chunks.
        int perRow = grid.Total / (int)grid.Counts[0];
        int first = (int)(start / grid.Extents[0]) * perRow, end = (int)((start + count - 1) / grid.Extents[0] + 1) * perRow;
        SharedWork.Run(end - first, (long)target.Length * Unsafe.SizeOf<T>(), () => new Scratch(), (i, scratch) => ReadChunk(target, grid, places, first + i, start, count, scratch));
    }

    private void ReadChunk<T>(T[] target, ChunkGrid grid, ChunkPlace[] places, int number, long start, long count, Scratch scratch) where T : unmanaged
    {
        int rank = grid.Rank, unit = _elementBytes / Unsafe.SizeOf<T>();
        Span<long> at = stackalloc long[rank], from = stackalloc long[rank], size = stackalloc long[rank], to = stackalloc long[rank];
        grid.Locate(number, at);
        // The part of the chunk that is wanted: where it begins in the chunk, how large it is, where it goes.
        for (int i = 0; i < rank; i++)
        {
            long begin = at[i] * grid.Extents[i], low = i == 0 ? start : 0, high = i == 0 ? start + count : grid.Shape[i];
            from[i] = Math.Max(begin, low) - begin;
            size[i] = Math.Min(begin + grid.Extents[i], high) - begin - from[i];
            to[i] = begin + from[i] - low;
        }
        // The last axes along which chunk and result are equally long are one run.
        int axis = rank - 1;
        long run = size[axis], chunkStep = grid.Extents[axis], targetStep = axis == 0 ? count : grid.Shape[axis];
        while (axis > 0 && run == chunkStep && run == targetStep)
        {
            axis--;
            run *= size[axis];
            chunkStep *= grid.Extents[axis];
            targetStep *= axis == 0 ? count : grid.Shape[axis];
        }
        long runs = 1;
        for (int i = 0; i < axis; i++) runs *= size[i];
        // Where the first element lies in the chunk and in the result.
        long source = 0, goal = 0;
        for (int i = 0; i < rank; i++)
        {
            source = source * grid.Extents[i] + from[i];
            goal = goal * (i == 0 ? count : grid.Shape[i]) + to[i];
        }

        ChunkPlace place = places[number];
        uint skipped = SkippedOf(place, at);
        bool plain = place.Exists && _filters!.IsPlain(skipped);
        if (runs == 1 && (plain || !place.Exists || run * _elementBytes == grid.ChunkBytes))
        {
            Span<T> piece = target.AsSpan((int)(goal * unit), (int)(run * unit));
            if (!place.Exists) Fill<T>(piece);
            else if (plain) _file.Read(RequirePlain(place, grid) + (ulong)(source * _elementBytes), MemoryMarshal.AsBytes(piece));
            else Decode(place, skipped, MemoryMarshal.AsBytes(piece), scratch);
            return;
        }

        ReadOnlySpan<byte> chunk = default;
        if (place.Exists)
        {
            Span<byte> whole = scratch.Chunk(grid.ChunkBytes);
            Decode(place, skipped, whole, scratch);
            chunk = whole;
        }
        Span<long> step = stackalloc long[rank];
        step.Clear();
        while (true)
        {
            Span<T> piece = target.AsSpan((int)(goal * unit), (int)(run * unit));
            if (place.Exists) chunk.Slice((int)(source * _elementBytes), (int)(run * _elementBytes)).CopyTo(MemoryMarshal.AsBytes(piece));
            else Fill<T>(piece);
            // The next run: the innermost axis above the run advances, those that are through start again.
            long inChunk = chunkStep, inTarget = targetStep;
            int i = axis - 1;
            for (; i >= 0; i--)
            {
                source += inChunk;
                goal += inTarget;
                if (++step[i] < size[i]) break;
                source -= inChunk * size[i];
                goal -= inTarget * size[i];
                step[i] = 0;
                inChunk *= grid.Extents[i];
                inTarget *= i == 0 ? count : grid.Shape[i];
            }
            if (i < 0) return;
        }
    }

    // A chunk that reaches over the end of the array may be stored without filters.
    private uint SkippedOf(ChunkPlace place, ReadOnlySpan<long> at) => _wholePartialChunks && _grid!.IsPartial(at) ? uint.MaxValue : place.Skipped;

    private static ulong RequirePlain(ChunkPlace place, ChunkGrid grid) =>
        place.Bytes >= grid.ChunkBytes ? place.Address : throw new InvalidDataException($"a chunk of {grid.ChunkBytes} bytes claims {place.Bytes} stored bytes");

    private void Decode(ChunkPlace place, uint skipped, Span<byte> chunk, Scratch scratch)
    {
        if (_filters!.IsPlain(skipped))
        {
            _file.Read(RequirePlain(place, _grid!), chunk);
            return;
        }
        _filters.RequirePlausible(place.Bytes, skipped, chunk.Length);
        Memory<byte> stored = scratch.Stored(checked((int)place.Bytes));
        _file.Read(place.Address, stored.Span);
        _filters.Undo(stored, skipped, chunk, scratch.Next);
    }

    private void Fill<T>(Span<T> target) where T : unmanaged
    {
        Span<byte> bytes = MemoryMarshal.AsBytes(target);
        if (_fill is null || _fill.AsSpan().IndexOfAnyExcept((byte)0) < 0)
        {
            bytes.Clear();
            return;
        }
        if (_fill.Length != _elementBytes) throw new InvalidDataException($"the value of what was never written has {_fill.Length} bytes, an element {_elementBytes}");
        for (int i = 0; i < bytes.Length; i += _elementBytes) _fill.CopyTo(bytes[i..]);
    }

    private static object? Get(object owner, string name) => owner.GetType().GetProperty(name, Hidden)?.GetValue(owner);

    /// <summary>Buffers of one thread.</summary>
    private sealed class Scratch
    {
        private readonly byte[][] _next = [[], []];
        private byte[] _stored = [], _chunk = [];
        private int _turn;

        public Memory<byte> Stored(int bytes) => Grown(ref _stored, bytes).AsMemory(0, bytes);

        public Span<byte> Chunk(int bytes) => Grown(ref _chunk, bytes).AsSpan(0, bytes);

        /// <summary>By turns one of two, as a filter reads what the one before it has written.</summary>
        public byte[] Next(int bytes) => Grown(ref _next[_turn ^= 1], bytes);

        private static byte[] Grown(ref byte[] buffer, int bytes) => buffer.Length >= bytes ? buffer : buffer = GC.AllocateUninitializedArray<byte>(bytes);
    }
}
