using System.Text.Json;
using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Fused problems with other marginals against POT and NumPy (tests/golden/gromov/make_fused.py).</summary>
public sealed class FusedMarginalsGoldenTests
{
    private static readonly JsonElement s_golden = JsonDocument.Parse(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "tests", "golden", "gromov", "fused.json"))).RootElement;

    public static TheoryData<int> Of(string kind) =>
        [.. Enumerable.Range(0, s_golden.GetProperty("cases").GetArrayLength()).Where(i => s_golden.GetProperty("cases")[i].GetProperty("kind").GetString() == kind)];

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
        private readonly JsonElement _json;
        private readonly CpuDevice _device = new(2);
        private readonly Matrix<double> _c1, _c2, _between, _coupling;

        public Case(int index)
        {
            _json = s_golden.GetProperty("cases")[index];
            (_c1, _c2, _between, _coupling) = (Read("c1"), Read("c2"), Read("between"), Read("coupling"));
        }

        public double Number(string name) => _json.GetProperty(name).GetDouble();

        public double[] Numbers(string name) => [.. _json.GetProperty(name).EnumerateArray().Select(e => e.GetDouble())];

        public GromovResult Solve(GromovOptions options, double epsilonFactor = 1) => EntropicGromovWasserstein.Solve(_c1, _c2, options with
        {
            Epsilon = epsilonFactor * Number("epsilon"),
            Alpha = Number("alpha"),
            Loss = _json.GetProperty("loss").GetString() == "kl" ? GromovLoss.KullbackLeibler : GromovLoss.Square,
        }, _between);

        public void AssertCoupling(GromovResult result, double tolerance)
        {
            double largest = 0;
            for (int i = 0; i < _coupling.Rows; i++)
                for (int j = 0; j < _coupling.Columns; j++) largest = Math.Max(largest, Math.Abs(_coupling.Row(i)[j] - result.Coupling.Row(i)[j]));
            Assert.True(largest < tolerance, $"largest difference of the couplings {largest:e2}");
            double alpha = Number("alpha");
            Assert.Equal(Number("gw"), result.Loss, 100 * tolerance);
            Assert.Equal(alpha * Number("gw") + (1 - alpha) * Number("linear"), result.FusedLoss, 100 * tolerance);
        }

        public void Dispose()
        {
            foreach (Matrix<double> matrix in (ReadOnlySpan<Matrix<double>>)[_c1, _c2, _between, _coupling]) matrix.Dispose();
            _device.Dispose();
        }

        private Matrix<double> Read(string name)
        {
            JsonElement rows = _json.GetProperty(name);
            Matrix<double> matrix = _device.AllocateMatrix<double>(rows.GetArrayLength(), rows[0].GetArrayLength());
            for (int i = 0; i < matrix.Rows; i++)
                for (int j = 0; j < matrix.Columns; j++) matrix.Row(i)[j] = rows[i][j].GetDouble();
            return matrix;
        }
    }
}
