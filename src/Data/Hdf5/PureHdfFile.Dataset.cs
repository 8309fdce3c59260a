using System.Reflection;
using BioSup.Runtime;
using PureHDF;
using PureHDF.Selections;
using PureHDF.VOL.Native;

namespace BioSup.Data;

internal sealed partial class PureHdfFile
{
    private sealed class Dataset : Node, IStoreArray
    {
        private readonly PureHdfFile _file;
        private readonly NativeDataset _self;
        private readonly long[] _shape;
        private readonly int _elementBytes;
        private DatasetStorage? _storage;

        public Dataset(PureHdfFile file, NativeDataset self, string path) : base(file, self, path)
        {
            _file = file;
            _self = self;
            (_shape, _elementBytes, IsNull, IsRecord, Type, RowsPerChunk) = file.Guard(path, Describe);
        }

        public IReadOnlyList<long> Shape => _shape;
        public bool IsNull { get; }
        public bool IsRecord { get; }
        public ElementType? Type { get; }
        public int RowsPerChunk { get; }

        public NdArray Read()
        {
            ElementType type = RequireType();
            int count = RequireReadable(_shape);
            return count == 0 ? new NdArray(type.NewArray(0), _shape) : Read(type, _shape, 0, null);
        }

        public NdArray ReadRows(int start, int count)
        {
            if (_shape.Length != 2) throw _file.Error(Path, $"has the shape {NdArray.Describe(_shape)}; a matrix was expected");
            return ReadPart(start, [count, _shape[1]], new HyperslabSelection(2, [(ulong)start, 0], [(ulong)count, (ulong)_shape[1]]));
        }

        public NdArray ReadRange(long start, int count)
        {
            if (_shape.Length != 1) throw _file.Error(Path, $"has the shape {NdArray.Describe(_shape)}; a list was expected");
            return ReadPart(start, [count], new HyperslabSelection(1, [(ulong)start], [(ulong)count]));
        }

        private NdArray ReadPart(long start, long[] shape, Selection part)
        {
            ElementType type = RequireType();
            int count = RequireReadable(shape);
            if (start < 0 || start > _shape[0] - shape[0]) throw new ArgumentOutOfRangeException(nameof(start), $"{start} to {start + shape[0]} of {_shape[0]} was asked for.");
            return count == 0 ? new NdArray(type.NewArray(0), shape) : Read(type, shape, start, part);
        }

        private NdArray Read(ElementType type, long[] shape, long start, Selection? part) => _file.Guard(Path, () =>
        {
            int count = (int)shape.Aggregate(1L, (product, extent) => product * extent);
            if (Storage() is { IsReadable: true } storage)
            {
                if (PlainOrder() is { } order) return new NdArray(PlainValues.Read(storage, type, _shape, start, shape, count, order == ByteOrder.Reversed), shape);
                if (_file.IsHeapText(_self.Type, Property(_self, "InternalDataType"))) return new NdArray(ReadHeapText(storage, start, shape, count), shape);
            }
            return ReadTyped(type, shape, new Reader(_self, part, Cache()));
        });

        public RecordArray ReadRecords()
        {
            if (!IsRecord) throw _file.Error(Path, "records were expected");
            int count = RequireReadable(_shape);
            return _file.Guard(Path, () =>
            {
                RequireArraysThatFit(_self.Type);
                string[] names = [.. _self.Type.Compound.Members.Select(member => member.Name)];
                if (names.Distinct(StringComparer.Ordinal).Count() != names.Length) throw _file.Error(Path, "two fields of a record have the same name");
                Dictionary<string, object?>[] records = count == 0 ? [] : _self.Read<Dictionary<string, object?>[]>(new H5DatasetAccess(ChunkCache: Cache()));
                return new RecordArray([.. names.Select(name => (name, RecordFields.Collect(records, name) ?? throw _file.Error($"{Path}.{name}", "the field's type is not supported")))]);
            });
        }

