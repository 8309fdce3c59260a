using BioSup.Analysis.Alignment;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Parts of the verdict held number by number where whole alignments would not notice: ties, radii, cells never drawn, p-values, limits.</summary>
public sealed class TrustDetailsTests
{
    private static readonly DomainCostOptions s_euclid = new() { Cost = DomainCost.Euclidean, RowNormalisation = RowNormalisation.None };

    [Fact]
    public void Partners_are_the_first_of_equals_in_both_directions()
    {
        using CpuDevice device = new(1);
        using Matrix<double> coupling = Matrix<double>.From(device, 3, 3, [0.1, 0.2, 0.2, 0.3, 0.3, 0, 0.3, 0.1, 0.2]);
        Assert.Equal([1, 0, 0], DistinctOptima.Partners(coupling));
        Assert.Equal([1, 1, 0], CellStability.ColumnPartners(coupling));
    }

    [Fact]
    public void A_neighbourhood_reaches_to_the_fifth_other_cell_of_a_small_domain_and_a_twentieth_of_a_large_one()
    {
        using CpuDevice device = new(1);
        foreach ((int n, double end, double middle) in new[] { (12, 5.0, 3.0), (200, 10.0, 5.0), (3, 2.0, 1.0) })
        {
            using Matrix<double> line = device.AllocateMatrix<double>(n, n);
            for (int i = 0; i < n; i++)
                for (int j = 0; j < n; j++) line.Row(i)[j] = Math.Abs(i - j);
            double[] radii = CellStability.Radii(line);
            Assert.Equal(end, radii[0]);
            Assert.Equal(middle, radii[n / 2]);
        }
    }

