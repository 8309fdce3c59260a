using System.IO.Compression;
using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>
/// NumPy's archive of named arrays: a zip file (stored or deflated, zip64 where needed) with one npy file per member.
/// Every member's CRC-32 is checked when it is read.
/// </summary>
public sealed class NpzFile : IDisposable
{
    private const string Kind = "npz";

    // Deflate cannot do better than 1032 : 1; a member that claims more is damaged or hostile.
    private const long MaxDeflateRatio = 1032;
    private readonly string _path;
    private readonly ZipArchive _archive;
    private readonly Dictionary<string, ZipArchiveEntry> _entries = new(StringComparer.Ordinal);

    private NpzFile(string path, ZipArchive archive)
    {
        _path = path;
        _archive = archive;
        foreach (ZipArchiveEntry entry in archive.Entries)
        {
            string name = entry.FullName.EndsWith(".npy", StringComparison.Ordinal) ? entry.FullName[..^4] : entry.FullName;
            if (!_entries.TryAdd(name, entry)) throw new DataException(path, name, "the archive has two members of this name");
        }
    }

    /// <summary>Member names without ".npy", in file order.</summary>
    public IReadOnlyList<string> Members => [.. _entries.Keys];

    public static NpzFile Open(string path) => SourceGuard.Read(path, Kind, () =>
    {
        FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16);
        try
        {
            return new NpzFile(path, new ZipArchive(stream, ZipArchiveMode.Read, leaveOpen: false));
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    });

    /// <summary>One member of one archive.</summary>
    public static NdArray Read(string path, string member)
    {
        using NpzFile file = Open(path);
        return file.Read(member);
    }

    /// <summary>Writes an archive; the delegate adds the members.</summary>
    public static void Write(string path, Action<NpzWriter> write, bool compress = false) => AtomicFile.Write(path, stream =>
    {
        using ZipArchive archive = new(stream, ZipArchiveMode.Create, leaveOpen: true);
        write(new NpzWriter(archive, compress));
    });

    public bool Contains(string member) => _entries.ContainsKey(member);

    public NpyHeader ReadHeader(string member) => WithMember(member, (stream, _) => NpyHeader.Read(stream, _path, member), verify: false);

    public NdArray Read(string member) => WithMember(member, (stream, length) => NpyDecoder.ReadArray(stream, length, _path, member));

    public Matrix<float> ReadSingle(ComputeDevice device, string member) => ReadMatrix<float>(device, member);

    public Matrix<double> ReadDouble(ComputeDevice device, string member) => ReadMatrix<double>(device, member);

    public void Dispose() => _archive.Dispose();

    internal Matrix<T> ReadMatrix<T>(ComputeDevice device, string member) where T : unmanaged, INumberBase<T> => WithMember(member, (stream, length) =>
    {
        NpyHeader header = NpyHeader.Read(stream, _path, member);
        if (header.Storage != NpyStorage.Numeric) throw new DataException(_path, member, "holds text; numbers were expected");
        (int rows, int columns) = MatrixLoader.MatrixShape(header.ShapeArray, $"{_path}:{member}");
        NpyDecoder.RequireBytes(header, length - header.DataOffset, _path, member);
        return MatrixLoader.Load<T>(device, stream, new MatrixLoader.Layout(header.Type, header.BigEndian, header.FortranOrder), rows, columns);
    });

    private TResult WithMember<TResult>(string member, Func<Stream, long, TResult> read, bool verify = true) => SourceGuard.Read(_path, Kind, () =>
    {
        if (!_entries.TryGetValue(member, out ZipArchiveEntry? entry))
            throw new DataException(_path, member, $"there is no such member; the archive has {Listing.Of(_entries.Keys)}");
        if (entry.IsEncrypted) throw new DataException(_path, member, "is encrypted");
        long length = entry.Length;
        if (length < 0 || length > entry.CompressedLength * MaxDeflateRatio + 64)
            throw new DataException(_path, member, $"claims {length} bytes from {entry.CompressedLength} compressed ones, which is impossible");
        using CrcStream stream = new(entry.Open(), length, entry.Crc32, _path, member);
        TResult result = read(stream, length);
        try
        {
            if (verify) stream.Verify();
            return result;
        }
        catch
        {
            (result as IDisposable)?.Dispose();
            throw;
        }
    });
}

/// <summary>Adds arrays to an npz archive.</summary>
public sealed class NpzWriter
{
    // A fixed time stamp, NumPy's own, so that equal content gives equal bytes.
    private static readonly DateTimeOffset s_time = new(1980, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private readonly ZipArchive _archive;
    private readonly CompressionLevel _level;
    private readonly HashSet<string> _names = new(StringComparer.Ordinal);

    internal NpzWriter(ZipArchive archive, bool compress)
    {
        _archive = archive;
        _level = compress ? CompressionLevel.Optimal : CompressionLevel.NoCompression;
    }

    /// <summary>Adds a host matrix.</summary>
    public void Add<T>(string name, MatrixView<T> matrix) where T : unmanaged
    {
        using Stream stream = Open(name);
        NpyFile.Write(stream, matrix);
    }

    /// <summary>Adds a matrix.</summary>
    public void Add<T>(string name, Matrix<T> matrix) where T : unmanaged => Add(name, matrix.View);

    /// <summary>Adds an array of any supported type.</summary>
    public void Add(string name, NdArray array)
    {
        using Stream stream = Open(name);
        NpyFile.Write(stream, array);
    }

    /// <summary>Adds a vector.</summary>
    public void Add<T>(string name, T[] values) => Add(name, NdArray.Vector(values));

    /// <summary>Adds a vector whose elements the delegate writes, little-endian.</summary>
    public void Add<T>(string name, long length, Action<Stream> write) where T : unmanaged
    {
        using Stream stream = Open(name);
        NpyFile.WriteHeader<T>(stream, length);
        write(stream);
    }

    private BufferedStream Open(string name)
    {
        if (name.Length == 0 || !_names.Add(name)) throw new UsageException($"The archive member '{name}' is empty or given twice.");
        ZipArchiveEntry entry = _archive.CreateEntry(name + ".npy", _level);
        entry.LastWriteTime = s_time;
        return new BufferedStream(entry.Open(), 1 << 16);
    }
}