        private (long[], int, bool, bool, ElementType?, int) Describe()
        {
            IH5Dataspace space = _self.Space;
            IH5DataType type = _self.Type;
            long[] shape = space.Type == H5DataspaceType.Simple ? Extents(space.Dimensions) : [];
            int rows = 1;
            if (_self.Layout.Class == H5DataLayoutClass.Chunked && _self.Layout.Chunks is { Length: > 0 } chunks) rows = (int)Math.Clamp(chunks[0], 1, int.MaxValue);
            bool record = type.Class == H5DataTypeClass.Compound;
            return (shape, type.Size, space.Type == H5DataspaceType.Null, record, record ? null : TypeOf(type), rows);
        }

        private ElementType RequireType() => IsNull
            ? throw _file.Error(Path, "holds nothing (null)")
            : Type ?? throw _file.Error(Path, $"has elements of class {_self.Type.Class} and {_elementBytes} bytes, which are not supported");

        /// <summary>Elements in <paramref name="shape"/>, once it is plausible that the file holds them.</summary>
        private int RequireReadable(long[] shape)
        {
            int count = _file.RequireCount(shape, _elementBytes, Path);
            _file.RequireCount(_shape, 1, Path);
            IH5DataLayout layout = _self.Layout;
            if (layout.Class == H5DataLayoutClass.VirtualStorage) throw _file.Error(Path, "is a view of other files, which is not supported");
            if (layout.Class != H5DataLayoutClass.Chunked) return count;

            // Every chunk has an entry in an index, so a small file cannot have many.
            if (layout.Chunks is not { } extents || extents.Length < _shape.Length) throw _file.Error(Path, "its chunks have fewer dimensions than its data");
            long chunks = 1, bytes = Math.Max(1, _elementBytes);
            for (int i = 0; i < _shape.Length; i++)
            {
                if (extents[i] == 0) throw _file.Error(Path, "a chunk has the size 0");
                long along = (_shape[i] + (long)extents[i] - 1) / (long)extents[i];
                if (along != 0 && chunks > (1L << 40) / along) throw _file.Error(Path, "claims more chunks than the file can hold");
                chunks *= along;
                if (bytes > (long)int.MaxValue / (long)Math.Min(extents[i], int.MaxValue)) throw _file.Error(Path, "a chunk is larger than 2 GiB");
                bytes *= (long)extents[i];
            }
            if (chunks > _file._stream.Length / 4 + 4096) throw _file.Error(Path, $"claims {chunks} chunks, more than the file can hold");
            if (bytes > _file._stream.Length * MaxRatio + Slack) throw _file.Error(Path, "a chunk claims more bytes than the file can hold");
            return count;
        }

        // PureHDF makes an array for the extents that a field claims, whatever its bytes, and keeps those extents to itself.
        private void RequireArraysThatFit(IH5DataType type)
        {
            if (type.Class == H5DataTypeClass.Compound)
            {
                foreach (CompoundMember member in type.Compound.Members) RequireArraysThatFit(member.Type);
                return;
            }
            if (type.Class != H5DataTypeClass.Array) return;
            object? extents = Property(Field(type.Array, "_property"), "DimensionSizes");
            long bytes = type.Array.BaseType.Size;
            foreach (uint extent in extents as uint[] ?? throw _file.Error(Path, "the extents of a field are not known"))
                bytes = extent == 0 || bytes <= int.MaxValue / extent ? bytes * extent : throw _file.Error(Path, "an array in a record claims more bytes than the record has");
            if (bytes > type.Size) throw _file.Error(Path, $"an array in a record claims {bytes} bytes, its field has {type.Size}");
            RequireArraysThatFit(type.Array.BaseType);
        }

        private static object? Field(object owner, string name) => owner.GetType().GetField(name, BindingFlags.Instance | BindingFlags.NonPublic)?.GetValue(owner);

        private DatasetStorage? Storage() => _storage ??= DatasetStorage.Of(_file._bytes, _self, _shape, _elementBytes);

        private enum ByteOrder { Native, Reversed }

        /// <summary>How the bytes of a number lie; null for what is not plainly numbers, or numbers that the processor does not know.</summary>
        private ByteOrder? PlainOrder()
        {
            H5DataTypeClass kind = _self.Type.Class;
            if (kind is not (H5DataTypeClass.FixedPoint or H5DataTypeClass.FloatingPoint or H5DataTypeClass.Enumerated)) return null;
            if (_elementBytes == 1) return ByteOrder.Native;
            object? description = Property(_self, "InternalDataType");
            if (kind == H5DataTypeClass.Enumerated) description = Property((Property(description, "Properties") as Array)?.GetValue(0), "BaseType");
            return Property(Property(description, "BitField"), "ByteOrder")?.ToString() switch
            {
                "LittleEndian" => BitConverter.IsLittleEndian ? ByteOrder.Native : ByteOrder.Reversed,
                "BigEndian" => BitConverter.IsLittleEndian ? ByteOrder.Reversed : ByteOrder.Native,
                _ => null,
            };
        }

