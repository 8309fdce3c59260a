using BioSup.Runtime;

namespace BioSup.Data.Tests;

public sealed class AtomicFileTests
{
    [Fact]
    public void Old_content_stays_when_writing_fails()
    {
        using TemporaryFolder folder = new();
        AtomicFile.WriteAllText(folder["a.txt"], "old");
        Assert.Throws<InvalidOperationException>(() => AtomicFile.Write(folder["a.txt"], stream =>
        {
            stream.WriteByte(1);
            throw new InvalidOperationException("stop");
        }));
        Assert.Equal("old", File.ReadAllText(folder["a.txt"]));
        Assert.Equal([folder["a.txt"]], Directory.GetFiles(folder.Path));
        AtomicFile.WriteAllText(folder["sub/b.txt"], "new");
        Assert.Equal("new", File.ReadAllText(folder["sub/b.txt"]));
    }

    [Fact]
    public void A_full_disk_is_one_sentence_and_leaves_nothing()
    {
        Assert.SkipUnless(File.Exists("/dev/full"), "this system has no /dev/full");
        using TemporaryFolder folder = new();
        DataException e = Assert.Throws<DataException>(() => AtomicFile.Write(folder["a.bin"], stream =>
        {
            stream.Write(new byte[100]);
            using FileStream full = new("/dev/full", FileMode.Open, FileAccess.Write, FileShare.ReadWrite, 1);
            full.Write(new byte[100]);
            full.Flush(true);
        }));
        Assert.Contains("disk is full", e.Message, StringComparison.Ordinal);
        Assert.Contains("a.bin", e.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(folder.Path));
    }

    [Fact]
    public void Folders_that_cannot_be_written_to_are_named()
    {
        // /proc refuses new files even to the superuser.
        Assert.SkipUnless(Directory.Exists("/proc/self"), "this system has no /proc");
        BiosupException e = Assert.ThrowsAny<BiosupException>(() => AtomicFile.WriteAllText("/proc/self/a.txt", "x"));
        Assert.Contains("/proc/self/a.txt", e.Message, StringComparison.Ordinal);
        using TemporaryFolder folder = new();
        Assert.Throws<UsageException>(() => AtomicFile.WriteAllText(folder.Path, "x"));
        File.WriteAllText(folder["file"], "x");
        Assert.ThrowsAny<BiosupException>(() => AtomicFile.WriteAllText(folder["file/inside.txt"], "x"));
        if (OperatingSystem.IsWindows() || Environment.UserName == "root") return;
        File.SetUnixFileMode(folder.Path, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        Assert.Throws<UsageException>(() => AtomicFile.WriteAllText(folder["a.txt"], "x"));
        File.SetUnixFileMode(folder.Path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }
}
