using BioSup.Analysis.Alignment;
using BioSup.Kernels;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Couplings with other marginals, of asymmetric costs and under OTT's stopping rule, against POT and NumPy (tests/golden/gromov/make_marginals.py).</summary>
public sealed class MarginalsGoldenTests
{
    public static TheoryData<int> Of(string kind) => MarginalsCase.Of(kind);

    [Theory]
    [MemberData(nameof(Of), "semi-relaxed")]
    public void Semi_relaxed_coupling_loss_and_trace_are_those_of_pot_s_algorithm(int index)
    {
        using MarginalsCase c = new(index);
        using GromovResult result = c.Solve(new GromovOptions { Marginals = MarginalConstraint.SemiRelaxed, Solver = GromovSolverKind.Ppa, MaxIterations = 400 });
        c.AssertCoupling(result, 1e-9);
        AssertTrace(c.Numbers("err"), result.ErrorTrace);
        Assert.InRange(result.RowError, 0, 1e-12);
        Assert.Equal(0, result.ColumnError);
        Assert.Equal(c.ColumnDeviation(), result.ColumnDeviation, 1e-8);
    }

    [Theory]
    [MemberData(nameof(Of), "unbalanced")]
    public void Unbalanced_coupling_mass_and_objective_are_those_of_sejourne_s_algorithm(int index)
    {
        using MarginalsCase c = new(index);
        GromovOptions options = new()
        {
            Marginals = MarginalConstraint.Unbalanced, Convention = EpsilonConvention.Ott, Rho = c.Number("rho"), Tolerance = 1e-12, MaxIterations = 3000,
            Inner = SinkhornOptions.Pot with { Tolerance = 1e-12, MaxIterations = 5000 },
        };
        using GromovResult result = c.Solve(options);
        Assert.True(result.Converged && result.InnerNotConverged == 0);
        c.AssertCoupling(result, 1e-8);
        Assert.Equal(c.Coupling.Buffer.View.Host.ToArray().Sum(), result.Mass, 1e-8);
        Assert.Equal(c.Number("objective"), result.RegularisedObjective, 1e-8);
        // In POT's convention both prices double.
        using GromovResult pot = c.Solve(options with { Convention = EpsilonConvention.Pot, Rho = 2 * options.Rho }, epsilonFactor: 2);
        c.AssertCoupling(pot, 1e-8);
        Assert.Equal(result.RegularisedObjective, pot.RegularisedObjective, 1e-9);
    }

    [Theory]
    [MemberData(nameof(Of), "partial")]
    public void Partial_coupling_and_loss_are_those_of_pot(int index)
    {
        using MarginalsCase c = new(index);
        // POT 0.8.2 linearises a partial problem with L(T), as OTT does the balanced one, and reports half the loss.
        GromovOptions options = new()
        {
            Marginals = MarginalConstraint.Partial, Convention = EpsilonConvention.Ott, Mass = c.Number("mass"), Tolerance = 1e-11, MaxIterations = 400, InnerSolve = InnerSolve.PotIterates,
        };
        using GromovResult pot = c.Solve(options);
        c.AssertCoupling(pot, 1e-9);
        Assert.Equal(2 * c.Number("half"), pot.Loss, 1e-9);
        Assert.Equal(options.Mass, pot.Mass, 1e-12);
        AssertTrace(c.Numbers("err"), pot.ErrorTrace);
        // With all of the mass POT's thousand inner iterations do not suffice (columns miss by 9e-5 in L1), so only its own iterates are where it is.
        if (options.Mass == 1) return;
        using GromovResult warm = c.Solve(options with { InnerSolve = InnerSolve.Converged, Inner = SinkhornOptions.Pot with { Tolerance = 1e-11, MaxIterations = 20_000 } });
        c.AssertCoupling(warm, 1e-7);
        Assert.InRange(warm.RowError + warm.ColumnError, 0, 1e-9);
        Assert.True(warm.InnerIterations < pot.InnerIterations);
    }

    [Theory]
    [MemberData(nameof(Of), "asymmetric")]
    public void Asymmetric_costs_average_the_tensors_of_both_directions(int index)
    {
        using MarginalsCase c = new(index);
        using GromovResult result = c.Solve(new GromovOptions { Convention = EpsilonConvention.Pot, Tolerance = 1e-12, MaxIterations = 3000, Inner = SinkhornOptions.Pot with { Tolerance = 1e-12, MaxIterations = 20_000 } });
        Assert.False(result.Symmetric);
        Assert.True(result.Converged);
        c.AssertCoupling(result, 1e-7);
    }

    [Theory]
    [MemberData(nameof(Of), "ott")]
    public void Ott_s_rule_stops_after_the_same_costs(int index)
    {
        using MarginalsCase c = new(index);
        double[] costs = c.Numbers("costs");
        GromovOptions options = new() { Convention = EpsilonConvention.Ott, Stop = StoppingRule.Ott, Tolerance = 1e-3, MaxIterations = 51, ExactProducts = true, Inner = SinkhornOptions.Pot with { Tolerance = 1e-12, MaxIterations = 20_000 } };
        using GromovResult result = c.Solve(options);
        Assert.True(result.Converged);
        Assert.Equal(costs.Length, result.CostTrace.Count);
        Assert.Equal(costs.Length + 1, result.Iterations);
        for (int i = 0; i < costs.Length; i++) Assert.Equal(costs[i], result.CostTrace[i], 1e-9);
        c.AssertCoupling(result, 1e-7);
        using GromovResult cut = c.Solve(options with { MaxIterations = 5 });
        Assert.False(cut.Converged);
        Assert.Contains(cut.Warnings, w => w.Contains("regularised cost still changes"));
    }

    private static void AssertTrace(double[] expected, IReadOnlyList<double> actual)
    {
        Assert.Equal(expected.Length, actual.Count);
        for (int i = 0; i < expected.Length; i++) Assert.Equal(expected[i], actual[i], 1e-6 * expected[i] + 1e-12);
    }
}
