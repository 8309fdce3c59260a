using System.Text.Json.Nodes;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Sae;

public sealed class SaeSweepCommandTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-sweep-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_sweep_writes_its_table_its_figure_and_a_folder_for_every_model()
    {
        string[] sweep = WriteInputs("""{ "base": { "batch": 60, "d_sae": 24, "lr": 0.01, "log_every": 10 }, "models": [ { "sparsity_coeff": 0.02 }, { "architecture": "topk", "k": 3 }, { "lr": 1e30, "grad_clip": 0, "lr_warmup_fraction": 0 } ], "seeds": [1, 2] }""");
        string labels = Path.Combine(_folder, "labels.csv"), output = Path.Combine(_folder, "sweep");
        File.WriteAllText(labels, "class\n" + string.Join('\n', Enumerable.Range(0, 300).Select(t => t % 2 == 0 ? "even" : "odd")) + "\n");
        (int code, string text, string error) = CommandFrameTests.Invoke([.. sweep, "--out", output, "--labels", $"{labels}:class", "--json"]);
        Assert.Equal(0, code);
        Assert.Contains("memory:", error, StringComparison.Ordinal);
        JsonObject result = JsonNode.Parse(text)!.AsObject();
        Assert.InRange((long)result["peak_bytes"]!, 1, (long)result["planned_bytes"]!);
        Assert.Equal(["trained", "trained", "trained", "trained", "failed", "failed"], result["models"]!.AsArray().Select(m => (string)m!["state"]!));
        string[] rows = File.ReadAllLines(Path.Combine(output, "pareto.csv"));
        Assert.Equal(7, rows.Length);
        Column accuracy = CsvFile.ReadColumn(Path.Combine(output, "pareto.csv"), "probe_accuracy"), matched = CsvFile.ReadColumn(Path.Combine(output, "pareto.csv"), "matched_cosine");
        Assert.All(accuracy.Numbers[..4], a => Assert.InRange(a, 0.2, 1));
        Assert.All(matched.Numbers[..4], c => Assert.InRange(c, 0.1, 1));
        Assert.Equal(1 + 6, File.ReadAllLines(Path.Combine(output, "stability.csv")).Length);
        Assert.True(File.Exists(Path.Combine(output, "pareto.svg")) && File.Exists(Path.Combine(output, "pareto.png")) && File.Exists(Path.Combine(output, "manifest.json")));
        foreach (string model in Directory.GetDirectories(output).Where(d => File.Exists(Path.Combine(d, "model.safetensors"))))
            Assert.Equal(0, CommandFrameTests.Invoke("sae", "eval", "--model", model, "--tokens", Path.Combine(_folder, "x.npy"), "--json").Code);
    }

    /// <summary>Images are known wherever their tokens are held, and the probe's memory is part of what is printed before the first step.</summary>
    [Theory]
    [InlineData("ram")]
    [InlineData("none")]
    public void Labels_of_images_go_with_tokens_held_in_memory_and_streamed(string tier)
    {
        string[] sweep = WriteInputs("""{ "base": { "batch": 60, "d_sae": 24, "lr": 0.01, "log_every": 10 }, "models": [ { "sparsity_coeff": 0.02 }, { "architecture": "topk", "k": 3 } ] }""");
        string shards = Path.Combine(_folder, "shards"), labels = Path.Combine(_folder, "labels.csv"), output = Path.Combine(_folder, "sweep");
        using (CpuDevice device = new(1))
        using (Matrix<float> x = MatrixReader.ReadSingle(device, Path.Combine(_folder, "x.npy")))
        using (TokenShardWriter writer = new(shards, x.Columns))
        {
            for (int image = 0; image < 20; image++) writer.AppendImage($"{image}", x.View.RowBlock(15 * image, 15));
            writer.Complete();
        }
        sweep[Array.IndexOf(sweep, "--tokens") + 1] = shards;
        File.WriteAllText(labels, "class\n" + string.Join('\n', Enumerable.Range(0, 20).Select(t => t % 2 == 0 ? "even" : "odd")) + "\n");
        (int code, string text, string error) = CommandFrameTests.Invoke([.. sweep, "--out", output, "--labels", $"{labels}:class", "--token-cache", tier, "--json"]);
        Assert.True(code == 0, error);
        Assert.Contains("for the probe of a model", error, StringComparison.Ordinal);
        Assert.InRange((long)JsonNode.Parse(text)!["planned_probe_bytes"]!, 1000, 100_000_000);
        Assert.All(CsvFile.ReadColumn(Path.Combine(output, "pareto.csv"), "probe_accuracy").Numbers, a => Assert.InRange(a, 0, 1));
    }

    [Theory]
    [InlineData(2, """{ "grid": { "batch": [10, 20] } }""", "batch")]
    [InlineData(2, """{ "base": { "batch": 1000 } }""", "batch")]
    [InlineData(5, """{ "base": { "batch": 60, "lr": 1e30, "grad_clip": 0, "lr_warmup_fraction": 0 }, "grid": { "d_sae": [8, 9] } }""", "All 2 models failed")]
    public void Wrong_requests_and_failures_are_one_sentence(int expected, string json, string named)
    {
        (int code, _, string error) = CommandFrameTests.Invoke([.. WriteInputs(json), "--out", Path.Combine(_folder, "o"), "--quiet"]);
        Assert.Equal(expected, code);
        Assert.Contains(named, error, StringComparison.Ordinal);
    }

    private string[] WriteInputs(string json)
    {
        string tokens = Path.Combine(_folder, "x.npy"), config = Path.Combine(_folder, "sweep.json");
        using CpuDevice device = new(1);
        using Matrix<float> x = device.AllocateMatrix<float>(300, 16);
        CounterRandom random = new(3);
        foreach (ref float v in x.Buffer.View.Host) v = (float)(0.25 * random.NextNormal());
        MatrixWriter.Write(tokens, x.View);
        File.WriteAllText(config, json);
        return ["sae", "sweep", "--tokens", tokens, "--config", config, "--threads", "1", "--seed", "7", "--steps", "40"];
    }
}
