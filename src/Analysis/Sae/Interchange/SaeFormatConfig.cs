using System.Text.Json;
using System.Text.Json.Nodes;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>A configuration that another program wrote: typed access with one sentence for what is not there.</summary>
internal sealed class SaeFormatConfig
{
    private readonly string _path;
    private readonly JsonObject _json;

    private SaeFormatConfig(string path, JsonObject json)
    {
        _path = path;
        _json = json;
    }

    public JsonObject Json => _json;

    /// <param name="folder">The folder that was named.</param>
    /// <param name="name">Of the file in it.</param>
    /// <param name="format">For the message: "SAELens".</param>
    public static SaeFormatConfig Read(string folder, string name, string format)
    {
        if (!Directory.Exists(folder)) throw new DataException(folder, null, File.Exists(folder) ? $"is a file; a folder of {format} was expected" : "there is no such folder");
        string path = Path.Combine(folder, name);
        if (!File.Exists(path)) throw new DataException(folder, null, $"has no {name}; a folder of {format} was expected");
        try
        {
            return new(path, JsonNode.Parse(File.ReadAllText(path)) as JsonObject ?? throw new DataException(path, null, "is not a JSON object"));
        }
        catch (JsonException e)
        {
            throw new DataException(path, $"line {e.LineNumber + 1}", "is not valid JSON", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DataException(path, null, $"cannot be read: {e.Message.TrimEnd('.')}", e);
        }
    }

    public SaeFormatConfig Section(string key) => _json[key] is JsonObject inner ? new(_path, inner) : throw new DataException(_path, key, "is missing or not an object");

    public SaeFormatConfig? OptionalSection(string key) => _json[key] is JsonObject inner ? new(_path, inner) : null;

    public string? Text(string key) => Get<string>(key, "text");

    public bool Flag(string key, bool fallback) => _json[key] is null ? fallback : Get<bool>(key, "true or false");

    /// <summary>A whole number from 1 to <paramref name="most"/>; null where the key is absent.</summary>
    public int? Count(string key, int most)
    {
        if (_json[key] is null) return null;
        double value = Get<double>(key, "a number");
        return value >= 1 && value <= most && value == Math.Floor(value) ? (int)value : throw new DataException(_path, key, $"is {_json[key]!.ToJsonString()}; a whole number from 1 to {most} was expected");
    }

    public void RequireWidth(string key, int actual)
    {
        if (Count(key, int.MaxValue) is { } told && told != actual) throw new DataException(_path, key, $"is {told}, but the weights have {actual}");
    }

    public TokenNormaliser Normaliser(int width) => TokenNormaliser.FromJson(_json, _path, width);

    public SaeOrigin? Origin(int latents) => SaeOrigin.Read(_json[SaeOrigin.MetadataKey] as JsonObject, _path, latents);

    public DataException Refuse(string key, string problem) => new(_path, key, problem);

    private T? Get<T>(string key, string expected)
    {
        if (_json[key] is not { } node) return default;
        return node is JsonValue value && value.TryGetValue(out T? result) ? result : throw new DataException(_path, key, $"is {node.ToJsonString()}; {expected} was expected");
    }
}