        private string[] ReadHeapText(DatasetStorage storage, long start, long[] shape, int count)
        {
            // A block of rows whose references fill a few MiB at a time.
            int row = shape.Length == 0 ? 1 : (int)(count / shape[0]);
            int rows = count / row, block = Math.Min(rows, Math.Max(1, (1 << 18) / row));
            string[] texts = new string[count];
            byte[] references = [];
            for (int first = 0; first < rows; first += block)
            {
                int here = Math.Min(block, rows - first);
                int bytes = checked(here * row * _elementBytes);
                if (references.Length != bytes) references = new byte[bytes];
                storage.Read(references, _shape, start + first, here);
                _file._heap.Read(references, texts.AsSpan(first * row, here * row));
            }
            return texts;
        }

        /// <summary>
        /// Room for the chunks that one row crosses. Values are read row after row; with less room (the library's own is 1 MiB) chunks that hold a part of
        /// the columns, as h5py makes them, would be fetched and inflated once for every row that they hold.
        /// </summary>
        private CheckedChunks? Cache()
        {
            if (Storage() is not { } storage || _self.Layout is not { Class: H5DataLayoutClass.Chunked, Chunks: { } extents }) return null;
            ulong across = 1, bytes = (ulong)Math.Max(1, _elementBytes);
            for (int i = 0; i < _shape.Length; i++)
            {
                bytes *= extents[i];
                if (i > 0) across *= ((ulong)_shape[i] + extents[i] - 1) / extents[i];
            }
            return new CheckedChunks(new SimpleReadingChunkCache((int)Math.Min(across, int.MaxValue), across * bytes), storage);
        }

        private sealed class Reader(NativeDataset dataset, Selection? rows, IReadingChunkCache? cache) : IReadMethod
        {
            public T Read<T>() => dataset.Read<T>(new H5DatasetAccess(ChunkCache: cache), fileSelection: rows!);
        }
    }
}

/// <summary>Turns records into one array per field.</summary>
internal static class RecordFields
{
    /// <summary>The values of one field, or null when their type is not one of <see cref="ElementType"/>.</summary>
    public static NdArray? Collect(Dictionary<string, object?>[] records, string name)
    {
        object? first = records.Length == 0 ? "" : records[0].GetValueOrDefault(name);
        switch (first)
        {
            case null or string: return NdArray.Vector(Array.ConvertAll(records, r => r.GetValueOrDefault(name) as string ?? ""));
            case sbyte: return Gather<sbyte>(records, name);
            case byte: return Gather<byte>(records, name);
            case short: return Gather<short>(records, name);
            case ushort: return Gather<ushort>(records, name);
            case int: return Gather<int>(records, name);
            case uint: return Gather<uint>(records, name);
            case long: return Gather<long>(records, name);
            case ulong: return Gather<ulong>(records, name);
            case Half: return Gather<Half>(records, name);
            case float: return Gather<float>(records, name);
            case double: return Gather<double>(records, name);
            case bool: return Gather<bool>(records, name);
            case float[] or double[] or int[] or long[]: return GatherRows(records, name, ((Array)first).Length);
            default: return null;
        }
    }

    private static NdArray Gather<T>(Dictionary<string, object?>[] records, string name) => NdArray.Vector(Array.ConvertAll(records, r => (T)r[name]!));

    private static NdArray GatherRows(Dictionary<string, object?>[] records, string name, int width)
    {
        double[] values = new double[records.Length * width];
        for (int i = 0; i < records.Length; i++)
        {
            NdArray row = NdArray.Vector(Array.Empty<double>());
            if (records[i][name] is Array array) row = new NdArray(array, array.Length);
            row.ToDoubles().AsSpan(0, width).CopyTo(values.AsSpan(i * width, width));
        }
        return new NdArray(values, records.Length, width);
    }
}
