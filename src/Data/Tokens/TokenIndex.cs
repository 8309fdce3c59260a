using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>One npy or safetensors file of a token folder.</summary>
/// <param name="File">Name inside the folder.</param>
/// <param name="Rows">Tokens in it.</param>
/// <param name="Sha256">Checksum of the whole file, lower-case hexadecimal.</param>
public sealed record TokenShard(string File, long Rows, string Sha256);

/// <summary>
/// What <c>index.json</c> says: element type, width, the shards in order, and, where tokens come from images, each image's id and number of
/// tokens. Images follow one another in the order of the rows.
/// </summary>
public sealed record TokenIndex(ElementType Type, int Columns, IReadOnlyList<TokenShard> Shards, IReadOnlyList<string> ImageIds, IReadOnlyList<int> RowsPerImage)
{
    public const string FileName = "index.json";
    internal const string NpyExtension = ".npy", SafetensorsExtension = ".safetensors";
    internal const int MaxColumns = 1 << 24;
    private const string Format = "biosup-tokens";
    private static readonly JsonWriterOptions s_json = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public long Rows => Shards.Sum(shard => shard.Rows);

    /// <summary>1, which every release reads, unless there is something in the folder that came later: bfloat16 or safetensors shards.</summary>
    private int Version => Type == ElementType.BFloat16 || Shards.Any(shard => shard.File.EndsWith(SafetensorsExtension, StringComparison.Ordinal)) ? 2 : 1;

    internal void Write(string folder) => AtomicFile.Write(Path.Combine(folder, FileName), stream =>
    {
        using Utf8JsonWriter json = new(stream, s_json);
        json.WriteStartObject();
        json.WriteString("format", Format);
        json.WriteNumber("version", Version);
        json.WriteString("dtype", Type.Name());
        json.WriteNumber("d", Columns);
        json.WriteNumber("rows", Rows);
        json.WriteStartArray("shards");
        foreach (TokenShard shard in Shards)
        {
            json.WriteStartObject();
            json.WriteString("file", shard.File);
            json.WriteNumber("rows", shard.Rows);
            json.WriteString("sha256", shard.Sha256);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        if (ImageIds.Count > 0)
        {
            json.WriteStartArray("images");
            foreach (string id in ImageIds) json.WriteStringValue(id);
            json.WriteEndArray();
            json.WriteStartArray("rows_per_image");
            foreach (int rows in RowsPerImage) json.WriteNumberValue(rows);
            json.WriteEndArray();
        }
        json.WriteEndObject();
    });

    public static TokenIndex Read(string folder)
    {
        string path = Path.Combine(folder, FileName);
        if (!File.Exists(path)) throw new DataException(folder, null, $"the folder has no {FileName}; a folder of token shards was expected");
        return SourceGuard.Read(path, "token index", () =>
        {
            using FileStream stream = SourceGuard.Open(path);
            using JsonDocument document = JsonDocument.Parse(stream, new JsonDocumentOptions { MaxDepth = 8 });
            return Parse(document.RootElement, path);
        });
    }

    private static TokenIndex Parse(JsonElement root, string path)
    {
        if (root.ValueKind != JsonValueKind.Object || Text(root, "format", path) != Format) throw new DataException(path, "format", $"'{Format}' was expected");
        if (Number(root, "version", path) is not (1 or 2)) throw new DataException(path, "version", "only versions 1 and 2 are known");
        ElementType type = Text(root, "dtype", path) switch
        {
            "float32" => ElementType.Float32,
            "float16" => ElementType.Float16,
            "bfloat16" => ElementType.BFloat16,
            string other => throw new DataException(path, "dtype", $"'{NpyHeader.Printable(other)}' is not float32, float16 or bfloat16"),
        };
        long columns = Number(root, "d", path);
        if (columns is < 1 or > MaxColumns) throw new DataException(path, "d", $"{columns} features per token are not between 1 and {MaxColumns}");
        List<TokenShard> shards = [];
        foreach (JsonElement shard in Items(root, "shards", path))
        {
            string file = Text(shard, "file", path);
            // Names, not paths: an index must not reach outside its folder.
            if (file != Path.GetFileName(file) || !(file.EndsWith(NpyExtension, StringComparison.Ordinal) || file.EndsWith(SafetensorsExtension, StringComparison.Ordinal)))
                throw new DataException(path, $"shards[{shards.Count}].file", $"'{NpyHeader.Printable(file)}' is not the name of an .npy or .safetensors file in this folder");
            shards.Add(new TokenShard(file, Number(shard, "rows", path), Text(shard, "sha256", path)));
        }
        List<string> ids = [];
        List<int> perImage = [];
        if (root.TryGetProperty("images", out _))
        {
            foreach (JsonElement id in Items(root, "images", path))
                ids.Add(id.ValueKind == JsonValueKind.String ? id.GetString()! : throw new DataException(path, $"images[{ids.Count}]", "text was expected"));
            foreach (JsonElement rows in Items(root, "rows_per_image", path))
                perImage.Add(rows.ValueKind == JsonValueKind.Number && rows.TryGetInt32(out int n) && n >= 0
                    ? n
                    : throw new DataException(path, $"rows_per_image[{perImage.Count}]", "a whole number of at least 0 was expected"));
        }
        TokenIndex index = new(type, (int)columns, shards, ids, perImage);
        if (index.Rows != Number(root, "rows", path)) throw new DataException(path, "rows", $"the shards have {index.Rows} rows together");
        if (ids.Count != perImage.Count || (ids.Count > 0 && perImage.Sum(n => (long)n) != index.Rows))
            throw new DataException(path, "rows_per_image", $"{ids.Count} images with {perImage.Sum(n => (long)n)} rows do not fit {index.Rows} rows");
        return index;
    }

    private static JsonElement Property(JsonElement element, string key, JsonValueKind kind, string path) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(key, out JsonElement value) && value.ValueKind == kind
            ? value
            : throw new DataException(path, key, $"this key is missing or not a {kind.ToString().ToLower(CultureInfo.InvariantCulture)}");

    private static string Text(JsonElement element, string key, string path) => Property(element, key, JsonValueKind.String, path).GetString()!;

    private static long Number(JsonElement element, string key, string path) =>
        Property(element, key, JsonValueKind.Number, path).TryGetInt64(out long value) && value >= 0 && value < long.MaxValue / 2
            ? value
            : throw new DataException(path, key, "a whole number of at least 0 was expected");

    private static JsonElement.ArrayEnumerator Items(JsonElement element, string key, string path) =>
        Property(element, key, JsonValueKind.Array, path).EnumerateArray();
}
