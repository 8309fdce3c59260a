using System.IO.Compression;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>The keys and bytes of a zarr store: a folder, or an uncompressed or compressed .zip of one.</summary>
internal abstract class ZarrStore : IDisposable
{
    private const string Metadata = "zarr.json";
    private static readonly string[] s_descriptions = [Metadata, ZarrVersion2.ArrayKey, ZarrVersion2.GroupKey];

    /// <summary>Deflate's best ratio; an entry that claims more is damaged.</summary>
    private const long MaxRatio = 1032, Slack = 1 << 16;

    /// <param name="path">A folder, or a .zip that holds one without a name of its own.</param>
    public static ZarrStore Open(string path) => Directory.Exists(path) ? new Folder(path) : new Archive(path);

    /// <summary>The bytes under a key, or null.</summary>
    public abstract byte[]? Read(string key);

    /// <summary>Names of the nodes directly below a node, in ordinal order.</summary>
    /// <param name="node">"" for the root, else "obs/line".</param>
    public abstract IReadOnlyList<string> Children(string node);

    /// <summary>Bytes of everything in the store, compressed as it is.</summary>
    public abstract long Length { get; }

    /// <summary>The key of a node's description.</summary>
    public static string MetadataKey(string node) => node.Length == 0 ? Metadata : $"{node}/{Metadata}";

    public abstract void Dispose();

    private sealed class Folder(string path) : ZarrStore
    {
        private long? _length;

        public override long Length => _length ??= new DirectoryInfo(path).EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Length);

        public override byte[]? Read(string key)
        {
            string file = Path.Combine(path, key);
            return File.Exists(file) ? File.ReadAllBytes(file) : null;
        }

        public override IReadOnlyList<string> Children(string node) =>
            [.. Directory.EnumerateDirectories(Path.Combine(path, node)).Where(child => s_descriptions.Any(name => File.Exists(Path.Combine(child, name)))).Select(child => Path.GetFileName(child)).Order(StringComparer.Ordinal)];

        public override void Dispose()
        {
        }
    }

    private sealed class Archive : ZarrStore
    {
        private readonly string _path;
        private readonly ZipArchive _zip;
        private readonly Dictionary<string, ZipArchiveEntry> _entries = new(StringComparer.Ordinal);
        private readonly Dictionary<string, SortedSet<string>> _children = new(StringComparer.Ordinal);

        public Archive(string path)
        {
            _path = path;
            _zip = new ZipArchive(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read), ZipArchiveMode.Read);
            try
            {
                Index();
            }
            catch
            {
                _zip.Dispose();
                throw;
            }
        }

        public override long Length => new FileInfo(_path).Length;

        public override byte[]? Read(string key)
        {
            if (!_entries.TryGetValue(key, out ZipArchiveEntry? entry)) return null;
            if (entry.Length > Array.MaxLength || entry.Length > entry.CompressedLength * MaxRatio + Slack) throw new DataException(_path, key, $"claims {entry.Length} bytes, more than its {entry.CompressedLength} can hold");
            byte[] bytes = new byte[entry.Length];
            using Stream stream = entry.Open();
            stream.ReadExactly(bytes);
            return bytes;
        }

        public override IReadOnlyList<string> Children(string node) => _children.TryGetValue(node, out SortedSet<string>? names) ? [.. names] : [];

        public override void Dispose() => _zip.Dispose();

        private void Index()
        {
            // A description that was written again stands in the archive twice; the later one holds.
            foreach (ZipArchiveEntry entry in _zip.Entries) _entries[entry.FullName] = entry;
            foreach (string key in _entries.Keys)
            {
                if (s_descriptions.FirstOrDefault(name => key.EndsWith("/" + name, StringComparison.Ordinal)) is not { } description) continue;
                string node = key[..^(description.Length + 1)];
                int slash = node.LastIndexOf('/');
                string parent = slash < 0 ? "" : node[..slash];
                if (!_children.TryGetValue(parent, out SortedSet<string>? names)) _children[parent] = names = new SortedSet<string>(StringComparer.Ordinal);
                names.Add(node[(slash + 1)..]);
            }
        }
    }
}
