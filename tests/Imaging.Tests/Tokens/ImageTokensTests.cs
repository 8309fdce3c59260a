using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Imaging.Tests;

public sealed class ImageTokensTests : IDisposable
{
    private static readonly DictionaryOptions s_small = new() { Atoms = 6, Window = 6, Stride = 3, Cell = 16, Samples = 2000, Iterations = 8 };
    private readonly TemporaryFolder _folder = new();
    private readonly CpuDevice _device = new(2);
    private readonly ImageSet _images;
    private readonly PatchPlan _plan;
    private readonly ConvolutionalDictionary _encoder;
    private readonly TokenOptions _options = new() { PatchSize = 32 };

    public ImageTokensTests()
    {
        for (int i = 0; i < 3; i++) TiffWriter.Write(_folder.File($"images/field{i}.tif"), TestImages.Discs($"{i}", 2, 96, 128, (ulong)i), new TiffOptions(Layout: TiffLayout.Pages));
        _images = ImageSet.Find([_folder.File("images")]);
        _plan = PatchPlan.Survey(_device, _images, new PatchGrid(32, 32), PatchFilter.None, SilentProgress.Instance, default);
        _encoder = ConvolutionalDictionary.Learn(_device, _plan, InputScaling.PerPatch, 32, s_small, SilentProgress.Instance, default);
    }

    public void Dispose()
    {
        _encoder.Dispose();
        _device.Dispose();
        _folder.Dispose();
    }

    private ImageTokens Open(string? cache, TokenOptions? options = null, CpuDevice? device = null, string identity = "a") =>
        new(device ?? _device, _plan, _encoder, identity, options ?? _options, cache, SilentProgress.Instance, default);

    private static float[] Rows(Matrix<float> matrix) => matrix.Buffer.View.Host[..(matrix.Rows * matrix.Columns)].ToArray();

    private float[] Written(TokenOptions? options = null)
    {
        string folder = _folder.File("written");
        new TokenPipeline(_device, _plan, _encoder, options ?? _options).Write(folder, SilentProgress.Instance, default);
        using TokenShards shards = TokenShards.Open(folder);
        using Matrix<float> all = shards.ReadAll(_device);
        return Rows(all);
    }

    private float[] ReadAll(ITokenSource source, int piece)
    {
        using Matrix<float> all = _device.AllocateMatrix<float>((int)source.Rows, source.Columns);
        for (int start = 0; start < all.Rows; start += piece) source.Read(start, all.View.RowBlock(start, Math.Min(piece, all.Rows - start)));
        return Rows(all);
    }

    private float[] Epoch(ITokenSource source, ulong epoch, long from = 0) => Epoch(source, epoch, 5L * ((IBlockTokens)source).BlockRows * source.Columns * sizeof(float), from);

    private float[] Epoch(ITokenSource source, ulong epoch, long windowBytes, long from)
    {
        using ShuffledTokens shuffled = new(source, 3, epoch, windowBytes);
        shuffled.Restart(epoch, from);
        using Matrix<float> all = _device.AllocateMatrix<float>((int)(source.Rows - from), source.Columns);
        Assert.Equal(all.Rows, shuffled.Next(all.View));
        return Rows(all);
    }

    [Fact]
    public void Tokens_read_in_order_are_those_that_would_be_written()
    {
        float[] expected = Written();
        using ImageTokens tokens = Open(null);
        Assert.Equal((36L * 4, 6, 4), (tokens.Rows, tokens.Columns, tokens.BlockRows));
        foreach (int piece in new[] { 144, 3, 5, 17 }) Assert.Equal(expected, ReadAll(tokens, piece));
    }

