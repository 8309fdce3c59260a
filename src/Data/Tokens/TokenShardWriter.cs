using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>
/// Writes a folder of token shards by appending rows. Shards carry their checksum in their name and <c>index.json</c> is written last, so a
/// reader sees the old tokens or the new ones, never a mixture. Disposing without <see cref="Complete"/> removes what was written.
/// </summary>
public sealed class TokenShardWriter : IDisposable
{
    private const long DefaultShardBytes = 256L << 20;
    private readonly string _folder;
    private readonly int _columns;
    private readonly ElementType _type;
    private readonly TokenContainer _container;
    private readonly long _rowsPerShard;
    private readonly List<TokenShard> _shards = [];
    private readonly List<string> _ids = [];
    private readonly List<int> _rowsPerImage = [];
    private readonly HashSet<string> _knownIds = new(StringComparer.Ordinal);
    private readonly byte[] _row;
    private FileStream? _stream;
    private string _temporary = "";
    private IncrementalHash? _hash;
    private long _rowsInShard;
    private bool _completed;

    /// <param name="folder">Made when it does not exist.</param>
    /// <param name="columns">Features per token.</param>
    /// <param name="type">Float32, or Float16 or BFloat16 to halve the size.</param>
    /// <param name="rowsPerShard">0 gives shards of 256 MiB.</param>
    /// <param name="container">File format of the shards.</param>
    /// <exception cref="UsageException">The folder cannot be written to.</exception>
    public TokenShardWriter(string folder, int columns, ElementType type = ElementType.Float32, long rowsPerShard = 0, TokenContainer container = TokenContainer.Npy)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(columns, 1);
        _folder = folder;
        _columns = columns;
        _type = TokenCodec.RequireStored(type);
        _container = container;
        _row = new byte[columns * type.Size()];
        _rowsPerShard = rowsPerShard > 0 ? rowsPerShard : Math.Max(1, DefaultShardBytes / _row.Length);
        AtomicFile.Guard(folder, () => Directory.CreateDirectory(folder));
    }

    /// <summary>Tokens written so far.</summary>
    public long Rows { get; private set; }

    /// <summary>Appends rows that belong to no image. Not to be mixed with <see cref="AppendImage"/>.</summary>
    public void Append(MatrixView<float> tokens)
    {
        if (_ids.Count > 0) throw new InvalidOperationException("Rows with and without an image cannot be mixed.");
        AppendRows(tokens);
    }

    /// <summary>Appends the tokens of one image.</summary>
    /// <exception cref="DataException">The id was used before.</exception>
    public void AppendImage(string id, MatrixView<float> tokens)
    {
        if (_ids.Count == 0 && Rows > 0) throw new InvalidOperationException("Rows with and without an image cannot be mixed.");
        if (!_knownIds.Add(id)) throw new DataException(_folder, id, "two images have this id");
        AppendRows(tokens);
        _ids.Add(id);
        _rowsPerImage.Add(tokens.Rows);
    }

    /// <summary>Closes the last shard, writes the index, and removes shards of an earlier index that are no longer named.</summary>
    public TokenIndex Complete()
    {
        CloseShard();
        HashSet<string> old = OldShards();
        TokenIndex index = new(_type, _columns, [.. _shards], [.. _ids], [.. _rowsPerImage]);
        index.Write(_folder);
        _completed = true;
        old.ExceptWith(_shards.Select(shard => shard.File));
        foreach (string file in old) File.Delete(Path.Combine(_folder, file));
        return index;
    }

    public void Dispose()
    {
        try
        {
            _stream?.Dispose();
        }
        catch (Exception e) when (AtomicFile.IsWriteFailure(e))
        {
            // On a full disk closing fails as writing did; the first error is the one to report, and the part goes all the same.
        }
        _hash?.Dispose();
        if (_temporary.Length > 0) File.Delete(_temporary);
        if (_completed) return;
        HashSet<string> old = OldShards();
        foreach (TokenShard shard in _shards)
            if (!old.Contains(shard.File)) File.Delete(Path.Combine(_folder, shard.File));
    }

    private HashSet<string> OldShards()
    {
        try
        {
            return File.Exists(Path.Combine(_folder, TokenIndex.FileName)) ? [.. TokenIndex.Read(_folder).Shards.Select(shard => shard.File)] : [];
        }
        catch (DataException)
        {
            return [];
        }
    }

    private void AppendRows(MatrixView<float> tokens)
    {
        if (tokens.Columns != _columns) throw new ArgumentException($"Tokens have {_columns} features, these have {tokens.Columns}.", nameof(tokens));
        FiniteCheck.Require(tokens, _folder, Rows);
        for (int i = 0; i < tokens.Rows; i++)
        {
            ReadOnlySpan<float> row = tokens.Row(i);
            ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(row);
            if (_type != ElementType.Float32)
            {
                if (_type == ElementType.Float16) RequireHalf(row, Rows);
                TokenCodec.Encode(_type, row, _row);
                bytes = _row;
            }
            WriteRow(bytes);
        }
    }

    private void RequireHalf(ReadOnlySpan<float> row, long number)
    {
        for (int j = 0; j < row.Length; j++)
            if (!Half.IsFinite((Half)row[j]))
                throw new DataException(_folder, string.Create(CultureInfo.InvariantCulture, $"row {number}, column {j}, counted from 0"), string.Create(CultureInfo.InvariantCulture, $"{row[j]} does not fit into float16; bfloat16 and float32 hold it"));
    }

    private void WriteRow(ReadOnlySpan<byte> bytes)
    {
        try
        {
            if (_stream is null) OpenShard();
            _stream!.Write(bytes);
        }
        catch (Exception e) when (AtomicFile.IsWriteFailure(e))
        {
            throw AtomicFile.Translate(_temporary, e);
        }
        _hash!.AppendData(bytes);
        _rowsInShard++;
        Rows++;
        if (_rowsInShard == _rowsPerShard) CloseShard();
    }

    private void OpenShard()
    {
        _temporary = Path.Combine(_folder, string.Create(CultureInfo.InvariantCulture, $".tokens-{_shards.Count:00000}-{Environment.ProcessId}.tmp"));
        _stream = new FileStream(_temporary, FileMode.Create, FileAccess.ReadWrite, FileShare.Read, 1 << 20);
        _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] header = Header(_rowsPerShard);
        _stream.Write(header);
        _hash.AppendData(header);
    }

    private void CloseShard()
    {
        if (_stream is null) return;
        try
        {
            if (_rowsInShard != _rowsPerShard)
            {
                // The last shard is shorter than its header said.
                _stream.Position = 0;
                _stream.Write(Header(_rowsInShard));
            }
            _stream.Flush(flushToDisk: true);
            _stream.Dispose();
            _stream = null;
            string hash = Convert.ToHexStringLower(_hash!.GetHashAndReset());
            if (_rowsInShard != _rowsPerShard) hash = TokenShards.HashFile(_temporary);
            string name = string.Create(CultureInfo.InvariantCulture, $"tokens-{_shards.Count:00000}-{hash[..8]}{_container.Extension()}");
            File.Move(_temporary, Path.Combine(_folder, name), overwrite: true);
            _shards.Add(new TokenShard(name, _rowsInShard, hash));
        }
        catch (Exception e) when (AtomicFile.IsWriteFailure(e))
        {
            throw AtomicFile.Translate(_temporary, e);
        }
        _temporary = "";
        _hash.Dispose();
        _hash = null;
        _rowsInShard = 0;
    }

    private byte[] Header(long rows) => _container.Header(_type, rows, _columns);
}
