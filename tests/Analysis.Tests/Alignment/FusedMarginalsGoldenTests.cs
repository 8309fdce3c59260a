using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Fused problems with other marginals against POT and NumPy (tests/golden/gromov/make_fused.py).</summary>
public sealed class FusedMarginalsGoldenTests
{
    private static readonly GromovGolden s_golden = new("fused.json");

    public static TheoryData<int> Of(string kind) => s_golden.Indices(kind);

    [Theory]
    [MemberData(nameof(Of), "semi-relaxed")]
    public void Semi_relaxed_coupling_and_trace_are_those_of_pot_s_algorithm(int index)
    {
        using Case c = new(index);
        using GromovResult result = c.Solve(new GromovOptions { Marginals = MarginalConstraint.SemiRelaxed, Solver = GromovSolverKind.Ppa, MaxIterations = 400 });
        c.AssertCoupling(result, 1e-9);
        double[] expected = c.Numbers("err");
        Assert.Equal(expected.Length, result.ErrorTrace.Count);
        for (int i = 0; i < expected.Length; i++) Assert.Equal(expected[i], result.ErrorTrace[i], 1e-6 * expected[i] + 1e-12);
        Assert.InRange(result.RowError, 0, 1e-12);
    }

    [Theory]
    [MemberData(nameof(Of), "unbalanced")]
    public void Unbalanced_coupling_and_objective_are_those_of_fugw_with_one_plan(int index)
    {
        using Case c = new(index);
        GromovOptions options = new()
        {
            Marginals = MarginalConstraint.Unbalanced, Convention = EpsilonConvention.Ott, Rho = c.Number("rho"), Tolerance = 1e-12, MaxIterations = 3000,
            Inner = SinkhornOptions.Pot with { Tolerance = 1e-12, MaxIterations = 5000 },
        };
        using GromovResult result = c.Solve(options);
        Assert.True(result.Converged && result.InnerNotConverged == 0);
        c.AssertCoupling(result, 1e-8);
        Assert.Equal(c.Number("objective"), result.RegularisedObjective, 1e-8);
        // In POT's convention both prices double, and the weights of structure and of the cost between stay.
        using GromovResult pot = c.Solve(options with { Convention = EpsilonConvention.Pot, Rho = 2 * options.Rho }, epsilonFactor: 2);
        c.AssertCoupling(pot, 1e-8);
        Assert.Equal(result.RegularisedObjective, pot.RegularisedObjective, 1e-9);
    }

    [Theory]
    [MemberData(nameof(Of), "partial")]
    public void Partial_coupling_is_that_of_pot_s_inner_solver(int index)
    {
        using Case c = new(index);
        GromovOptions options = new()
        {
            Marginals = MarginalConstraint.Partial, Convention = EpsilonConvention.Ott, Mass = c.Number("mass"), Tolerance = 1e-11, MaxIterations = 400, InnerSolve = InnerSolve.PotIterates,
        };
        using GromovResult pot = c.Solve(options);
        c.AssertCoupling(pot, 1e-9);
        Assert.Equal(options.Mass, pot.Mass, 1e-12);
    }

    private sealed class Case : IDisposable
    {
        private readonly GoldenCase _golden;
        private readonly CpuDevice _device = new(2);
        private readonly Matrix<double> _c1, _c2, _between;

        public Case(int index)
        {
            _golden = s_golden[index];
            (_c1, _c2, _between) = (_golden.Matrix(_device, "c1"), _golden.Matrix(_device, "c2"), _golden.Matrix(_device, "between"));
        }

        public double Number(string name) => _golden.Number(name);

        public double[] Numbers(string name) => _golden.Numbers(name);

        public GromovResult Solve(GromovOptions options, double epsilonFactor = 1) => EntropicGromovWasserstein.Solve(_c1, _c2, options with
        {
            Epsilon = epsilonFactor * Number("epsilon"),
            Alpha = Number("alpha"),
            Loss = _golden.Text("loss") == "kl" ? GromovLoss.KullbackLeibler : GromovLoss.Square,
        }, _between);

        public void AssertCoupling(GromovResult result, double tolerance)
        {
            _golden.AssertClose("coupling", result.Coupling, tolerance);
            double alpha = Number("alpha");
            Assert.Equal(Number("gw"), result.Loss, 100 * tolerance);
            Assert.Equal(alpha * Number("gw") + (1 - alpha) * Number("linear"), result.FusedLoss, 100 * tolerance);
        }

        public void Dispose()
        {
            foreach (Matrix<double> matrix in (ReadOnlySpan<Matrix<double>>)[_c1, _c2, _between]) matrix.Dispose();
            _device.Dispose();
        }
    }
}
