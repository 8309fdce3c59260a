using System.Text.Json.Nodes;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Commands;

public sealed class DistanceCommandsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-distance-").FullName;

    public DistanceCommandsTests()
    {
        using CpuDevice device = new(1);
        using Matrix<float> points = Matrix<float>.From(device, 4, 2, [0, 0, 3, 4, 0, 1, 3, 4]), three = device.AllocateMatrix<float>(5, 3);
        MatrixWriter.Write(PathOf("x.npy"), points.View);
        MatrixWriter.Write(PathOf("three.npy"), three.View);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Distance_writes_the_matrix()
    {
        (int code, string output, _) = CommandFrameTests.Invoke("distance", "--x", PathOf("x.npy"), "--metric", "cityblock", "--out", PathOf("d.npy"), "--json", "--threads", "1");
        Assert.Equal(0, code);
        Assert.Equal(4, (int)JsonNode.Parse(output)!["columns"]!);
        Assert.Equal([0f, 7, 1, 7, 7, 0, 6, 0, 1, 6, 0, 6, 7, 0, 6, 0], NpyFile.Read(PathOf("d.npy")).As<float>());
    }

    [Fact]
    public void Knn_writes_indices_and_distances_with_ties_by_index()
    {
        (int code, _, string error) = CommandFrameTests.Invoke("knn", "--x", PathOf("x.npy"), "--k", "2", "--out", PathOf("g.npz"), "--quiet", "--threads", "1");
        Assert.Equal((0, ""), (code, error));
        Assert.Equal([2, 1, 3, 2, 0, 1, 1, 2], NpzFile.Read(PathOf("g.npz"), "indices").As<int>());
        Assert.Equal([1f, 5, 0, MathF.Sqrt(18), 1, MathF.Sqrt(18), 0, MathF.Sqrt(18)], NpzFile.Read(PathOf("g.npz"), "distances").As<float>());
    }

    [Theory]
    [InlineData(2, "metric", "distance", "--x", "x.npy", "--metric", "taxi", "--out", "d.npy")]
    [InlineData(3, "columns", "distance", "--x", "x.npy", "--y", "three.npy", "--out", "d.npy")]
    [InlineData(3, "missing.npy", "distance", "--x", "missing.npy", "--out", "d.npy")]
    [InlineData(2, "at most 3", "knn", "--x", "x.npy", "--k", "4", "--out", "g.npz")]
    [InlineData(2, "1 or more", "knn", "--x", "x.npy", "--k", "0", "--out", "g.npz")]
    [InlineData(2, ".npz", "knn", "--x", "x.npy", "--k", "1", "--out", "g.npy")]
    public void Bad_requests_say_what_is_wrong_and_write_nothing(int exitCode, string named, params string[] args)
    {
        (int code, _, string error) = CommandFrameTests.Invoke([.. args.Select(a => a.Contains(".np", StringComparison.Ordinal) ? PathOf(a) : a)]);
        Assert.Equal(exitCode, code);
        Assert.Contains(named, error);
        Assert.False(File.Exists(PathOf("d.npy")) || File.Exists(PathOf("g.npz")));
    }

    private string PathOf(string name) => Path.Combine(_folder, name);
}
