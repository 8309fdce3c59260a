using System.Runtime.InteropServices;
using System.Security.Cryptography;
using BioSup.Runtime;
using Microsoft.Win32.SafeHandles;

namespace BioSup.Data;

/// <summary>
/// A folder of token shards: npy files of float32 or float16, rows x d, and <c>index.json</c>. Any range of rows can be read by any thread;
/// nothing is held in memory. <see cref="ShuffledTokens"/> gives the rows in random order.
/// </summary>
public sealed class TokenShards : ITokenSource
{
    private readonly SafeFileHandle[] _files;
    private readonly long[] _dataOffset;

    // First row of each shard, and the total at the end.
    private readonly long[] _firstRow;
    private readonly long[] _firstRowOfImage;

    private TokenShards(string folder, TokenIndex index, bool requireFinite)
    {
        RequireFinite = requireFinite;
        Folder = folder;
        Index = index;
        _files = new SafeFileHandle[index.Shards.Count];
        _dataOffset = new long[index.Shards.Count];
        _firstRow = new long[index.Shards.Count + 1];
        _firstRowOfImage = new long[index.ImageIds.Count + 1];
        for (int i = 0; i < index.ImageIds.Count; i++) _firstRowOfImage[i + 1] = _firstRowOfImage[i] + index.RowsPerImage[i];
        for (int i = 0; i < _files.Length; i++)
        {
            _firstRow[i + 1] = _firstRow[i] + index.Shards[i].Rows;
            try
            {
                OpenShard(i);
            }
            catch
            {
                Dispose();
                throw;
            }
        }
    }

    public string Folder { get; }
    public TokenIndex Index { get; }
    public long Rows => _firstRow[^1];
    public int Columns => Index.Columns;

    /// <summary>Ids of the images the tokens come from, in row order; empty when unknown.</summary>
    public IReadOnlyList<string> ImageIds => Index.ImageIds;

    /// <summary>Whether NaN and infinity are errors when they are read.</summary>
    public bool RequireFinite { get; }

    /// <exception cref="DataException">The index or the header of a shard is missing, damaged, or says something else than the other.</exception>
    public static TokenShards Open(string folder, bool requireFinite = true) => new(folder, TokenIndex.Read(folder), requireFinite);

    /// <summary>Rows of one image: the first one and how many.</summary>
    public (long Start, int Count) RowsOfImage(int image) => (_firstRowOfImage[image], Index.RowsPerImage[image]);

    public void Read(long start, MatrixView<float> destination)
    {
        RequireRange(start, destination, Rows, Columns);
        int row = 0;
        int shard = Array.BinarySearch(_firstRow, start);
        if (shard < 0) shard = ~shard - 1;
        while (row < destination.Rows)
        {
            while (start + row >= _firstRow[shard + 1]) shard++;
            int count = (int)Math.Min(destination.Rows - row, _firstRow[shard + 1] - start - row);
            ReadShard(shard, start + row - _firstRow[shard], destination.RowBlock(row, count));
            row += count;
        }
        if (RequireFinite) FiniteCheck.Require(destination, Folder, start);
    }

    /// <summary>All rows as one matrix.</summary>
    public Matrix<float> ReadAll(ComputeDevice device)
    {
        if (Rows > int.MaxValue) throw new DataException(Folder, null, $"{Rows} tokens do not fit into one matrix; stream them");
        Matrix<float> matrix = device.Host.AllocateMatrix<float>((int)Rows, Columns);
        try
        {
            Read(0, matrix.View);
        }
        catch
        {
            matrix.Dispose();
            throw;
        }
        if (device.IsHost) return matrix;
        using (matrix) return matrix.CopyAt(device);
    }

    /// <summary>Reads every shard and compares its checksum.</summary>
    /// <exception cref="DataException">A shard is not the one that was written.</exception>
    public void Verify(IProgressReporter progress, CancellationToken cancellation)
    {
        for (int i = 0; i < Index.Shards.Count; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            progress.Report("checking token shards", i, Index.Shards.Count);
            string path = Path.Combine(Folder, Index.Shards[i].File);
            string found = HashFile(path);
            if (found != Index.Shards[i].Sha256)
                throw new DataException(path, null, $"the checksum is {found[..12]}…, {TokenIndex.FileName} says {NpyHeader.Printable(Index.Shards[i].Sha256)[..Math.Min(12, Index.Shards[i].Sha256.Length)]}…; the shard is damaged");
        }
    }

