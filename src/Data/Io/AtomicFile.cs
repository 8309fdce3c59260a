using System.Text;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>
/// Writes a file so that a reader sees the old content or the new, never a part: the bytes go to a temporary name in the same folder,
/// are forced to the disk, and the name is changed last. On any failure the temporary file is removed and the old content stays.
/// </summary>
public static class AtomicFile
{
    private const int NoSpaceLeft = 28, ReadOnlyFileSystem = 30, QuotaExceeded = 122;
    private static readonly UTF8Encoding s_utf8 = new(encoderShouldEmitUTF8Identifier: false);
    private static int s_counter;

    /// <summary>Writes <paramref name="path"/>; missing folders are made.</summary>
    /// <param name="path">The file to make or replace.</param>
    /// <param name="write">Receives a seekable stream positioned at zero.</param>
    /// <exception cref="UsageException">The folder cannot be written to.</exception>
    /// <exception cref="DataException">The disk is full or failed.</exception>
    public static void Write(string path, Action<Stream> write)
    {
        if (string.IsNullOrWhiteSpace(path)) throw new UsageException("The name of the file to write is empty.");
        string full = Path.GetFullPath(path);
        if (Directory.Exists(full)) throw new UsageException($"Cannot write {path}: it is a folder.");
        string folder = Path.GetDirectoryName(full) ?? "/";
        string temporary = Path.Combine(folder, $".{Shorten(Path.GetFileName(full))}.{Environment.ProcessId}-{Interlocked.Increment(ref s_counter)}.tmp");
        bool done = false;
        try
        {
            using (FileStream stream = CreateTemporary(path, folder, temporary))
            {
                write(stream);
                stream.Flush(flushToDisk: true);
            }
            File.Move(temporary, full, overwrite: true);
            done = true;
        }
        catch (Exception e) when (IsWriteFailure(e))
        {
            throw Translate(path, e);
        }
        finally
        {
            if (!done) TryDelete(temporary);
        }
    }

    /// <summary>Writes text as UTF-8 without a byte-order mark.</summary>
    public static void WriteAllText(string path, string text) => Write(path, stream => stream.Write(s_utf8.GetBytes(text)));

    /// <summary>Runs something that writes at <paramref name="path"/> and makes its failure one sentence.</summary>
    internal static void Guard(string path, Action write)
    {
        try
        {
            write();
        }
        catch (Exception e) when (IsWriteFailure(e))
        {
            throw Translate(path, e);
        }
    }

    /// <summary>Whether a write failed at the system's hands. A file beyond the process's limit (EFBIG) comes as an argument out of range.</summary>
    internal static bool IsWriteFailure(Exception e) =>
        e is IOException or UnauthorizedAccessException or ArgumentOutOfRangeException { ParamName: "value", ActualValue: null, Source: "System.Private.CoreLib" };

    internal static BiosupException Translate(string path, Exception e) => (e.HResult & 0xFFFF) switch
    {
        _ when e is UnauthorizedAccessException => new UsageException($"Cannot write {path}: no permission to write in this folder.", e),
        NoSpaceLeft => new DataException(path, null, "the disk is full; nothing was changed", e),
        _ when e is ArgumentOutOfRangeException => new DataException(path, null, "the file is larger than this process (ulimit -f) or this file system allows; nothing was changed", e),
        QuotaExceeded => new DataException(path, null, "the disk quota is used up; nothing was changed", e),
        ReadOnlyFileSystem => new UsageException($"Cannot write {path}: the folder is on a read-only file system.", e),
        _ => new DataException(path, null, $"writing failed: {e.Message}", e),
    };

    /// <summary>Where not even the empty file can be made, the name the user gave is at fault.</summary>
    private static FileStream CreateTemporary(string path, string folder, string temporary)
    {
        try
        {
            Directory.CreateDirectory(folder);
            return new FileStream(temporary, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.Read, 1 << 16);
        }
        catch (IOException e) when ((e.HResult & 0xFFFF) is not (NoSpaceLeft or QuotaExceeded or ReadOnlyFileSystem))
        {
            throw new UsageException($"Cannot write {path}: the folder {folder} {(File.Exists(folder) ? "is a file" : "cannot be made or written to")}.", e);
        }
    }

    // File names may be 255 bytes long; the temporary one must not be longer.
    private static string Shorten(string name) => name.Length <= 60 ? name : name[..60];

    private static void TryDelete(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The first error is the one to report.
        }
    }
}
