using System.Security.Cryptography;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>
/// A folder of token shards: npy or safetensors files of float32, float16 or bfloat16, rows x d, and <c>index.json</c>. Any range of rows can be read by any thread;
/// nothing is held in memory, and files are read by position. <see cref="ShuffledTokens"/> gives the rows in random order.
/// </summary>
public sealed class TokenShards : ITokenSource
{
    private readonly TokenSegment?[] _segments;

    // First row of each shard, and the total at the end.
    private readonly long[] _firstRow;
    private readonly long[] _firstRowOfImage;

    private TokenShards(string folder, TokenIndex index, bool requireFinite)
    {
        RequireFinite = requireFinite;
        Folder = folder;
        Index = index;
        _segments = new TokenSegment[index.Shards.Count];
        _firstRow = new long[index.Shards.Count + 1];
        _firstRowOfImage = new long[index.ImageIds.Count + 1];
        for (int i = 0; i < index.ImageIds.Count; i++) _firstRowOfImage[i + 1] = _firstRowOfImage[i] + index.RowsPerImage[i];
        for (int i = 0; i < _segments.Length; i++)
        {
            _firstRow[i + 1] = _firstRow[i] + index.Shards[i].Rows;
            try
            {
                _segments[i] = TokenSegment.OpenShard(folder, index, index.Shards[i]);
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
            _segments[shard]!.Read(start + row - _firstRow[shard], destination.RowBlock(row, count));
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
        foreach (TokenSegment? segment in _segments) segment?.Dispose();
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
}
