using System.Text.Json.Nodes;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;
using BioSup.Imaging;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Sae;

/// <summary>`biosup sae train` on tokens of every kind: streamed, held, and made of images on the way.</summary>
public sealed class SaeTrainInputTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-input-").FullName;

    public SaeTrainInputTests()
    {
        CounterRandom random = new(1);
        for (int image = 0; image < 3; image++)
        {
            float[] pixels = new float[64 * 96];
            for (int i = 0; i < pixels.Length; i++) pixels[i] = random.NextInt32(3000) + (i / 96 / 8 + i % 96 / 8 + image) % 3 * 9000;
            TiffWriter.Write(At($"images/{image}.tif"), new ImageStack($"{image}", 1, 64, 96, pixels, 65535));
        }
        File.WriteAllText(At("sae.json"), """{ "d_sae": 24, "batch": 16, "log_every": 5, "checkpoint_every": 0 }""");
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string At(string name) => Path.Combine(_folder, name);

    private (int Code, string Output, string Error) Train(string tokens, string output, params string[] more) =>
        CommandFrameTests.Invoke(["sae", "train", "--tokens", tokens, "--config", At("sae.json"), "--out", At(output), .. more]);

    private byte[] Model(string output) => File.ReadAllBytes(At(output + "/model.safetensors"));

    private void WriteTokens(string folder, ElementType type)
    {
        using CpuDevice device = new(1);
        using Matrix<float> tokens = device.AllocateMatrix<float>(200, 12);
        CounterRandom random = new(2);
        foreach (ref float v in tokens.Buffer.View.Host) v = (float)(0.3 * random.NextNormal());
        using TokenShardWriter writer = new(folder, 12, type, 64);
        writer.AppendImage("a", tokens.View.RowBlock(0, 120));
        writer.AppendImage("b", tokens.View.RowBlock(120, 80));
        writer.Complete();
    }

    [Fact]
    public void Where_tokens_are_held_changes_no_byte_and_is_said()
    {
        WriteTokens(At("tokens"), ElementType.BFloat16);
        (int code, _, string error) = Train(At("tokens"), "auto", "--steps", "40");
        Assert.Equal(0, code);
        Assert.Contains("tokens are held in memory: 200 x 12", error, StringComparison.Ordinal);
        (code, _, error) = Train(At("tokens"), "none", "--steps", "40", "--token-cache", "none");
        Assert.Equal(0, code);
        Assert.Contains("tokens are streamed from disk: 200 x 12", error, StringComparison.Ordinal);
        Assert.Contains("shuffled in windows of 200 tokens", error, StringComparison.Ordinal);
        Assert.Contains("others of its image", error, StringComparison.Ordinal);
        Assert.Equal(0, Train(At("tokens"), "ram", "--steps", "40", "--token-cache", "ram", "--threads", "1").Code);
        Assert.Equal(Model("auto"), Model("none"));
        Assert.Equal(Model("auto"), Model("ram"));
    }

    [Fact]
    public void Images_train_as_they_are_encoded_and_from_their_cache_to_the_same_bytes()
    {
        Assert.Equal(0, CommandFrameTests.Invoke(["tokens", "--images", At("images"), "--encoder", "dictionary", "--atoms", "6", "--window", "6", "--patch", "32", "--out", At("learnt"), "--quiet"]).Code);
        string[] encoder = ["--encoder", At("learnt/dictionary.safetensors"), "--patch", "32", "--steps", "30"];
        (int code, _, string error) = Train(At("images"), "plain", encoder);
        Assert.Equal("", string.Concat(error.Split('\n').Where(line => line.Contains("error", StringComparison.Ordinal))));
        Assert.Equal(0, code);
        Assert.Contains("18 patches of 4 tokens, 72 x 6, nothing is kept", error, StringComparison.Ordinal);
        // Part of an epoch fills part of the cache; the next run completes it.
        Assert.Equal(0, Train(At("images"), "filling", [.. encoder, "--cache", At("cache"), "--threads", "2"]).Code);
        Assert.True(File.Exists(At("cache/index.json")));
        (_, _, error) = Train(At("images"), "filled", [.. encoder, "--cache", At("cache"), "--threads", "1"]);
        Assert.Contains("18 patches are in", error, StringComparison.Ordinal);
        File.WriteAllLines(At("list.txt"), ["images/0.tif", "images/1.tif", "images/2.tif"]);
        Assert.Equal(0, Train(At("list.txt"), "listed", encoder).Code);
        foreach (string other in new[] { "filling", "filled", "listed" }) Assert.Equal(Model("plain"), Model(other));
        // The cache is a token folder like any other.
        Assert.Equal(0, Train(At("cache"), "shards", "--steps", "30").Code);
        JsonNode manifest = JsonNode.Parse(File.ReadAllText(At("filled/manifest.json")))!;
        Assert.Contains("dictionary.safetensors", manifest.ToJsonString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(2, "expected auto, none, ram or device", "--token-cache", "disk")]
    [InlineData(2, "--cache goes with --encoder", "--cache", "somewhere")]
    [InlineData(2, "--patch goes with --encoder", "--patch", "64")]
    [InlineData(3, "does not exist", "--encoder", "no-such.onnx")]
    [InlineData(3, "no image file", "--encoder", "no-such.onnx", "images-instead")]
    [InlineData(2, "expected float32, float16 or bfloat16", "--encoder", "x.onnx", "--cache-dtype", "int8")]
    public void Bad_requests_are_one_sentence(int exitCode, string message, params string[] options)
    {
        WriteTokens(At("tokens"), ElementType.Float32);
        bool empty = options[^1] == "images-instead";
        string tokens = empty ? At("tokens") : options.Contains("--encoder") ? At("images") : At("tokens");
        (int code, _, string error) = Train(tokens, "wrong", [.. empty ? options[..^1] : options, "--quiet"]);
        Assert.Equal(exitCode, code);
        Assert.Contains(message, error, StringComparison.Ordinal);
        Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.False(Directory.Exists(At("wrong")));
    }
}
