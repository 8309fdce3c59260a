using System.Text.Json;
using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Couplings, losses and error traces of POT on small problems (tests/golden/gromov/make_pot.py).</summary>
public sealed class PotGoldenTests
{
    private static readonly JsonElement s_golden = JsonDocument.Parse(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "tests", "golden", "gromov", "pot.json"))).RootElement;

    public static TheoryData<int> Cases => [.. Enumerable.Range(0, s_golden.GetProperty("cases").GetArrayLength())];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Coupling_loss_and_trace_are_those_of_pot(int index)
    {
        JsonElement golden = s_golden.GetProperty("cases")[index];
        using CpuDevice device = new(2);
        using Matrix<double> c1 = Read(device, golden, "c1"), c2 = Read(device, golden, "c2"), expected = Read(device, golden, "coupling");
        GromovOptions options = Options(golden);
        double[] trace = [.. golden.GetProperty("err").EnumerateArray().Select(e => e.GetDouble())];
        foreach ((GromovOptions variant, double tolerance) in new[] { (options with { ExactProducts = true, Inner = SinkhornOptions.Pot }, 1e-9), (options, 1e-6) })
        {
            using GromovResult result = EntropicGromovWasserstein.Solve(c1, c2, variant, null);
            Assert.Equal(trace.Length, result.ErrorTrace.Count);
            for (int i = 0; i < trace.Length; i++) Assert.Equal(trace[i], result.ErrorTrace[i], 1e-5 * trace[i] + tolerance * 1e-3);
            double largest = 0;
            for (int i = 0; i < c1.Rows; i++)
                for (int j = 0; j < c2.Rows; j++) largest = Math.Max(largest, Math.Abs(expected.Row(i)[j] - result.Coupling.Row(i)[j]));
            Assert.True(largest < tolerance, $"largest difference of the couplings {largest:e2}");
            Assert.Equal(golden.GetProperty("gw_dist").GetDouble(), result.Loss, tolerance);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Ott_at_half_epsilon_and_a_warm_inner_start_reach_the_same_plan(int index)
    {
        JsonElement golden = s_golden.GetProperty("cases")[index];
        using CpuDevice device = new(2);
        using Matrix<double> c1 = Read(device, golden, "c1"), c2 = Read(device, golden, "c2");
        GromovOptions options = Options(golden);
        // The inner solver must converge for a warm start to mean the same; POT's own limit of 1000 would stop it earlier.
        options = options with { Inner = options.Inner with { MaxIterations = 100_000, Tolerance = 1e-12 } };
        using GromovResult pot = EntropicGromovWasserstein.Solve(c1, c2, options);
        using GromovResult ott = EntropicGromovWasserstein.Solve(c1, c2, options with { Convention = EpsilonConvention.Ott, Epsilon = options.Epsilon / 2 });
        using GromovResult warm = EntropicGromovWasserstein.Solve(c1, c2, options with { InnerStart = InnerStart.Warm });
        Assert.True(warm.InnerIterations <= pot.InnerIterations);
        for (int i = 0; i < c1.Rows; i++)
            for (int j = 0; j < c2.Rows; j++)
            {
                Assert.Equal(pot.Coupling.Row(i)[j], ott.Coupling.Row(i)[j], 1e-8);
                Assert.Equal(pot.Coupling.Row(i)[j], warm.Coupling.Row(i)[j], 1e-7);
            }
    }

    private static GromovOptions Options(JsonElement golden) => new()
    {
        Epsilon = golden.GetProperty("epsilon").GetDouble(),
        Loss = golden.GetProperty("loss").GetString() == "kl_loss" ? GromovLoss.KullbackLeibler : GromovLoss.Square,
        MaxIterations = 200,
    };

    private static Matrix<double> Read(CpuDevice device, JsonElement golden, string name)
    {
        JsonElement rows = golden.GetProperty(name);
        Matrix<double> matrix = device.AllocateMatrix<double>(rows.GetArrayLength(), rows[0].GetArrayLength());
        for (int i = 0; i < matrix.Rows; i++)
            for (int j = 0; j < matrix.Columns; j++) matrix.Row(i)[j] = rows[i][j].GetDouble();
        return matrix;
    }
}
