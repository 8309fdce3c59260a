using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using BioSup.Runtime;
using Microsoft.Win32.SafeHandles;

namespace BioSup.Data;

/// <summary>
/// A token folder that is filled block by block in any order, over one run or many, and is an ordinary token folder as soon as every block is there.
/// Until then its parts are files with holes, and <c>cache.done</c> says which blocks count: a block is named there only after its values have
/// reached the disk, so a run that was killed loses some work and nothing else. One process at a time.
/// </summary>
public sealed class TokenCache : IDisposable
{
    /// <summary>What the tokens were made of: kept beside a finished folder too.</summary>
    public const string DescriptionFile = "cache.json";

    private const string DoneFile = "cache.done", LockFile = "cache.lock", Format = "biosup-token-cache";
    private const long PartBytes = 256L << 20, UnsavedBytes = 256L << 20;
    private readonly string _folder;
    private readonly IReadOnlyList<string> _ids;
    private readonly int _columns, _blockRows, _blocksPerPart;
    private readonly byte[] _done, _raw;
    private readonly SafeFileHandle?[] _parts;
    private readonly Lock _gate = new();
    private FileStream? _lock;
    private TokenShards? _complete;
    private int _count;
    private long _unsaved;
    private bool _failed;

    private TokenCache(string folder, int columns, int blockRows, IReadOnlyList<string> ids, ElementType type)
    {
        (_folder, _columns, _blockRows, _ids, Type) = (folder, columns, blockRows, ids, TokenCodec.RequireStored(type));
        long blockBytes = (long)blockRows * columns * type.Size();
        if (blockBytes > int.MaxValue) throw new UsageException($"{folder}: {blockRows} tokens of {columns} values are too many for one image of a cache.");
        _blocksPerPart = (int)Math.Clamp(PartBytes / Math.Max(1, blockBytes), 1, Math.Max(1, ids.Count));
        _raw = new byte[blockBytes];
        _done = new byte[(ids.Count + 7) / 8];
        _parts = new SafeFileHandle[(ids.Count + _blocksPerPart - 1) / _blocksPerPart];
    }

    /// <summary>Type of the stored values.</summary>
    public ElementType Type { get; }

    /// <summary>Blocks that are there.</summary>
    public int Count => _count;

    public int Blocks => _ids.Count;

    /// <summary>Whether this is an ordinary token folder by now.</summary>
    public bool IsComplete => _complete is not null;

    /// <summary>Opens or begins a cache.</summary>
    /// <param name="folder">Made when it does not exist.</param>
    /// <param name="description">What the tokens are made of; a folder made of anything else is refused.</param>
    /// <param name="columns">Features per token.</param>
    /// <param name="blockRows">Tokens of a block.</param>
    /// <param name="ids">An id for each block.</param>
    /// <param name="type">Type of the stored values.</param>
    /// <exception cref="UsageException">The folder belongs to other tokens, is in use, or cannot be written to.</exception>
    /// <exception cref="DataException">It is damaged.</exception>
    public static TokenCache Open(string folder, JsonObject description, int columns, int blockRows, IReadOnlyList<string> ids, ElementType type = ElementType.Float32)
    {
        TokenCache cache = new(folder, columns, blockRows, ids, type);
        try
        {
            cache.Begin(Describe(description, columns, blockRows, ids.Count, type));
            return cache;
        }
        catch
        {
            cache.Dispose();
            throw;
        }
    }

    public bool Has(int block) => _complete is not null || (Volatile.Read(ref _done[block >> 3]) & (1 << (block & 7))) != 0;

    /// <summary>Reads a block that <see cref="Has"/> names.</summary>
    public void Read(int block, MatrixView<float> destination) => Read(block, 0, destination);

