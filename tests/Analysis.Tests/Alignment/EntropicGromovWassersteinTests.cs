using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Alignment;

public sealed class EntropicGromovWassersteinTests
{
    private static readonly DomainCostOptions s_euclid = new() { Cost = DomainCost.Euclidean, RowNormalisation = RowNormalisation.None };

    [Theory]
    [InlineData(GromovSolverKind.Pgd)]
    [InlineData(GromovSolverKind.Ppa)]
    public void A_permuted_copy_is_matched_point_by_point(GromovSolverKind solver)
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 40, 3, seed: 1);
        int[] order = Clouds.Order(40, seed: 2);
        using Matrix<double> y = Clouds.Permuted(x, order);
        using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid);
        using GromovResult result = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, new GromovOptions
        {
            Epsilon = solver == GromovSolverKind.Pgd ? 5e-4 : 1e-2, Solver = solver, MaxIterations = 400,
        });
        for (int i = 0; i < 40; i++)
        {
            ReadOnlySpan<double> row = result.Coupling.Row(i);
            int best = 0;
            for (int j = 1; j < 40; j++) if (row[j] > row[best]) best = j;
            Assert.Equal(i, order[best]);
        }
        Assert.InRange(result.Loss, -1e-9, 2e-3);
    }

    [Fact]
    public void Identical_costs_stop_at_once_when_started_at_the_solution()
    {
        // A stop on the relative change of the loss never fires here (POT issue 82); the change of the coupling does.
        using CpuDevice device = new(1);
        using Matrix<double> c = device.AllocateMatrix<double>(6, 6);
        for (int i = 0; i < 6; i++)
            for (int j = 0; j < 6; j++) c.Row(i)[j] = i == j ? 0 : 1;
        using GromovResult result = EntropicGromovWasserstein.Solve(c, c, new GromovOptions { Epsilon = 0.1 });
        Assert.True(result.Converged);
        Assert.True(result.Iterations <= 11);
    }

    [Fact]
    public void Not_a_number_is_refused_with_its_place()
    {
        using CpuDevice device = new(1);
        using Matrix<double> good = Clouds.Normal(device, 5, 5, 1), bad = Clouds.Normal(device, 5, 5, 2);
        bad.Row(3)[1] = double.NaN;
        DataException e = Assert.Throws<DataException>(() => EntropicGromovWasserstein.Solve(good, bad, new GromovOptions()));
        Assert.Contains("row 3, column 1", e.Message);
        Assert.Contains("second domain", e.Message);
        bad.Row(3)[1] = double.NegativeInfinity;
        Assert.Contains("row 3, column 1", Assert.Throws<DataException>(() => DomainCosts.Build(bad, s_euclid, "Y")).Message);
        using Matrix<double> oblong = Clouds.Normal(device, 5, 4, 3);
        Assert.Throws<DataException>(() => EntropicGromovWasserstein.Solve(good, oblong, new GromovOptions()));
        Assert.Throws<UsageException>(() => EntropicGromovWasserstein.Solve(good, good, new GromovOptions { Epsilon = 0 }));
        Assert.Throws<UsageException>(() => EntropicGromovWasserstein.Solve(good, good, new GromovOptions { Alpha = 0.5 }));
    }

    [Theory]
    [InlineData(GromovPrecision.Double, 1e-2)]
    [InlineData(GromovPrecision.Double, 1e-5)]
    [InlineData(GromovPrecision.Single, 1e-3)]
    [InlineData(GromovPrecision.Single, 1e-5)]
    public void Small_epsilon_gives_a_finite_coupling_and_says_when_it_did_not_converge(GromovPrecision precision, double epsilon)
    {
        // POT issue 406 (negative distance), OTT issue 127 (tiny epsilon in single precision).
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 50, 2, 4), y = Clouds.Normal(device, 35, 4, 5);
        using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid);
        using GromovResult result = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, new GromovOptions { Epsilon = epsilon, Precision = precision, MaxIterations = 30 });
        double mass = 0;
        for (int i = 0; i < 50; i++)
            foreach (double t in result.Coupling.Row(i))
            {
                Assert.True(double.IsFinite(t) && t >= 0);
                mass += t;
            }
        Assert.InRange(mass, 0.99, 1.01);
        Assert.True(double.IsFinite(result.Loss));
        if (!result.Converged) Assert.Contains(result.Warnings, w => w.Contains("did not converge"));
        if (result.Loss < 0) Assert.Contains(result.Warnings, w => w.Contains("negative"));
    }

    [Fact]
    public void Single_and_double_precision_agree_and_updated_products_agree_with_full_ones()
    {
        using CpuDevice device = new(2);
        (Matrix<double> x, _) = Clouds.Clusters(device, 60, 3, 6);
        (Matrix<double> y, _) = Clouds.Clusters(device, 48, 2, 7);
        using (x)
        using (y)
        using (DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid))
        {
            GromovOptions options = new() { Epsilon = 5e-3, Inner = SinkhornOptions.Pot with { MaxIterations = 20_000, Tolerance = 1e-12 } };
            using GromovResult full = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options with { ExactProducts = true });
            using GromovResult updated = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options);
            using GromovResult single = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options with { Precision = GromovPrecision.Single, Tolerance = 1e-6, Inner = options.Inner with { Tolerance = 1e-6, MaxIterations = 2000 } });
            Assert.True(full.Converged && updated.Converged && single.Converged);
            Assert.Equal(full.Loss, updated.Loss, 1e-9);
            Assert.Equal(full.Loss, single.Loss, 1e-5);
            Assert.InRange(AlignmentSearch.Displacement(full.Coupling, single.Coupling, c2.Cost), 0, 0.02);
        }
    }

    [Fact]
    public void Fused_problem_between_pure_transport_and_pure_structure()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 20, 3, 8), y = Clouds.Normal(device, 25, 3, 9), between = device.AllocateMatrix<double>(20, 25);
        PairwiseDistance.Compute(DistanceMetric.SquaredEuclidean, x.View, y.View, between.View, DistanceForm.Direct);
        using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid);
        GromovOptions options = new() { Epsilon = 0.05, MaxIterations = 200 };
        using GromovResult pure = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options);
        using GromovResult almost = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options with { Alpha = 1 - 1e-9 }, between);
        using GromovResult half = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options with { Alpha = 0.5 }, between);
        Assert.Equal(pure.Loss, almost.Loss, 1e-6);
        double transport = 0;
        for (int i = 0; i < 20; i++)
            for (int j = 0; j < 25; j++) transport += between.Row(i)[j] * half.Coupling.Row(i)[j];
        Assert.Equal(0.5 * half.Loss + 0.5 * transport, half.FusedLoss, 1e-10);
        // OTT's linearisation is half of POT's, fused term included.
        using GromovResult ott = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options with { Alpha = 0.5, Epsilon = 0.025, Convention = EpsilonConvention.Ott }, between);
        Assert.Equal(half.FusedLoss, ott.FusedLoss, 1e-8);
    }

    [Fact]
    public void An_asymmetric_cost_and_its_transpose_have_the_same_solution()
    {
        using CpuDevice device = new(1);
        using Matrix<double> c1 = device.AllocateMatrix<double>(9, 9), c2 = device.AllocateMatrix<double>(7, 7), t1 = device.AllocateMatrix<double>(9, 9), t2 = device.AllocateMatrix<double>(7, 7);
        CounterRandom random = new(10);
        for (int i = 0; i < 9; i++)
            for (int j = 0; j < 9; j++) t1.Row(j)[i] = c1.Row(i)[j] = random.NextDouble();
        for (int i = 0; i < 7; i++)
            for (int j = 0; j < 7; j++) t2.Row(j)[i] = c2.Row(i)[j] = random.NextDouble();
        GromovOptions options = new() { Epsilon = 0.02, MaxIterations = 300 };
        using GromovResult forward = EntropicGromovWasserstein.Solve(c1, c2, options);
        using GromovResult backward = EntropicGromovWasserstein.Solve(t1, t2, options);
        Assert.Equal(forward.Loss, backward.Loss, 1e-9);
    }

    [Fact]
    public void A_given_start_at_the_solution_stays_there()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 30, 2, 11), y = Clouds.Normal(device, 24, 3, 12);
        using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid);
        GromovOptions options = new() { Epsilon = 0.01, Inner = SinkhornOptions.Pot with { MaxIterations = 20_000 } };
        using GromovResult solved = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options);
        using GromovResult again = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options, initial: solved.Coupling);
        Assert.True(again.ErrorTrace[0] < 1e-7);
        Assert.Equal(solved.Loss, again.Loss, 1e-8);
        using Matrix<double> wrong = Clouds.Normal(device, 30, 24, 1);
        Assert.Throws<DataException>(() => EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options, initial: wrong));
    }

    [Fact]
    public void Bytes_do_not_depend_on_the_number_of_threads_and_cancelling_stops()
    {
        double[]? first = null;
        foreach (int threads in new[] { 1, 3 })
        {
            using CpuDevice device = new(threads);
            using Matrix<double> x = Clouds.Normal(device, 150, 3, 13), y = Clouds.Normal(device, 130, 3, 14);
            using DomainCostResult c1 = DomainCosts.Build(x, DomainCostOptions.Scot(20)), c2 = DomainCosts.Build(y, DomainCostOptions.Scot(20));
            using GromovResult result = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, new GromovOptions { Epsilon = 5e-3, MaxIterations = 12 });
            double[] plan = result.Coupling.Buffer.View.Host.ToArray();
            first ??= plan;
            Assert.Equal(first, plan);
            Assert.Throws<OperationCanceledException>(() => EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, new GromovOptions(), cancellation: new CancellationToken(canceled: true)));
        }
    }

    [Fact]
    public void A_warm_outer_step_allocates_nothing()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 60, 3, 15);
        using DomainCostResult c = DomainCosts.Build(x, s_euclid);
        double[] p = EntropicGromovWasserstein.Uniform(60);
        using GromovIteration<double> iteration = new(new GromovIterationInput<double>(c.Cost, c.Cost), new GromovOptions { Epsilon = 1e-2 }, null, null, p, p);
        for (int k = 0; k < 9; k++) iteration.Step(k);
        WarmAllocation rounds = new();
        while (rounds.Again())
        {
            iteration.Step(9);
            iteration.Step(10);
        }
        Assert.Equal(0, rounds.Least);
    }
}