    [Fact]
    public void A_cell_that_was_never_drawn_has_no_stability()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 40, 2, 1);
        using DomainCostResult c = DomainCosts.Build(x, s_euclid);
        GromovOptions options = new() { Epsilon = 5e-3, MaxIterations = 60 };
        using GromovResult result = EntropicGromovWasserstein.Solve(c.Cost, c.Cost, options);
        CellStability stability = CellStability.Of(c.Cost, c.Cost, result.Coupling, options, null, 1, seed: 3);
        Assert.InRange(stability.First.Count(double.IsNaN), 5, 25);
        Assert.InRange(stability.Second.Count(double.IsNaN), 5, 25);
        Assert.Equal(stability.First.Concat(stability.Second).Where(double.IsFinite).Average(), stability.Mean, 1e-12);
    }

    [Fact]
    public void Soft_targets_are_those_of_a_cells_share_and_its_neighbours_are_others()
    {
        using CpuDevice device = new(1);
        const int n = 40;
        CounterRandom random = new(4);
        using Matrix<double> line = device.AllocateMatrix<double>(n, n), unrelated = device.AllocateMatrix<double>(n, n), coupling = device.AllocateMatrix<double>(n, n);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++)
            {
                line.Row(i)[j] = Math.Abs(i - j);
                if (j < i) unrelated.Row(i)[j] = unrelated.Row(j)[i] = 1 + random.NextDouble();
            }
        for (int i = 0; i < n; i++) coupling.Row(i)[i] = 1.0 / n;
        SoftTargets smooth = new(line, line, coupling, 8, 2);
        // Neighbours on a line predict the middle of it, and no shuffling of cells does as well.
        Assert.InRange(smooth.Predictability(), 0.95, 1);
        Assert.Equal(1.0 / 100, smooth.PermutationNull(seed: 1, permutations: 99).P);
        // A cell is no neighbour of itself, or it would predict itself even where distances mean nothing.
        Assert.InRange(new SoftTargets(unrelated, line, coupling, 8, 1).Predictability(), -2, 0.3);
        double before = smooth.Predictability();
        for (int i = 0; i < n; i++)
            foreach (ref double t in coupling.Row(i)) t *= 1 + 3 * random.NextDouble();
        Assert.Equal(before, new SoftTargets(line, line, coupling, 8, 2).Predictability(), 1e-12);
    }

    [Fact]
    public void The_best_bound_is_the_largest_there_is()
    {
        Assert.Equal(3, new LowerBounds(1, 2, 3, 0).Best);
        Assert.Equal(4, new LowerBounds(1, 4, 3, 0).Best);
        Assert.Equal(1, new LowerBounds(1, null, null, 0).Best);
    }

    [Fact]
    public void What_was_only_enclosed_is_given_at_its_safe_end_with_its_slack()
    {
        // 37 and 41 points have no common parts that are few enough: transports are enclosed.
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 37, 2, 8), y = Clouds.Normal(device, 41, 3, 9), product = device.AllocateMatrix<double>(37, 41), gradient = device.AllocateMatrix<double>(37, 41);
        using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid);
        double here = 0;
        for (int i = 0; i < 37; i++)
            for (int j = 0; j < 41; j++)
            {
                product.Row(i)[j] = 1.0 / (37 * 41);
                foreach (double a in c1.Cost.Row(i))
                    foreach (double b in c2.Cost.Row(j)) gradient.Row(i)[j] += 2 * (a - b) * (a - b) / (37 * 41);
                here += gradient.Row(i)[j] / (37 * 41);
            }
        TransportBounds least = LinearTransport.Minimise(gradient);
        Assert.True(least.Upper > least.Lower);
        StationarityGap gap = StationarityGap.Of(c1, c2, product, new GromovOptions { Solver = GromovSolverKind.Ppa, Epsilon = 0.1 });
        Assert.Equal(here - least.Lower, gap.Loss, 1e-9);
        Assert.Equal(least.Upper - least.Lower, gap.Slack, 1e-9);
        LowerBounds bounds = LowerBounds.Of(c1.Cost, c2.Cost);
        Assert.True(bounds.ThirdSlack > 0);
    }

    [Fact]
    public void A_coupling_that_misses_its_masses_is_first_moved_onto_them()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 20, 2, 10), coupling = device.AllocateMatrix<double>(20, 20), rounded = device.AllocateMatrix<double>(20, 20);
        using DomainCostResult c = DomainCosts.Build(x, s_euclid);
        CounterRandom random = new(11);
        for (int i = 0; i < 20; i++)
            for (int j = 0; j < 20; j++) rounded.Row(i)[j] = coupling.Row(i)[j] = random.NextDouble() / 200;
        LinearTransport.Round(rounded);
        GromovOptions options = new() { Solver = GromovSolverKind.Ppa, Epsilon = 0.1 };
        Assert.Equal(StationarityGap.Of(c, c, rounded, options).Loss, StationarityGap.Of(c, c, coupling, options).Loss, 1e-12);
    }

    [Fact]
    public void Chains_of_small_steps_do_not_join_optima()
    {
        using CpuDevice device = new(1);
        using Matrix<double> line = device.AllocateMatrix<double>(26, 26);
        for (int i = 0; i < 26; i++)
            for (int j = 0; j < 26; j++) line.Row(i)[j] = Math.Abs(i - j);
        // Seven of ten cells move on by one: 0.08 of the mean distance a step, 0.16 in two.
        int[][] partners = [.. Enumerable.Range(0, 3).Select(step => Enumerable.Range(0, 10).Select(i => 2 * i + (i < 7 ? step : 0)).ToArray())];
        DistinctOptima optima = DistinctOptima.Of([1, 1.1, 1.2], partners, line);
        Assert.InRange(optima.Displacement[0][1], 0.05, DistinctOptima.SameOptimum);
        Assert.InRange(optima.Displacement[1][2], 0.05, DistinctOptima.SameOptimum);
        Assert.Equal([0, 1], optima.Optima[0].Starts);
        Assert.Equal([2], optima.Optima[1].Starts);
    }

    [Theory]
    [InlineData(EpsilonConvention.Pot)]
    [InlineData(EpsilonConvention.Ott)]
    public void The_gap_of_a_fused_optimum_is_zero(EpsilonConvention convention)
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 24, 2, 5), y = Clouds.Normal(device, 24, 3, 6), between = device.AllocateMatrix<double>(24, 24);
        CounterRandom random = new(7);
        for (int i = 0; i < 24; i++)
            for (int j = 0; j < 24; j++) between.Row(i)[j] = random.NextDouble();
        using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid);
        GromovOptions options = new() { Epsilon = 1e-2, Convention = convention, Alpha = 0.3, MaxIterations = 2000 };
        using GromovResult result = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options, between);
        Assert.True(result.Converged);
        StationarityGap gap = StationarityGap.Of(c1, c2, result.Coupling, options, between);
        Assert.InRange(gap.Objective, 0, 1e-6);
        Assert.True(StationarityGap.Of(c1, c2, result.Coupling, options with { Alpha = 0.6 }, between).Objective > 1e-3);
    }

    [Fact]
    public void Every_limit_of_the_verdict_has_two_sides()
    {
        StationarityGap small = new(0.009, 0.1, 0, 1), large = new(0.011, 0.1, 0, 1);
        Assert.Empty(Against(gap: small));
        Assert.Contains("not a first-order optimum", Against(gap: large));
        Assert.Empty(Against(stability: new CellStability([0.21], [0.21], 0.1, 5, 0)));
        Assert.Contains("depend on which cells were sampled", Against(stability: new CellStability([0.19], [0.19], 0.1, 5, 0)));
        // Where chance is high, half is asked for and no more.
        Assert.Empty(Against(stability: new CellStability([0.51], [0.51], 0.4, 5, 0)));
        Assert.Contains("None of 4", Against(stability: new CellStability([double.NaN], [double.NaN], 0.1, 0, 4)));
        Assert.Empty(Against(nulls: Nulls(new HeldOutCells(50, 5, 0.51, 0.1, null, null))));
        Assert.Contains("does not predict", Against(nulls: Nulls(new HeldOutCells(50, 5, 0.49, 0.1, null, null))));
        Assert.Empty(Against(nulls: Nulls(new HeldOutCells(5, 5, 0.3, 0.6, null, null))));
        Assert.Contains("no better than against decoy", Against(decoys: new NullDistribution(0.5, [0.2, 0.5], 0)));
        Assert.Empty(Against(decoys: new NullDistribution(0.51, [0.2, 0.5], 0)));
    }

    private static SmoothnessNulls Nulls(HeldOutCells held) => new(null, held, new PermutedSoftTargets(0.9, 0, 0.1, 0.001, 999), []);

    private static string Against(StationarityGap? gap = null, CellStability? stability = null, SmoothnessNulls? nulls = null, NullDistribution? decoys = null)
    {
        using CpuDevice device = new(1);
        using Matrix<double> coupling = device.AllocateMatrix<double>(20, 20);
        for (int i = 0; i < 20; i++) coupling.Row(i)[i] = 1.0 / 20;
        using GromovResult result = new()
        {
            Coupling = coupling, Loss = 0.1, FusedLoss = 0.1, RegularisedObjective = 0.1, Entropy = 3, RowError = 0, ColumnError = 0, ErrorTrace = [0],
            Converged = true, Iterations = 1, InnerIterations = 1, InnerNotConverged = 0, LastInnerError = 0, KernelFill = 1, Timing = default, Warnings = [],
        };
        AlignmentCertificates certificates = new(SolveState.Converged, gap, null, []);
        return string.Join(" ", AlignmentVerdict.Judge(result, new GromovOptions(), MatchedCells.Of(coupling), 1, null, null, [], null, decoys, null, certificates, stability, nulls).Against);
    }
}
