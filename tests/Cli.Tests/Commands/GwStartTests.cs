using System.Text.Json.Nodes;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Commands;

/// <summary>`biosup gw align --start` and what result.json says of a solve that single precision ended.</summary>
public sealed class GwStartTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-start-").FullName;

    public GwStartTests()
    {
        using CpuDevice device = new(1);
        CounterRandom random = new(5);
        using Matrix<double> x = device.AllocateMatrix<double>(40, 2), start = device.AllocateMatrix<double>(40, 40);
        for (int i = 0; i < x.Rows; i++)
            for (int j = 0; j < 2; j++) x.Row(i)[j] = (2 - j) * random.NextNormal();
        for (int i = 0; i < 40; i++) start.Row(i)[i] = 1.0 / 40;
        MatrixWriter.Write(Path.Combine(_folder, "x.npy"), x.View);
        MatrixWriter.Write(Path.Combine(_folder, "start.npy"), start.View);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("quantised", "--start", "quantised", "--coupling", "stored")]
    [InlineData("quantised", "--start", "quantised", "--coupling", "implicit", "--starts", "2")]
    [InlineData("product", "--start", "product")]
    [InlineData("product")]
    public void The_first_start_is_the_one_asked_for(string expected, params string[] options)
    {
        JsonNode result = Align(options);
        string selected = (string)result["verdict"]!["selected_start"]!;
        if (options.Contains("--starts")) Assert.Equal(expected, (string)result["verdict"]!["starts"]![0]!["kind"]!);
        else Assert.Equal(expected, selected);
        Assert.True((bool)result["converged"]!);
        Assert.Null(result["settled"]);
    }

    [Theory]
    [InlineData("quantised start", "--start", "quantised", "--init", "start.npy")]
    [InlineData("quantised start", "--start", "quantised", "--marginals", "semi-relaxed")]
    [InlineData("--start has no meaning with --solver lowrank", "--start", "quantised", "--solver", "lowrank")]
    [InlineData("expected product, quantised", "--start", "clusters")]
    public void Combinations_without_a_meaning_are_refused_in_one_sentence(string reason, params string[] options)
    {
        (int code, string output, string error) = Invoke(options);
        Assert.Equal(2, code);
        Assert.Contains(reason, output + error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_solve_that_settles_above_its_tolerance_is_not_called_converged()
    {
        JsonNode result = Align(["--coupling", "implicit", "--dtype", "float32", "--tol", "1e-13"]);
        Assert.False((bool)result["converged"]!);
        Assert.Equal("settled above the tolerance", (string)result["certificates"]!["state"]!);
        Assert.True((bool)result["settled"]!["within_floor"]!);
        Assert.True((double)result["settled"]!["change"]! <= (double)result["settled"]!["floor"]!);
        Assert.DoesNotContain(result["verdict"]!["against"]!.AsArray(), against => ((string)against!).Contains("settle", StringComparison.Ordinal));
    }

    private JsonNode Align(string[] options)
    {
        (int code, string output, string error) = Invoke(options);
        Assert.True(code == 0, output + error);
        return JsonNode.Parse(output)!;
    }

    private (int Code, string Output, string Error) Invoke(string[] options)
    {
        string path = Path.Combine(_folder, "x.npy");
        string[] epsilon = options.Contains("lowrank") ? [] : ["--epsilon", "0.1"];
        return CommandFrameTests.Invoke(["gw", "align", "--x", path, "--y", path, "--cost", "sqeuclidean", "--row-norm", "none", "--scale-cost", "mean", "--out", Path.Combine(_folder, "out"),
            "--json", "--threads", "1", "--device", "cpu", .. epsilon, .. options.Select(option => option == "start.npy" ? Path.Combine(_folder, option) : option)]);
    }
}
