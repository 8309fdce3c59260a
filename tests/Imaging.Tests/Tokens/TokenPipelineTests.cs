using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Imaging.Tests;

public sealed class TokenPipelineTests
{
    private static readonly DictionaryOptions s_small = new() { Atoms = 6, Window = 6, Stride = 3, Cell = 16, Samples = 2000, Iterations = 8 };

    private static ImageSet Discs(TemporaryFolder folder)
    {
        for (int i = 0; i < 3; i++) TiffWriter.Write(folder.File($"images/field{i}.tif"), TestImages.Discs($"{i}", 2, 96, 128, (ulong)i), new TiffOptions(Layout: TiffLayout.Pages));
        return ImageSet.Find([folder.File("images")]);
    }

    [Theory]
    [InlineData("pplcnetv3_det_backbone.onnx", "instance", 384)]
    [InlineData("mobilenetv3_cls_backbone.onnx", "symmetric", 200)]
    public void Real_cell_painting_images_become_finite_unit_tokens(string model, string scaling, int channels)
    {
        string? cells = SharedData.Find("nf1_schwann", out string reason), models = cells is null ? null : SharedData.Find("encoder_onnx", out reason);
        Assert.SkipWhen(models is null, reason);
        using TemporaryFolder folder = new();
        using CpuDevice device = new(2);
        using OnnxEncoder encoder = new(device, Path.Combine(models!, model));
        ImageSet images = ImageSet.Find([Path.Combine(cells!, "images")], new ChannelNaming(["DAPI", "GFP", "RFP"], "{well}_01_{*}_{site}_{channel}_001"));
        Assert.Equal(["B7_3", "D6_2", "D7_1", "F7_2", "H12_1"], images.Fields.Select(field => field.Name));
        TokenOptions options = new() { Filter = PatchFilter.Paper, Scaling = InputScaling.Parse(scaling) };
        TokenSummary summary = TokenPipeline.Run(device, images, encoder, options, folder.Path, SilentProgress.Instance, default);
        Assert.Equal(channels, summary.FeatureMap.Channels);
        Assert.Equal(315, summary.Patches.Values.Sum());
        Assert.InRange(summary.Patches[PatchVerdict.Kept], 30, 314);
        int kept = summary.Patches[PatchVerdict.Kept];
        using TokenShards shards = TokenShards.Open(folder.Path);
        Assert.Equal((summary.Tokens, channels), (shards.Rows, shards.Columns));
        Assert.Equal((long)kept * summary.FeatureMap.Tokens, shards.Rows);
        Assert.Equal(kept, shards.ImageIds.Count);
        using Matrix<float> tokens = shards.ReadAll(device);
        for (int i = 0; i < tokens.Rows; i++) Assert.Equal(1, Math.Sqrt(tokens.Row(i).ToArray().Sum(v => (double)v * v)), 1e-5);
        Assert.Equal([kept, channels], NpyFile.ReadHeader(folder.File("gap.npy")).Shape);
        Assert.Equal([shards.Rows], NpyFile.ReadHeader(folder.File("l2.npy")).Shape);
        Table table = CsvFile.Read(folder.File("images.csv"));
        Assert.Equal(shards.ImageIds, table["patch"].Text);
        Assert.All(table["background"].Numbers, value => Assert.InRange(value, 0, 0.65));
    }

    [Fact]
    public void Channel_means_of_real_patches_are_those_of_the_published_table()
    {
        string? cells = SharedData.Find("nf1_schwann", out string reason);
        Assert.SkipWhen(cells is null, reason);
        ImageSet images = ImageSet.Find([Path.Combine(cells!, "images")], new ChannelNaming(["DAPI", "GFP", "RFP"], "{well}_01_{*}_{site}_{channel}_001"));
        Table table = CsvFile.Read(Path.Combine(cells!, "patches_128_stride64.csv"));
        ImageStack image = images.Fields[1].Read();
        Assert.Equal((3, 904, 1224, 65535.0), (image.Channels, image.Height, image.Width, image.FullScale));
        IReadOnlyList<(int X, int Y)> corners = new PatchGrid(128, 64).Corners(image);
        int[] rows = [.. Enumerable.Range(0, table.Rows).Where(i => table["field"].Text[i] == "D6_2")];
        Assert.Equal(corners, rows.Select(i => ((int)table["x"].Numbers[i], (int)table["y"].Numbers[i])));
        for (int patch = 0; patch < rows.Length; patch += 17)
            foreach ((string name, int channel) in (ReadOnlySpan<(string, int)>)[("mean_DAPI", 0), ("mean_GFP", 1), ("mean_RFP", 2)])
            {
                double sum = 0;
                for (int y = 0; y < 128; y++) foreach (float v in image.Channel(channel).Slice((corners[patch].Y + y) * 1224 + corners[patch].X, 128)) sum += v;
                Assert.Equal(table[name].Numbers[rows[patch]], sum / (128 * 128), 0.00501);
            }
    }