    /// <summary>Reads as many rows as there is place for, from a row of a block on; <see cref="Has"/> names the block.</summary>
    public void Read(int block, int firstRow, MatrixView<float> destination)
    {
        if (firstRow < 0 || firstRow > _blockRows - destination.Rows) throw new ArgumentOutOfRangeException(nameof(firstRow), $"Rows {firstRow} to {firstRow + destination.Rows} of a block of {_blockRows} do not exist.");
        lock (_gate)
        {
            if (_complete is not null)
            {
                _complete.Read((long)block * _blockRows + firstRow, destination);
                return;
            }
            int rowBytes = _columns * Type.Size(), bytes = destination.Rows * rowBytes;
            Transfer(block, (file, start) =>
            {
                long offset = start + (long)firstRow * rowBytes;
                for (int at = 0; at < bytes;)
                {
                    int count = RandomAccess.Read(file, _raw.AsSpan(at, bytes - at), offset + at);
                    if (count == 0) throw new DataException(PartPath(block / _blocksPerPart), $"offset {offset + at}", "the file has become shorter");
                    at += count;
                }
            });
            for (int i = 0; i < destination.Rows; i++) TokenCodec.Decode(Type, _raw.AsSpan(i * rowBytes, rowBytes), destination.Row(i));
            FiniteCheck.Require(destination, PartPath(block / _blocksPerPart), (long)block % _blocksPerPart * _blockRows + firstRow);
        }
    }

    /// <summary>Adds a block, whose values become those that a reader of the cache will see.</summary>
    public void Write(int block, MatrixView<float> tokens)
    {
        lock (_gate)
        {
            if (Has(block)) return;
            int rowBytes = _columns * Type.Size();
            for (int i = 0; i < _blockRows; i++)
            {
                TokenCodec.Round(Type, tokens.Row(i));
                TokenCodec.Encode(Type, tokens.Row(i), _raw.AsSpan(i * rowBytes, rowBytes));
            }
            FiniteCheck.Require(tokens, _ids[block]);
            Transfer(block, (file, offset) => RandomAccess.Write(file, _raw, offset));
            _done[block >> 3] |= (byte)(1 << (block & 7));
            _count++;
            _unsaved += _raw.Length;
            if (_count == Blocks) Complete();
            else if (_unsaved > UnsavedBytes) Save();
        }
    }

