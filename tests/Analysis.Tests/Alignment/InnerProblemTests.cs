using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>What the transport problems inside an alignment cost, and what is said where they were cut short.</summary>
public sealed class InnerProblemTests : IDisposable
{
    private static readonly DomainCostOptions s_euclid = new() { Cost = DomainCost.Euclidean, RowNormalisation = RowNormalisation.None, Scale = CostScale.Mean };
    private readonly CpuDevice _device = new(1);

    public void Dispose() => _device.Dispose();

    [Fact]
    public void A_partial_problem_started_at_its_solution_takes_one_iteration()
    {
        using DomainCostResult c1 = Cost(20, 2, 1), c2 = Cost(16, 3, 2);
        // The outer iteration has settled long before the hundredth step: each step after it is a transport problem that has been solved already.
        GromovOptions options = new() { Epsilon = 0.1, Marginals = MarginalConstraint.Partial, Mass = 0.6, CheckEvery = 10_000, MaxIterations = 150, Inner = SinkhornOptions.Pot with { MaxIterations = 5000, Tolerance = 1e-7 } };
        using GromovResult some = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options), more = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options with { MaxIterations = 200 });
        Assert.Equal((150, 200), (some.Iterations, more.Iterations));
        Assert.Equal(50, more.InnerIterations - some.InnerIterations);
    }

    [Fact]
    public void A_large_price_of_mass_does_not_slow_an_unbalanced_problem_down()
    {
        using DomainCostResult c1 = Cost(20, 2, 3), c2 = Cost(16, 3, 4);
        // Without the step along (1, -1) the mass closes a share epsilon / rho of its gap per iteration.
        GromovOptions options = new() { Epsilon = 0.3, Marginals = MarginalConstraint.Unbalanced, Rho = 3000, MaxIterations = 10, Inner = SinkhornOptions.Pot with { MaxIterations = 5000, Tolerance = 1e-9 } };
        using GromovResult result = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options);
        Assert.Equal((10, 0), (result.Iterations, result.InnerNotConverged));
        Assert.InRange(result.InnerIterations, 10, 1000);
        Assert.Equal(1, result.Mass, 1e-3);
    }

    [Fact]
    public void Transport_problems_that_were_cut_short_are_counted_and_named()
    {
        using Matrix<double> x = Clouds.Normal(_device, 30, 2, 5), y = Clouds.Normal(_device, 25, 3, 6);
        DomainCostOptions squared = s_euclid with { Cost = DomainCost.SquaredEuclidean };
        using DomainCostResult c1 = DomainCosts.Build(x, squared), c2 = DomainCosts.Build(y, squared);
        GromovOptions options = new() { Epsilon = 0.05, Tolerance = 1e-12, MaxIterations = 4, Inner = SinkhornOptions.Pot with { MaxIterations = 1, Tolerance = 1e-14 } };
        using OnlineGromovResult cut = OnlineGromovWasserstein.Solve(c1, c2, options), whole = OnlineGromovWasserstein.Solve(c1, c2, options with { Inner = SinkhornOptions.Pot with { MaxIterations = 5000, Tolerance = 1e-9 } });
        Assert.Equal((4, 0), (cut.InnerNotConverged, whole.InnerNotConverged));
        Assert.Contains(cut.Warnings, warning => warning.StartsWith("In 4 of 4 outer iterations Sinkhorn stopped at its limit of 1 ", StringComparison.Ordinal));
    }

    private DomainCostResult Cost(int n, int d, ulong seed)
    {
        using Matrix<double> x = Clouds.Normal(_device, n, d, seed);
        return DomainCosts.Build(x, s_euclid);
    }
}
