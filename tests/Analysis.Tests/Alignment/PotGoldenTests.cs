using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Couplings, losses and error traces of POT on small problems (tests/golden/gromov/make_pot.py).</summary>
public sealed class PotGoldenTests
{
    private static readonly GromovGolden s_golden = new("pot.json");

    public static TheoryData<int> Cases => s_golden.Indices();

    [Theory]
    [MemberData(nameof(Cases))]
    public void Coupling_loss_and_trace_are_those_of_pot(int index)
    {
        GoldenCase golden = s_golden[index];
        using CpuDevice device = new(2);
        using Matrix<double> c1 = golden.Matrix(device, "c1"), c2 = golden.Matrix(device, "c2");
        GromovOptions options = Options(golden);
        double[] trace = golden.Numbers("err");
        foreach ((GromovOptions variant, double tolerance) in new[] { (options with { ExactProducts = true, Inner = SinkhornOptions.Pot }, 1e-9), (options, 1e-6) })
        {
            using GromovResult result = EntropicGromovWasserstein.Solve(c1, c2, variant, null);
            Assert.Equal(trace.Length, result.ErrorTrace.Count);
            for (int i = 0; i < trace.Length; i++) Assert.Equal(trace[i], result.ErrorTrace[i], 1e-5 * trace[i] + tolerance * 1e-3);
            golden.AssertClose("coupling", result.Coupling, tolerance);
            Assert.Equal(golden.Number("gw_dist"), result.Loss, tolerance);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Ott_at_half_epsilon_has_the_plan_of_pot(int index)
    {
        GoldenCase golden = s_golden[index];
        using CpuDevice device = new(2);
        using Matrix<double> c1 = golden.Matrix(device, "c1"), c2 = golden.Matrix(device, "c2");
        GromovOptions options = Options(golden);
        using GromovResult pot = EntropicGromovWasserstein.Solve(c1, c2, options);
        using GromovResult ott = EntropicGromovWasserstein.Solve(c1, c2, options with { Convention = EpsilonConvention.Ott, Epsilon = options.Epsilon / 2 });
        for (int i = 0; i < c1.Rows; i++)
            for (int j = 0; j < c2.Rows; j++) Assert.Equal(pot.Coupling.Row(i)[j], ott.Coupling.Row(i)[j], 1e-9);
        Assert.Equal(pot.RegularisedObjective, ott.RegularisedObjective, 1e-9);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void Converged_inner_solves_reach_the_plan_of_pot_s_iterates_where_those_converge(int index)
    {
        GoldenCase golden = s_golden[index];
        using CpuDevice device = new(2);
        using Matrix<double> c1 = golden.Matrix(device, "c1"), c2 = golden.Matrix(device, "c2");
        // At this epsilon Sinkhorn converges; at the small ones of the golden cases it stops at POT's limit, and where it stops depends on its start.
        GromovOptions options = Options(golden) with { Epsilon = 0.05, Tolerance = 1e-11, Inner = SinkhornOptions.Pot with { MaxIterations = 20_000, Tolerance = 1e-11 } };
        using GromovResult plain = EntropicGromovWasserstein.Solve(c1, c2, options);
        using GromovResult accelerated = EntropicGromovWasserstein.Solve(c1, c2, options with { InnerSolve = InnerSolve.Converged });
        Assert.Equal(0, plain.InnerNotConverged + accelerated.InnerNotConverged);
        Assert.True(accelerated.InnerIterations < plain.InnerIterations / 2);
        for (int i = 0; i < c1.Rows; i++)
            for (int j = 0; j < c2.Rows; j++) Assert.Equal(plain.Coupling.Row(i)[j], accelerated.Coupling.Row(i)[j], 1e-7);
    }

    private static GromovOptions Options(GoldenCase golden) => new()
    {
        Epsilon = golden.Number("epsilon"),
        Loss = golden.Text("loss") == "kl_loss" ? GromovLoss.KullbackLeibler : GromovLoss.Square,
        MaxIterations = 200,
        InnerSolve = InnerSolve.PotIterates,
    };
}
