namespace BioSup.Runtime;

/// <summary>An error meant for the person at the keyboard: one sentence, with the process exit code that goes with it.</summary>
public abstract class BiosupException(string message, int exitCode, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>Process exit code: 2 usage, 3 bad data, 4 device, 5 did not converge.</summary>
    public int ExitCode { get; } = exitCode;
}

/// <summary>The request itself is wrong: an unknown option, a value out of range, a configuration key that does not exist (exit code 2).</summary>
public sealed class UsageException(string message, Exception? inner = null) : BiosupException(message, 2, inner);

/// <summary>
/// The data are wrong: missing, malformed, of the wrong shape, or not finite (exit code 3).
/// The message already names <see cref="Source"/> and <see cref="Location"/>; the properties are for programs.
/// </summary>
public sealed class DataException : BiosupException
{
    public DataException(string source, string? location, string problem, Exception? inner = null)
        : base(location is null ? $"{source}: {problem}" : $"{source} ({location}): {problem}", 3, inner)
    {
        Source = source;
        Location = location;
    }

    /// <summary>The file or matrix, as the user named it.</summary>
    public new string Source { get; }

    /// <summary>Byte offset, key, row or column inside the source; null when the source as a whole is meant.</summary>
    public string? Location { get; }
}

/// <summary>The device cannot do what was asked: none present, too old, out of memory (exit code 4).</summary>
public class DeviceException(string message, Exception? inner = null) : BiosupException(message, 4, inner);

/// <summary>An iteration stopped without reaching its tolerance and the caller asked for that to be an error (exit code 5).</summary>
public sealed class ConvergenceException(string message, Exception? inner = null) : BiosupException(message, 5, inner);
