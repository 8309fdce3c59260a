namespace BioSup.Runtime;

/// <summary>An entry of the cache: its folder, and what it says about itself (null when it cannot be read).</summary>
public sealed record CubinEntry(string Folder, CubinManifest? Manifest)
{
    /// <summary>"kernel.&lt;name&gt;.&lt;hash&gt;".</summary>
    public string Name => Path.GetFileName(Folder);
}

/// <summary>
/// Compiled kernels on disk, shared by any number of processes on any number of nodes of one file system. An entry is a folder that appears
/// complete or not at all: it is written under a temporary name, forced to the disk, and renamed. What is read is held against the hash in
/// its manifest; anything that does not match is a miss. No call here fails: without a usable folder every kernel is compiled again.
/// </summary>
public sealed class CubinCache
{
    private const string ImageFile = "kernel.cubin", ManifestFile = "manifest.json", Temporary = "tmp", Failed = "failed", Pattern = "kernel.*";
    private readonly Action<string> _warn;
    private readonly HashSet<string> _warned = [];

    /// <param name="folder">Where entries are; made when the first one is written. Null: nothing is kept.</param>
    /// <param name="warn">Receives one sentence per thing that is wrong with the folder or an entry.</param>
    public CubinCache(string? folder, Action<string> warn)
    {
        Folder = folder is null ? null : Path.GetFullPath(folder);
        _warn = warn;
    }

    public string? Folder { get; }

    /// <summary>BIOSUP_CACHE_DIR, or biosup/kernels in the user's cache folder; null for a user without a home.</summary>
    public static string? DefaultFolder
    {
        get
        {
            if (BiosupEnvironment.CacheFolder is { Length: > 0 } named) return named;
            if (Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } cache) return Path.Combine(cache, "biosup", "kernels");
            return Environment.GetEnvironmentVariable("HOME") is { Length: > 0 } home ? Path.Combine(home, ".cache", "biosup", "kernels") : null;
        }
    }

    /// <summary>What was compiled for this key, or null.</summary>
    public byte[]? TryLoad(JitKey key)
    {
        if (Folder is null) return null;
        (byte[]? image, string? wrong) = Read(Path.Combine(Folder, key.FolderName), key);
        if (wrong is not null) Warn(key.FolderName, $"the compiled kernel {key.FolderName} in {Folder} is not used: {wrong}; it is compiled again.");
        return image;
    }

    /// <summary>
    /// What any compiler made of the same source with the same options, the newest first: for a node without NVRTC, whose cache was filled elsewhere.
    /// </summary>
    internal (JitKey Key, byte[] Image)? TryLoadOfAnyCompiler(JitRequest request, KernelSource source, IReadOnlyList<string> options)
    {
        foreach (CubinEntry entry in List().Where(e => e.Manifest is not null).OrderByDescending(e => e.Manifest!.Made))
        {
            JitKey key = JitKey.Create(request, source, entry.Manifest!.Ingredient("compiler"), options);
            if (key.FolderName == entry.Name && TryLoad(key) is { } image) return (key, image);
        }
        return null;
    }

    /// <summary>Keeps what was compiled. Where another process was first, its entry stays.</summary>
    public void Publish(JitKey key, JitTarget target, byte[] image, TimeSpan compiled)
    {
        if (Folder is null) return;
        string mine = Path.Combine(Folder, Temporary, Guid.NewGuid().ToString("N"));
        try
        {
            Directory.CreateDirectory(mine);
            DurableFiles.Write(Path.Combine(mine, ImageFile), image);
            DurableFiles.Write(Path.Combine(mine, ManifestFile), CubinManifest.Describe(key, target, image, compiled).ToJson());
            DurableFiles.FlushFolder(mine);
            Rename(mine, Path.Combine(Folder, key.FolderName), key);
            DurableFiles.FlushFolder(Folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Warn(Folder, $"compiled kernels cannot be kept in {Folder}: {e.Message} Set {BiosupEnvironment.CacheFolderName} to a folder that can be written to.");
        }
        finally
        {
            TryDelete(mine);
        }
    }

    /// <summary>Every entry, readable or not, by name.</summary>
    public IReadOnlyList<CubinEntry> List()
    {
        if (Folder is null || !Directory.Exists(Folder)) return [];
        return [.. Directory.EnumerateDirectories(Folder, Pattern).Order(StringComparer.Ordinal).Select(f => new CubinEntry(f, ReadManifest(f)))];
    }

    /// <summary>Removes every entry and whatever was left unfinished: the number of entries and their bytes.</summary>
    public (int Entries, long Bytes) Clear()
    {
        IReadOnlyList<CubinEntry> entries = List();
        long bytes = 0;
        foreach (CubinEntry entry in entries)
        {
            bytes += entry.Manifest?.Bytes ?? 0;
            Directory.Delete(entry.Folder, recursive: true);
        }
        if (Folder is not null)
        {
            TryDelete(Path.Combine(Folder, Temporary));
            TryDelete(Path.Combine(Folder, Failed));
        }
        return (entries.Count, bytes);
    }

    /// <summary>Keeps a source that did not compile: its file, or null where it cannot be written.</summary>
    internal string? Keep(JitKey key, string text)
    {
        if (Folder is null) return null;
        try
        {
            string file = Path.Combine(Directory.CreateDirectory(Path.Combine(Folder, Failed)).FullName, key.FolderName + ".cu");
            File.WriteAllText(file, text);
            return file;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>The image, or null with what is wrong; both null where there is no entry.</summary>
    private static (byte[]? Image, string? Wrong) Read(string folder, JitKey key)
    {
        try
        {
            if (!Directory.Exists(folder)) return (null, null);
            CubinManifest? manifest = CubinManifest.TryParse(File.ReadAllBytes(Path.Combine(folder, ManifestFile)));
            if (manifest is null) return (null, "its manifest is damaged");
            if (!manifest.Ingredients.SequenceEqual(key.Ingredients)) return (null, "its manifest is that of another kernel");
            byte[] image = File.ReadAllBytes(Path.Combine(folder, ImageFile));
            return manifest.Matches(image) ? (image, null) : (null, "its content does not match the hash in its manifest");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Someone may have replaced the entry while it was being read.
            return Directory.Exists(folder) ? (null, e.Message.TrimEnd('.')) : (null, null);
        }
    }

    /// <summary>A rename fails where the name exists: a good entry there wins over ours, a damaged one is moved out of the way.</summary>
    private void Rename(string mine, string final, JitKey key)
    {
        const int attempts = 4;
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                Directory.Move(mine, final);
                return;
            }
            catch (IOException) when (attempt < attempts && Directory.Exists(final))
            {
                if (Read(final, key).Image is not null) return;
                MoveAside(final);
            }
        }
    }

    private void MoveAside(string damaged)
    {
        string aside = Path.Combine(Folder!, Temporary, Guid.NewGuid().ToString("N"));
        try
        {
            Directory.Move(damaged, aside);
        }
        catch (IOException)
        {
            return; // Another process moved it.
        }
        TryDelete(aside);
    }

    private static CubinManifest? ReadManifest(string folder)
    {
        try
        {
            return CubinManifest.TryParse(File.ReadAllBytes(Path.Combine(folder, ManifestFile)));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private void Warn(string subject, string message)
    {
        lock (_warned)
            if (!_warned.Add(subject)) return;
        _warn(message);
    }

    private static void TryDelete(string folder)
    {
        try
        {
            if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Left for `biosup cache clear`.
        }
    }
}
