using System.Reflection;
using System.Runtime.CompilerServices;
using BioSup.Runtime;
using Microsoft.Win32.SafeHandles;
using PureHDF;
using PureHDF.VOL.Native;

namespace BioSup.Data;

/// <summary>
/// <see cref="IStoreFile"/> over PureHDF. The library reports damage by whatever exception comes first; here each becomes a
/// <see cref="DataException"/> that names the object, and no allocation is made that the size of the file does not justify.
/// </summary>
internal sealed partial class PureHdfFile : IStoreFile
{
    // Deflate's best ratio; a dataset that claims more than this times the file is damaged.
    private const long MaxRatio = 1032;
    private const long Slack = 64L << 20;
    private readonly string _path;
    private readonly GuardedStream _stream;
    private readonly NativeFile _file;
    private readonly Hdf5Bytes _bytes;
    private readonly GlobalHeap _heap;

    private PureHdfFile(string path)
    {
        _path = path;
        SafeFileHandle handle = File.OpenHandle(path);
        _stream = new GuardedStream(new FileStream(handle, FileAccess.Read, 1 << 14));
        try
        {
            _file = Guard("/", () => GuardedDriver.Open(_stream));
            _bytes = Guard("/", () => GuardedDriver.Bytes(_file, handle, _stream.Length));
            _heap = new GlobalHeap(_bytes);
        }
        catch
        {
            _stream.Dispose();
            throw;
        }
        Root = new Group(this, _file, "");
    }

    public IStoreGroup Root { get; }

    public static IStoreFile Open(string path) => SourceGuard.Read(path, "HDF5", () => new PureHdfFile(path));

    public void Dispose() => _file.Dispose();

    private T Guard<T>(string node, Func<T> read)
    {
        _stream.Reset();
        try
        {
            return read();
        }
        catch (Exception e) when (e is not (BiosupException or OperationCanceledException or StackOverflowException))
        {
            if (e is System.Reflection.TargetInvocationException { InnerException: { } inner }) e = inner;
            throw new DataException(_path, node.Length == 0 ? "/" : node, $"is damaged or not a supported HDF5 file: {SourceGuard.FirstLine(e.Message)}", e);
        }
    }

    private DataException Error(string node, string problem) => new(_path, node, problem);

    private IStoreNode? Wrap(IH5Object? found, string path) => found switch
    {
        IH5Group group => new Group(this, group, path),
        NativeDataset dataset => new Dataset(this, dataset, path),
        _ => null,
    };

    private static ElementType? TypeOf(IH5DataType type)
    {
        switch (type.Class)
        {
            case H5DataTypeClass.String:
                return ElementType.Text;
            case H5DataTypeClass.VariableLength:
                IH5DataType item = type.VariableLength.BaseType;
                return item.Class == H5DataTypeClass.String || (item.Class == H5DataTypeClass.FixedPoint && item.Size == 1) ? ElementType.Text : null;
            case H5DataTypeClass.Enumerated:
                return type.Size == 1 ? ElementType.Boolean : TypeOf(type.Enumeration.BaseType);
            case H5DataTypeClass.FixedPoint:
                return (type.Size, type.FixedPoint.IsSigned) switch
                {
                    (1, true) => ElementType.Int8,
                    (1, false) => ElementType.UInt8,
                    (2, true) => ElementType.Int16,
                    (2, false) => ElementType.UInt16,
                    (4, true) => ElementType.Int32,
                    (4, false) => ElementType.UInt32,
                    (8, true) => ElementType.Int64,
                    (8, false) => ElementType.UInt64,
                    _ => null,
                };
            case H5DataTypeClass.FloatingPoint:
                return type.Size switch { 2 => ElementType.Float16, 4 => ElementType.Float32, 8 => ElementType.Float64, _ => null };
            default:
                return null;
        }
    }

    /// <summary>The number of elements, when the file can hold them.</summary>
    private int RequireCount(IReadOnlyList<long> shape, int elementBytes, string node)
    {
        long limit = _stream.Length > (long.MaxValue - Slack) / MaxRatio ? long.MaxValue : _stream.Length * MaxRatio + Slack;
        long count = 1;
        foreach (long extent in shape)
        {
            if (extent < 0) throw Error(node, "an extent is negative or too large");
            if (extent != 0 && count > limit / extent) throw Error(node, $"claims {NdArray.Describe(shape)} elements, more than a file of {_stream.Length} bytes can hold");
            count *= extent;
        }
        if (count > limit / Math.Max(1, elementBytes)) throw Error(node, $"claims {NdArray.Describe(shape)} elements, more than a file of {_stream.Length} bytes can hold");
        if (count > Array.MaxLength) throw Error(node, $"has {NdArray.Describe(shape)} elements, too many to be read as a whole");
        return (int)count;
    }

