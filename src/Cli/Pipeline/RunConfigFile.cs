using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline;

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectNullableAnnotations = true,
    WriteIndented = true)]
[JsonSerializable(typeof(RunConfig))]
internal sealed partial class RunConfigJson : JsonSerializerContext;

/// <summary>Reads CONFIG.json of `biosup run`.</summary>
internal static class RunConfigFile
{
    public static RunConfig Read(string path, IEnumerable<string> settings) => ConfigText.Read(path, settings, RunConfigJson.Default.RunConfig, "biosup init");

    internal static RunConfig Parse(string text, string name, IEnumerable<string> settings) => ConfigText.Parse(text, name, settings, RunConfigJson.Default.RunConfig, "biosup init");
}

/// <summary>Reads a commented configuration, applies --set, and says which key is wrong when one is.</summary>
internal static class ConfigText
{
    private static readonly JsonDocumentOptions s_lenient = new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true, AllowDuplicateProperties = false };

    /// <param name="path">The file.</param>
    /// <param name="settings">"key.path=value", each of which overrides one key.</param>
    /// <param name="type">What the configuration is.</param>
    /// <param name="writer">The command that writes one.</param>
    /// <exception cref="UsageException">There is no such file, it is not JSON, or a key or value is not one of the configuration's.</exception>
    public static T Read<T>(string path, IEnumerable<string> settings, JsonTypeInfo<T> type, string writer)
    {
        if (!File.Exists(path)) throw new UsageException($"{path}: the configuration file was not found; `{writer}` writes one.");
        return Parse(File.ReadAllText(path), path, settings, type, writer);
    }

    public static T Parse<T>(string text, string name, IEnumerable<string> settings, JsonTypeInfo<T> type, string writer)
    {
        if (string.IsNullOrWhiteSpace(text)) throw new UsageException($"{name}: the file is empty; `{writer}` writes a configuration to start from.");
        JsonNode? node;
        try
        {
            node = JsonNode.Parse(text, documentOptions: s_lenient);
        }
        catch (JsonException e)
        {
            throw new UsageException($"{name}{(e.LineNumber is { } line ? $" (line {line + 1})" : "")}: not valid JSON: {FirstSentence(e.Message)}", e);
        }
        if (node is not JsonObject root) throw new UsageException($"{name}: expected a JSON object at the top.");
        foreach (string setting in settings) Set(root, setting);
        try
        {
            return root.Deserialize(type)!;
        }
        catch (JsonException e)
        {
            throw new UsageException($"{name}{(e.Path is { } p && p != "$" ? $" (key {p.TrimStart('$', '.')})" : "")}: {Explain(e, root, type)}", e);
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

    /// <summary>The serializer names our types; the person knows keys and values only.</summary>
    private static string Explain(JsonException e, JsonObject root, JsonTypeInfo config)
    {
        string sentence = FirstSentence(e.Message);
        int unknown = sentence.IndexOf(" could not be mapped to any .NET member", StringComparison.Ordinal);
        if (unknown > 0) return sentence[..unknown].Replace("The JSON property", "unknown key", StringComparison.Ordinal) + ".";
        int missing = sentence.IndexOf(" was missing required properties including: ", StringComparison.Ordinal);
        if (missing > 0) return $"missing here: {sentence[(sentence.IndexOf(':', missing) + 2)..]}";
        if (sentence.Contains("doesn't allow setting null", StringComparison.Ordinal)) return "null is not a value; leave the key out for its default.";
        if (!sentence.StartsWith("The JSON value could not be converted", StringComparison.Ordinal)) return sentence;
        JsonTypeInfo? expected = config;
        JsonNode? value = root;
        foreach (string key in e.Path!.Split('.', '[', ']').Skip(1).Where(k => k.Length > 0))
        {
            value = value is JsonArray array && int.TryParse(key, out int index) ? array[index] : (value as JsonObject)?[key];
            Type? type = expected?.Properties.FirstOrDefault(p => p.Name == key)?.PropertyType ?? expected?.ElementType;
            expected = type is null ? null : config.Options.GetTypeInfo(type);
        }
        return $"the value is {value?.ToJsonString(JsonText.OneLine) ?? "null"}; expected {Describe(expected)}.";
    }

    private static string Describe(JsonTypeInfo? type) => type switch
    {
        null => "another kind of value",
        { Kind: JsonTypeInfoKind.Enumerable } => "a list",
        { Kind: JsonTypeInfoKind.Object } => "a section in braces",
        _ when type.Type == typeof(string) => "text in quotes",
        _ when type.Type == typeof(int) => "a whole number",
        _ when type.Type == typeof(double) => "a number",
        _ when type.Type == typeof(JsonObject) => "a section in braces",
        _ => "another kind of value",
    };

    private static string FirstSentence(string message)
    {
        int end = message.IndexOf(". ", StringComparison.Ordinal);
        return end < 0 ? message : message[..(end + 1)];
    }
}
