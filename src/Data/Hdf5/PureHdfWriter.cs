using BioSup.Runtime;
using PureHDF;
using PureHDF.Filters;
using PureHDF.Selections;
using PureHDF.VOL.Native;

namespace BioSup.Data;

/// <summary>Writes a tree of groups and datasets with PureHDF: chunked, shuffled and deflated where that pays, text as variable-length UTF-8.</summary>
internal static class PureHdfWriter
{
    // About 64 thousand elements a chunk, as singlecell tools do: 256 KiB of float32.
    private const int ChunkElements = 1 << 16;
    private const int SmallestCompressed = 1024;
    private static readonly H5WriteOptions s_options = new(IncludeStructFields: true, IncludeStructProperties: false);

    public static void Write(Stream stream, Hdf5Group root, bool compress)
    {
        H5File file = new();
        List<(H5Object Made, Hdf5Dataset Source)> deferred = [];
        Fill(file, root, compress, deferred);
        using H5NativeWriter writer = file.BeginWrite(stream, s_options);
        foreach ((H5Object made, Hdf5Dataset source) in deferred)
        {
            if (source.Rows is { } rows) WriteRows(writer, made, rows);
            else WriteVector(writer, made, source.Vector!);
        }
    }

    private static void Fill(H5Group target, Hdf5Group source, bool compress, List<(H5Object, Hdf5Dataset)> deferred)
    {
        AddAttributes(target, source);
        foreach ((string name, Hdf5Node node) in source.Children)
        {
            if (name.Length == 0 || name.Contains('/', StringComparison.Ordinal) || name is "." or "..")
                throw new UsageException($"'{name}' cannot be a key in an HDF5 file: keys are not empty and hold no '/'.");
            if (node is Hdf5Group group)
            {
                H5Group child = new();
                Fill(child, group, compress, deferred);
                target[name] = child;
                continue;
            }
            Hdf5Dataset dataset = (Hdf5Dataset)node;
            H5Object made = Make(dataset, compress);
            AddAttributes(made, dataset);
            target[name] = made;
            if (dataset.Rows is { RowCount: > 0, ColumnCount: > 0 } || dataset.Vector is { Length: > 0 }) deferred.Add((made, dataset));
        }
    }

    private static void AddAttributes(H5Object target, Hdf5Node source)
    {
        foreach ((string name, NdArray value) in source.Attributes)
        {
            Array values = Storable(value);
            target.Attributes[name] = value.Rank == 0 ? values.GetValue(0)! : new H5Attribute(values, Dimensions(value.Shape));
        }
    }

    private static H5Object Make(Hdf5Dataset dataset, bool compress)
    {
        if (dataset.Rows is { } rows) return MakeDeferred(rows.Type, [rows.RowCount, rows.ColumnCount], compress);
        if (dataset.Vector is { } vector) return MakeDeferred(vector.Type, [vector.Length], compress);
        if (dataset.Records is { } records) return new H5Dataset(RecordType.ToArray(records, Storable));
        if (dataset.Array is not { } array) return new H5Dataset<float[]>();
        Array values = Storable(array);
        if (array.Rank == 0) return new H5Dataset(values.GetValue(0)!);
        bool chunked = compress && array.Length >= SmallestCompressed && array.Type != ElementType.Text;
        return new H5Dataset(values, chunks: chunked ? Chunks(array.Shape) : null, fileDims: Dimensions(array.Shape), datasetCreation: chunked ? Compressed() : default);
    }

    private static H5Object MakeDeferred(ElementType type, long[] shape, bool compress)
    {
        uint[]? chunks = compress && !shape.Contains(0) ? Chunks(shape) : null;
        H5DatasetCreation creation = chunks is null ? default : Compressed(new SequentialChunks());
        return type switch
        {
            ElementType.Float32 => new H5Dataset<float[]>(Dimensions(shape), chunks, creation),
            ElementType.Float64 => new H5Dataset<double[]>(Dimensions(shape), chunks, creation),
            ElementType.Int32 => new H5Dataset<int[]>(Dimensions(shape), chunks, creation),
            ElementType.Int64 => new H5Dataset<long[]>(Dimensions(shape), chunks, creation),
            _ => throw new UsageException($"Arrays of {type.Name()} are not written to HDF5 block by block."),
        };
    }

