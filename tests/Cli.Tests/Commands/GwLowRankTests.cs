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
        (int code, string output, string error) = Invoke(cost, "--rank", "5", "--starts", "2", "--labels-x", labels, "--labels-y", labels, "--truth", "identity");
        Assert.True(code == 0, output + error);
        JsonNode result = JsonNode.Parse(output)!;
        Assert.Equal(5, (int)result["rank"]!);
        Assert.True((bool)result["converged"]!);
        Assert.InRange((double)result["gw_loss"]!, 0, 0.01);
        Assert.InRange((double)result["marginal_error_rows"]! + (double)result["marginal_error_columns"]!, 0, 1e-8);
        Assert.Equal("reliable", (string)result["verdict"]!["trust"]!);
        Assert.Equal(1, (double)result["verdict"]!["label_transfer"]!["barycentric"]!["accuracy"]!);
        Assert.NotEmpty(result["certificates"]!["not_measured"]!.AsArray());
        Assert.InRange((double)result["certificates"]!["stationarity_gap"]!["relative"]!, 0, 0.5);
        Assert.Equal("low-rank", (string)result["coupling"]!["form"]!);
        Assert.Equal(2, result["verdict"]!["starts"]!.AsArray().Count);
        Assert.InRange((int)result["verdict"]!["optima"]!["distinct"]!, 1, 2);
        string file = Path.Combine(_folder, "out", "coupling.npz");
        using CpuDevice device = new(1);
        using Matrix<double> q = MatrixReader.ReadDouble(device, file + ":Q"), r = MatrixReader.ReadDouble(device, file + ":R");
        Assert.Equal((40, 5, 40, 5), (q.Rows, q.Columns, r.Rows, r.Columns));
        double[] weights = ColumnReader.Read(file + ":g").Numbers;
        Assert.Equal(1, weights.Sum(), 1e-8);
        for (int k = 0; k < 5; k++) Assert.Equal(weights[k], Enumerable.Range(0, 40).Sum(i => q.Row(i)[k]), 1e-8);
        Assert.True(File.Exists(Path.Combine(_folder, "out", "manifest.json")));

        // Scored from its file, and formed by another hand.
        JsonNode factored = Evaluate(file, labels);
        using Matrix<double> dense = device.AllocateMatrix<double>(40, 40);
        for (int i = 0; i < 40; i++)
            for (int j = 0; j < 40; j++)
                for (int k = 0; k < 5; k++) dense.Row(i)[j] += q.Row(i)[k] * r.Row(j)[k] / weights[k];
        MatrixWriter.Write(Path.Combine(_folder, "dense.npy"), dense.View);
        JsonNode formed = Evaluate(Path.Combine(_folder, "dense.npy"), labels);
        Assert.Equal(formed.AsObject().Select(member => member.Key), factored.AsObject().Select(member => member.Key));
        Assert.Equal(formed["label_transfer"]!.ToJsonString(), factored["label_transfer"]!.ToJsonString());
        Assert.Equal((double)formed["mean_partners"]!, (double)factored["mean_partners"]!, 1e-8);
        Assert.Equal((double)formed["foscttm"]!["average"]!, (double)factored["foscttm"]!["average"]!, 1e-9);
        Assert.Equal((double)result["mean_partners"]!, (double)factored["mean_partners"]!, 1e-12);
    }

    [Fact]
    public void A_damaged_file_is_named()
    {
        string file = Path.Combine(_folder, "bad.npz");
        NpzFile.Write(file, npz =>
        {
            npz.Add("Q", new NdArray(new double[] { 0.5, 0, 0, double.NaN }, 2, 2));
            npz.Add("R", new NdArray(new double[] { 0.5, 0, 0, 0.5 }, 2, 2));
            npz.Add("g", new double[] { 0.5, 0.5 });
        });
        (int code, string output, string error) = CommandFrameTests.Invoke(["gw", "evaluate", "--coupling", file, "--truth", "identity", "--json", "--threads", "1", "--device", "cpu"]);
        Assert.Equal(3, code);
        Assert.Contains("bad.npz (Q, row 1", output + error, StringComparison.Ordinal);
    }

    private JsonNode Evaluate(string coupling, string labels)
    {
        (int code, string output, string error) = CommandFrameTests.Invoke(["gw", "evaluate", "--coupling", coupling, "--y", Path.Combine(_folder, "x.npy"), "--labels-x", labels, "--labels-y", labels, "--truth", "identity", "--json", "--threads", "1", "--device", "cpu"]);
        Assert.True(code == 0, output + error);
        return JsonNode.Parse(output)!;
    }

    [Theory]
    [InlineData("--epsilon has no meaning", "--epsilon", "0.1")]
    [InlineData("--null has no meaning", "--null", "3")]
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
