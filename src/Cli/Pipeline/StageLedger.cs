using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using BioSup.Data;

namespace BioSup.Cli.Pipeline;

/// <summary>
/// stages.json of a run: which stages are finished and a key over everything that determined each one (its settings, the keys of the stages before it,
/// the size and time of the files it read). With --resume a stage whose key is unchanged is not run again.
/// </summary>
internal sealed class StageLedger
{
    private readonly string _path;
    private readonly JsonObject _stages;

    private StageLedger(string path, JsonObject stages)
    {
        _path = path;
        _stages = stages;
    }

    /// <param name="resume">True keeps what an earlier run finished; false starts an empty ledger.</param>
    public static StageLedger Open(string folder, bool resume)
    {
        string path = Path.Combine(folder, "stages.json");
        if (!resume || !File.Exists(path)) return new StageLedger(path, []);
        try
        {
            return new StageLedger(path, JsonSerializer.Deserialize<Dictionary<string, JsonObject>>(File.ReadAllText(path)) is { } read ? Sound(read) : []);
        }
        catch (JsonException)
        {
            // An unreadable ledger proves nothing finished: run everything.
            return new StageLedger(path, []);
        }
    }

    // An entry of another shape proves as little as none.
    private static JsonObject Sound(Dictionary<string, JsonObject> stages) => new(stages
        .Where(s => s.Value?["key"]?.GetValueKind() == JsonValueKind.String && s.Value["seconds"]?.GetValueKind() is null or JsonValueKind.Number)
        .Select(s => KeyValuePair.Create(s.Key, (JsonNode?)s.Value)));

    public bool IsFinished(string stage, string key) => (string?)_stages[stage]?["key"] == key && _stages[stage]!["seconds"] is not null;

    /// <summary>Notes that a stage is under way; true when an earlier run began this very stage and did not finish it.</summary>
    public bool Start(string stage, string key)
    {
        bool begun = (string?)_stages[stage]?["key"] == key;
        _stages[stage] = new JsonObject { ["key"] = key };
        Save();
        return begun;
    }

    public void Finish(string stage, string key, TimeSpan time)
    {
        _stages[stage] = new JsonObject { ["key"] = key, ["seconds"] = Math.Round(time.TotalSeconds, 3) };
        Save();
    }

    /// <summary>Seconds each finished stage took, in the order they finished.</summary>
    public IEnumerable<KeyValuePair<string, double>> Times => _stages.Where(s => s.Value?["seconds"] is not null).Select(s => KeyValuePair.Create(s.Key, (double?)s.Value?["seconds"] ?? 0));

    /// <summary>A key over settings, upstream keys and input files.</summary>
    public static string Key(JsonNode? settings, ulong seed, IEnumerable<string> upstream, IEnumerable<string> inputs)
    {
        StringBuilder text = new();
        text.Append(ProductVersion.Text).Append('\n').Append(settings?.ToJsonString()).Append('\n').Append(seed).Append('\n');
        foreach (string key in upstream) text.Append(key).Append('\n');
        foreach (string input in inputs)
            foreach (string file in Files(ResultFolder.StripMember(input)))
                text.Append(file).Append('\t').Append(new FileInfo(file).Length).Append('\t').Append(File.GetLastWriteTimeUtc(file).Ticks).Append('\n');
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())))[..32];
    }

    private void Save() => AtomicFile.WriteAllText(_path, _stages.ToJsonString(JsonText.Readable) + "\n");

    private static IEnumerable<string> Files(string path) =>
        File.Exists(path) ? [path]
        : Directory.Exists(path) ? Directory.EnumerateFiles(path, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal) : [];
}