    private static void WriteRows(H5NativeWriter writer, H5Object dataset, Hdf5Rows rows)
    {
        int block = (int)Chunks([rows.RowCount, rows.ColumnCount])[0];
        for (int start = 0; start < rows.RowCount; start += block)
        {
            int count = Math.Min(block, rows.RowCount - start);
            HyperslabSelection part = new(2, [(ulong)start, 0], [(ulong)count, (ulong)rows.ColumnCount]);
            WritePart(writer, dataset, rows.Read(start, count), part);
        }
    }

    private static void WriteVector(H5NativeWriter writer, H5Object dataset, Hdf5Vector vector)
    {
        int block = (int)Chunks([vector.Length])[0];
        for (long start = 0; start < vector.Length; start += block)
        {
            int count = (int)Math.Min(block, vector.Length - start);
            WritePart(writer, dataset, vector.Read(start, count), new HyperslabSelection((ulong)start, (ulong)count));
        }
    }

    private static void WritePart(H5NativeWriter writer, H5Object dataset, Array values, HyperslabSelection part)
    {
        switch (dataset)
        {
            case H5Dataset<float[]> single: writer.Write(single, (float[])values, fileSelection: part); break;
            case H5Dataset<double[]> wide: writer.Write(wide, (double[])values, fileSelection: part); break;
            case H5Dataset<int[]> whole: writer.Write(whole, (int[])values, fileSelection: part); break;
            case H5Dataset<long[]> large: writer.Write(large, (long[])values, fileSelection: part); break;
        }
    }

    private static Array Storable(NdArray array) => array.Values switch
    {
        bool[] flags => Array.ConvertAll(flags, flag => flag ? H5Bool.TRUE : H5Bool.FALSE),
        BFloat16[] brain => Array.ConvertAll(brain, value => (float)value),
        Array values => values,
    };

    private static H5DatasetCreation Compressed(IWritingChunkCache? cache = null) => new(ChunkCache: cache, Filters: [ShuffleFilter.Id, DeflateFilter.Id]);

    private static ulong[] Dimensions(IReadOnlyList<long> shape) => [.. shape.Select(extent => (ulong)extent)];

    // Chunks of whole rows: a block of rows is then a whole number of chunks.
    private static uint[] Chunks(IReadOnlyList<long> shape)
    {
        long rowElements = 1;
        for (int i = 1; i < shape.Count; i++) rowElements *= shape[i];
        uint[] chunks = new uint[shape.Count];
        chunks[0] = (uint)Math.Clamp(ChunkElements / Math.Max(1, rowElements), 1, Math.Max(1, shape[0]));
        for (int i = 1; i < chunks.Length; i++) chunks[i] = (uint)Math.Max(1, shape[i]);
        return chunks;
    }

    /// <summary>Holds one chunk: rows are written in order, so a chunk is finished when the next one is asked for.</summary>
    private sealed class SequentialChunks : IWritingChunkCache
    {
        private Memory<byte> _chunk;
        private ulong _index;
        private bool _filled;
        private Action<ulong, Memory<byte>>? _write;

        public Memory<byte> GetChunk(ulong index, Func<Memory<byte>> chunkAllocator, Action<ulong, Memory<byte>> chunkWriter)
        {
            if (_filled && index == _index) return _chunk;
            Flush(chunkWriter);
            // PureHDF 2.2 binds the writer to the chunk it is handed out with, so each chunk must be written with its own.
            (_chunk, _index, _filled, _write) = (chunkAllocator(), index, true, chunkWriter);
            return _chunk;
        }

        public void Flush(Action<ulong, Memory<byte>> chunkWriter)
        {
            if (_filled) _write!(_index, _chunk);
            _filled = false;
        }
    }
}