    [Fact]
    public void The_shuffled_stream_is_the_same_with_and_without_a_cache_whatever_the_threads()
    {
        using ImageTokens plain = Open(null);
        float[] first = Epoch(plain, 0), second = Epoch(plain, 1);
        Assert.NotEqual(first, second);
        int width = plain.Columns;
        Assert.Equal(first[(77 * width)..], Epoch(plain, 0, 77));
        using CpuDevice other = new(5);
        using (ImageTokens threads = Open(null, device: other)) Assert.Equal(first, Epoch(threads, 0));

        string cache = _folder.File("cache");
        using (ImageTokens filling = Open(cache))
        {
            Assert.Equal(first[(100 * width)..], Epoch(filling, 0, 100));
            Assert.InRange(filling.Cache!.Count, 1, 35);
        }
        // Another run goes on with what is there, and the last block makes the folder an ordinary one.
        using (ImageTokens filling = Open(cache))
        {
            Assert.InRange(filling.Cache!.Count, 1, 35);
            Assert.Equal(first, Epoch(filling, 0));
            Assert.True(filling.Cache.IsComplete);
            Assert.Equal(second, Epoch(filling, 1));
        }
        using (ImageTokens full = Open(cache)) Assert.Equal(second, Epoch(full, 1));
        using TokenShards shards = TokenShards.Open(cache);
        shards.Verify(SilentProgress.Instance, default);
        Assert.Equal(_plan.Patches.Select(_plan.IdOf), shards.ImageIds);
        using Matrix<float> all = shards.ReadAll(_device);
        Assert.Equal(Written(), Rows(all));
        Assert.Equal(["cache.json", "centre.npy", "index.json", Path.GetFileName(Directory.GetFiles(cache, "tokens-*")[0])], Directory.GetFiles(cache).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    /// <summary>With a cache a block is a part of a patch: more patches share a window, and the tokens of one are met less often together.</summary>
    [Fact]
    public void With_a_cache_a_window_holds_parts_of_more_patches_whatever_the_threads()
    {
        const int Batch = 12;
        ImageTokens Parts(string cache, CpuDevice device) => new(device, _plan, _encoder, "a", _options, cache, SilentProgress.Instance, default, partBytes: 2 * 6 * sizeof(float));
        float[] expected = Written(), whole, first;
        using (ImageTokens plain = Open(null)) whole = Epoch(plain, 0);
        long memory = 5L * 4 * 6 * sizeof(float);
        using (ImageTokens tokens = Parts(_folder.File("parts"), _device))
        {
            Assert.Equal((2, 36L * 4), (tokens.BlockRows, tokens.Rows));
            first = Epoch(tokens, 0, memory, 0);
            Assert.Equal(first, Epoch(tokens, 0, memory, 0));
            Assert.Equal(first[(50 * 6)..], Epoch(tokens, 0, memory, 50));
            Assert.True(tokens.Cache!.IsComplete);
            Assert.Equal(expected, ReadAll(tokens, 17));
        }
        using CpuDevice other = new(5);
        using (ImageTokens again = Parts(_folder.File("again"), other)) Assert.Equal(first, Epoch(again, 0, memory, 0));
        Assert.Equal(Sorted(expected), Sorted(first));
        Assert.InRange(Company(first, expected, Batch), 0, 0.75 * Company(whole, expected, Batch));

        static IEnumerable<string> Sorted(float[] rows) => rows.Chunk(6).Select(r => string.Join(' ', r)).Order(StringComparer.Ordinal);
    }

    /// <summary>How many others of its own patch a token meets in its batch, on average.</summary>
    private static double Company(float[] order, float[] inFileOrder, int batch)
    {
        Dictionary<string, int> patch = [];
        foreach ((float[] row, int i) in inFileOrder.Chunk(6).Select((row, i) => (row, i))) patch[string.Join(' ', row)] = i / 4;
        int[] met = [.. order.Chunk(6).Select(row => patch[string.Join(' ', row)])];
        return met.Chunk(batch).Sum(b => b.Sum(p => b.Count(other => other == p) - 1.0)) / met.Length;
    }

    [Fact]
    public void A_cache_of_half_the_size_gives_the_rounded_tokens_from_the_first_epoch_on()
    {
        TokenOptions half = _options with { StoredType = ElementType.BFloat16 };
        using ImageTokens plain = Open(null);
        float[] rounded = [.. Epoch(plain, 0).Select(v => (float)(BFloat16)v)];
        using ImageTokens cached = Open(_folder.File("half"), half);
        Assert.Equal(rounded, Epoch(cached, 0));
        Assert.Equal(rounded, Epoch(cached, 0));
    }

    [Fact]
    public void Work_that_was_not_confirmed_is_done_again()
    {
        string cache = _folder.File("cache");
        float[] first;
        using (ImageTokens plain = Open(null)) first = Epoch(plain, 0);
        using (ImageTokens filling = Open(cache)) Epoch(filling, 0, 100);
        // A part that was cut short counts for nothing.
        string part = Directory.GetFiles(cache, "cache-*.npy")[0];
        File.WriteAllBytes(part, File.ReadAllBytes(part)[..^8]);
        using (ImageTokens again = Open(cache))
        {
            Assert.Equal(0, again.Cache!.Count);
            Epoch(again, 0, 100);
        }
        // A list of what is there that has changed counts for nothing either, and says so.
        byte[] done = File.ReadAllBytes(Path.Combine(cache, "cache.done"));
        File.WriteAllBytes(Path.Combine(cache, "cache.done"), [(byte)(done[0] ^ 1), .. done[1..]]);
        Assert.Contains("cache.done", Assert.Throws<DataException>(() => Open(cache)).Message, StringComparison.Ordinal);
        File.Delete(Path.Combine(cache, "cache.done"));
        using ImageTokens last = Open(cache);
        Assert.Equal(first, Epoch(last, 0));
    }

    [Fact]
    public void A_cache_of_something_else_or_in_use_is_refused()
    {
        string cache = _folder.File("cache");
        using (ImageTokens filling = Open(cache))
        {
            Assert.Contains("in use", Assert.Throws<UsageException>(() => Open(cache)).Message, StringComparison.Ordinal);
            Assert.Contains("'encoder' differs", Assert.Throws<UsageException>(() => Open(cache, identity: "b")).Message, StringComparison.Ordinal);
            Assert.Contains("'scaling' differs", Assert.Throws<UsageException>(() => Open(cache, _options with { Scaling = InputScaling.Parse("unit") })).Message, StringComparison.Ordinal);
            Assert.Contains("'dtype' differs", Assert.Throws<UsageException>(() => Open(cache, _options with { StoredType = ElementType.Float16 })).Message, StringComparison.Ordinal);
        }
        File.SetLastWriteTimeUtc(_folder.File("images/field1.tif"), DateTime.UnixEpoch);
        Assert.Contains("'fields' differs", Assert.Throws<UsageException>(() => Open(cache)).Message, StringComparison.Ordinal);
        Written();
        Assert.Contains("not written as a cache", Assert.Throws<UsageException>(() => Open(_folder.File("written"))).Message, StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(cache, "cache.json"), "{");
        Assert.Throws<DataException>(() => Open(cache));
        Assert.Contains("depend on what is encoded beside it", Assert.Throws<UsageException>(() => Open(null, _options with { Centring = TokenCentring.Batch })).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_image_that_vanishes_is_an_error_where_its_tokens_are_needed()
    {
        using ImageTokens tokens = Open(null);
        File.Delete(_folder.File("images/field2.tif"));
        Assert.Contains("field2.tif", Assert.Throws<DataException>(() => Epoch(tokens, 0)).Message, StringComparison.Ordinal);
    }
}
