using System.Text.Json.Nodes;
using BioSup.Runtime;

namespace BioSup.Cli;

/// <summary>The --log file: one JSON object per line, flushed line by line so that a job's log can be followed.</summary>
internal sealed class EventLog : IDisposable
{
    private readonly StreamWriter _writer;
    private readonly Lock _gate = new();

    /// <summary>Why the log stopped before the command did, or null: a log that cannot be written must not cost the person the results.</summary>
    public string? Failure { get; private set; }

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
        lock (_gate)
        {
            if (Failure is not null) return;
            try
            {
                _writer.WriteLine(line.ToJsonString(JsonText.OneLine));
            }
            catch (IOException e)
            {
                Failure = e.Message;
            }
        }
    }

    public void Dispose()
    {
        try
        {
            _writer.Dispose();
        }
        catch (IOException e)
        {
            // What could not be written stays in the writer's buffer and fails once more here.
            Failure ??= e.Message;
        }
    }
}
