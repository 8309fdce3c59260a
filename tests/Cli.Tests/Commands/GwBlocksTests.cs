using System.Text.Json.Nodes;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Commands;

/// <summary>`biosup gw align --blocks-x --blocks-y`: couplings restricted to equal labels from the command line.</summary>
public sealed class GwBlocksTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-blocks-").FullName;

    public GwBlocksTests()
    {
        using CpuDevice device = new(1);
        CounterRandom random = new(11);
        using Matrix<double> x = device.AllocateMatrix<double>(40, 2);
        string[] lines = new string[40];
        for (int i = 0; i < x.Rows; i++)
        {
            int c = i < 16 ? 0 : i < 28 ? 1 : 2;
            lines[i] = $"{"abc"[c]},{"uv"[c / 2]},{(i == 5 ? "" : "a")},{(i < 20 ? "a" : "z")}";
            (x.Row(i)[0], x.Row(i)[1]) = (c * (c + 2) + random.NextNormal(), random.NextNormal());
        }
        MatrixWriter.Write(Path.Combine(_folder, "x.npy"), x.View);
        File.WriteAllLines(Path.Combine(_folder, "cells.csv"), ["type,coarse,gap,other", .. lines]);
        File.WriteAllLines(Path.Combine(_folder, "short.csv"), ["type", .. lines.Take(39).Select(l => l[..1])]);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Mass_stays_within_labels_and_the_coupling_is_one_like_any_other()
    {
        (int code, string output, string error) = Invoke("cells.csv:type", "cells.csv:type", "--truth", "identity", "--starts", "2", "--null", "2", "--stability", "2");
        Assert.True(code == 0, output + error);
        JsonNode result = JsonNode.Parse(output)!;
        Assert.True((bool)result["converged"]!);
        Assert.Equal(["a", "b", "c"], result["blocks"]!.AsArray().Select(b => (string)b!["label"]!));
        Assert.Equal([16, 12, 12], result["blocks"]!.AsArray().Select(b => (int)b!["cells_y"]!));
        Assert.InRange((double)result["verdict"]!["foscttm_within_blocks"]!["average"]!, 0, 0.1);
        Assert.Equal("reliable", (string)result["verdict"]!["trust"]!);
        Assert.InRange((double)result["certificates"]!["stationarity_gap"]!["relative"]!, 0, 1e-3);
        string file = Path.Combine(_folder, "out", "coupling.npy");
        using CpuDevice device = new(1);
        using Matrix<double> coupling = MatrixReader.ReadDouble(device, file);
        for (int i = 0; i < 16; i++) Assert.Equal(0, coupling.Row(i)[16..].ToArray().Sum());
        JsonNode manifest = JsonNode.Parse(File.ReadAllText(Path.Combine(_folder, "out", "manifest.json")))!;
        Assert.Contains("cells.csv:type", manifest.ToJsonString(), StringComparison.Ordinal);
        (code, output, error) = CommandFrameTests.Invoke(["gw", "evaluate", "--coupling", file, "--truth", "identity", "--labels-x", Labels("cells.csv:type"), "--labels-y", Labels("cells.csv:type"), "--json", "--threads", "1", "--device", "cpu"]);
        Assert.True(code == 0, output + error);
        Assert.Equal(1, (double)JsonNode.Parse(output)!["label_transfer"]!["barycentric"]!["accuracy"]!);
    }

    [Theory]
    [InlineData(2, "--blocks-x and --blocks-y belong together", "cells.csv:type", null)]
    [InlineData(3, "39 labels were given for 40 cells", "cells.csv:type", "short.csv:type")]
    [InlineData(3, "'b' occurs in the first domain only", "cells.csv:type", "cells.csv:other")]
    [InlineData(3, "row 5, counted from 0", "cells.csv:gap", "cells.csv:type")]
    [InlineData(3, "nowhere.csv", "nowhere.csv:type", "cells.csv:type")]
    [InlineData(3, "family", "cells.csv:family", "cells.csv:type")]
    [InlineData(2, "is in block 'a' in the first domain and in 'c' in the second", "cells.csv:type", "turned.csv:type", "--truth", "identity")]
    [InlineData(2, "balanced within the labels", "cells.csv:type", "cells.csv:type", "--marginals", "semi-relaxed")]
    [InlineData(2, "double precision", "cells.csv:type", "cells.csv:type", "--dtype", "float32")]
    [InlineData(2, "--blocks-x has no meaning", "cells.csv:type", "cells.csv:type", "--solver", "lowrank")]
    public void What_makes_no_blocks_is_refused_in_one_sentence(int expected, string reason, string first, string? second, params string[] options)
    {
        string[] lines = File.ReadAllLines(Path.Combine(_folder, "cells.csv"));
        File.WriteAllLines(Path.Combine(_folder, "turned.csv"), [lines[0], .. lines.Skip(1).Reverse()]);
        (int code, string output, string error) = Invoke(first, second, options);
        Assert.True(code == expected, output + error);
        Assert.Contains(reason, output + error, StringComparison.Ordinal);
    }

    private string Labels(string column) => Path.Combine(_folder, column);

    private (int Code, string Output, string Error) Invoke(string first, string? second, params string[] options)
    {
        string path = Path.Combine(_folder, "x.npy");
        string[] blocks = second is null ? ["--blocks-x", Labels(first)] : ["--blocks-x", Labels(first), "--blocks-y", Labels(second)];
        return CommandFrameTests.Invoke(["gw", "align", "--x", path, "--y", path, "--cost", "euclidean", "--row-norm", "none", "--epsilon", "0.002", "--out", Path.Combine(_folder, "out"), "--json", "--threads", "1", "--device", "cpu", .. blocks, .. options]);
    }
}
