using System.Text.Json;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>Turns what the runtime throws while a file is read into one sentence that names the file.</summary>
internal static class SourceGuard
{
    public static T Read<T>(string source, string kind, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception e) when (Translate(source, kind, e) is { } translated)
        {
            throw translated;
        }
    }

    public static void Run(string source, string kind, Action read) => Read(source, kind, () =>
    {
        read();
        return true;
    });

    /// <summary>Opens for sequential reading.</summary>
    public static FileStream Open(string path) => new(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16, FileOptions.SequentialScan);

    private static DataException? Translate(string source, string kind, Exception e) => e switch
    {
        FileNotFoundException or DirectoryNotFoundException => new DataException(source, null, "the file does not exist", e),
        UnauthorizedAccessException => new DataException(source, null,
            Directory.Exists(source) ? $"is a folder; a {kind} file was expected" : "cannot be read: permission denied", e),
        EndOfStreamException => new DataException(source, null, $"the {kind} file ends too early; it may be truncated", e),
        InvalidDataException or FormatException or OverflowException or JsonException =>
            new DataException(source, null, $"is not a valid {kind} file: {FirstLine(e.Message)}", e),
        // What System.Text.Json says of text that is valid JSON but not valid Unicode.
        InvalidOperationException when e.Source?.StartsWith("System.Text.Json", StringComparison.Ordinal) == true =>
            new DataException(source, null, $"is not a valid {kind} file: {FirstLine(e.Message)}", e),
        IOException => new DataException(source, null, $"reading failed: {FirstLine(e.Message)}", e),
        _ => null,
    };

    public static string FirstLine(string text)
    {
        int end = text.AsSpan().IndexOfAny('\r', '\n');
        return (end < 0 ? text : text[..end]).TrimEnd('.');
    }
}
