using System.Text.Json;
using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Co-optimal transport against NumPy (tests/golden/gromov/make_coot.py) and on data whose features are known to correspond.</summary>
public sealed class CoOptimalTransportTests
{
    private static readonly JsonElement s_golden = JsonDocument.Parse(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "tests", "golden", "gromov", "coot.json"))).RootElement;

    public static TheoryData<int> Cases => [.. Enumerable.Range(0, s_golden.GetProperty("cases").GetArrayLength())];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Couplings_and_objectives_are_those_of_the_alternation(int index)
    {
        JsonElement c = s_golden.GetProperty("cases")[index];
        using CpuDevice device = new(2);
        using Matrix<double> x = Read(device, c.GetProperty("x")), y = Read(device, c.GetProperty("y")), samples = Read(device, c.GetProperty("samples")), features = Read(device, c.GetProperty("features"));
        CoOptimalOptions options = new()
        {
            SampleEpsilon = c.GetProperty("epsilon_samples").GetDouble(), FeatureEpsilon = c.GetProperty("epsilon_features").GetDouble(), Tolerance = 1e-12, MaxIterations = 2000,
            Inner = SinkhornOptions.Pot with { MaxIterations = 50_000, Tolerance = 1e-13, CheckEvery = 1, Accelerate = true },
        };
        using CoOptimalResult result = CoOptimalTransport.Solve(x, y, options);
        Assert.True(result.Converged && result.InnerNotConverged == 0);
        AssertClose(samples, result.Samples);
        AssertClose(features, result.Features);
        double[] objectives = [.. c.GetProperty("objectives").EnumerateArray().Select(v => v.GetDouble())];
        for (int i = 0; i < Math.Min(objectives.Length, result.Objectives.Count); i++) Assert.Equal(objectives[i], result.Objectives[i], 1e-9);
        for (int i = 1; i < result.Objectives.Count; i++) Assert.True(result.Objectives[i] <= result.Objectives[i - 1] + 1e-12);
    }

    [Fact]
    public void Shuffled_features_and_samples_are_put_back()
    {
        using CpuDevice device = new(2);
        const int n = 40, d = 6;
        using Matrix<double> x = Clouds.Normal(device, n, d, 51), y = device.AllocateMatrix<double>(n, d);
        int[] rows = Clouds.Order(n, 52), columns = Clouds.Order(d, 53);
        // Features with means and spreads of their own.
        for (int i = 0; i < n; i++)
            for (int k = 0; k < d; k++) x.Row(i)[k] += k * k;
        for (int i = 0; i < n; i++)
            for (int k = 0; k < d; k++) y.Row(i)[k] = x.Row(rows[i])[columns[k]];
        using CoOptimalResult result = CoOptimalTransport.Solve(x, y, new CoOptimalOptions { SampleEpsilon = 0.05, FeatureEpsilon = 0.05 });
        for (int k = 0; k < d; k++) Assert.True(result.Features.Row(columns[k])[k] > 0.95 / d, $"feature {k} gets {result.Features.Row(columns[k])[k] * d:F3}");
        int right = Enumerable.Range(0, n).Count(i => result.Samples.Row(rows[i]).ToArray() is var row && Array.IndexOf(row, row.Max()) == i);
        Assert.Equal(n, right);
    }

    [Fact]
    public void Input_without_a_meaning_is_refused_in_one_sentence()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 6, 3, 54), y = Clouds.Normal(device, 5, 4, 55), wrong = Clouds.Normal(device, 5, 5, 56);
        Assert.Contains("epsilon is 0", Assert.Throws<UsageException>(() => CoOptimalTransport.Solve(x, y, new CoOptimalOptions { FeatureEpsilon = 0 })).Message);
        Assert.Contains("expected 3 x 4", Assert.Throws<DataException>(() => CoOptimalTransport.Solve(x, y, new CoOptimalOptions(), wrong)).Message);
        x.Row(1)[2] = double.NaN;
        Assert.Contains("row 1", Assert.Throws<DataException>(() => CoOptimalTransport.Solve(x, y, new CoOptimalOptions())).Message);
    }

    private static void AssertClose(Matrix<double> expected, Matrix<double> actual)
    {
        for (int i = 0; i < expected.Rows; i++)
            for (int j = 0; j < expected.Columns; j++) Assert.Equal(expected.Row(i)[j], actual.Row(i)[j], 1e-9);
    }

    private static Matrix<double> Read(CpuDevice device, JsonElement rows)
    {
        Matrix<double> matrix = device.AllocateMatrix<double>(rows.GetArrayLength(), rows[0].GetArrayLength());
        for (int i = 0; i < matrix.Rows; i++)
            for (int j = 0; j < matrix.Columns; j++) matrix.Row(i)[j] = rows[i][j].GetDouble();
        return matrix;
    }
}
