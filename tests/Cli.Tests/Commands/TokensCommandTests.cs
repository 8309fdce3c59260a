using System.Text.Json.Nodes;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;
using BioSup.Imaging;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Commands;

public sealed class TokensCommandTests : IDisposable
{
    private readonly string _folder = Path.Combine(Path.GetTempPath(), $"biosup-tokens-{Guid.NewGuid():N}");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    public TokensCommandTests()
    {
        CounterRandom random = new(1);
        foreach (string name in (string[])["A1_1_DAPI", "A1_2_GFP", "B2_1_DAPI", "B2_2_GFP"])
        {
            float[] pixels = new float[64 * 96];
            for (int i = 0; i < pixels.Length; i++) pixels[i] = random.NextInt32(3000) + (i / 96 / 8 + i % 96 / 8) % 3 * 9000;
            TiffWriter.Write(Path.Combine(_folder, "images", name + ".tif"), new ImageStack(name, 1, 64, 96, pixels, 65535));
        }
    }

    private string[] Arguments(string output, params string[] more) =>
        ["tokens", "--images", Path.Combine(_folder, "images"), "--channels", "DAPI,GFP", "--encoder", "dictionary", "--atoms", "5", "--window", "6",
            "--patch", "32", "--out", Path.Combine(_folder, output), "--threads", "2", "--json", "--quiet", .. more];

    [Fact]
    public void A_dictionary_is_learnt_saved_and_gives_the_same_tokens_when_read_back()
    {
        (int code, string output, string error) = CommandFrameTests.Invoke(Arguments("a"));
        Assert.Equal((0, ""), (code, error));
        JsonNode result = JsonNode.Parse(output)!;
        Assert.Equal((2, 12, 48), ((int)result["fields"]!, (int)result["patches"]!, (int)result["tokens"]!));
        string a = Path.Combine(_folder, "a");
        Assert.Equal(12, CsvFile.Read(Path.Combine(a, "images.csv")).Rows);
        Assert.Equal("DAPI,GFP", (string)JsonNode.Parse(File.ReadAllText(Path.Combine(a, "manifest.json")))!["configuration"]!["channels"]!);

        string[] again = ["tokens", "--images", Path.Combine(_folder, "images"), "--channels", "DAPI,GFP", "--encoder", Path.Combine(a, "dictionary.safetensors"),
            "--centre", Path.Combine(a, "centre.npy"), "--patch", "32", "--out", Path.Combine(_folder, "b"), "--json", "--quiet"];
        Assert.Equal(0, CommandFrameTests.Invoke(again).Code);
        foreach (string file in (string[])["gap.npy", "l2.npy", "index.json", "images.csv"])
            Assert.Equal(File.ReadAllBytes(Path.Combine(a, file)), File.ReadAllBytes(Path.Combine(_folder, "b", file)));
    }

    [Fact]
    public void Tokens_of_half_the_size_are_those_of_full_size_rounded()
    {
        Assert.Equal(0, CommandFrameTests.Invoke(Arguments("full")).Code);
        Assert.Equal(0, CommandFrameTests.Invoke(Arguments("half", "--dtype", "bfloat16", "--container", "safetensors")).Code);
        using CpuDevice device = new(1);
        using TokenShards full = TokenShards.Open(Path.Combine(_folder, "full")), half = TokenShards.Open(Path.Combine(_folder, "half"));
        Assert.EndsWith(".safetensors", half.Index.Shards[0].File, StringComparison.Ordinal);
        using Matrix<float> a = full.ReadAll(device), b = half.ReadAll(device);
        for (int i = 0; i < a.Rows; i++)
            for (int j = 0; j < a.Columns; j++) Assert.Equal((float)(BFloat16)a.Row(i)[j], b.Row(i)[j]);
    }

    [Theory]
    [InlineData(2, "expected fixed, batch", "--centring", "odd")]
    [InlineData(2, "expected float32, float16 or bfloat16", "--dtype", "float64")]
    [InlineData(2, "expected npy, safetensors", "--container", "zip")]
    [InlineData(2, "expected none or paper", "--filter", "strict")]
    [InlineData(2, "between 0 and 1", "--min-foreground", "7")]
    [InlineData(2, "needs --channels", "--name-pattern", "{a}_{channel}", "--channels")]
    [InlineData(3, "low contrast", "--min-std", "1000000")]
    [InlineData(3, "smaller than a patch", "--patch", "400")]
    [InlineData(3, "there is no such file", "--images", "no/such/folder")]
    [InlineData(3, "does not exist", "--encoder", "no-such.onnx")]
    public void Bad_requests_say_what_is_wrong_and_write_no_tokens(int exitCode, string message, params string[] wrong)
    {
        string[] arguments = Arguments("wrong");
        // An option given last replaces the one that every run has; a bare name removes it.
        foreach (string option in wrong.Where(text => text.StartsWith("--", StringComparison.Ordinal)))
            if (Array.IndexOf(arguments, option) is >= 0 and int at) arguments = [.. arguments[..at], .. arguments[(at + 2)..]];
        if (wrong[^1].StartsWith("--", StringComparison.Ordinal)) wrong = wrong[..^1];
        (int code, string output, _) = CommandFrameTests.Invoke([.. arguments, .. wrong]);
        Assert.Equal(exitCode, code);
        Assert.Contains(message, (string)JsonNode.Parse(output)!["error"]!["message"]!);
        Assert.False(File.Exists(Path.Combine(_folder, "wrong", "index.json")));
    }
}
