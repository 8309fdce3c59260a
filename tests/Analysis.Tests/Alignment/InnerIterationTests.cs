using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>What shortens the inner solves of a stored coupling: where they start and how far they go. Counts are deterministic.</summary>
public sealed class InnerIterationTests
{
    private static readonly DomainCostOptions s_mean = new() { Cost = DomainCost.Euclidean, RowNormalisation = RowNormalisation.None, Scale = CostScale.Mean };

    [Fact]
    public void A_forecast_continues_steps_along_one_direction_whatever_constant_is_added()
    {
        PotentialForecast forecast = new(3);
        double[] limit = [1, 2, 4], direction = [3, -1, 2], potentials = new double[3];
        for (int k = 0; k < 3; k++)
        {
            for (int i = 0; i < 3; i++) potentials[i] = limit[i] + Math.Pow(0.5, k) * direction[i] + 10 * k;
            Assert.False(forecast.Apply(potentials));
            forecast.Record(potentials);
        }
        double constant = potentials[0];
        Assert.True(forecast.Apply(potentials));
        for (int i = 0; i < 3; i++) Assert.Equal(limit[i] + 0.125 * direction[i] - (limit[0] + 0.125 * direction[0]), potentials[i] - potentials[0], 1e-12);
        Assert.InRange(Math.Abs(potentials[0] - constant), 0, 1);
        forecast.Clear();
        Assert.False(forecast.Apply(potentials));
    }

    [Fact]
    public void A_forecast_says_nothing_where_steps_turn_and_never_steps_farther_than_last_time()
    {
        PotentialForecast forecast = new(2);
        double[] last = [0, 1];
        foreach (double[] potentials in (double[][])[[0, 0], [1, -1], last]) forecast.Record(potentials);
        Assert.False(forecast.Apply(last));
        Assert.Equal([0, 1], last);

        forecast.Clear();
        last = [4, -4];
        foreach (double[] potentials in (double[][])[[0, 0], [1, -1], last]) forecast.Record(potentials);
        Assert.True(forecast.Apply(last));
        Assert.Equal([7, -7], last);
    }

    [Theory]
    [InlineData(1e-9)]
    [InlineData(1e-5)]
    public void Solves_that_go_only_as_far_as_they_need_end_where_full_ones_do(double tolerance)
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 60, 3, 31), y = Clouds.Normal(device, 50, 3, 32);
        using DomainCostResult c1 = DomainCosts.Build(x, s_mean), c2 = DomainCosts.Build(y, s_mean);
        GromovOptions loose = new() { Epsilon = 0.1, Tolerance = tolerance, ExactProducts = true };
        // Every solve from zero to the end, without acceleration.
        GromovOptions plain = loose with { Inner = SinkhornOptions.Pot with { MaxIterations = 50_000, CheckEvery = 1 }, InnerSolve = InnerSolve.PotIterates };
        using GromovResult found = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, loose), expected = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, plain);
        TestContext.Current.TestOutputHelper?.WriteLine($"{found.Iterations}, {found.InnerIterations} against {expected.Iterations}, {expected.InnerIterations}");
        Assert.True(found.Converged && expected.Converged);
        Assert.Equal(0, expected.InnerNotConverged);
        // The last solves are full ones, so the verdict is that of full solves.
        Assert.InRange(found.LastInnerError, 0, loose.Inner.Tolerance);
        Assert.InRange(found.ColumnError, 0, 1e-7);
        Assert.Equal(expected.Loss, found.Loss, 10 * tolerance);
        Assert.True(found.Iterations <= expected.Iterations + 10);
        Assert.True(5 * found.InnerIterations < expected.InnerIterations);
    }

    [Fact]
    public void Solves_cut_off_by_the_iteration_limit_keep_their_masses_in_full()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 40, 3, 33), y = Clouds.Normal(device, 35, 3, 34);
        using DomainCostResult c1 = DomainCosts.Build(x, s_mean), c2 = DomainCosts.Build(y, s_mean);
        foreach (int most in (int[])[1, 2, 7])
        {
            using GromovResult result = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, new GromovOptions { Epsilon = 0.02, MaxIterations = most });
            Assert.False(result.Converged);
            Assert.InRange(result.LastInnerError, 0, 1e-9);
        }
    }
}
