using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Geometry;

public sealed class GeometryCommandTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-geometry-cli-").FullName;

    public GeometryCommandTests()
    {
        using CpuDevice device = new(1);
        CounterRandom random = new(5);
        using Matrix<double> a = device.AllocateMatrix<double>(60, 5), b = device.AllocateMatrix<double>(60, 9);
        foreach (ref double v in a.Buffer.View.Host) v = random.NextNormal();
        foreach (ref double v in b.Buffer.View.Host) v = random.NextNormal();
        MatrixWriter.Write(At("cnn.npy"), a.View);
        MatrixWriter.Write(At("sae.npy"), b.View);
        double[] y = [.. Enumerable.Range(0, 60).Select(i => a.Row(i)[0] + 0.1 * random.NextNormal())];
        string[] lines = [.. y.Select((v, i) => string.Create(CultureInfo.InvariantCulture, $"{v},{(i % 2 == 0 ? "SNCA" : "GBA")}"))];
        File.WriteAllLines(At("values.csv"), ["death,class", .. lines]);
        File.WriteAllLines(At("gap.csv"), ["death,class", .. lines[..10], ",SNCA", .. lines[11..]]);
        File.WriteAllLines(At("short.csv"), ["death,class", .. lines[..50]]);
    }

    [Fact]
    public void Two_representations_in_two_groups_give_tables_json_and_manifest()
    {
        string outFolder = At("out");
        (int code, string output, string error) = CommandFrameTests.Invoke("geometry", "--x", At("cnn.npy"), "--x", "latents=" + At("sae.npy"), "--value", At("values.csv") + ":death",
            "--group", "class", "--labels", "class", "--decoder", At("sae.npy"), "--k", "5,9", "--permutations", "19", "--out", outFolder, "--json", "--quiet");
        Assert.True(code == 0, error);
        JsonNode json = JsonNode.Parse(output)!;
        Assert.Equal(4, json["results"]!.AsArray().Count);
        Assert.Equal(2, json["cka"]!.AsArray().Count);
        Assert.Equal(2, json["linear_probe"]!.AsArray().Count);
        Assert.Equal(60, (int)json["decoder"]!["rows"]!);
        JsonNode first = json["results"]!.AsArray().Single(r => (string)r!["source"]! == "cnn" && (string)r["mutation"]! == "SNCA")!;
        Assert.True((double)first["ridge"]!["r2"]! > 0.9);
        Assert.Equal(0.05, (double)first["ridge"]!["perm_pval"]!);
        Table table = CsvFile.Read(Path.Combine(outFolder, "local_linearity.csv"));
        Assert.Equal(8, table.Rows);
        foreach (string column in (string[])["source", "mutation", "k", "n", "mean_ratio", "median_ratio", "global_std", "wilcoxon_p", "perm_pval", "morans_I", "morans_z", "morans_p", "moran_z_paper"])
            Assert.True(table.Contains(column), column);
        foreach (string file in (string[])["geometry.json", "effective_rank.csv", "ridge_r2.csv", "cka.csv", "manifest.json"]) Assert.True(File.Exists(Path.Combine(outFolder, file)), file);
    }

    [Theory]
    [InlineData(3, "gap.csv:death", "row 10", "--k", "5")]
    [InlineData(3, "short.csv:death", "60 rows, but 50 values", "--k", "5")]
    [InlineData(3, "values.csv:nothing", "nothing", "--k", "5")]
    [InlineData(2, "values.csv:death", "needs at least 61 rows", "--k", "60")]
    [InlineData(2, "values.csv:death", "is not a neighbourhood size", "--k", "5,x")]
    public void Bad_input_is_named_with_its_place(int exitCode, string value, string expected, params string[] more)
    {
        (int code, _, string error) = CommandFrameTests.Invoke(["geometry", "--x", At("cnn.npy"), "--value", At(value), "--out", At("bad"), "--quiet", .. more]);
        Assert.Equal(exitCode, code);
        Assert.Contains(expected, error);
        Assert.False(File.Exists(Path.Combine(At("bad"), "manifest.json")));
    }

    [Fact]
    public void Cells_without_a_value_can_be_dropped()
    {
        (int code, string output, string error) = CommandFrameTests.Invoke("geometry", "--x", At("cnn.npy"), "--value", At("gap.csv") + ":death", "--missing", "drop", "--no-ridge", "--k", "5", "--out", At("drop"), "--json", "--quiet");
        Assert.True(code == 0, error);
        Assert.Equal(59, (int)JsonNode.Parse(output)!["results"]![0]!["n"]!);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string At(string name) => Path.Combine(_folder, name);
}