    /// <summary>Reads whole datasets and attributes by their element type; <c>read</c> is generic in the .NET type.</summary>
    private static NdArray ReadTyped(ElementType type, long[] shape, IReadMethod source) => type switch
    {
        ElementType.Boolean => new NdArray(Array.ConvertAll(source.Read<byte[]>(), b => b != 0), shape),
        ElementType.Int8 => new NdArray(source.Read<sbyte[]>(), shape),
        ElementType.UInt8 => new NdArray(source.Read<byte[]>(), shape),
        ElementType.Int16 => new NdArray(source.Read<short[]>(), shape),
        ElementType.UInt16 => new NdArray(source.Read<ushort[]>(), shape),
        ElementType.Int32 => new NdArray(source.Read<int[]>(), shape),
        ElementType.UInt32 => new NdArray(source.Read<uint[]>(), shape),
        ElementType.Int64 => new NdArray(source.Read<long[]>(), shape),
        ElementType.UInt64 => new NdArray(source.Read<ulong[]>(), shape),
        ElementType.Float16 => new NdArray(source.Read<Half[]>(), shape),
        ElementType.Float32 => new NdArray(source.Read<float[]>(), shape),
        ElementType.Float64 => new NdArray(source.Read<double[]>(), shape),
        _ => new NdArray(Array.ConvertAll(source.Read<string?[]>(), text => text ?? ""), shape),
    };

    private interface IReadMethod
    {
        T Read<T>();
    }

    /// <summary>Whether elements are text of variable length as it stands in the heap; text padded with spaces is left to PureHDF, which trims it.</summary>
    private bool IsHeapText(IH5DataType type, object? message)
    {
        if (type.Class != H5DataTypeClass.VariableLength || type.Size != _heap.ReferenceBytes) return false;
        object? field = Property(message, "BitField");
        return Property(field, "Type")?.ToString() == "String" && Property(field, "PaddingType")?.ToString() is "NullTerminate" or "NullPad";
    }

    // PureHDF keeps the messages of an object's header to itself.
    private static object? Property(object? owner, string name) => owner?.GetType().GetProperty(name, BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic)?.GetValue(owner);

    private static long[] Extents(ulong[] dimensions) => Array.ConvertAll(dimensions, extent => extent > long.MaxValue ? -1 : (long)extent);

    private abstract class Node(PureHdfFile file, IH5Object self, string path) : IStoreNode
    {
        protected PureHdfFile File => file;

        public string Path => path.Length == 0 ? "/" : path;

        protected string ChildPath(string name) => $"{path}/{name}";

        public bool HasAttribute(string name) => file.Guard(Path, () => self.AttributeExists(name));

        public NdArray ReadAttribute(string name) => file.Guard($"{Path}@{name}", () =>
        {
            IH5Attribute attribute = self.Attribute(name);
            if (attribute.Space.Type == H5DataspaceType.Null) return NdArray.Vector(Array.Empty<double>());
            long[] shape = attribute.Space.Type == H5DataspaceType.Scalar ? [] : Extents(attribute.Space.Dimensions);
            ElementType type = TypeOf(attribute.Type) ?? throw file.Error($"{Path}@{name}", $"has elements of class {attribute.Type.Class}, which are not supported");
            int count = file.RequireCount(shape, attribute.Type.Size, $"{Path}@{name}");
            if (count == 0) return new NdArray(type.NewArray(0), shape);
            object? message = Property(attribute, "Message");
            if (!file.IsHeapText(attribute.Type, Property(message, "Datatype")) || Property(message, "InputData") is not Memory<byte> references) return ReadTyped(type, shape, new AttributeReader(attribute));
            string[] texts = new string[count];
            file._heap.Read(references.Span, texts);
            return new NdArray(texts, shape);
        });

        public IStoreNode FollowAttribute(string name) => file.Guard($"{Path}@{name}", () =>
        {
            IH5Attribute attribute = self.Attribute(name);
            if (attribute.Type.Class != H5DataTypeClass.Reference) throw file.Error($"{Path}@{name}", "an object reference was expected");
            return file.Wrap(file._file.Get(attribute.Read<NativeObjectReference1>()), $"{Path}@{name}") ?? throw file.Error($"{Path}@{name}", "the reference points to nothing");
        });

        private sealed class AttributeReader(IH5Attribute attribute) : IReadMethod
        {
            public T Read<T>() => attribute.Read<T>();
        }
    }

    private sealed class Group(PureHdfFile file, IH5Group self, string path) : Node(file, self, path), IStoreGroup
    {
        private const int MaxChildren = 1_000_000;
        private Dictionary<string, IH5Object>? _children;

        public IReadOnlyList<string> Names => [.. Children.Keys];

        public IStoreNode? Find(string name) => Children.TryGetValue(name, out IH5Object? child) ? File.Wrap(child, ChildPath(name)) : null;

        private Dictionary<string, IH5Object> Children => _children ??= File.Guard(Path, () =>
        {
            Dictionary<string, IH5Object> children = new(StringComparer.Ordinal);
            foreach (IH5Object child in self.Children())
            {
                children[child.Name] = child;
                if (children.Count > MaxChildren) throw File.Error(Path, $"has more than {MaxChildren} members");
            }
            return children;
        });
    }
}
