using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Cli.Tests.Cuda;
using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Cli.Tests.Commands;

/// <summary>`biosup gw align --coupling implicit`: what it writes, and that others can read it.</summary>
public sealed class GwImplicitTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-implicit-").FullName;

    public GwImplicitTests()
    {
        using CpuDevice device = new(1);
        CounterRandom random = new(5);
        using Matrix<double> x = device.AllocateMatrix<double>(40, 3), y = device.AllocateMatrix<double>(40, 2);
        string[] labels = new string[40];
        for (int i = 0; i < 40; i++)
        {
            (double a, double b, labels[i]) = i < 16 ? (0, 0, "first") : i < 30 ? (4, 0, "second") : (1, 7, "third");
            (x.Row(i)[0], x.Row(i)[1], x.Row(i)[2]) = (a + random.NextNormal() * 0.4, b + random.NextNormal() * 0.4, random.NextNormal() * 0.2);
            (y.Row(i)[0], y.Row(i)[1]) = (a + random.NextNormal() * 0.4, b + random.NextNormal() * 0.4);
        }
        MatrixWriter.Write(Path.Combine(_folder, "x.npy"), x.View);
        MatrixWriter.Write(Path.Combine(_folder, "y.npy"), y.View);
        File.WriteAllText(Path.Combine(_folder, "labels.csv"), "cell\n" + string.Join('\n', labels) + "\n");
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void The_result_is_that_of_the_stored_coupling_and_is_scored_from_its_file()
    {
        JsonNode known = Align("implicit", "--starts", "3", "--null", "2", "--stability", "2"), stored = Align("stored", "--starts", "3");
        Assert.Equal("implicit", (string)known["coupling"]!["form"]!);
        Assert.Equal("stored", (string)stored["coupling"]!["form"]!);
        Assert.False(File.Exists(Path.Combine(_folder, "implicit", "coupling.npy")));
        Assert.Equal((double)stored["gw_loss"]!, (double)known["gw_loss"]!, 1e-7);
        Assert.Equal(stored["verdict"]!["label_transfer"]!["barycentric"]!.ToJsonString(), known["verdict"]!["label_transfer"]!["barycentric"]!.ToJsonString());
        Assert.Equal((double)stored["verdict"]!["foscttm"]!["average"]!, (double)known["verdict"]!["foscttm"]!["average"]!, 1e-3);
        Assert.Equal("[40,40]", known["verdict"]!["sampled_cells"]!.ToJsonString());
        Assert.True(known["certificates"]!["not_measured"]!.AsArray().Count >= 3);
        Assert.True(File.Exists(Path.Combine(_folder, "implicit", "stability_x.npy")));

        JsonNode fromFile = Evaluate("implicit/coupling.npz"), fromMatrix = Evaluate("stored/coupling.npy");
        Assert.Equal(fromMatrix["label_transfer"]!.ToJsonString(), fromFile["label_transfer"]!.ToJsonString());
        Assert.Equal((double)fromMatrix["foscttm"]!["average"]!, (double)fromFile["foscttm"]!["average"]!, 1e-3);
        Assert.Equal((double)fromMatrix["mean_partners"]!, (double)fromFile["mean_partners"]!, 1e-3);
    }

    /// <summary>Starts, the solve and what is asked of its coupling, on a GPU or the emulated one.</summary>
    [Fact]
    public void A_gpu_comes_to_the_processors_result()
    {
        TestDevice.RequireGpu();
        JsonNode here = Align("implicit", "--starts", "2"), expected = Evaluate("implicit/coupling.npz");
        JsonNode there = Align("implicit", "--starts", "2", "--device", "cuda", "--out", Path.Combine(_folder, "there")), found = Evaluate("there/coupling.npz");
        Assert.Equal("cuda:0", (string)JsonNode.Parse(File.ReadAllText(Path.Combine(_folder, "there", "manifest.json")))!["device"]!);
        Assert.Equal("implicit", (string)there["coupling"]!["form"]!);
        Assert.Equal((bool)here["converged"]!, (bool)there["converged"]!);
        Assert.Equal((double)here["gw_loss"]!, (double)there["gw_loss"]!, 1e-7);
        Assert.Equal((string)here["verdict"]!["trust"]!, (string)there["verdict"]!["trust"]!);
        Assert.Equal(expected["label_transfer"]!.ToJsonString(), found["label_transfer"]!.ToJsonString());
        Assert.Equal((double)expected["foscttm"]!["average"]!, (double)found["foscttm"]!["average"]!, 1e-6);
        Assert.Equal((double)expected["mean_partners"]!, (double)found["mean_partners"]!, 1e-4);
    }

    [Fact]
    public void Three_lines_of_numpy_give_any_row_and_a_new_cell()
    {
        string? python = Python.Find("import numpy", out string reason);
        Assert.SkipWhen(python is null, reason);
        Align("implicit", "--starts", "1");
        Align("stored", "--starts", "1");
        string text = Python.Run(python, "-c", """
            import sys, numpy as np
            folder = sys.argv[1]
            c = np.load(folder + "/implicit/coupling.npz")
            t = np.load(folder + "/stored/coupling.npy")
            x = np.load(folder + "/x.npy")
            i, j = 7, 11
            row = np.exp(c["u"][i] + c["v"] + c["right"] @ c["left"][i])
            column = np.exp(c["u"] + c["v"][j] + c["left"] @ c["right"][j])
            plan = np.exp(c["u"][:, None] + c["v"] + c["left"] @ c["right"].T)
            z = (x[i] - c["x_mean"]) * c["x_scale"]
            a = np.r_[c["x_norm_weight"] * (z @ z - c["x_mean_norm"]), z @ c["x_weights"]]
            new = np.exp(c["v"] + c["right"] @ a)
            print(abs(row - t[i]).max() / t.max(), abs(column - t[:, j]).max() / t.max(), abs(plan - t).max() / t.max(), abs(new / new.sum() - row / row.sum()).max())
            """, _folder);
        double[] differences = [.. text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Select(number => double.Parse(number, CultureInfo.InvariantCulture))];
        Assert.Equal(4, differences.Length);
        foreach (double difference in differences) Assert.InRange(difference, 0, 1e-5);
    }

    [Fact]
    public void An_embedded_cost_is_solved_without_a_matrix_and_its_error_is_written()
    {
        JsonNode result = Align("implicit", "--cost", "euclidean", "--embed", "6");
        Assert.Equal(2, result["embeddings"]!.AsArray().Count);
        Assert.Equal(6, (int)result["embeddings"]![0]!["rank"]!);
        Assert.InRange((double)result["embeddings"]![1]!["relative_error"]!, 1e-6, 0.2);
        Assert.InRange((double)result["embeddings"]![1]!["negative_share"]!, 0, 1e-6);
        Assert.Contains(result["warnings"]!.AsArray(), warning => ((string)warning!).Contains("6 embedded coordinates", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("a cost is embedded in at least one coordinate", "--embed", "0")]
    [InlineData("expected auto, stored, implicit", "--coupling", "dense")]
    [InlineData("must be stored", "--coupling", "implicit", "--cost", "euclidean")]
    public void What_cannot_be_done_is_refused_in_one_sentence(string reason, params string[] options)
    {
        (int code, string output, string error) = Invoke("refused", options);
        Assert.Equal(2, code);
        Assert.Contains(reason, output + error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_damaged_file_is_named()
    {
        NpzFile.Write(Path.Combine(_folder, "bad.npz"), npz =>
        {
            npz.Add("u", new double[3]);
            npz.Add("v", new double[2]);
            npz.Add("left", new NdArray(new double[] { 1, 2, double.NaN }, 3, 1));
            npz.Add("right", new NdArray(new double[2], 2, 1));
        });
        (int code, string output, string error) = CommandFrameTests.Invoke(["gw", "evaluate", "--coupling", Path.Combine(_folder, "bad.npz"), "--truth", "identity", "--json", "--threads", "1", "--device", "cpu"]);
        Assert.Equal(3, code);
        Assert.Contains("left, element 2", output + error, StringComparison.Ordinal);
    }

    private JsonNode Align(string form, params string[] options)
    {
        (int code, string output, string error) = Invoke(form, ["--coupling", form, "--truth", "identity", "--labels-x", Labels, "--labels-y", Labels, .. options]);
        Assert.True(code == 0, output + error);
        return JsonNode.Parse(output)!;
    }

    private JsonNode Evaluate(string coupling)
    {
        (int code, string output, string error) = CommandFrameTests.Invoke(["gw", "evaluate", "--coupling", Path.Combine(_folder, coupling), "--labels-x", Labels, "--labels-y", Labels, "--truth", "identity", "--json", "--threads", "1", "--device", "cpu"]);
        Assert.True(code == 0, output + error);
        return JsonNode.Parse(output)!;
    }

    private string Labels => Path.Combine(_folder, "labels.csv") + ":cell";

    private (int Code, string Output, string Error) Invoke(string folder, string[] options)
    {
        (string, string)[] usual = [("--cost", "sqeuclidean"), ("--device", "cpu"), ("--out", Path.Combine(_folder, folder))];
        string[] others = [.. usual.Where(option => !options.Contains(option.Item1)).SelectMany(option => (string[])[option.Item1, option.Item2])];
        return CommandFrameTests.Invoke(["gw", "align", "--x", Path.Combine(_folder, "x.npy"), "--y", Path.Combine(_folder, "y.npy"), "--row-norm", "none", "--scale-cost", "mean", "--epsilon", "0.02",
            "--json", "--threads", "1", .. others, .. options]);
    }
}
