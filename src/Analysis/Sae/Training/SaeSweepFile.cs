using System.Text.Json;
using System.Text.Json.Nodes;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>One model of a sweep.</summary>
/// <param name="Name">The keys in which it differs from others, and their values; also the name of its folder.</param>
/// <param name="Config">Its configuration.</param>
/// <param name="Seed">Of its initial weights and resampling; the order of tokens is the sweep's.</param>
public sealed record SaeSweepMember(string Name, SaeConfig Config, ulong Seed);

/// <summary>
/// SWEEP.json: "base" (keys of a training configuration), "grid" (key → list of values; every combination), "models" (list of keys that differ from the
/// base), "seeds" (list). With both "grid" and "models" every model is combined with every point of the grid. "preset": "paper-sweep" is the paper's
/// eight: base {"preset": "paper"} and d_sae / λ = 600/50, 1024/800, 2048/800, 4096/800, 8192/800, 4096/0, 4096/200, 4096/3200.
/// </summary>
public static class SaeSweepFile
{
    private const int MostMembers = 256;
    private static readonly JsonDocumentOptions s_lenient = new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true, AllowDuplicateProperties = false };
    private static readonly string[] s_keys = ["preset", "base", "grid", "models", "seeds"];

    /// <summary>What all models of a sweep have in common because they share one stream of tokens.</summary>
    private static readonly string[] s_shared = ["batch", "epochs", "normalise", "centring", "shuffle_window_mib"];

    /// <summary>The paper's dictionaries: d_sae and λ.</summary>
    private static readonly (int Latents, double Sparsity)[] s_paper = [(600, 50), (1024, 800), (2048, 800), (4096, 800), (8192, 800), (4096, 0), (4096, 200), (4096, 3200)];

    /// <summary>Reads a sweep.</summary>
    /// <param name="path">The file.</param>
    /// <param name="seed">The seed where the file gives none.</param>
    /// <exception cref="UsageException">Names the file and the key that is wrong.</exception>
    public static IReadOnlyList<SaeSweepMember> Read(string path, ulong seed)
    {
        if (!File.Exists(path)) throw new UsageException($"The sweep {path} cannot be read: {(Directory.Exists(path) ? "it is a folder" : "there is no such file")}.");
        return Parse(File.ReadAllText(path), path, seed);
    }

    /// <inheritdoc cref="Read"/>
    public static IReadOnlyList<SaeSweepMember> Parse(string json, string source, ulong seed)
    {
        JsonObject root = ParseObject(json, source);
        foreach ((string key, _) in root)
            if (!s_keys.Contains(key)) throw new UsageException($"{source}: there is no key '{key}'; the keys of a sweep are {string.Join(", ", s_keys)}, and those of a model go into \"base\".");
        JsonObject shared = Section(root, "base", source);
        List<JsonObject> models = Models(root, shared, source);
        List<(string Key, JsonArray Values)> grid = [.. Section(root, "grid", source).Select(g => g.Value is JsonArray { Count: > 0 } values
            ? (g.Key, values) : throw new UsageException($"{source}: 'grid' gives '{g.Key}' no list of values."))];
        ulong[] seeds = Seeds(root, seed, source);
        long count = seeds.Length * models.Count * grid.Aggregate(1L, (n, g) => n * g.Values.Count);
        if (count > MostMembers) throw new UsageException($"{source}: the sweep has {count} models; expected at most {MostMembers}.");
        List<(JsonObject Keys, ulong Seed)> members = [];
        foreach (JsonObject model in models)
            foreach (JsonObject point in Points(grid))
                foreach (ulong s in seeds) members.Add((Merge(model, point), s));
        return Name(members, shared, seeds.Length > 1, source);
    }

    private static List<JsonObject> Models(JsonObject root, JsonObject shared, string source)
    {
        string? preset = root["preset"] is null ? null : root["preset"] is JsonValue value && value.TryGetValue(out string? name) ? name : "";
        if (preset is not (null or "paper-sweep")) throw new UsageException($"{source}: 'preset' is {root["preset"]!.ToJsonString()}; expected \"paper-sweep\".");
        if (preset is not null && root["models"] is not null) throw new UsageException($"{source}: 'preset' \"paper-sweep\" names its models; leave 'models' out.");
        if (preset is not null)
        {
            shared["preset"] ??= "paper";
            return [.. s_paper.Select(p => new JsonObject { ["d_sae"] = p.Latents, ["sparsity_coeff"] = p.Sparsity })];
        }
        if (root["models"] is null) return [[]];
        if (root["models"] is not JsonArray { Count: > 0 } list) throw new UsageException($"{source}: 'models' is not a list of models.");
        return [.. list.Select((m, i) => m as JsonObject ?? throw new UsageException($"{source}: entry {i + 1} of 'models' is not a section in braces."))];
    }

    private static ulong[] Seeds(JsonObject root, ulong seed, string source)
    {
        if (root["seeds"] is null) return [seed];
        if (root["seeds"] is not JsonArray { Count: > 0 } list) throw new UsageException($"{source}: 'seeds' is not a list of numbers.");
        ulong[] seeds = [.. list.Select(v => v is JsonValue number && number.TryGetValue(out long n) && n >= 0
            ? (ulong)n : throw new UsageException($"{source}: 'seeds' holds {v?.ToJsonString() ?? "null"}; expected whole numbers of 0 or more."))];
        if (seeds.Distinct().Count() < seeds.Length) throw new UsageException($"{source}: 'seeds' names a seed twice.");
        return seeds;
    }

    private static IEnumerable<JsonObject> Points(List<(string Key, JsonArray Values)> grid)
    {
        if (grid.Count == 0) return [[]];
        IEnumerable<JsonObject> rest = Points(grid[1..]);
        return grid[0].Values.SelectMany(value => rest.Select(point => Merge(new JsonObject { [grid[0].Key] = value?.DeepClone() }, point)));
    }

    /// <summary>Parses every configuration and names it by the keys in which the members differ.</summary>
    private static List<SaeSweepMember> Name(List<(JsonObject Keys, ulong Seed)> members, JsonObject shared, bool bySeed, string source)
    {
        string[] keys = [.. members.SelectMany(m => m.Keys.Select(k => k.Key)).Distinct().Where(k => members.Select(m => m.Keys[k]?.ToJsonString() ?? shared[k]?.ToJsonString()).Distinct().Count() > 1)];
        foreach (string key in s_shared)
            if (keys.Contains(key)) throw new UsageException($"{source}: '{key}' differs between models, but all of them share one stream of tokens; put it into \"base\".");
        List<SaeSweepMember> named = [];
        foreach ((JsonObject own, ulong seed) in members)
        {
            IEnumerable<string> parts = keys.Where(k => own.ContainsKey(k)).Select(k => $"{k}-{Text(own[k])}");
            string name = string.Join('_', bySeed ? parts.Append($"seed-{seed}") : parts);
            if (name.Length == 0) name = "model";
            if (named.Any(m => m.Name == name)) throw new UsageException($"{source}: two models are both '{name}'; each must differ from the others in a key.");
            named.Add(new SaeSweepMember(name, SaeConfigFile.Parse(Merge(shared, own).ToJsonString(), members.Count > 1 ? $"{source} ({name})" : source), seed));
        }
        return named;
    }

    /// <summary>A value as a part of a file name.</summary>
    private static string Text(JsonNode? value)
    {
        string text = value is JsonArray list ? string.Join('-', list.Select(v => v?.ToJsonString())) : value is JsonValue v && v.TryGetValue(out string? s) ? s : value?.ToJsonString() ?? "null";
        return string.Concat(text.Select(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' ? c : '_'));
    }

    private static JsonObject Merge(JsonObject first, JsonObject second)
    {
        JsonObject merged = (JsonObject)first.DeepClone();
        foreach ((string key, JsonNode? value) in second) merged[key] = value?.DeepClone();
        return merged;
    }

    private static JsonObject Section(JsonObject root, string key, string source) =>
        root[key] is null ? [] : root[key] as JsonObject ?? throw new UsageException($"{source}: '{key}' is not a section in braces.");

    private static JsonObject ParseObject(string json, string source)
    {
        try
        {
            return JsonNode.Parse(json, documentOptions: s_lenient) as JsonObject ?? throw new UsageException($"{source}: expected a JSON object.");
        }
        catch (JsonException e)
        {
            throw new UsageException($"{source}: not valid JSON{(e.LineNumber is { } line ? $" (line {line + 1})" : "")}.", e);
        }
    }
}