    public void Dispose()
    {
        foreach (SafeFileHandle? file in _files) file?.Dispose();
    }

    internal static string HashFile(string path) => SourceGuard.Read(path, "token shard", () =>
    {
        using FileStream stream = SourceGuard.Open(path);
        return Convert.ToHexStringLower(SHA256.HashData(stream));
    });

    internal static void RequireRange(long start, MatrixView<float> destination, long rows, int columns)
    {
        if (destination.Columns != columns) throw new ArgumentException($"Tokens have {columns} features, the destination {destination.Columns}.", nameof(destination));
        if (start < 0 || start > rows - destination.Rows) throw new ArgumentOutOfRangeException(nameof(start), $"Rows {start} to {start + destination.Rows} of {rows} do not exist.");
    }

    private void OpenShard(int i)
    {
        TokenShard shard = Index.Shards[i];
        string path = Path.Combine(Folder, shard.File);
        SourceGuard.Run(path, "token shard", () =>
        {
            using FileStream stream = SourceGuard.Open(path);
            NpyHeader header = NpyHeader.Read(stream, path);
            if (header.Storage != NpyStorage.Numeric || header.Type != Index.Type || header.BigEndian || header.FortranOrder
                || header.Shape.Count != 2 || header.Shape[0] != shard.Rows || header.Shape[1] != Columns)
                throw new DataException(path, null, $"holds {header.ShapeText} {header.Type.Name()}; {TokenIndex.FileName} promises {shard.Rows} x {Columns} {Index.Type.Name()}");
            NpyDecoder.RequireBytes(header, stream.Length - header.DataOffset, path, null);
            _dataOffset[i] = header.DataOffset;
            _files[i] = File.OpenHandle(path, options: FileOptions.RandomAccess);
        });
    }

    private void ReadShard(int shard, long row, MatrixView<float> destination)
    {
        int rowBytes = Columns * Index.Type.Size();
        long offset = _dataOffset[shard] + row * rowBytes;
        if (Index.Type == ElementType.Float32)
        {
            // Whole rows lie together in the file; in memory only when the view has no padding.
            int block = destination.Stride == Columns ? (int)Math.Min(destination.Rows, Math.Max(1, (1 << 28) / rowBytes)) : 1;
            for (int i = 0; i < destination.Rows; i += block)
            {
                int rows = Math.Min(block, destination.Rows - i);
                unsafe
                {
                    Fill(shard, offset + (long)i * rowBytes, new Span<byte>(destination.Pointer + i * destination.Stride, rows * rowBytes));
                }
            }
            return;
        }
        byte[] raw = System.Buffers.ArrayPool<byte>.Shared.Rent(rowBytes);
        try
        {
            for (int i = 0; i < destination.Rows; i++)
            {
                Fill(shard, offset + (long)i * rowBytes, raw.AsSpan(0, rowBytes));
                ReadOnlySpan<Half> halves = MemoryMarshal.Cast<byte, Half>(raw.AsSpan(0, rowBytes));
                Span<float> target = destination.Row(i);
                for (int j = 0; j < target.Length; j++) target[j] = (float)halves[j];
            }
        }
        finally
        {
            System.Buffers.ArrayPool<byte>.Shared.Return(raw);
        }
    }

    private void Fill(int shard, long offset, Span<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            int count;
            try
            {
                count = RandomAccess.Read(_files[shard], bytes, offset);
            }
            catch (IOException e)
            {
                throw new DataException(Path.Combine(Folder, Index.Shards[shard].File), $"offset {offset}", $"reading failed: {e.Message}", e);
            }
            if (count == 0) throw new DataException(Path.Combine(Folder, Index.Shards[shard].File), $"offset {offset}", "the file has become shorter");
            bytes = bytes[count..];
            offset += count;
        }
    }
}
