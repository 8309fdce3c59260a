using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text.Json.Nodes;
using BioSup.Runtime;

namespace BioSup.Cli;

/// <summary>One sentence for a person, an object for a program, and the exit code.</summary>
internal sealed record ErrorReport(string Message, int ExitCode, string? Source = null, string? Location = null)
{
    private const int DiskFull = 28, DiskFullWindows = 112;

    public static ErrorReport From(Exception exception) => exception switch
    {
        DataException e => new(e.Message, e.ExitCode, e.Source, e.Location),
        BiosupException e => new(e.Message, e.ExitCode),
        AggregateException { InnerExceptions.Count: 1 } e => From(e.InnerExceptions[0]),
        System.Reflection.TargetInvocationException { InnerException: { } inner } => From(inner),
        FileNotFoundException e => new($"{e.FileName ?? "A file"} was not found.", 3, e.FileName),
        DirectoryNotFoundException e => new(e.Message, 3),
        UnauthorizedAccessException e => new($"Permission denied: {e.Message}", 3),
        IOException e when (e.HResult & 0xFFFF) is DiskFull or DiskFullWindows => new($"The disk is full: {e.Message}", 3),
        IOException e => new($"Reading or writing failed: {e.Message}", 3),
        OutOfMemoryException => new("Not enough memory for this problem on this machine.", 4),
        OperationCanceledException => new("Interrupted.", 130),
        _ => new($"Internal error, please report it: {exception.GetType().Name}: {exception.Message}{Environment.NewLine}{exception.StackTrace}", 1),
    };

    public static int ForParse(ParseResult parsed, string[] args, TextWriter output, TextWriter error)
    {
        List<string> names = [];
        for (SymbolResult? symbol = parsed.CommandResult; symbol is CommandResult { Command: not RootCommand } c; symbol = symbol.Parent) names.Insert(0, c.Command.Name);
        string command = string.Join(' ', ["biosup", .. names]);
        string problems = string.Join(' ', parsed.Errors.Select(e => Plain(e.Message)).Distinct());
        ErrorReport report = new($"{problems} See '{command} --help'.", 2);
        report.Print(args.Contains("--json"), output, error);
        return report.ExitCode;
    }

    /// <summary>The parser speaks of its own types and counts; a person knows options and values.</summary>
    private static string Plain(string message)
    {
        int repeated = message.IndexOf(" expects a single argument but", StringComparison.Ordinal);
        if (repeated > 0) return message[..repeated] + " is given more than once.";
        int type = message.IndexOf(" as expected type '", StringComparison.Ordinal);
        if (type > 0)
        {
            string expected = message.Contains("Double", StringComparison.Ordinal) ? "a number" : message.Contains("Int", StringComparison.Ordinal) ? "a whole number that is not too large" : "another kind of value";
            return $"{message[..type]}: expected {expected}.";
        }
        return message.EndsWith('.') ? message : message + ".";
    }

    public JsonObject ToJson()
    {
        JsonObject body = new() { ["message"] = Message, ["exit_code"] = ExitCode };
        if (Source is not null) body["source"] = Source;
        if (Location is not null) body["location"] = Location;
        return new JsonObject { ["error"] = body };
    }

    /// <summary>Where the answer goes to a file on a disk that is full, a person may still read the sentence; where neither can be written, the exit code has to do.</summary>
    public void Print(bool json, TextWriter output, TextWriter error)
    {
        if (json && TryWrite(output, ToJson().ToJsonString(JsonText.Readable))) return;
        TryWrite(error, $"biosup: {Message}");
    }

    private static bool TryWrite(TextWriter writer, string text)
    {
        try
        {
            writer.WriteLine(text);
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }
}
