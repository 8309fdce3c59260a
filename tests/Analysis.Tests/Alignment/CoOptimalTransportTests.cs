using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Co-optimal transport against NumPy (tests/golden/gromov/make_coot.py) and on data whose features are known to correspond.</summary>
public sealed class CoOptimalTransportTests
{
    private static readonly GromovGolden s_golden = new("coot.json");

    public static TheoryData<int> Cases => s_golden.Indices();

    [Theory]
    [MemberData(nameof(Cases))]
    public void Couplings_and_objectives_are_those_of_the_alternation(int index)
    {
        GoldenCase c = s_golden[index];
        using CpuDevice device = new(2);
        using Matrix<double> x = c.Matrix(device, "x"), y = c.Matrix(device, "y");
        CoOptimalOptions options = new()
        {
            SampleEpsilon = c.Number("epsilon_samples"), FeatureEpsilon = c.Number("epsilon_features"), Tolerance = 1e-12, MaxIterations = 2000,
            Inner = SinkhornOptions.Pot with { MaxIterations = 50_000, Tolerance = 1e-13, CheckEvery = 1, Accelerate = true },
        };
        CoOptimalMasses? masses = c.Has("masses") && c.Lists("masses") is [var a, var b, var u, var v] ? new CoOptimalMasses(a, b, u, v) : null;
        using CoOptimalResult result = CoOptimalTransport.Solve(x, y, options, masses: masses);
        Assert.True(result.Converged && result.InnerNotConverged == 0);
        c.AssertClose("samples", result.Samples, 1e-9);
        c.AssertClose("features", result.Features, 1e-9);
        Assert.InRange(result.SampleError.Rows + result.SampleError.Columns + result.FeatureError.Rows + result.FeatureError.Columns, 0, 1e-9);
        double[] objectives = c.Numbers("objectives");
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
        Assert.Contains("5 masses were given for 6", Assert.Throws<DataException>(() => CoOptimalTransport.Solve(x, y, new CoOptimalOptions(), masses: new CoOptimalMasses(new double[5]))).Message);
        Assert.Contains("element 2", Assert.Throws<DataException>(() => CoOptimalTransport.Solve(x, y, new CoOptimalOptions(), masses: new CoOptimalMasses(FirstFeatures: [0.5, 0.5, 0]))).Message);
        Assert.Contains("sum to 1.2", Assert.Throws<DataException>(() => CoOptimalTransport.Solve(x, y, new CoOptimalOptions(), masses: new CoOptimalMasses(FirstFeatures: [0.4, 0.4, 0.4]))).Message);
        x.Row(1)[2] = double.NaN;
        Assert.Contains("row 1", Assert.Throws<DataException>(() => CoOptimalTransport.Solve(x, y, new CoOptimalOptions())).Message);
    }
}
