using System.IO.Compression;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>A tensor in a <see cref="TorchFile"/>: a view of a storage.</summary>
/// <param name="Storage">Name of the storage in the archive.</param>
/// <param name="Type">Element type; null for kinds that have no counterpart here.</param>
/// <param name="Elements">Elements of the storage.</param>
/// <param name="Offset">First element.</param>
/// <param name="Shape">Extents; none for a scalar.</param>
/// <param name="Strides">Elements between neighbours along each extent.</param>
public sealed record TorchTensor(string Storage, ElementType? Type, long Elements, long Offset, IReadOnlyList<long> Shape, IReadOnlyList<long> Strides);

/// <summary>
/// What torch.save writes (PyTorch 1.6 and later): a zip archive with a pickle of the objects, data.pkl, and one raw little-endian member per storage.
/// The pickle is read by a machine that knows tensors, dictionaries, lists, text and numbers; anything else becomes an opaque object, and no code is run.
/// </summary>
public sealed class TorchFile : IDisposable
{
    internal const string Kind = "PyTorch";
    private const string ProgramName = "data.pkl";
    private const int MaxProgramBytes = 64 << 20, BlockBytes = 1 << 20;
    private readonly string _path;
    private readonly string _prefix;
    private readonly ZipArchive _archive;

    private TorchFile(string path, ZipArchive archive)
    {
        _path = path;
        _archive = archive;
        ZipArchiveEntry program = archive.Entries.FirstOrDefault(e => e.Name == ProgramName && e.FullName.Count(c => c == '/') <= 1)
            ?? throw new DataException(path, null, $"the archive has no {ProgramName}; a file of torch.save was expected");
        _prefix = program.FullName[..^ProgramName.Length];
        if (program.Length > MaxProgramBytes) throw new DataException(path, program.FullName, $"has {program.Length} bytes; {MaxProgramBytes} is the limit");
        if (archive.GetEntry(_prefix + "byteorder") is { } order)
        {
            using StreamReader text = new(order.Open());
            if (text.ReadToEnd().Trim() != "little") throw new DataException(path, order.FullName, "is not 'little'; files from big-endian machines are not supported");
        }
        byte[] bytes = new byte[program.Length];
        using (CrcStream stream = new(program.Open(), program.Length, program.Crc32, path, program.FullName))
        {
            stream.ReadExactly(bytes);
            stream.Verify();
        }
        Root = new TorchPickle(bytes, path, program.FullName).Read();
    }

    /// <summary>What was saved: dictionaries by text keys, lists, tuples (object[]), <see cref="TorchTensor"/>, text, long, double, bool, null; an opaque object
    /// for anything else.</summary>
    public object? Root { get; }

    public static TorchFile Open(string path) => SourceGuard.Read(path, Kind, () =>
    {
        FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16);
        try
        {
            Span<byte> start = stackalloc byte[2];
            if (stream.ReadAtLeast(start, 2, throwOnEndOfStream: false) < 2 || start[0] != 'P' || start[1] != 'K')
                throw new DataException(path, null, "is not a zip archive; files from before PyTorch 1.6 must be loaded and saved again");
            stream.Position = 0;
            return new TorchFile(path, new ZipArchive(stream, ZipArchiveMode.Read, leaveOpen: false));
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    });

    /// <summary>A tensor that must have exactly this shape, as floats in C order.</summary>
    /// <param name="tensor">From <see cref="Root"/>.</param>
    /// <param name="name">Its name, for messages.</param>
    /// <param name="shape">Extents; none for a scalar.</param>
    public float[] ReadVector(TorchTensor tensor, string name, params ReadOnlySpan<long> shape)
    {
        if (!shape.SequenceEqual(tensor.Shape.ToArray())) throw new DataException(_path, name, $"has the shape {NdArray.Describe(tensor.Shape)}; {NdArray.Describe(shape.ToArray())} was expected");
        return SourceGuard.Read(_path, Kind, () => Gather(tensor, name));
    }

    public void Dispose() => _archive.Dispose();

    private float[] Gather(TorchTensor tensor, string name)
    {
        long count = 1, last = tensor.Offset;
        for (int i = 0; i < tensor.Shape.Count; i++)
        {
            count = checked(count * tensor.Shape[i]);
            if (tensor.Shape[i] > 0) last = checked(last + (tensor.Shape[i] - 1) * tensor.Strides[i]);
        }
        if (count == 0) return [];
        if (count > Array.MaxLength || tensor.Elements > Array.MaxLength) throw new DataException(_path, name, $"has {count} elements, which are too many");
        if (tensor.Offset < 0 || last >= tensor.Elements) throw new DataException(_path, name, $"reaches to element {last} of a storage of {tensor.Elements}");
        float[] storage = ReadStorage(tensor, name);
        if (tensor.Offset == 0 && count == storage.Length && IsContiguous(tensor)) return storage;
        float[] values = new float[count];
        long[] at = new long[tensor.Shape.Count];
        for (long i = 0, from = tensor.Offset; i < count; i++)
        {
            values[i] = storage[from];
            for (int axis = at.Length - 1; axis >= 0; axis--)
            {
                from += tensor.Strides[axis];
                if (++at[axis] < tensor.Shape[axis]) break;
                from -= at[axis] * tensor.Strides[axis];
                at[axis] = 0;
            }
        }
        return values;
    }

    private static bool IsContiguous(TorchTensor tensor)
    {
        long expected = 1;
        for (int axis = tensor.Shape.Count - 1; axis >= 0; axis--)
        {
            if (tensor.Shape[axis] != 1 && tensor.Strides[axis] != expected) return false;
            expected *= tensor.Shape[axis];
        }
        return true;
    }

    private float[] ReadStorage(TorchTensor tensor, string name)
    {
        ElementType type = tensor.Type ?? throw new DataException(_path, name, "has elements of a kind that is not supported");
        string member = $"{_prefix}data/{tensor.Storage}";
        ZipArchiveEntry entry = _archive.GetEntry(member) ?? throw new DataException(_path, name, $"its storage {NpyHeader.Printable(member)} is missing");
        if (entry.Length != tensor.Elements * type.Size()) throw new DataException(_path, name, $"its storage has {entry.Length} bytes; {tensor.Elements} elements of {type.Name()} have {tensor.Elements * type.Size()}");
        using CrcStream stream = new(entry.Open(), entry.Length, entry.Crc32, _path, member);
        float[] values = new float[tensor.Elements];
        byte[] block = new byte[BlockBytes];
        int perBlock = BlockBytes / type.Size();
        for (int at = 0; at < values.Length; at += perBlock)
        {
            int elements = Math.Min(perBlock, values.Length - at);
            Span<byte> raw = block.AsSpan(0, elements * type.Size());
            stream.ReadExactly(raw);
            ElementDecoder.Decode(type, swap: false, raw, values.AsSpan(at, elements));
        }
        stream.Verify();
        return values;
    }
}
