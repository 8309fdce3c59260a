using System.Runtime.InteropServices;

namespace BioSup.Runtime.Loading;

/// <summary>What the search for libraries sees of the machine: variables, folders and the system's loader. Tests put their own in its place.</summary>
internal sealed class LoaderSurroundings
{
    /// <summary>Prefix of the absolute folders that are searched.</summary>
    public string Root { get; init; } = "/";

    public Func<string, string?> Variable { get; init; } = Environment.GetEnvironmentVariable;

    /// <summary>Opens a library by file or by bare name: its handle, or 0 and the reason.</summary>
    public Func<string, (nint Handle, string Reason)> Open { get; init; } = OpenNative;

    /// <summary>Folders under <paramref name="parent"/> that match a pattern, the newest version first.</summary>
    public IEnumerable<string> Folders(string parent, string pattern)
    {
        if (!Directory.Exists(parent)) return [];
        try
        {
            return [.. Directory.EnumerateDirectories(parent, pattern).OrderByDescending(Version).ThenBy(f => f, StringComparer.Ordinal)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <summary>The number behind the last dash: 12.4 of "cuda-12.4".</summary>
    private static Version Version(string folder) =>
        System.Version.TryParse(Path.GetFileName(folder).Split('-')[^1], out Version? version) ? version : new Version(0, 0);

    private static (nint, string) OpenNative(string name)
    {
        // A machine without a GPU is the ordinary case: it is not told by an exception, which would cost every command a tenth of a second.
        if (NativeLibrary.TryLoad(name, out nint handle)) return (handle, "");
        if (!name.Contains('/')) return (0, "not known to the system's loader");
        try
        {
            return (NativeLibrary.Load(name), "");
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
        {
            // The runtime lists its own guesses below the first line; the system loader's reason is on the line that names the file.
            string line = e.Message.Split('\n').FirstOrDefault(l => l.Contains(name, StringComparison.Ordinal) && l.Contains(':')) ?? e.Message.Split('\n')[0];
            return (0, line.Trim());
        }
    }
}
