using System.Text.Json.Nodes;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Commands;

/// <summary>`biosup gw align --solver lowrank`: what it writes and what it refuses.</summary>
public sealed class GwLowRankTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-lowrank-").FullName;

    public GwLowRankTests()
    {
        using CpuDevice device = new(1);
        CounterRandom random = new(7);
        using Matrix<double> x = device.AllocateMatrix<double>(40, 2);
        string[] labels = new string[40];
        for (int i = 0; i < x.Rows; i++)
        {
            int c = i < 16 ? 0 : i < 28 ? 1 : 2;
            labels[i] = "abc"[c].ToString();
            (x.Row(i)[0], x.Row(i)[1]) = (c * (c + 2) + 0.2 * random.NextNormal(), 0.2 * random.NextNormal());
        }
        MatrixWriter.Write(Path.Combine(_folder, "x.npy"), x.View);
        File.WriteAllLines(Path.Combine(_folder, "labels.csv"), ["type", .. labels]);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("sqeuclidean")]
    [InlineData("euclidean")]
    public void Factors_loss_and_label_transfer_are_written(string cost)
    {
        string labels = Path.Combine(_folder, "labels.csv:type");
        (int code, string output, string error) = Invoke(cost, "--rank", "5", "--labels-x", labels, "--labels-y", labels, "--truth", "identity");
        Assert.True(code == 0, output + error);
        JsonNode result = JsonNode.Parse(output)!;
        Assert.Equal(5, (int)result["rank"]!);
        Assert.True((bool)result["converged"]!);
        Assert.InRange((double)result["gw_loss"]!, 0, 0.01);
        Assert.InRange((double)result["marginal_error_rows"]! + (double)result["marginal_error_columns"]!, 0, 1e-8);
        Assert.Equal("reliable", (string)result["verdict"]!["trust"]!);
        Assert.Equal(1, (double)result["verdict"]!["label_transfer"]!["barycentric"]!["accuracy"]!);
        Assert.NotEmpty(result["not_measured"]!.AsArray());
        string file = Path.Combine(_folder, "out", "coupling.npz");
        using CpuDevice device = new(1);
        using Matrix<double> q = MatrixReader.ReadDouble(device, file + ":Q"), r = MatrixReader.ReadDouble(device, file + ":R");
        Assert.Equal((40, 5, 40, 5), (q.Rows, q.Columns, r.Rows, r.Columns));
        double[] weights = ColumnReader.Read(file + ":g").Numbers;
        Assert.Equal(1, weights.Sum(), 1e-8);
        for (int k = 0; k < 5; k++) Assert.Equal(weights[k], Enumerable.Range(0, 40).Sum(i => q.Row(i)[k]), 1e-8);
        Assert.True(File.Exists(Path.Combine(_folder, "out", "manifest.json")));
    }

    [Theory]
    [InlineData("--epsilon has no meaning", "--epsilon", "0.1")]
    [InlineData("--starts has no meaning", "--starts", "3")]
    [InlineData("--loss has no meaning", "--loss", "kl")]
    [InlineData("rank is 0", "--rank", "0")]
    public void Options_of_other_solvers_are_refused_in_one_sentence(string reason, params string[] options)
    {
        (int code, string output, string error) = Invoke("sqeuclidean", options);
        Assert.Equal(2, code);
        Assert.Contains(reason, output + error, StringComparison.Ordinal);
    }

    private (int Code, string Output, string Error) Invoke(string cost, params string[] options)
    {
        string path = Path.Combine(_folder, "x.npy");
        return CommandFrameTests.Invoke(["gw", "align", "--x", path, "--y", path, "--cost", cost, "--row-norm", "none", "--solver", "lowrank", "--out", Path.Combine(_folder, "out"), "--json", "--threads", "1", "--device", "cpu", .. options]);
    }
}
