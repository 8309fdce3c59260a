using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Geometry;

/// <summary>Values of NumPy, SciPy and scikit-learn, made by tests/golden/geometry/make_geometry.py.</summary>
internal static class GeometryGolden
{
    public static string Folder { get; } = Path.Combine(RepositoryRoot.Path, "tests", "golden", "geometry");

    public static JsonNode Root { get; } = JsonNode.Parse(File.ReadAllText(Path.Combine(Folder, "geometry.json")))!;

    public static int[] Labels => Ints(Root["labels"]!);

    public static Matrix<double> Load(ComputeDevice device, string name) => MatrixReader.ReadDouble(device, Path.Combine(Folder, name + ".npy"));

    public static double[] Values(ComputeDevice device)
    {
        using Matrix<double> y = Load(device, "y");
        return y.View.Rows == 1 ? y.Row(0).ToArray() : [.. Enumerable.Range(0, y.Rows).Select(i => y.Row(i)[0])];
    }

    public static int[] Ints(JsonNode node) => [.. node.AsArray().Select(v => (int)v!)];

    public static double[] Doubles(JsonNode node) => [.. node.AsArray().Select(v => (double)v!)];

    public static void Near(double expected, double actual, double relative, string what = "value")
    {
        Assert.True(Math.Abs(expected - actual) <= relative * Math.Max(Math.Abs(expected), 1e-300), $"{what}: expected {expected:R}, got {actual:R}");
    }
}
