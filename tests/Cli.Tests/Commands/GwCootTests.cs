using System.Text.Json.Nodes;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Commands;

/// <summary>`biosup gw coot`: what it writes and what it refuses.</summary>
public sealed class GwCootTests : IDisposable
{
    private const int Cells = 40, Features = 5;
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-coot-").FullName;

    public GwCootTests()
    {
        using CpuDevice device = new(1);
        CounterRandom random = new(17);
        using Matrix<double> x = device.AllocateMatrix<double>(Cells, Features), y = device.AllocateMatrix<double>(Cells, Features), nan = device.AllocateMatrix<double>(Cells, Features);
        for (int i = 0; i < Cells; i++)
            for (int k = 0; k < Features; k++)
            {
                x.Row(i)[k] = Math.Pow(random.NextDouble(), k + 1) + (i % 3 == k % 3 ? 1 : 0);
                y.Row(i)[(k + 2) % Features] = 100 * x.Row(i)[k] - k;
                nan.Row(i)[k] = i == 7 && k == 3 ? double.NaN : k;
            }
        MatrixWriter.Write(Path.Combine(_folder, "x.npy"), x.View);
        MatrixWriter.Write(Path.Combine(_folder, "y.npy"), y.View);
        MatrixWriter.Write(Path.Combine(_folder, "nan.npy"), nan.View);
        File.WriteAllLines(Path.Combine(_folder, "cells.csv"), ["type,mass,wrong", .. Enumerable.Range(0, Cells).Select(i => $"{i % 3},{1 + i % 2},{(i == 4 ? 0 : 1)}")]);
        File.WriteAllLines(Path.Combine(_folder, "concepts.txt"), ["soma", "neurite", "puncta", "calcium", "nucleus"]);
        File.WriteAllLines(Path.Combine(_folder, "few.txt"), ["soma", "neurite"]);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Both_couplings_and_the_pairs_by_name_are_written()
    {
        (int code, string output, string error) = Invoke("--features-x", In("concepts.txt"), "--labels-x", In("cells.csv:type"), "--labels-y", In("cells.csv:type"), "--truth", "identity", "--top", "5", "--masses-x", In("cells.csv:mass"), "--masses-y", In("cells.csv:mass"));
        Assert.True(code == 0, output + error);
        JsonNode result = JsonNode.Parse(output)!;
        Assert.True((bool)result["converged"]!);
        Assert.Equal("converged", (string)result["certificates"]!["state"]!);
        Assert.Equal("reliable", (string)result["verdict"]!["trust"]!);
        Assert.InRange((double)result["coot_loss"]!, 0, 0.5);
        Assert.Equal((double)result["coot_loss"]!, (double)JsonNode.Parse(File.ReadAllText(Path.Combine(_folder, "out", "result.json")))!["coot_loss"]!);
        string[] lines = File.ReadAllLines(Path.Combine(_folder, "out", "feature_pairs.csv"));
        Assert.Equal("feature_x,feature_y,mass,lift,share_x,share_y,mutual", lines[0]);
        Assert.Equal(["calcium,0", "neurite,3", "nucleus,1", "puncta,4", "soma,2"], lines.Skip(1).Select(l => string.Join(',', l.Split(',')[..2])).Order(StringComparer.Ordinal));
        using CpuDevice device = new(1);
        using Matrix<double> samples = MatrixReader.ReadDouble(device, Path.Combine(_folder, "out", "coupling.npy")), features = MatrixReader.ReadDouble(device, Path.Combine(_folder, "out", "feature_coupling.npy"));
        Assert.Equal((Cells, Cells, Features, Features), (samples.Rows, samples.Columns, features.Rows, features.Columns));
        for (int i = 0; i < Cells; i++) Assert.Equal((1 + i % 2) / (1.5 * Cells), samples.Row(i).ToArray().Sum(), 1e-7);
        Assert.Contains("concepts.txt", File.ReadAllText(Path.Combine(_folder, "out", "manifest.json")), StringComparison.Ordinal);
        (code, output, error) = CommandFrameTests.Invoke(["gw", "evaluate", "--coupling", Path.Combine(_folder, "out", "coupling.npy"), "--truth", "identity", "--json", "--threads", "1", "--device", "cpu"]);
        Assert.True(code == 0, output + error);
        Assert.Equal((double)result["verdict"]!["foscttm"]!["average"]!, (double)JsonNode.Parse(output)!["foscttm"]!["average"]!, 1e-12);
    }

    [Theory]
    [InlineData(3, "nowhere.npy: the file does not exist", "--x", "nowhere.npy")]
    [InlineData(3, "row 7, column 3", "--x", "nan.npy")]
    [InlineData(3, "2 names were given for 5 columns", "--features-x", "few.txt")]
    [InlineData(3, "row 4, counted from 0", "--masses-x", "cells.csv:wrong")]
    [InlineData(3, "there is no such column", "--masses-y", "cells.csv:weight")]
    [InlineData(3, "40 masses were given where 5 are needed (--feature-masses-x)", "--feature-masses-x", "cells.csv:mass")]
    [InlineData(2, "--labels-x and --labels-y belong together", "--labels-x", "cells.csv:type")]
    [InlineData(2, "epsilon is 0", "--epsilon-features", "0")]
    [InlineData(2, "expected features, none", "--standardise", "rows")]
    [InlineData(2, "top is -3", "--top", "-3")]
    [InlineData(2, "expected identity", "--truth", "diagonal")]
    public void What_cannot_be_coupled_is_refused_in_one_sentence(int expected, string reason, string option, string value)
    {
        (int code, string output, string error) = Invoke(option, value.Contains('.') ? In(value) : value);
        Assert.True(code == expected, output + error);
        Assert.Contains(reason, output + error, StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(_folder, "out", "result.json")));
    }

    private string In(string name) => Path.Combine(_folder, name);

    private (int Code, string Output, string Error) Invoke(params string[] options)
    {
        string[] x = options.Contains("--x") ? [] : ["--x", In("x.npy")];
        return CommandFrameTests.Invoke(["gw", "coot", .. x, "--y", In("y.npy"), "--epsilon", "0.02", .. options.Contains("--epsilon-features") ? [] : (string[])["--epsilon-features", "0.02"], "--out", Path.Combine(_folder, "out"), "--json", "--threads", "1", "--device", "cpu", .. options]);
    }
}
