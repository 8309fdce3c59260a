using System.Text.Json.Nodes;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Sae;

/// <summary>`biosup sae export` and `biosup sae import` together with encode, and what they refuse.</summary>
public sealed class SaeExchangeCommandTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-exchange-").FullName;

    public SaeExchangeCommandTests()
    {
        using CpuDevice device = new(1);
        CounterRandom random = new(11);
        using (TokenShardWriter writer = new(At("tokens"), 8, rowsPerShard: 7))
        {
            foreach ((string id, int tokens) in new[] { ("a/1", 4), ("µ/2", 9), ("third", 2) })
            {
                using Matrix<float> image = device.AllocateMatrix<float>(tokens, 8);
                foreach (ref float v in image.Buffer.View.Host) v = (float)(0.35 * random.NextNormal());
                writer.AppendImage(id, image.View);
            }
            writer.Complete();
        }
        File.WriteAllText(At("sae.json"), """{ "d_sae": 12, "batch": 10, "log_every": 1, "sparsity_coeff": 0.01 }""");
        Run(0, "train", "--tokens", At("tokens"), "--config", At("sae.json"), "--steps", "20", "--out", At("model"));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("jumprelu", "j.safetensors")]
    [InlineData("sae-lens", "lens")]
    [InlineData("dictionary-learning", "dl")]
    [InlineData("reference", "r.safetensors")]
    [InlineData("reference", "r.pt")]
    public void An_export_comes_back_as_a_model_that_encodes_the_same(string format, string file)
    {
        Run(0, "export", "--model", At("model"), "--format", format, "--out", At(file));
        JsonNode result = JsonNode.Parse(Run(0, "import", "--from", At(file), "--format", format, "--out", At("back"), "--json"))!;
        Assert.Equal((8, 12), ((int)result["d_in"]!, (int)result["d_sae"]!));
        Assert.Equal(["config.json", "manifest.json", "model.safetensors"], Directory.GetFiles(At("back")).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        float[] expected = Encode("model"), actual = Encode("back");
        Assert.Contains(expected, v => v > 0);
        Assert.Equal(expected.Length, actual.Length);
        Assert.All(expected.Zip(actual), pair => Assert.Equal(pair.First, pair.Second, 1e-5));
        Run(0, "eval", "--model", At("back"), "--tokens", At("tokens"));
    }

    [Fact]
    public void The_published_cache_holds_pooled_latents_classes_and_names()
    {
        File.WriteAllText(At("y.csv"), "class,line\nGBA,L7\nControl,L1\nGBA,L7\n");
        string file = At("cache.npz");
        Run(0, "export", "--model", At("model"), "--format", "reference", "--tokens", At("tokens"), "--labels", At("y.csv:class"), "--lines", At("y.csv:line"), "--layer", "stage5_out", "--out", file);
        using NpzFile cache = NpzFile.Open(file);
        Assert.Equal(["X_all", "y", "lines", "uids", "usage_ema", "which_layer"], cache.Members);
        Run(0, "encode", "--model", At("model"), "--tokens", At("tokens"), "--pool", "mean", "--out", At("mean.npz"));
        Assert.Equal(NpzFile.Read(At("mean.npz"), "X").As<float>(), cache.Read("X_all").As<float>());
        Assert.Equal([2L, 0, 2], cache.Read("y").As<long>());
        Assert.Equal(["L7", "L1", "L7"], cache.Read("lines").As<string>());
        Assert.Equal(["a/1", "µ/2", "third"], cache.Read("uids").As<string>());
        Assert.Equal([12], cache.Read("usage_ema").Shape);
        Assert.Empty(cache.Read("which_layer").Shape);
        Assert.Equal("stage5_out", cache.Read("which_layer").As<string>()[0]);
        File.WriteAllText(At("y.csv"), "class\nzebra\nbee\nzebra\n");
        Run(0, "export", "--model", At("model"), "--format", "reference", "--tokens", At("tokens"), "--labels", At("y.csv:class"), "--out", file + "2.npz");
        Assert.Equal([1L, 0, 1], NpzFile.Read(file + "2.npz", "y").As<long>());
    }

    [Fact]
    public void Wrong_requests_are_one_sentence()
    {
        Run(2, "export", "--model", At("model"), "--format", "onnx", "--out", At("x"));
        Run(2, "export", "--model", At("model"), "--format", "sparsify", "--out", At("x"));
        Run(2, "export", "--model", At("model"), "--format", "reference", "--out", At("x.npz"));
        Run(2, "export", "--model", At("model"), "--format", "sae-lens", "--tokens", At("tokens"), "--out", At("x"));
        File.WriteAllText(At("y.csv"), "class\nGBA\n");
        Run(3, "export", "--model", At("model"), "--format", "reference", "--tokens", At("tokens"), "--labels", At("y.csv:class"), "--out", At("x.npz"));
        Run(3, "import", "--from", At("nowhere"), "--format", "sae-lens", "--out", At("back"));
        Run(3, "import", "--from", At("tokens"), "--format", "sae-lens", "--out", At("back"));
        Run(3, "import", "--from", At("sae.json"), "--format", "reference", "--out", At("back"));
        Assert.False(Directory.Exists(At("back")));
    }

    private string At(string name) => Path.Combine(_folder, name);

    private float[] Encode(string model)
    {
        Run(0, "encode", "--model", At(model), "--tokens", At("tokens"), "--pool", "none", "--out", At("latents.npz"));
        return NpzFile.Read(At("latents.npz"), "X").As<float>();
    }

    private static string Run(int expected, params string[] args)
    {
        (int code, string output, string error) = CommandFrameTests.Invoke(["sae", .. args, .. args[0] == "train" ? new[] { "--threads", "1", "--quiet" } : ["--quiet"]]);
        Assert.True(code == expected, $"sae {string.Join(' ', args)}: {code}\n{error}");
        if (expected != 0) Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        return output;
    }
}
