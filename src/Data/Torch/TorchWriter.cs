using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>
/// Writes what torch.load reads: dictionaries of tensors, text, whole numbers and bools, as torch.save (PyTorch 1.6 and later) lays them out.
/// The pickle uses nothing but collections.OrderedDict and torch._utils._rebuild_tensor_v2, which torch.load accepts with weights_only=True.
/// Equal content gives equal bytes.
/// </summary>
public static class TorchWriter
{
    private static readonly DateTimeOffset s_time = new(1980, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <param name="path">The file to make or replace.</param>
    /// <param name="content">Values: <see cref="NdArray"/> (a tensor), string, bool, int, long, or a nested dictionary of these.</param>
    public static void Write(string path, IReadOnlyDictionary<string, object> content) => AtomicFile.Write(path, stream =>
    {
        List<NdArray> storages = [];
        using MemoryStream program = new();
        program.Write([0x80, 2]);
        Dictionary(program, content, storages);
        program.WriteByte((byte)'.');
        using ZipArchive archive = new(stream, ZipArchiveMode.Create, leaveOpen: true);
        Member(archive, "archive/data.pkl", program.GetBuffer().AsSpan(0, (int)program.Length));
        Member(archive, "archive/byteorder", "little"u8);
        for (int i = 0; i < storages.Count; i++) Member(archive, $"archive/data/{i}", ElementDecoder.Bytes(storages[i].Values));
        Member(archive, "archive/version", "3\n"u8);
    });

    private static void Member(ZipArchive archive, string name, ReadOnlySpan<byte> bytes)
    {
        ZipArchiveEntry entry = archive.CreateEntry(name, CompressionLevel.NoCompression);
        entry.LastWriteTime = s_time;
        using Stream stream = entry.Open();
        stream.Write(bytes);
    }

    private static void Dictionary(MemoryStream to, IReadOnlyDictionary<string, object> content, List<NdArray> storages)
    {
        Global(to, "collections", "OrderedDict");
        to.Write(")R("u8);
        foreach ((string key, object value) in content)
        {
            Text(to, key);
            switch (value)
            {
                case IReadOnlyDictionary<string, object> inner: Dictionary(to, inner, storages); break;
                case NdArray array: Tensor(to, array, storages); break;
                case string text: Text(to, text); break;
                case bool flag: Flag(to, flag); break;
                case int or long: Number(to, Convert.ToInt64(value, null)); break;
                default: throw new ArgumentException($"{key} is a {value.GetType().Name}, which has no place in a PyTorch file.", nameof(content));
            }
        }
        to.WriteByte((byte)'u');
    }

    private static void Tensor(MemoryStream to, NdArray array, List<NdArray> storages)
    {
        Global(to, "torch._utils", "_rebuild_tensor_v2");
        to.Write("(("u8);
        Text(to, "storage");
        Global(to, "torch", StorageName(array.Type));
        Text(to, $"{storages.Count}");
        Text(to, "cpu");
        Number(to, array.Length);
        to.Write("tQ"u8);
        storages.Add(array);
        Number(to, 0);
        long[] strides = new long[array.Rank];
        long stride = 1;
        for (int axis = array.Rank - 1; axis >= 0; axis--)
        {
            strides[axis] = stride;
            stride *= array.Shape[axis];
        }
        Tuple(to, array.Shape);
        Tuple(to, strides);
        Flag(to, false);
        Global(to, "collections", "OrderedDict");
        to.Write(")RtR"u8);
    }

    private static string StorageName(ElementType type) => type switch
    {
        ElementType.Float32 => "FloatStorage",
        ElementType.Float64 => "DoubleStorage",
        ElementType.Int32 => "IntStorage",
        ElementType.Int64 => "LongStorage",
        _ => throw new ArgumentException($"Tensors of {type.Name()} are not written."),
    };

    private static void Tuple(MemoryStream to, IReadOnlyList<long> values)
    {
        to.WriteByte((byte)'(');
        foreach (long value in values) Number(to, value);
        to.WriteByte((byte)'t');
    }

    private static void Global(MemoryStream to, string module, string name) => to.Write(Encoding.ASCII.GetBytes($"c{module}\n{name}\n"));

    private static void Flag(MemoryStream to, bool value) => to.WriteByte(value ? (byte)0x88 : (byte)0x89);

    private static void Text(MemoryStream to, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        Span<byte> length = stackalloc byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(length, bytes.Length);
        to.WriteByte((byte)'X');
        to.Write(length);
        to.Write(bytes);
    }

    private static void Number(MemoryStream to, long value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        if (value is >= int.MinValue and <= int.MaxValue)
        {
            to.WriteByte((byte)'J');
            to.Write(bytes[..4]);
            return;
        }
        to.Write([0x8a, 8]);
        to.Write(bytes);
    }
}