    /// <summary>Closes the cache; what was added is kept.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            try
            {
                if (_complete is null && _unsaved > 0) Save();
            }
            catch (BiosupException) when (_failed)
            {
                // The sentence about the write that failed first is the one to tell; what is not on the list is made again.
            }
            finally
            {
                foreach (SafeFileHandle? part in _parts) part?.Dispose();
                _complete?.Dispose();
                _lock?.Dispose();
                _lock = null;
            }
        }
    }

    private void Begin(JsonObject description)
    {
        AtomicFile.Guard(_folder, () => Directory.CreateDirectory(_folder));
        string file = Path.Combine(_folder, DescriptionFile);
        bool finished = File.Exists(Path.Combine(_folder, TokenIndex.FileName));
        if (!File.Exists(file))
        {
            if (finished) throw new UsageException($"{_folder} holds tokens that were not written as a cache; give the folder itself as tokens, or another folder as cache.");
            AtomicFile.WriteAllText(file, description.ToJsonString(new JsonSerializerOptions { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }) + "\n");
        }
        else if (Difference(file, description) is { } key)
            throw new UsageException($"{_folder} is the cache of other tokens ('{key}' differs); use the same images, encoder and settings, or another folder.");
        if (finished)
        {
            _complete = TokenShards.Open(_folder);
            if (_complete.Columns != _columns || _complete.Rows != (long)Blocks * _blockRows) throw new DataException(_folder, null, $"the tokens are {_complete.Rows} x {_complete.Columns}; {(long)Blocks * _blockRows} x {_columns} were expected");
            _count = Blocks;
            return;
        }
        try
        {
            _lock = new FileStream(Path.Combine(_folder, LockFile), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1, FileOptions.DeleteOnClose);
        }
        catch (IOException e)
        {
            throw new UsageException($"{_folder} is in use: another run fills this cache.", e);
        }
        LoadDone();
    }

    private void LoadDone()
    {
        string path = Path.Combine(_folder, DoneFile);
        if (!File.Exists(path)) return;
        byte[] saved = SourceGuard.Read(path, "cache", () => File.ReadAllBytes(path));
        if (saved.Length != _done.Length + SHA256.HashSizeInBytes || !SHA256.HashData(saved.AsSpan(0, _done.Length)).AsSpan().SequenceEqual(saved.AsSpan(_done.Length)))
            throw new DataException(path, null, $"is damaged; remove {_folder} to begin afresh");
        for (int part = 0; part < _parts.Length; part++)
        {
            // A part that is not as long as it was made cannot be trusted with any block.
            bool whole = new FileInfo(PartPath(part)) is { Exists: true } file && file.Length == PartLength(part);
            for (int block = part * _blocksPerPart; block < Math.Min(Blocks, (part + 1) * _blocksPerPart); block++)
            {
                if (!whole || (saved[block >> 3] & (1 << (block & 7))) == 0) continue;
                _done[block >> 3] |= (byte)(1 << (block & 7));
                _count++;
            }
        }
        if (_count == Blocks) Complete();
    }

    private void Transfer(int block, Action<SafeFileHandle, long> move)
    {
        int part = block / _blocksPerPart;
        try
        {
            move(_parts[part] ??= OpenPart(part), TokenContainer.Npy.Header(Type, 0, _columns).Length + (long)(block % _blocksPerPart) * _raw.Length);
        }
        catch (Exception e) when (AtomicFile.IsWriteFailure(e))
        {
            _failed = true;
            throw AtomicFile.Translate(PartPath(part), e);
        }
    }

    private SafeFileHandle OpenPart(int part)
    {
        string path = PartPath(part);
        bool whole = new FileInfo(path) is { Exists: true } file && file.Length == PartLength(part);
        SafeFileHandle handle = File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read, FileOptions.RandomAccess);
        if (whole) return handle;
        RandomAccess.SetLength(handle, PartLength(part));
        RandomAccess.Write(handle, TokenContainer.Npy.Header(Type, PartRows(part), _columns), 0);
        return handle;
    }

    private void Save()
    {
        try
        {
            foreach (SafeFileHandle? part in _parts)
                if (part is not null) RandomAccess.FlushToDisk(part);
        }
        catch (Exception e) when (AtomicFile.IsWriteFailure(e))
        {
            throw AtomicFile.Translate(_folder, e);
        }
        AtomicFile.Write(Path.Combine(_folder, DoneFile), stream =>
        {
            stream.Write(_done);
            stream.Write(SHA256.HashData(_done));
        });
        _unsaved = 0;
    }

    /// <summary>Gives the parts the names of shards and writes the index, last.</summary>
    private void Complete()
    {
        if (_unsaved > 0) Save();
        List<TokenShard> shards = [];
        for (int part = 0; part < _parts.Length; part++)
        {
            _parts[part]?.Dispose();
            _parts[part] = null;
            string path = PartPath(part), hash = TokenShards.HashFile(path);
            string name = string.Create(CultureInfo.InvariantCulture, $"tokens-{part:00000}-{hash[..8]}{TokenIndex.NpyExtension}");
            shards.Add(new TokenShard(name, PartRows(part), hash));
        }
        TokenIndex index = new(Type, _columns, shards, _ids, [.. _ids.Select(_ => _blockRows)]);
        AtomicFile.Guard(_folder, () =>
        {
            // Hard links would be needed to have both names: a run killed in here finds some parts gone and encodes their images again.
            for (int part = 0; part < _parts.Length; part++) File.Move(PartPath(part), Path.Combine(_folder, shards[part].File), overwrite: true);
            index.Write(_folder);
            File.Delete(Path.Combine(_folder, DoneFile));
        });
        _complete = TokenShards.Open(_folder);
    }

    private static JsonObject Describe(JsonObject description, int columns, int blockRows, int blocks, ElementType type)
    {
        JsonObject all = new() { ["format"] = Format, ["version"] = 1, ["dtype"] = type.Name(), ["d"] = columns, ["rows_per_image"] = blockRows, ["images"] = blocks };
        foreach ((string key, JsonNode? value) in description) all[key] = value?.DeepClone();
        return all;
    }

    /// <summary>The first key whose value is another one, or null.</summary>
    private static string? Difference(string file, JsonObject expected)
    {
        JsonObject found = SourceGuard.Read(file, "cache", () => JsonNode.Parse(File.ReadAllText(file)) as JsonObject) ?? throw new DataException(file, null, "is not a JSON object");
        foreach ((string key, JsonNode? value) in expected)
            if (!JsonNode.DeepEquals(value, found[key])) return key;
        return null;
    }

    private long PartRows(int part) => (long)(Math.Min(Blocks, (part + 1) * _blocksPerPart) - part * _blocksPerPart) * _blockRows;

    private long PartLength(int part) => TokenContainer.Npy.Header(Type, 0, _columns).Length + PartRows(part) * _columns * Type.Size();

    private string PartPath(int part) => Path.Combine(_folder, string.Create(CultureInfo.InvariantCulture, $"cache-{part:00000}.npy"));
}
