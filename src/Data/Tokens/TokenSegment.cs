using System.Buffers;
using BioSup.Runtime;
using Microsoft.Win32.SafeHandles;

namespace BioSup.Data;

/// <summary>
/// A matrix of tokens inside a file: where its rows begin and how they are stored. Rows are read by position, not through a mapping: a file
/// that shrinks or a disk that fails is then an error with a sentence instead of a killed process, and resident memory stays what was planned.
/// </summary>
internal sealed class TokenSegment : IDisposable
{
    /// <summary>Name of the tensor in a safetensors shard.</summary>
    public const string TensorName = "tokens";

    private const int ChunkBytes = 1 << 20;
    private readonly SafeFileHandle _file;
    private readonly long _offset;

    private TokenSegment(string path, SafeFileHandle file, long offset, ElementType type, long rows, int columns)
    {
        (Path, _file, _offset) = (path, file, offset);
        (Type, Rows, Columns) = (type, rows, columns);
    }

    public string Path { get; }
    public ElementType Type { get; }
    public long Rows { get; }
    public int Columns { get; }

    /// <summary>The array of an npy file, or null where its rows cannot be read by position (Fortran order, big-endian, integers, text).</summary>
    public static TokenSegment? TryOpenNpy(string path) => SourceGuard.Read(path, "npy", () =>
    {
        using FileStream stream = SourceGuard.Open(path);
        NpyHeader header = NpyHeader.Read(stream, path);
        if (header.Storage != NpyStorage.Numeric || header.BigEndian || header.FortranOrder || !IsReadable(header.Type) || header.Shape.Count is not (1 or 2)) return null;
        NpyDecoder.RequireBytes(header, stream.Length - header.DataOffset, path, null);
        return Open(path, header.DataOffset, header.Type, header.Shape);
    });

    /// <summary>One tensor of a safetensors file, or null where it is no matrix of floating-point numbers.</summary>
    public static TokenSegment? TryOpenSafetensors(string path, string name)
    {
        using SafetensorsFile file = SafetensorsFile.Open(path);
        SafetensorsEntry entry = file.Entry(name);
        return entry.Type is { } type && IsReadable(type) && entry.Shape.Count is 1 or 2 ? Open(path, file.OffsetOf(entry), type, entry.Shape) : null;
    }

    /// <summary>A shard of a token folder: what the file says must be what the index says.</summary>
    /// <exception cref="DataException">It is not, or the file is missing, truncated or damaged.</exception>
    public static TokenSegment OpenShard(string folder, TokenIndex index, TokenShard shard)
    {
        string path = System.IO.Path.Combine(folder, shard.File);
        return SourceGuard.Read(path, "token shard", () => shard.File.EndsWith(TokenIndex.SafetensorsExtension, StringComparison.Ordinal)
            ? OpenSafetensorsShard(path, index, shard)
            : OpenNpyShard(path, index, shard));
    }

    private static TokenSegment OpenNpyShard(string path, TokenIndex index, TokenShard shard)
    {
        using FileStream stream = SourceGuard.Open(path);
        NpyHeader header = NpyHeader.Read(stream, path);
        // NumPy alone has no bfloat16: others store its bits as whole numbers.
        bool bits = index.Type == ElementType.BFloat16 && header.Type is ElementType.UInt16 or ElementType.Int16;
        if (header.Storage != NpyStorage.Numeric || (header.Type != index.Type && !bits) || header.BigEndian || header.FortranOrder)
            throw Mismatch(path, header.ShapeText, header.Type, index, shard);
        RequireShape(path, header.Shape, header.Type, index, shard);
        NpyDecoder.RequireBytes(header, stream.Length - header.DataOffset, path, null);
        return Open(path, header.DataOffset, index.Type, header.Shape);
    }

    private static TokenSegment OpenSafetensorsShard(string path, TokenIndex index, TokenShard shard)
    {
        using SafetensorsFile file = SafetensorsFile.Open(path);
        SafetensorsEntry entry = file.Entry(TensorName);
        if (entry.Type != index.Type) throw Mismatch(path, NdArray.Describe(entry.Shape), entry.Type ?? ElementType.Text, index, shard);
        RequireShape(path, entry.Shape, index.Type, index, shard);
        return Open(path, file.OffsetOf(entry), index.Type, entry.Shape);
    }

    /// <summary>Fills host rows from <paramref name="row"/> on.</summary>
    /// <exception cref="DataException">The file cannot be read or has become shorter.</exception>
    public void Read(long row, MatrixView<float> destination)
    {
        int rowBytes = Columns * Type.Size();
        long offset = _offset + row * rowBytes;
        if (Type == ElementType.Float32 && destination.Stride == Columns)
        {
            int most = Math.Max(1, (1 << 28) / Math.Max(1, rowBytes));
            for (int i = 0; i < destination.Rows; i += most)
            {
                int rows = Math.Min(most, destination.Rows - i);
                unsafe
                {
                    Fill(offset + (long)i * rowBytes, new Span<byte>(destination.Pointer + i * destination.Stride, rows * rowBytes));
                }
            }
            return;
        }
        int chunk = Math.Clamp(ChunkBytes / Math.Max(1, rowBytes), 1, Math.Max(1, destination.Rows));
        byte[] raw = ArrayPool<byte>.Shared.Rent(chunk * rowBytes);
        try
        {
            for (int i = 0; i < destination.Rows; i += chunk)
            {
                int rows = Math.Min(chunk, destination.Rows - i);
                Fill(offset + (long)i * rowBytes, raw.AsSpan(0, rows * rowBytes));
                for (int r = 0; r < rows; r++) TokenCodec.Decode(Type, raw.AsSpan(r * rowBytes, rowBytes), destination.Row(i + r));
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(raw);
        }
    }

    public void Dispose() => _file.Dispose();

    private static bool IsReadable(ElementType type) => TokenCodec.IsStored(type) || type == ElementType.Float64;

    private static TokenSegment Open(string path, long offset, ElementType type, IReadOnlyList<long> shape)
    {
        long columns = shape.Count == 2 ? shape[1] : 1;
        if (columns > TokenIndex.MaxColumns) throw new DataException(path, null, $"{columns} features per token are more than {TokenIndex.MaxColumns}");
        return new TokenSegment(path, File.OpenHandle(path, options: FileOptions.RandomAccess), offset, type, shape[0], (int)columns);
    }

    private static void RequireShape(string path, IReadOnlyList<long> shape, ElementType type, TokenIndex index, TokenShard shard)
    {
        if (shape.Count != 2 || shape[0] != shard.Rows || shape[1] != index.Columns) throw Mismatch(path, NdArray.Describe(shape), type, index, shard);
    }

    private static DataException Mismatch(string path, string shape, ElementType type, TokenIndex index, TokenShard shard) =>
        new(path, null, $"holds {shape} {type.Name()}; {TokenIndex.FileName} promises {shard.Rows} x {index.Columns} {index.Type.Name()}");

    private void Fill(long offset, Span<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            int count;
            try
            {
                count = RandomAccess.Read(_file, bytes, offset);
            }
            catch (IOException e)
            {
                throw new DataException(Path, $"offset {offset}", $"reading failed: {e.Message}", e);
            }
            if (count == 0) throw new DataException(Path, $"offset {offset}", "the file has become shorter");
            bytes = bytes[count..];
            offset += count;
        }
    }
}
