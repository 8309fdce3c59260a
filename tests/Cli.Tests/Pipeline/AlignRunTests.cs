using System.Text.Json.Nodes;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Pipeline;

/// <summary>A run of one stage on two small clouds, from configuration to report.</summary>
public sealed class AlignRunTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-run-").FullName;

    public AlignRunTests()
    {
        using CpuDevice device = new(1);
        CounterRandom random = new(3);
        using Matrix<double> x = device.AllocateMatrix<double>(45, 3);
        for (int i = 0; i < x.Rows; i++)
        {
            // Three clusters at unequal distances: an isometric copy has one optimum.
            double place = (i / 15) switch { 0 => 0.0, 1 => 2.0, _ => 5.0 };
            for (int j = 0; j < 3; j++) x.Row(i)[j] = (j == 0 ? place : 0) + 0.2 * random.NextNormal();
        }
        MatrixWriter.Write(Path.Combine(_folder, "x.npy"), x.View);
        CsvFile.Write(Path.Combine(_folder, "cells.csv"), new Table(new Column("class", [.. Enumerable.Range(0, 45).Select(i => $"c{i / 15}")])));
        File.WriteAllText(Path.Combine(_folder, "run.json"), """
            { "title": "Two <clouds>", "align": { "x": "x.npy", "y": "x.npy", "cost": "euclidean", "scale_cost": "max", "epsilon": 5e-3,
              "labels_x": "cells.csv:class", "labels_y": "cells.csv:class", "truth": "identity", "starts": 2, "null": 2 } }
            """);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_run_writes_coupling_result_manifest_and_a_report_and_resume_repeats_nothing()
    {
        string outFolder = Path.Combine(_folder, "out");
        (int code, string output, string error) = CommandFrameTests.Invoke("run", Path.Combine(_folder, "run.json"), "--out", outFolder, "--json", "--threads", "1");
        Assert.True(code == 0, output + error);
        string report = File.ReadAllText((string)JsonNode.Parse(output)!["report"]!);
        Assert.Contains("Two &lt;clouds&gt;", report, StringComparison.Ordinal);
        JsonNode result = JsonNode.Parse(File.ReadAllText(Path.Combine(outFolder, "gw", "result.json")))!;
        Assert.True((double)result["verdict"]!["label_transfer"]!["barycentric"]!["accuracy"]! > 0.9);
        JsonNode certificates = result["certificates"]!, nulls = result["verdict"]!["smoothness_nulls"]!;
        Assert.Equal("converged", (string)certificates["state"]!);
        Assert.InRange((double)certificates["stationarity_gap"]!["relative"]!, 0, 1e-4);
        Assert.InRange((double)certificates["lower_bounds"]!["tlb"]!, 0, 1e-12);
        Assert.Equal(2, (int)result["verdict"]!["optima"]!["displacement"]!.AsArray().Count);
        Assert.Equal(2, nulls["rotated_targets"]!["barycentric_accuracies"]!.AsArray().Count);
        Assert.Equal((45, 5), ((int)nulls["held_out_cells"]!["cells"]!, (int)nulls["held_out_cells"]!["folds"]!));
        Assert.Equal((0, 0), ((int)result["cells_without_partner"]![0]!, (int)result["cells_without_partner"]![1]!));
        Assert.Contains("no evidence", (string)nulls["permuted_soft_targets"]!["kind"]!, StringComparison.Ordinal);
        JsonNode manifest = JsonNode.Parse(File.ReadAllText(Path.Combine(outFolder, "manifest.json")))!;
        Assert.Equal(64, ((string)manifest["inputs"]!.AsObject().First(i => i.Key.EndsWith("x.npy", StringComparison.Ordinal)).Value!["sha256"]!).Length);

        string coupling = Path.Combine(outFolder, "gw", "coupling.npy");
        DateTime written = File.GetLastWriteTimeUtc(coupling);
        (code, output, _) = CommandFrameTests.Invoke("run", Path.Combine(_folder, "run.json"), "--out", outFolder, "--resume", "--threads", "1");
        Assert.Equal(0, code);
        Assert.Contains("align: finished before, kept", output, StringComparison.Ordinal);
        Assert.Equal(written, File.GetLastWriteTimeUtc(coupling));

        (code, output, _) = CommandFrameTests.Invoke("run", Path.Combine(_folder, "run.json"), "--out", outFolder, "--resume", "--threads", "1", "--set", "align.epsilon=0.01");
        Assert.Equal(0, code);
        Assert.DoesNotContain("kept", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(3, "align.x=nowhere.npy", "nowhere.npy")]
    [InlineData(2, "align.cost=taxicab", "taxicab")]
    [InlineData(2, "align.prepare_y=cooked", "cooked")]
    [InlineData(2, "geometry.value=x", "sae")]
    [InlineData(3, "align.labels_y=cells.csv:colour", "colour")]
    public void A_wrong_setting_is_one_sentence_before_any_work(int exitCode, string setting, string named)
    {
        (int code, string output, string error) = CommandFrameTests.Invoke("run", Path.Combine(_folder, "run.json"), "--out", Path.Combine(_folder, "bad"), "--quiet", "--set", setting);
        Assert.Equal(exitCode, code);
        Assert.Empty(output);
        Assert.Contains(named, error, StringComparison.Ordinal);
        Assert.Single(error.Trim().Split('\n'));
        Assert.False(Directory.Exists(Path.Combine(_folder, "bad", "gw")));
    }
}
