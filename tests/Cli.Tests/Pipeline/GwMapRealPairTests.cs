using System.Text.Json.Nodes;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Shapes;

namespace BioSup.Cli.Tests.Pipeline;

/// <summary>
/// GW-map on real pairs (examples/gw_map_snareseq.json, gw_map_patchseq.json), with fewer cells. What has to hold whatever comes out: nothing that mislabels is called reliable,
/// permuted targets are not predicted, and the barycentric vote loses nothing against one partner. Predictability is high for wrong couplings too.
/// </summary>
public sealed class GwMapRealPairTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-pair-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("gw_map_snareseq.json", "gw_snareseq", 4, 10)]
    [InlineData("gw_map_patchseq.json", "patchseq_m1", 6, 300)]
    public void A_wrong_coupling_is_not_believed(string example, string dataSet, int labels, int genes)
    {
        string? data = SharedData.Find(dataSet, out string reason);
        Assert.SkipWhen(data is null, reason);
        string text = File.ReadAllText(Path.Combine(RepositoryRoot.Path, "examples", example)).Replace($"../../shared/data/{dataSet}", data, StringComparison.Ordinal);
        foreach (string names in Directory.EnumerateFiles(Path.Combine(RepositoryRoot.Path, "examples"), "*.txt")) File.Copy(names, Path.Combine(_folder, Path.GetFileName(names)));
        string config = Path.Combine(_folder, example);
        File.WriteAllText(config, text);
        (int code, string output, string error) = CommandFrameTests.Invoke("gw", "map", config, "--out", Path.Combine(_folder, "out"), "--threads", "2", "--quiet", "--json", "--set", $"sample.max_images={labels * 27}",
            "--set", "align.knn=15", "--set", "align.starts=2", "--set", "align.null=2", "--set", "align.stability=0", "--set", "predictability.ridge_permutations=20", "--set", $"rna.max_genes={genes}");
        Assert.True(code == 0, output + error);
        JsonNode result = JsonNode.Parse(output)!, transfer = result["verdict"]!["label_transfer"]!;
        double oneToOne = (double)transfer["one_to_one"]!["accuracy"]!, barycentric = (double)transfer["barycentric"]!["accuracy"]!;
        Assert.True((string)result["verdict"]!["trust"]! != "reliable" || barycentric > 0.6, $"reliable at {barycentric}");
        Assert.InRange(oneToOne - barycentric, -1, 0.06);
        JsonNode[] runs = [.. result["predictability"]!.AsArray().Select(r => r!)];
        Assert.Equal(2 * (labels + 1), runs.Length);
        Assert.All(runs, run => Assert.InRange((double)run["null_mean_r2"]!, -1.5, 0.02));
        Assert.All(runs.Where(r => r["label"] is null), run => Assert.True((double)run["mean_r2"]! > (double)run["null_mean_r2"]! + 0.1, run.ToJsonString()));
    }
}
