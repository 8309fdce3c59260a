using System.Text.Json;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>
/// A zarr store of version 3 (zarr-specs, core 3.0), which anndata writes by default from 0.13 on, or of version 2 as a hierarchy. Every node is read from its own <c>zarr.json</c> (<see cref="ZarrVersion2"/>: <c>.zarray</c>, <c>.zgroup</c>, <c>.zattrs</c>); the copy that the root may hold of all
/// of them (consolidated metadata) saves requests to a server and nothing here. No allocation is made that the bytes at hand do not justify.
/// </summary>
internal sealed class ZarrFile : IStoreFile
{
    private const long MaxRatio = 1032, Slack = 64L << 20;
    private readonly string _path;
    private readonly ZarrStore _store;

    private ZarrFile(string path)
    {
        _path = path;
        _store = ZarrStore.Open(path);
        try
        {
            Root = Guard("/", () => Wrap("")) as IStoreGroup ?? throw Error("/", "is no zarr store: it has no group in zarr.json or .zgroup");
        }
        catch
        {
            _store.Dispose();
            throw;
        }
    }

    public IStoreGroup Root { get; }

    /// <summary>Whether a path names a store: FILE.zarr or FILE.zarr.zip.</summary>
    public static bool IsStore(string path) => path.EndsWith(".zarr", StringComparison.OrdinalIgnoreCase) || path.EndsWith(".zarr.zip", StringComparison.OrdinalIgnoreCase);

    public static IStoreFile Open(string path) => SourceGuard.Read(path, "zarr", () => File.Exists(path) || Directory.Exists(path) ? new ZarrFile(path) : throw new FileNotFoundException(null, path));

    public void Dispose() => _store.Dispose();

    internal byte[]? ReadBytes(string key) => _store.Read(key);

    /// <summary>Refuses extents that the store cannot mean: chunks that are not stored cost nothing there, but everything here.</summary>
    internal void RequirePlausible(string node, long bytes, IReadOnlyList<long> shape)
    {
        if (bytes > Slack && bytes > _store.Length * MaxRatio + Slack) throw Error(node, $"claims {NdArray.Describe(shape)} elements, more than a store of {_store.Length} bytes can hold");
    }

    internal T Guard<T>(string node, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (KeyNotFoundException e)
        {
            throw new DataException(_path, node, "is damaged or not a supported zarr store: a part of its description is missing", e);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or OverflowException or InvalidDataException or EndOfStreamException or ArgumentException or ZstdSharp.ZstdException)
        {
            throw new DataException(_path, node, $"is damaged or not a supported zarr store: {SourceGuard.FirstLine(e.Message)}", e);
        }
    }

    internal DataException Error(string node, string problem) => new(_path, node, problem);

    /// <summary>The node of a key, or null where there is none.</summary>
    private IStoreNode? Wrap(string key)
    {
        // The document is small and lives as long as its node.
        JsonElement? found = _store.Read(ZarrStore.MetadataKey(key)) is { } bytes ? JsonDocument.Parse(bytes).RootElement : ZarrVersion2.Describe(_store, key);
        if (found is not { } description) return null;
        string path = "/" + key;
        if (description.ValueKind != JsonValueKind.Object) throw Error(path, "zarr.json is not an object");
        int format = description.TryGetProperty("zarr_format", out JsonElement version) ? version.GetInt32() : 0;
        if (format != 3) throw Error(path, $"is of zarr version {format}; 3 was expected");
        string? kind = description.TryGetProperty("node_type", out JsonElement type) ? type.GetString() : null;
        JsonElement attributes = description.TryGetProperty("attributes", out JsonElement held) ? held : default;
        return kind switch
        {
            "group" => new Group(this, key, attributes),
            "array" => new ZarrArray(this, key, attributes, description),
            _ => throw Error(path, $"is a node of type '{NpyHeader.Printable(kind ?? "none")}'; group or array was expected"),
        };
    }

    /// <summary>What groups and arrays share.</summary>
    internal abstract class Node(ZarrFile file, string key, JsonElement attributes) : IStoreNode
    {
        public string Path => "/" + key;

        protected ZarrFile File => file;

        protected string Key => key;

        public bool HasAttribute(string name) => attributes.ValueKind == JsonValueKind.Object && attributes.TryGetProperty(name, out _);

        public NdArray ReadAttribute(string name) => file.Guard($"{Path}@{name}", () => (HasAttribute(name) ? attributes.GetProperty(name) : throw file.Error(Path, $"has no attribute '{name}'")) switch
        {
            { ValueKind: JsonValueKind.Null } => NdArray.Vector(Array.Empty<double>()),
            { ValueKind: JsonValueKind.Array } list => List(name, [.. list.EnumerateArray()]),
            { } one => new NdArray(Values(name, [one])),
        });

        public IStoreNode FollowAttribute(string name) => throw file.Error($"{Path}@{name}", "an object reference was expected, which zarr does not have");

        private NdArray List(string name, JsonElement[] items) => items.Length == 0 ? NdArray.Vector(Array.Empty<double>()) : new NdArray(Values(name, items), items.Length);

        private Array Values(string name, JsonElement[] items)
        {
            bool All(params JsonValueKind[] kinds) => items.All(item => kinds.Contains(item.ValueKind));
            if (All(JsonValueKind.String)) return Array.ConvertAll(items, item => item.GetString()!);
            if (All(JsonValueKind.True, JsonValueKind.False)) return Array.ConvertAll(items, item => item.GetBoolean());
            if (!All(JsonValueKind.Number)) throw file.Error($"{Path}@{name}", "is neither text nor numbers nor a list of one of these");
            if (items.All(item => item.TryGetInt64(out _))) return Array.ConvertAll(items, item => item.GetInt64());
            return Array.ConvertAll(items, item => item.GetDouble());
        }
    }

    private sealed class Group(ZarrFile file, string key, JsonElement attributes) : Node(file, key, attributes), IStoreGroup
    {
        private IReadOnlyList<string>? _names;

        public IReadOnlyList<string> Names => _names ??= File._store.Children(Key);

        // Keys of the encoding are names of nodes, and a name from elsewhere in the file must not lead out of the store.
        public IStoreNode? Find(string name) => Names.Contains(name) ? File.Guard($"{Path}", () => File.Wrap(Key.Length == 0 ? name : $"{Key}/{name}")) : null;
    }
}