    [Fact]
    public void Folders_are_the_same_bytes_on_any_number_of_threads()
    {
        using TemporaryFolder folder = new();
        ImageSet images = Discs(folder);
        string[] listings = [.. new[] { 1, 2, 5 }.Select(threads =>
        {
            using CpuDevice device = new(threads);
            PatchPlan plan = PatchPlan.Survey(device, images, new PatchGrid(48, 24), PatchFilter.None, SilentProgress.Instance, default);
            using ConvolutionalDictionary dictionary = ConvolutionalDictionary.Learn(device, plan, InputScaling.PerPatch, 48, s_small, SilentProgress.Instance, default);
            string target = folder.File($"threads{threads}");
            new TokenPipeline(device, plan, dictionary, new TokenOptions { PatchSize = 48, Stride = 24 }).Write(target, SilentProgress.Instance, default);
            DictionaryFile.Save(Path.Combine(target, "dictionary.safetensors"), dictionary);
            return string.Join('\n', Directory.GetFiles(target).Order(StringComparer.Ordinal)
                .Select(file => Path.GetFileName(file) + " " + Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(file)))));
        })];
        Assert.Contains("centre.npy", listings[0]);
        Assert.All(listings, listing => Assert.Equal(listings[0], listing));
    }

    [Fact]
    public void Tokens_do_not_depend_on_the_batch_with_fixed_or_image_centring_and_do_with_the_papers()
    {
        using TemporaryFolder folder = new();
        using CpuDevice device = new(2);
        ImageSet images = Discs(folder);
        PatchPlan plan = PatchPlan.Survey(device, images, new PatchGrid(32, 32), PatchFilter.None, SilentProgress.Instance, default);
        using ConvolutionalDictionary dictionary = ConvolutionalDictionary.Learn(device, plan, InputScaling.PerPatch, 32, s_small, SilentProgress.Instance, default);
        foreach (TokenCentring centring in Enum.GetValues<TokenCentring>())
        {
            float[][] tokens = [.. new[] { 5, 64 }.Select(batch =>
            {
                string target = folder.File($"{centring}{batch}");
                new TokenPipeline(device, plan, dictionary, new TokenOptions { PatchSize = 32, Batch = batch, Centring = centring }).Write(target, SilentProgress.Instance, default);
                using TokenShards shards = TokenShards.Open(target);
                using Matrix<float> all = shards.ReadAll(device);
                return all.Buffer.View.Host[..(all.Rows * all.Columns)].ToArray();
            })];
            Assert.Equal(centring != TokenCentring.Batch, tokens[0].AsSpan().SequenceEqual(tokens[1]));
        }
    }

    [Fact]
    public void A_saved_dictionary_encodes_as_the_learnt_one_and_damage_is_named()
    {
        using TemporaryFolder folder = new();
        using CpuDevice device = new(2);
        PatchPlan plan = PatchPlan.Survey(device, Discs(folder), new PatchGrid(32, 32), PatchFilter.None, SilentProgress.Instance, default);
        using ConvolutionalDictionary learnt = ConvolutionalDictionary.Learn(device, plan, InputScaling.PerPatch, 32, s_small, SilentProgress.Instance, default);
        string path = folder.File("d.safetensors");
        DictionaryFile.Save(path, learnt);
        using ConvolutionalDictionary loaded = DictionaryFile.Load(device, path);
        foreach ((ConvolutionalDictionary dictionary, string target) in new[] { (learnt, "a"), (loaded, "b") })
            new TokenPipeline(device, plan, dictionary, new TokenOptions { PatchSize = 32 }).Write(folder.File(target), SilentProgress.Instance, default);
        Assert.Equal(File.ReadAllBytes(folder.File("a/gap.npy")), File.ReadAllBytes(folder.File("b/gap.npy")));
        SafetensorsFile.Write(path, writer => writer.Add("centroids", new float[4], 2, 2));
        Assert.Contains("not a convolutional dictionary", Assert.Throws<DataException>(() => DictionaryFile.Load(device, path)).Message);
    }

    [Fact]
    public void Fields_in_memory_give_the_tokens_of_the_same_fields_on_disk()
    {
        using TemporaryFolder folder = new();
        using CpuDevice device = new(2);
        ImageSet onDisk = Discs(folder), inMemory = ImageSet.From(Enumerable.Range(0, 3).Select(i => ($"field{i}", (Func<ImageStack>)(() => TestImages.Discs($"field{i}", 2, 96, 128, (ulong)i)))));
        foreach ((ImageSet images, string target) in new[] { (onDisk, "a"), (inMemory, "b") })
        {
            PatchPlan plan = PatchPlan.Survey(device, images, new PatchGrid(32, 32), PatchFilter.None, SilentProgress.Instance, default);
            using ConvolutionalDictionary dictionary = ConvolutionalDictionary.Learn(device, plan, InputScaling.PerPatch, 32, s_small, SilentProgress.Instance, default);
            new TokenPipeline(device, plan, dictionary, new TokenOptions { PatchSize = 32, Batch = 5 }).Write(folder.File(target), SilentProgress.Instance, default);
        }
        Assert.Equal(File.ReadAllBytes(folder.File("a/index.json")), File.ReadAllBytes(folder.File("b/index.json")));
        Assert.Equal(File.ReadAllBytes(folder.File("a/gap.npy")), File.ReadAllBytes(folder.File("b/gap.npy")));
    }

    [Fact]
    public void A_cancelled_run_leaves_nothing_half_written()
    {
        using TemporaryFolder folder = new();
        using CpuDevice device = new(1);
        PatchPlan plan = PatchPlan.Survey(device, Discs(folder), new PatchGrid(32, 32), PatchFilter.None, SilentProgress.Instance, default);
        using ConvolutionalDictionary dictionary = ConvolutionalDictionary.Learn(device, plan, InputScaling.PerPatch, 32, s_small, SilentProgress.Instance, default);
        using CancellationTokenSource source = new();
        string target = folder.File("out");
        TokenOptions options = new() { PatchSize = 32, Batch = 4, Centring = TokenCentring.Image };
        Assert.ThrowsAny<OperationCanceledException>(() => new TokenPipeline(device, plan, dictionary, options).Write(target, new StopAfter(source, 2), source.Token));
        Assert.Empty(Directory.GetFiles(target));
    }

    [Fact]
    public void Images_that_do_not_fit_the_encoder_are_refused_with_both_numbers()
    {
        using TemporaryFolder folder = new();
        using CpuDevice device = new(1);
        PatchPlan plan = PatchPlan.Survey(device, Discs(folder), new PatchGrid(32, 32), PatchFilter.None, SilentProgress.Instance, default);
        using ConvolutionalDictionary dictionary = ConvolutionalDictionary.Learn(device, plan, InputScaling.PerPatch, 32, s_small, SilentProgress.Instance, default);
        TiffWriter.Write(folder.File("other/three.tif"), TestImages.Noise(3, 32, 32, 65535));
        PatchPlan three = PatchPlan.Survey(device, ImageSet.Find([folder.File("other")]), new PatchGrid(32, 32), PatchFilter.None, SilentProgress.Instance, default);
        string message = Assert.Throws<DataException>(() => new TokenPipeline(device, three, dictionary, new TokenOptions { PatchSize = 32 })).Message;
        Assert.Contains("3 channels, the encoder takes 2", message);
        Assert.Throws<UsageException>(() => new TokenPipeline(device, plan, dictionary, new TokenOptions { PatchSize = 32, Centre = [1, 2] }));
    }

    private sealed class StopAfter(CancellationTokenSource source, int reports) : IProgressReporter
    {
        private int _seen;

        public void Report(string stage, long done, long total, string? detail = null)
        {
            if (++_seen == reports) source.Cancel();
        }
    }
}
