using System.Collections.Concurrent;

namespace BioSup.Runtime.Tests.Cuda;

public sealed class CubinCacheTests : IDisposable
{
    private static readonly JitTarget s_target = JitTarget.Parse("sm_80");
    private readonly string _folder = Path.Combine(Path.GetTempPath(), $"biosup-cache-{Guid.NewGuid():N}");
    private readonly ConcurrentQueue<string> _warnings = new();

    public void Dispose()
    {
        if (Directory.Exists(_folder)) Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void What_is_published_is_found_by_its_key_alone()
    {
        CubinCache cache = Open();
        Assert.Null(cache.TryLoad(JitKeyTests.Key()));
        Publish(cache, JitKeyTests.Key(), Image(1));
        Assert.Equal(Image(1), Open().TryLoad(JitKeyTests.Key()));
        Assert.Null(Open().TryLoad(JitKeyTests.Key(defines: "BS_TILE=64")));
        CubinEntry entry = Assert.Single(cache.List());
        Assert.Equal("sm_80", entry.Manifest!.Target);
        Assert.Equal("cuda/kernels/add/add.cu", entry.Manifest.Request.ToString());
        Assert.Empty(_warnings);
    }

    [Fact]
    public void Eight_writers_at_once_leave_one_entry_and_nothing_half_written()
    {
        JitKey[] keys = [.. Enumerable.Range(0, 5).Select(i => JitKeyTests.Key(defines: $"BS_TILE={i + 1}"))];
        using Barrier start = new(9);
        ConcurrentQueue<string> wrong = new();
        Thread[] writers = [.. Enumerable.Range(0, 8).Select(writer => new Thread(() =>
        {
            CubinCache mine = Open();
            foreach (JitKey key in keys)
            {
                start.SignalAndWait();
                // Ranks compile the same thing, but not to the same bytes: each must read a whole image of one of them.
                Publish(mine, key, Image(writer));
                if (mine.TryLoad(key) is not { } image || image.Distinct().Count() != 1) wrong.Enqueue($"writer {writer}, {key.FolderName}");
            }
        }))];
        foreach (Thread writer in writers) writer.Start();
        CubinCache reader = Open();
        foreach (JitKey key in keys)
        {
            start.SignalAndWait();
            for (int i = 0; i < 200; i++)
                if (reader.TryLoad(key) is { } image && image.Distinct().Count() != 1) wrong.Enqueue("the reader saw a mixture");
        }
        foreach (Thread writer in writers) writer.Join();
        Assert.Empty(wrong);
        Assert.Empty(_warnings);
        Assert.Equal(keys.Length, reader.List().Count);
        Assert.Empty(Directory.EnumerateFileSystemEntries(Path.Combine(_folder, "tmp")));
    }

    [Theory]
    [InlineData("kernel.cubin", "flip")]
    [InlineData("kernel.cubin", "cut")]
    [InlineData("kernel.cubin", "delete")]
    [InlineData("manifest.json", "flip")]
    [InlineData("manifest.json", "cut")]
    [InlineData("manifest.json", "delete")]
    public void A_damaged_entry_is_a_miss_with_one_warning_and_is_replaced(string file, string damage)
    {
        CubinCache cache = Open();
        JitKey key = JitKeyTests.Key();
        Publish(cache, key, Image(1));
        Damage(Path.Combine(_folder, key.FolderName, file), damage);
        Assert.Null(cache.TryLoad(key));
        Assert.Null(cache.TryLoad(key));
        Assert.Contains(key.FolderName, Assert.Single(_warnings));
        Publish(cache, key, Image(2));
        Assert.Equal(Image(2), cache.TryLoad(key));
        Assert.Single(cache.List());
    }

    [Fact]
    public void Without_a_compiler_the_newest_result_of_any_compiler_serves_for_the_same_source_and_options()
    {
        CubinCache cache = Open();
        Publish(cache, JitKeyTests.Key(compiler: "NVRTC 12.4 a"), Image(1));
        Publish(cache, JitKeyTests.Key(compiler: "NVRTC 12.8 b"), Image(2));
        Publish(cache, JitKeyTests.Key(target: "sm_90a"), Image(3));
        JitRequest request = new("cuda/kernels/add/add.cu");
        KernelSource source = new(request.Source, "a", []);
        IReadOnlyList<string> options = JitCompiler.Options(request, s_target);
        Assert.Equal(Image(2), cache.TryLoadOfAnyCompiler(request, source, options)!.Value.Image);
        Assert.Null(cache.TryLoadOfAnyCompiler(request, new KernelSource(request.Source, "changed", []), options));
        Assert.Null(cache.TryLoadOfAnyCompiler(request with { Defines = "BS_TILE=64" }, source, JitCompiler.Options(request with { Defines = "BS_TILE=64" }, s_target)));
    }

    [Fact]
    public void An_entry_under_another_key_s_name_is_not_used()
    {
        CubinCache cache = Open();
        Publish(cache, JitKeyTests.Key(), Image(1));
        JitKey other = JitKeyTests.Key(defines: "BS_TILE=64");
        Directory.Move(Path.Combine(_folder, JitKeyTests.Key().FolderName), Path.Combine(_folder, other.FolderName));
        Assert.Null(cache.TryLoad(other));
        Assert.Contains("another kernel", Assert.Single(_warnings));
    }

    [Fact]
    public void A_folder_that_cannot_be_made_costs_one_warning_and_no_error()
    {
        File.WriteAllText(_folder, "a file is in the way");
        try
        {
            CubinCache cache = Open();
            Publish(cache, JitKeyTests.Key(), Image(1));
            Publish(cache, JitKeyTests.Key(defines: "BS_TILE=64"), Image(1));
            Assert.Null(cache.TryLoad(JitKeyTests.Key()));
            Assert.Contains("BIOSUP_CACHE_DIR", Assert.Single(_warnings));
        }
        finally
        {
            File.Delete(_folder);
        }
    }

    [Fact]
    public void Clear_removes_entries_and_left_overs_and_says_how_many()
    {
        CubinCache cache = Open();
        Publish(cache, JitKeyTests.Key(), Image(1));
        Publish(cache, JitKeyTests.Key(defines: "BS_TILE=64"), Image(1));
        cache.Keep(JitKeyTests.Key(), "source");
        Assert.Equal((2, 2L * Image(1).Length), cache.Clear());
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder));
        Assert.Equal((0, 0L), cache.Clear());
    }

    private CubinCache Open() => new(_folder, _warnings.Enqueue);

    private static void Publish(CubinCache cache, JitKey key, byte[] image) => cache.Publish(key, s_target, image, TimeSpan.FromSeconds(1));

    private static byte[] Image(int value)
    {
        byte[] image = new byte[60_000];
        Array.Fill(image, (byte)value);
        return image;
    }

    private static void Damage(string file, string how)
    {
        byte[] bytes = File.ReadAllBytes(file);
        if (how == "delete") File.Delete(file);
        else if (how == "cut") File.WriteAllBytes(file, bytes[..(bytes.Length / 2)]);
        else
        {
            bytes[bytes.Length / 2] ^= 1;
            File.WriteAllBytes(file, bytes);
        }
    }
}
