using System.Text.Json.Nodes;
using BioSup.Runtime;

namespace BioSup.Cli;

/// <summary>The --log file: one JSON object per line, flushed line by line so that a job's log can be followed.</summary>
internal sealed class EventLog : IDisposable
{
    private readonly StreamWriter _writer;
    private readonly Lock _gate = new();

    public EventLog(string path)
    {
        try
        {
            _writer = new StreamWriter(new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.ReadWrite)) { AutoFlush = true };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"--log {path}: the file cannot be opened for writing ({e.Message}).", e);
        }
    }

    public void Write(string kind, JsonObject content)
    {
        JsonObject line = new() { ["time"] = DateTimeOffset.UtcNow.ToString("O"), ["event"] = kind };
        foreach ((string key, JsonNode? value) in content) line[key] = value?.DeepClone();
        lock (_gate) _writer.WriteLine(line.ToJsonString(JsonText.OneLine));
    }

    public void Dispose() => _writer.Dispose();
}
