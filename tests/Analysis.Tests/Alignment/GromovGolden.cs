using System.Text.Json;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>The committed files of tests/golden/gromov: a list of cases each, made by the script beside it.</summary>
internal sealed class GromovGolden(string file)
{
    private readonly JsonElement _cases = JsonDocument.Parse(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "tests", "golden", "gromov", file))).RootElement.GetProperty("cases");

    public GoldenCase this[int index] => new(_cases[index]);

    /// <summary>Numbers of the cases, of one kind where that is given.</summary>
    public TheoryData<int> Indices(string? kind = null) => [.. Enumerable.Range(0, _cases.GetArrayLength()).Where(i => kind is null || this[i].Text("kind") == kind)];
}

/// <summary>One case, or an object within one.</summary>
internal readonly struct GoldenCase(JsonElement json)
{
    public GoldenCase this[string name] => new(json.GetProperty(name));

    /// <summary>True where the member is there and not null.</summary>
    public bool Has(string name) => json.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null;

    public double Number(string name) => json.GetProperty(name).GetDouble();

    public int Integer(string name) => json.GetProperty(name).GetInt32();

    public string Text(string name) => json.GetProperty(name).GetString()!;

    public double[] Numbers(string name) => [.. json.GetProperty(name).EnumerateArray().Select(value => value.GetDouble())];

    public double[][] Lists(string name) => [.. json.GetProperty(name).EnumerateArray().Select(list => list.EnumerateArray().Select(value => value.GetDouble()).ToArray())];

    public Matrix<double> Matrix(CpuDevice device, string name)
    {
        double[][] rows = Lists(name);
        return Matrix<double>.From(device, rows.Length, rows[0].Length, [.. rows.SelectMany(row => row)]);
    }

    /// <summary>The largest entry by which a matrix differs from the golden one is below the tolerance.</summary>
    public void AssertClose(string name, Matrix<double> actual, double tolerance)
    {
        double[][] expected = Lists(name);
        Assert.Equal((expected.Length, expected[0].Length), (actual.Rows, actual.Columns));
        double largest = 0;
        for (int i = 0; i < actual.Rows; i++)
            for (int j = 0; j < actual.Columns; j++) largest = Math.Max(largest, Math.Abs(expected[i][j] - actual.Row(i)[j]));
        Assert.True(largest < tolerance, $"largest difference of {name} {largest:e2}");
    }
}
