using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

public sealed class OnlineGromovWassersteinTests
{
    private static readonly DomainCostOptions s_squared = new() { Cost = DomainCost.SquaredEuclidean, RowNormalisation = RowNormalisation.None, Scale = CostScale.Mean };
    private static readonly GromovOptions s_tight = new() { Epsilon = 0.05, Tolerance = 1e-11, MaxIterations = 2000, Inner = SinkhornOptions.Pot with { MaxIterations = 5000, Tolerance = 1e-12 } };

    [Theory]
    [InlineData(40, 40, 3, 3, GromovSolverKind.Pgd, EpsilonConvention.Pot)]
    [InlineData(60, 35, 2, 5, GromovSolverKind.Pgd, EpsilonConvention.Ott)]
    [InlineData(35, 90, 6, 2, GromovSolverKind.Pgd, EpsilonConvention.Pot)]
    [InlineData(120, 200, 4, 4, GromovSolverKind.Pgd, EpsilonConvention.Pot)]
    [InlineData(30, 25, 3, 2, GromovSolverKind.Ppa, EpsilonConvention.Pot)]
    public void Plan_objective_and_marginals_are_those_of_the_dense_solver(int n, int m, int d1, int d2, GromovSolverKind solver, EpsilonConvention convention)
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, n, d1, 21), y = Clouds.Normal(device, m, d2, 22);
        using DomainCostResult c1 = DomainCosts.Build(x, s_squared), c2 = DomainCosts.Build(y, s_squared);
        GromovOptions options = s_tight with { Solver = solver, Convention = convention };
        // A proximal plan sharpens for ever: both are stopped at the same step.
        if (solver == GromovSolverKind.Ppa) options = options with { Epsilon = 0.5, MaxIterations = 12 };
        using GromovResult dense = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options with { ExactProducts = true });
        using OnlineGromovResult online = OnlineGromovWasserstein.Solve(c1, c2, options);
        Assert.Equal(dense.Converged, online.Converged);
        using Matrix<double> plan = online.Coupling.ToMatrix();
        double most = 0, largest = 0;
        for (int i = 0; i < n; i++)
            for (int j = 0; j < m; j++)
            {
                largest = Math.Max(largest, dense.Coupling.Row(i)[j]);
                most = Math.Max(most, Math.Abs(dense.Coupling.Row(i)[j] - plan.Row(i)[j]));
            }
        double plans = solver == GromovSolverKind.Ppa ? 1e-4 : 1e-6, losses = solver == GromovSolverKind.Ppa ? 1e-5 : 1e-8;
        Assert.True(most <= plans * largest, $"plans differ by {most / largest:E2} of the largest mass");
        Assert.Equal(dense.Loss, online.Loss, losses);
        Assert.Equal(dense.RegularisedObjective, online.RegularisedObjective, losses);
        Assert.Equal(dense.Entropy, online.Entropy, 100 * losses);
        Assert.InRange(online.ColumnError, 0, solver == GromovSolverKind.Ppa ? 1e-3 : 1e-8);
        Assert.InRange(online.RowError, 0, 1e-10);
    }

    [Fact]
    public void Single_precision_ends_at_the_same_objective()
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 150, 4, 31), y = Clouds.Normal(device, 110, 3, 32);
        using DomainCostResult c1 = DomainCosts.Build(x, s_squared), c2 = DomainCosts.Build(y, s_squared);
        GromovOptions options = s_tight with { Tolerance = 1e-9, Inner = SinkhornOptions.Pot with { MaxIterations = 5000 } };
        using OnlineGromovResult exact = OnlineGromovWasserstein.Solve(c1, c2, options);
        using OnlineGromovResult single = OnlineGromovWasserstein.Solve(c1, c2, options with { Precision = GromovPrecision.Single, Tolerance = 1e-7 });
        Assert.True(single.Converged || single.Settled!.WithinFloor, $"{single.Settled}");
        Assert.Equal(exact.Loss, single.Loss, 1e-4 * exact.Loss);
        Assert.Equal(exact.RegularisedObjective, single.RegularisedObjective, 1e-4 * Math.Abs(exact.RegularisedObjective));
        Assert.InRange(single.ColumnError, 0, 1e-4);
    }

    [Fact]
    public void Threads_do_not_change_a_bit()
    {
        List<double[]> potentials = [];
        foreach (int threads in (int[])[1, 2, 3])
        {
            using CpuDevice device = new(threads);
            using Matrix<double> x = Clouds.Normal(device, 90, 3, 41), y = Clouds.Normal(device, 70, 4, 42);
            using DomainCostResult c1 = DomainCosts.Build(x, s_squared), c2 = DomainCosts.Build(y, s_squared);
            using OnlineGromovResult result = OnlineGromovWasserstein.Solve(c1, c2, new GromovOptions { Epsilon = 0.05, MaxIterations = 20 });
            potentials.Add([.. result.Coupling.RowPotentials, .. result.Coupling.ColumnPotentials, result.Loss]);
        }
        Assert.Equal(potentials[0], potentials[1]);
        Assert.Equal(potentials[0], potentials[2]);
    }

    [Fact]
    public void A_huge_offset_of_the_points_changes_nothing()
    {
        // Distances do not know where the points lie; expanded formulas without centring lose all digits (pytorch issues 42479 and 37734).
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 40, 3, 51), y = Clouds.Normal(device, 30, 2, 52), far = x.CopyAt(device);
        foreach (ref double value in far.Buffer.View.Host[..120]) value += 1e8;
        GromovOptions options = new() { Epsilon = 2, MaxIterations = 400 };
        using OnlineGromovResult near = OnlineGromovWasserstein.Solve(x, y, options, 10, 3), moved = OnlineGromovWasserstein.Solve(far, y, options, 10, 3);
        // The moved coordinates themselves keep eight digits.
        Assert.Equal(near.Loss, moved.Loss, 1e-5 * Math.Abs(near.Loss));
        Assert.True(moved.Loss > 0);
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(1, 5)]
    [InlineData(6, 1)]
    [InlineData(2, 3)]
    public void Few_points_are_answered(int n, int m)
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, n, 2, 61), y = Clouds.Normal(device, m, 3, 62);
        using OnlineGromovResult result = OnlineGromovWasserstein.Solve(x, y, new GromovOptions { Epsilon = 5 });
        Assert.True(result.Converged);
        using Matrix<double> plan = result.Coupling.ToMatrix();
        Assert.Equal(1, plan.Buffer.View.Host[..(n * m)].ToArray().Sum(), 1e-9);
        Assert.True(result.Loss >= -1e-9);
    }

    [Theory]
    [InlineData(GromovPrecision.Double, 1e-4)]
    [InlineData(GromovPrecision.Double, 1e-9)]
    [InlineData(GromovPrecision.Single, 1e-4)]
    [InlineData(GromovPrecision.Single, 1e-7)]
    public void A_tiny_epsilon_gives_numbers_and_says_what_they_are_worth(GromovPrecision precision, double epsilon)
    {
        // POT issue 406 (negative distance), OTT issue 127 (tiny epsilon in single precision).
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 50, 2, 71), y = Clouds.Normal(device, 35, 4, 72);
        using DomainCostResult c1 = DomainCosts.Build(x, s_squared), c2 = DomainCosts.Build(y, s_squared);
        using OnlineGromovResult result = OnlineGromovWasserstein.Solve(c1, c2, new GromovOptions { Epsilon = epsilon, Precision = precision, MaxIterations = 15, Inner = SinkhornOptions.Pot with { MaxIterations = 200 } });
        using Matrix<double> plan = result.Coupling.ToMatrix();
        foreach (double t in plan.Buffer.View.Host[..(50 * 35)]) Assert.True(double.IsFinite(t) && t >= 0);
        Assert.True(double.IsFinite(result.Loss) && double.IsFinite(result.ColumnError));
        if (result.ColumnError > 1e-3 || !result.Converged) Assert.NotEmpty(result.Warnings);
        if (epsilon < 1e-6) Assert.True(result.ColumnError > 1e-3 || !result.Converged || result.InnerNotConverged > 0 || result.Entropy < Math.Log(80));
    }

    [Fact]
    public void An_epsilon_below_every_exponent_is_refused_in_words()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 10, 2, 1), y = Clouds.Normal(device, 8, 2, 2);
        Assert.Contains("raise epsilon", Assert.Throws<ConvergenceException>(() => OnlineGromovWasserstein.Solve(x, y, new GromovOptions { Epsilon = 1e-200 })).Message);
        y.Row(3)[1] = double.NaN;
        Assert.Contains("row 3, column 1", Assert.Throws<DataException>(() => OnlineGromovWasserstein.Solve(x, y, new GromovOptions())).Message);
        Assert.Throws<UsageException>(() => OnlineGromovWasserstein.Solve(x, x, new GromovOptions { Loss = GromovLoss.KullbackLeibler }));
        Assert.Throws<UsageException>(() => OnlineGromovWasserstein.Solve(x, x, new GromovOptions { InnerSolve = InnerSolve.PotIterates }));
        Assert.Throws<UsageException>(() => OnlineGromovWasserstein.Solve(x, x, new GromovOptions { Marginals = MarginalConstraint.Unbalanced }));
        Assert.Throws<UsageException>(() => OnlineGromovWasserstein.Solve(x, x, new GromovOptions { Stop = StoppingRule.Ott }));
    }

    [Fact]
    public void Every_question_is_answered_as_the_stored_plan_would()
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 45, 3, 81), y = Clouds.Normal(device, 60, 2, 82);
        using DomainCostResult c1 = DomainCosts.Build(x, s_squared), c2 = DomainCosts.Build(y, s_squared);
        using OnlineGromovResult result = OnlineGromovWasserstein.Solve(c1, c2, new GromovOptions { Epsilon = 0.05, MaxIterations = 200 });
        ImplicitCoupling coupling = result.Coupling;
        using Matrix<double> plan = coupling.ToMatrix();
        double[] row = new double[60], column = new double[45];
        coupling.Row(7, row);
        Near(plan.Row(7), row);
        coupling.Column(11, column);
        for (int i = 0; i < 45; i++) Assert.Equal(plan.Row(i)[11], column[i], 1e-14);
        for (int j = 0; j < 60; j++) Assert.Equal(Enumerable.Range(0, 45).Sum(i => plan.Row(i)[j]), coupling.ColumnMasses[j], 1e-14);

        using Matrix<double> projected = coupling.Project(y.View), expected = MatchAccuracy.BarycentricProjection(plan, y);
        for (int i = 0; i < 45; i++)
            for (int c = 0; c < 2; c++) Assert.Equal(expected.Row(i)[c], projected.Row(i)[c], 1e-10);
        using Matrix<double> back = coupling.MultiplyTransposed(x.View);
        for (int j = 0; j < 60; j++) Assert.Equal(Enumerable.Range(0, 45).Sum(i => plan.Row(i)[j] * x.Row(i)[1]), back.Row(j)[1], 1e-12);
        using Matrix<double> again = coupling.ProjectNew(x.View.RowBlock(5, 4), y.View);
        for (int i = 0; i < 4; i++) Assert.Equal(projected.Row(5 + i)[0], again.Row(i)[0], 1e-9);

        int[] classes = [.. Enumerable.Range(0, 60).Select(j => j % 3)];
        using Matrix<double> labels = coupling.LabelSums(classes, 3);
        Assert.Equal(Enumerable.Range(0, 60).Where(j => j % 3 == 2).Sum(j => plan.Row(4)[j]), labels.Row(4)[2], 1e-14);
        Assert.Equal(GromovAlignment.MeanPartners(plan), coupling.MeanPartners(), 1e-9 * 60);
        int[] best = coupling.BestColumns(), bestRows = coupling.BestRows();
        for (int i = 0; i < 45; i++) Assert.Equal(plan.Row(i).ToArray().Max(), plan.Row(i)[best[i]]);
        for (int j = 0; j < 60; j++) Assert.Equal(Enumerable.Range(0, 45).Max(i => plan.Row(i)[j]), plan.Row(bestRows[j])[j], 1e-14);
    }

    [Theory]
    [InlineData(150, 120, 4, 3, 0.05)]
    [InlineData(100, 130, 3, 5, 0.02)]
    public void Extrapolated_iterations_end_at_the_same_coupling_in_fewer_passes(int n, int m, int d1, int d2, double epsilon)
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, n, d1, 31), y = Clouds.Normal(device, m, d2, 32);
        using DomainCostResult c1 = DomainCosts.Build(x, s_squared), c2 = DomainCosts.Build(y, s_squared);
        GromovOptions options = s_tight with { Epsilon = epsilon, Tolerance = 1e-10 };
        using OnlineGromovResult plain = OnlineGromovWasserstein.Solve(c1, c2, options with { Extrapolate = false }), fast = OnlineGromovWasserstein.Solve(c1, c2, options);
        Assert.True(plain.Converged && fast.Converged);
        Assert.True(fast.ErrorTrace[^1] <= options.Tolerance);
        Assert.True(2 * fast.Iterations < plain.Iterations, $"{fast.Iterations} against {plain.Iterations} outer iterations");
        Assert.True(3 * fast.InnerIterations < 2 * plain.InnerIterations, $"{fast.InnerIterations} against {plain.InnerIterations} passes");
        Assert.Equal(plain.RegularisedObjective, fast.RegularisedObjective, 1e-9);
        using Matrix<double> one = plain.Coupling.ToMatrix(), other = fast.Coupling.ToMatrix();
        double largest = one.ToArray().Max();
        for (int i = 0; i < n; i++)
            for (int j = 0; j < m; j++) Assert.Equal(one.Row(i)[j], other.Row(i)[j], 1e-5 * largest);
    }

    [Fact]
    public void The_rank_is_that_of_the_domain_with_fewer_coordinates()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 30, 2, 31), y = Clouds.Normal(device, 25, 6, 32);
        GromovOptions options = new() { Epsilon = 1, MaxIterations = 30 };
        using OnlineGromovResult narrow = OnlineGromovWasserstein.Solve(x, y, options, 5, 50), wide = OnlineGromovWasserstein.Solve(y, x, options, 50, 5);
        Assert.Equal(3, narrow.Coupling.RowFactors.Columns);
        Assert.Equal(3, wide.Coupling.RowFactors.Columns);
        Assert.Equal(narrow.Loss, wide.Loss, 1e-6);
        using Matrix<double> projected = narrow.Coupling.Project(y.View), again = narrow.Coupling.ProjectNew(x.View.RowBlock(4, 3), y.View);
        for (int i = 0; i < 3; i++)
            for (int c = 0; c < 6; c++) Assert.Equal(projected.Row(4 + i)[c], again.Row(i)[c], 1e-9);
    }

    [Fact]
    public void Single_precision_stops_where_it_has_settled_and_says_so()
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 80, 3, 31), y = Clouds.Normal(device, 70, 3, 32);
        using DomainCostResult c1 = DomainCosts.Build(x, s_squared), c2 = DomainCosts.Build(y, s_squared);
        using OnlineGromovResult result = OnlineGromovWasserstein.Solve(c1, c2, new GromovOptions { Epsilon = 0.1, Tolerance = 1e-13, MaxIterations = 1000, Precision = GromovPrecision.Single });
        Assert.False(result.Converged);
        Assert.InRange(result.Iterations, 1, 400);
        Assert.True(result.Settled!.WithinFloor, $"{result.Settled}");
        Assert.Equal(result.ErrorTrace[^1], result.Settled.Change);
        Assert.Contains("the resolution of single precision", Assert.Single(result.Warnings), StringComparison.Ordinal);
        TestContext.Current.TestOutputHelper?.WriteLine($"{result.Settled}");
        Assert.Equal(SolveState.Settled, AlignmentCertificates.StateOf(result.ToGromovResult()));
    }

    [Fact]
    public void A_tolerance_that_single_precision_reaches_is_met_and_nothing_has_settled_above_it()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 80, 3, 31), y = Clouds.Normal(device, 70, 3, 32);
        using DomainCostResult c1 = DomainCosts.Build(x, s_squared), c2 = DomainCosts.Build(y, s_squared);
        using OnlineGromovResult met = OnlineGromovWasserstein.Solve(c1, c2, new GromovOptions { Epsilon = 0.1, Tolerance = 1e-5, Precision = GromovPrecision.Single });
        Assert.True(met.Converged);
        Assert.Null(met.Settled);
        Assert.Empty(met.Warnings);
        using OnlineGromovResult cut = OnlineGromovWasserstein.Solve(c1, c2, new GromovOptions { Epsilon = 0.1, Tolerance = 1e-13, MaxIterations = 3, Precision = GromovPrecision.Single });
        Assert.False(cut.Converged);
        Assert.Null(cut.Settled);
    }

    [Fact]
    public void The_floor_of_a_matching_and_of_a_product_are_shares_of_their_norms()
    {
        // A matching of n cells has entropy log n and norm 1 / sqrt(n); the product of the masses log(n m) and 1 / sqrt(n m).
        Assert.Equal(SettledChange.RelativeFloor / Math.Sqrt(50), SettledChange.Of(1, Math.Log(50)).Floor, 1e-15);
        Assert.Equal(SettledChange.RelativeFloor / Math.Sqrt(50 * 40), SettledChange.Of(1, Math.Log(50 * 40)).Floor, 1e-15);
        Assert.True(SettledChange.Of(1e-6, Math.Log(50)).WithinFloor);
        Assert.False(SettledChange.Of(1e-4, Math.Log(50)).WithinFloor);
    }

    [Fact]
    public void A_cancelled_solve_ends()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 30, 2, 91);
        Assert.Throws<OperationCanceledException>(() => OnlineGromovWasserstein.Solve(x, x, new GromovOptions { Epsilon = 1 }, cancellation: new CancellationToken(true)));
    }

    [Fact]
    public void Fifty_thousand_points_are_planned_in_less_than_four_gigabytes()
    {
        using CpuDevice device = new(2);
        Assert.InRange(OnlineGromovWasserstein.Plan((50_000, 30), (50_000, 30), GromovPrecision.Double, device).TotalBytes, 1, 1L << 30);
    }

    private static void Near(ReadOnlySpan<double> expected, ReadOnlySpan<double> actual)
    {
        for (int j = 0; j < expected.Length; j++) Assert.Equal(expected[j], actual[j], 1e-14);
    }
}
