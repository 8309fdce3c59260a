using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline;

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectNullableAnnotations = true,
    WriteIndented = true)]
[JsonSerializable(typeof(RunConfig))]
internal sealed partial class RunConfigJson : JsonSerializerContext;

/// <summary>Reads CONFIG.json, applies --set, and says which key is wrong when one is.</summary>
internal static class RunConfigFile
{
    private static readonly JsonDocumentOptions s_lenient = new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };

    public static RunConfig Read(string path, IEnumerable<string> settings)
    {
        if (!File.Exists(path)) throw new UsageException($"{path}: the configuration file was not found; `biosup init` writes one.");
        return Parse(File.ReadAllText(path), path, settings);
    }

    internal static RunConfig Parse(string text, string name, IEnumerable<string> settings)
    {
        JsonNode? node;
        try
        {
            node = JsonNode.Parse(text, documentOptions: s_lenient);
        }
        catch (JsonException e)
        {
            throw new UsageException($"{name} (line {e.LineNumber + 1}): not valid JSON: {FirstSentence(e.Message)}", e);
        }
        if (node is not JsonObject root) throw new UsageException($"{name}: expected a JSON object at the top.");
        foreach (string setting in settings) Set(root, setting);
        try
        {
            return root.Deserialize(RunConfigJson.Default.RunConfig)!;
        }
        catch (JsonException e)
        {
            throw new UsageException($"{name}{(e.Path is { } p && p != "$" ? $" (key {p.TrimStart('$', '.')})" : "")}: {FirstSentence(e.Message)}", e);
        }
    }

    /// <summary>"align.epsilon=0.002": the value is JSON where it parses as JSON, otherwise a string.</summary>
    private static void Set(JsonObject root, string setting)
    {
        int equals = setting.IndexOf('=');
        if (equals <= 0) throw new UsageException($"--set {setting}: expected key.path=value.");
        string[] keys = setting[..equals].Split('.');
        JsonObject parent = root;
        foreach (string key in keys[..^1])
        {
            if (parent[key] is null) parent[key] = new JsonObject();
            parent = parent[key] as JsonObject ?? throw new UsageException($"--set {setting}: '{key}' is not a section.");
        }
        string text = setting[(equals + 1)..];
        JsonNode? value;
        try
        {
            value = JsonNode.Parse(text);
        }
        catch (JsonException)
        {
            value = JsonValue.Create(text);
        }
        parent[keys[^1]] = value;
    }

    private static string FirstSentence(string message)
    {
        int end = message.IndexOf(". ", StringComparison.Ordinal);
        string sentence = end < 0 ? message : message[..(end + 1)];
        // The serializer names our types; the person knows keys only.
        int type = sentence.IndexOf(", which is missing", StringComparison.Ordinal);
        int contained = sentence.IndexOf(" could not be mapped to any .NET member", StringComparison.Ordinal);
        if (contained > 0) return sentence[..contained].Replace("The JSON property", "unknown key", StringComparison.Ordinal) + ".";
        return type > 0 ? sentence[..type] + "." : sentence;
    }
}
