using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Faults that users reported of other Gromov-Wasserstein solvers, by project and number of the report: what these must never do here.</summary>
public sealed class PeerSolverTests
{
    private static readonly DomainCostOptions s_euclid = new() { Cost = DomainCost.Euclidean, RowNormalisation = RowNormalisation.None };

    [Theory]
    [InlineData(0.01)]
    [InlineData(0.02)]
    [InlineData(0.05)]
    public void Pot_406_a_distance_is_never_negative(double epsilon)
    {
        // Whole-numbered path lengths as they stand, uniform masses, an epsilon small beside their squares.
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 67, 3, 1), y = Clouds.Normal(device, 50, 2, 2);
        DomainCostOptions hops = new() { Neighbours = 5, GraphMetric = DistanceMetric.Euclidean, RowNormalisation = RowNormalisation.None, Scale = CostScale.None };
        using DomainCostResult c1 = DomainCosts.Build(x, hops), c2 = DomainCosts.Build(y, hops);
        using GromovResult result = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, new GromovOptions { Epsilon = epsilon, MaxIterations = 60 });
        Assert.InRange(result.RowError + result.ColumnError, 0, 1e-5);
        Assert.True(result.Loss > 0);
        Assert.Equal(FourFoldSum(c1.Cost, c2.Cost, result.Coupling), result.Loss, 1e-5);
    }

    [Fact]
    public void Pot_406_where_masses_are_missed_a_negative_value_is_called_no_distance()
    {
        // Two lumps against a middle one with two small ones beside it: POT's iterates, cut off before they meet the masses, put too much mass outside.
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 40, 1, 1), y = Clouds.Normal(device, 40, 1, 2);
        for (int i = 0; i < 40; i++) x.Row(i)[0] = 0.1 * x.Row(i)[0] + (i % 2 == 0 ? 1 : -1);
        for (int i = 0; i < 40; i++) y.Row(i)[0] = 0.1 * y.Row(i)[0] + (i % 10 == 0 ? 1 : i % 10 == 5 ? -1 : 0);
        using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid);
        foreach (int most in new[] { 5, 10, 20, 50, 200 })
        {
            GromovOptions options = new() { Epsilon = 2e-3, InnerSolve = InnerSolve.PotIterates, Inner = SinkhornOptions.Pot with { MaxIterations = most }, MaxIterations = 30 };
            using GromovResult result = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options);
            Assert.Equal(most <= 10, result.Loss < 0);
            Assert.Equal(result.Loss < 0, result.Warnings.Any(warning => warning.Contains("is negative", StringComparison.Ordinal)));
            if (result.Loss >= 0) continue;
            Assert.True(FourFoldSum(c1.Cost, c2.Cost, result.Coupling) >= 0);
            Assert.Contains(result.Warnings, warning => warning.Contains("marginals of the coupling are off", StringComparison.Ordinal));
            Assert.Equal(SolveState.Diverged, AlignmentCertificates.StateOf(result));
            // The whole alignment refuses to call it a result.
            AlignmentOptions whole = new() { FirstCost = s_euclid, SecondCost = s_euclid, Gromov = options };
            Assert.Contains("gives no coupling", Assert.Throws<ConvergenceException>(() => GromovAlignment.Align(x, y, whole)).Message, StringComparison.Ordinal);
        }
    }

    public static TheoryData<string, double> Places => new() { { "first", double.NaN }, { "second", double.PositiveInfinity }, { "fused", double.NaN }, { "start", double.NegativeInfinity } };

    [Theory]
    [MemberData(nameof(Places))]
    public void Pot_469_NaN_in_a_cost_is_named_with_row_and_column(string where, double value)
    {
        using CpuDevice device = new(1);
        Dictionary<string, Matrix<double>> matrices = new()
        {
            ["first"] = Filled(device, 6, 6, 0.5), ["second"] = Filled(device, 5, 5, 0.5), ["fused"] = Filled(device, 6, 5, 0.5), ["start"] = Filled(device, 6, 5, 1.0 / 30),
        };
        matrices[where].Row(4)[2] = value;
        string named = where switch { "first" => "cost of the first domain", "second" => "cost of the second domain", "fused" => "fused cost", _ => "initial coupling" };
        foreach (MarginalConstraint marginals in new[] { MarginalConstraint.Balanced, MarginalConstraint.SemiRelaxed, MarginalConstraint.Partial })
            foreach (GromovPrecision precision in new[] { GromovPrecision.Double, GromovPrecision.Single })
            {
                GromovOptions options = new()
                {
                    Epsilon = 0.1, Alpha = 0.5, Marginals = marginals, Precision = precision, Mass = marginals == MarginalConstraint.Partial ? 0.5 : 1,
                    Solver = marginals == MarginalConstraint.SemiRelaxed ? GromovSolverKind.Ppa : GromovSolverKind.Pgd,
                };
                DataException error = Assert.Throws<DataException>(() => EntropicGromovWasserstein.Solve(matrices["first"], matrices["second"], options, matrices["fused"], matrices["start"]));
                Assert.Contains(named, error.Message, StringComparison.Ordinal);
                Assert.Contains("row 4, column 2", error.Message, StringComparison.Ordinal);
            }
        foreach (Matrix<double> matrix in matrices.Values) matrix.Dispose();
    }

    [Theory]
    [InlineData(10)]
    [InlineData(0.1)]
    [InlineData(1e-3)]
    [InlineData(1e-6)]
    public void Pot_723_small_epsilon_gives_no_NaN(double epsilon)
    {
        // Costs in the tens and a hundredth of the mass: exp(-C / epsilon) is zero from epsilon 0.1 on.
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 30, 2, 3), y = Clouds.Normal(device, 30, 3, 4);
        DomainCostOptions plain = s_euclid with { Scale = CostScale.None };
        using DomainCostResult c1 = DomainCosts.Build(x, plain), c2 = DomainCosts.Build(y, plain);
        GromovOptions options = new() { Epsilon = epsilon, Marginals = MarginalConstraint.Partial, Mass = 0.01, MaxIterations = 20 };
        using GromovResult result = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options);
        Assert.All(result.Coupling.ToArray(), t => Assert.True(double.IsFinite(t) && t >= 0));
        // Potentials are of the size of the costs, hundreds; their rounding over epsilon is what the mass is off by, relatively.
        Assert.Equal(0.01, result.Mass, 1e-12 + 0.01 * 1e-13 / epsilon);
        Assert.InRange(result.RowError + result.ColumnError, 0, 1e-6);
        Assert.True(result.Loss >= 0);
    }

    [Theory]
    [InlineData(GromovSolverKind.Pgd, StoppingRule.Pot, 0)]
    [InlineData(GromovSolverKind.Pgd, StoppingRule.Pot, 1e-12)]
    [InlineData(GromovSolverKind.Pgd, StoppingRule.Ott, 1e-12)]
    [InlineData(GromovSolverKind.Ppa, StoppingRule.Pot, 0)]
    [InlineData(GromovSolverKind.Ppa, StoppingRule.Pot, 1e-9)]
    public void Pot_82_near_identical_matrices_stop(GromovSolverKind solver, StoppingRule stop, double noise)
    {
        // The loss goes to zero, so no rule that is relative to the loss is ever met.
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 30, 3, 5);
        using DomainCostResult c = DomainCosts.Build(x, s_euclid);
        using Matrix<double> other = Perturbed(c.Cost, noise, 6);
        using GromovResult result = EntropicGromovWasserstein.Solve(c.Cost, other, new GromovOptions { Epsilon = solver == GromovSolverKind.Pgd ? 1e-3 : 2e-2, Solver = solver, Stop = stop, Tolerance = stop == StoppingRule.Ott ? 1e-3 : 1e-8, MaxIterations = 500 });
        Assert.True(result.Converged, $"change {result.ErrorTrace[^1]:e2} after {result.Iterations}");
        for (int i = 0; i < 30; i++) Assert.Equal(i, Best(result.Coupling.Row(i)));
        Assert.True(result.Loss is > -1e-9 and < 1e-3);
    }

    [Theory]
    [InlineData(1e-12)]
    [InlineData(1e-8)]
    public void Pot_706_nearly_identical_starts_give_the_same_plan(double noise)
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 40, 3, 7), y = Clouds.Normal(device, 30, 2, 8);
        using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid);
        GromovOptions options = new() { Epsilon = 0.05, Marginals = MarginalConstraint.SemiRelaxed, Solver = GromovSolverKind.Ppa, MaxIterations = 200, Tolerance = 1e-7 };
        using Matrix<double> product = Filled(device, 40, 30, 1.0 / 1200), moved = Perturbed(product, noise, 9, relative: true);
        using GromovResult implied = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options), given = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options, initial: product);
        using GromovResult near = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options, initial: moved);
        // The default start written out is the default start, to the last bit.
        Assert.Equal(implied.Coupling.ToArray(), given.Coupling.ToArray());
        Assert.Equal(implied.Loss, near.Loss, 1e-5);
        Assert.InRange(AlignmentSearch.Displacement(implied.Coupling, near.Coupling, c2.Cost), 0, 1e-3);
    }

    [Fact]
    public void Pot_706_where_the_start_decides_the_search_says_so()
    {
        // Two equal lumps: the product coupling is a saddle, and which side it falls to is decided by the last digit.
        using CpuDevice device = new(2);
        using Matrix<double> x = Lumps(device, 40, 1), y = Lumps(device, 32, 2);
        GromovOptions options = new() { Epsilon = 0.05, Marginals = MarginalConstraint.SemiRelaxed, Solver = GromovSolverKind.Ppa, MaxIterations = 300, Tolerance = 1e-6 };
        using AlignmentResult result = GromovAlignment.Align(x, y, new AlignmentOptions { FirstCost = s_euclid, SecondCost = s_euclid, Gromov = options, Starts = 4 });
        Assert.True(result.Optima!.EquallyGood >= 2);
        Assert.Contains(result.Verdict.Against, reason => reason.Contains("does not single one out", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(GromovPrecision.Double)]
    [InlineData(GromovPrecision.Single)]
    public void Ott_127_noise_of_1e4_moves_the_alignment_by_its_own_size(GromovPrecision precision)
    {
        using CpuDevice device = new(2);
        (Matrix<double> x, _) = Clouds.Clusters(device, 60, 3, 10, spread: 0.8);
        using (x)
        {
            using Matrix<double> y = Clouds.Permuted(x, Clouds.Order(60, 11)), moved = Perturbed(y, 1e-4, 12);
            using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid), c3 = DomainCosts.Build(moved, s_euclid);
            GromovOptions options = new() { Epsilon = 2e-4, Precision = precision, MaxIterations = 300, Tolerance = 1e-5, Inner = SinkhornOptions.Pot with { Tolerance = precision == GromovPrecision.Double ? 1e-9 : 1e-6 } };
            using GromovResult before = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options), after = EntropicGromovWasserstein.Solve(c1.Cost, c3.Cost, options);
            Assert.True(before.Converged && after.Converged);
            Assert.InRange(AlignmentSearch.Displacement(before.Coupling, after.Coupling, c2.Cost), 0, 0.01);
            Assert.Equal(before.Loss, after.Loss, 1e-5);
        }
    }

    [Fact]
    public void Ott_496_single_precision_converges_wherever_double_precision_does()
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 60, 3, 13), y = Clouds.Normal(device, 50, 3, 14);
        using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid);
        foreach (double epsilon in new[] { 2e-2, 5e-3, 1e-3 })
        {
            GromovOptions options = new() { Epsilon = epsilon, MaxIterations = 500, Tolerance = 1e-5, Inner = SinkhornOptions.Pot with { Tolerance = 1e-5, MaxIterations = 2000 } };
            using GromovResult full = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options), single = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options with { Precision = GromovPrecision.Single });
            Assert.True(full.Converged && full.InnerNotConverged == 0);
            Assert.True(single.Converged && single.InnerNotConverged == 0, string.Join(" ", single.Warnings));
            Assert.Equal(full.Loss, single.Loss, 1e-4);
            Assert.Equal(full.Loss, FourFoldSum(c1.Cost, c2.Cost, single.Coupling), 1e-4);
        }
    }

    public static TheoryData<MarginalConstraint> AllMarginals => [MarginalConstraint.Balanced, MarginalConstraint.SemiRelaxed, MarginalConstraint.Unbalanced, MarginalConstraint.Partial];

    [Theory]
    [MemberData(nameof(AllMarginals))]
    public void Scot_8_n_differs_from_m(MarginalConstraint marginals)
    {
        using CpuDevice device = new(2);
        foreach ((int n, int m) in new[] { (31, 18), (18, 31), (2, 9), (9, 2) })
        {
            using Matrix<double> x = Clouds.Normal(device, n, 3, 15), y = Clouds.Normal(device, m, 5, 16);
            using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid);
            GromovOptions options = new()
            {
                Epsilon = 0.05, Marginals = marginals, Mass = marginals == MarginalConstraint.Partial ? 0.7 : 1, Rho = 2, MaxIterations = 60,
                Solver = marginals == MarginalConstraint.SemiRelaxed ? GromovSolverKind.Ppa : GromovSolverKind.Pgd,
            };
            using GromovResult result = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options);
            Assert.Equal((n, m), (result.Coupling.Rows, result.Coupling.Columns));
            Assert.InRange(result.RowError + result.ColumnError, 0, 1e-6);
            Assert.Equal(FourFoldSum(c1.Cost, c2.Cost, result.Coupling), result.Loss, 1e-8);
            AlignmentOptions identity = new() { FirstCost = s_euclid, SecondCost = s_euclid, Gromov = options, TruthIsIdentity = true };
            Assert.Contains($"the domains have {n} and {m} rows", Assert.Throws<UsageException>(() => GromovAlignment.Align(x, y, identity)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Scot_1_classes_in_other_proportions_need_not_be_mixed()
    {
        // Class sizes 40, 30, 20, 10 against 10, 30, 20, 40: balanced masses must give cells of one class partners of another.
        using CpuDevice device = new(2);
        (Matrix<double> all, string[] names) = Clouds.Clusters(device, 100, 2, 17, spread: 0.2);
        using (all)
        {
            int[] kept = [.. Enumerable.Range(0, 10), .. Enumerable.Range(40, 60), .. Enumerable.Range(90, 10), .. Enumerable.Range(90, 10), .. Enumerable.Range(90, 10)];
            using Matrix<double> y = device.AllocateMatrix<double>(kept.Length, 2);
            for (int j = 0; j < kept.Length; j++)
                for (int d = 0; d < 2; d++) y.Row(j)[d] = all.Row(kept[j])[d] + 1e-3 * (j % 7);
            string[] other = [.. kept.Select(k => names[k])];
            DomainCostOptions plain = s_euclid with { Scale = CostScale.None };
            GromovOptions options = new() { Epsilon = 0.2, MaxIterations = 500, Tolerance = 1e-7 };
            AlignmentOptions balanced = new() { FirstCost = plain, SecondCost = plain, Gromov = options };
            using AlignmentResult forced = GromovAlignment.Align(all, y, balanced, names, other);
            using AlignmentResult free = GromovAlignment.Align(all, y, balanced with { Gromov = options with { Marginals = MarginalConstraint.Unbalanced, Rho = 2 } }, names, other);
            Assert.True(forced.Labels!.Barycentric.Accuracy < 0.8);
            Assert.Equal(1, free.Labels!.Barycentric.Accuracy);
            Assert.Equal(Trust.NotReliable, forced.Verdict.Trust);
            Assert.Equal(Trust.Reliable, free.Verdict.Trust);
        }
    }

    [Fact]
    public void Moscot_776_two_ways_of_calling_give_one_plan()
    {
        using CpuDevice device = new(2), single = new(1);
        using Matrix<double> x = Clouds.Normal(device, 50, 3, 18), y = Clouds.Normal(device, 40, 2, 19), sameX = x.CopyAt(single), sameY = y.CopyAt(single);
        DomainCostOptions precomputed = new() { Cost = DomainCost.Precomputed, RowNormalisation = RowNormalisation.None, Scale = CostScale.None };
        GromovOptions options = new() { Epsilon = 5e-3, MaxIterations = 80 };
        using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid);
        using GromovResult direct = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options);
        double[] expected = direct.Coupling.ToArray();
        using AlignmentResult again = GromovAlignment.Align(x, y, new AlignmentOptions { FirstCost = s_euclid, SecondCost = s_euclid, Gromov = options });
        Assert.Equal(expected, again.Coupling.ToArray());
        using AlignmentResult costs = GromovAlignment.Align(c1.Cost, c2.Cost, new AlignmentOptions { FirstCost = precomputed, SecondCost = precomputed, Gromov = options });
        Assert.Equal(expected, costs.Coupling.ToArray());
        using AlignmentResult oneThread = GromovAlignment.Align(sameX, sameY, new AlignmentOptions { FirstCost = s_euclid, SecondCost = s_euclid, Gromov = options });
        Assert.Equal(expected, oneThread.Coupling.ToArray());
        using GromovResult ott = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options with { Convention = EpsilonConvention.Ott, Epsilon = options.Epsilon / 2 });
        for (int i = 0; i < 50; i++)
            for (int j = 0; j < 40; j++) Assert.Equal(direct.Coupling.Row(i)[j], ott.Coupling.Row(i)[j], 1e-9);
    }

    [Fact]
    public void Moscot_13_the_fused_loss_does_not_rise_and_alpha_weighs_the_structure()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 25, 2, 20), y = Clouds.Normal(device, 20, 3, 21), between = device.AllocateMatrix<double>(25, 20);
        CounterRandom random = new(22);
        for (int i = 0; i < 25; i++)
            for (int j = 0; j < 20; j++) between.Row(i)[j] = random.NextDouble();
        using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid);
        double structure = 0, transport = double.PositiveInfinity;
        foreach (double alpha in new[] { 0.9, 0.5, 0.1 })
        {
            GromovOptions options = new() { Epsilon = 0.02, Alpha = alpha, MaxIterations = 400 };
            using GromovResult result = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options, between);
            double cost = GromovProduct.InnerProduct(between.View, result.Coupling.View);
            Assert.Equal((1 - alpha) * cost + alpha * FourFoldSum(c1.Cost, c2.Cost, result.Coupling), result.FusedLoss, 1e-8);
            // Less weight for the structure: its loss may only grow, and the cost between the domains only shrink.
            Assert.True(result.Loss >= structure - 1e-9 && cost <= transport + 1e-9);
            (structure, transport) = (result.Loss, cost);
            double last = double.PositiveInfinity;
            foreach (int steps in new[] { 1, 2, 4, 8, 16, 64 })
            {
                using GromovResult early = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options with { MaxIterations = steps }, between);
                Assert.True(early.RegularisedObjective <= last + 1e-7, $"the objective rose from {last} to {early.RegularisedObjective} by step {steps}");
                last = early.RegularisedObjective;
            }
        }
    }

    [Fact]
    public void Cellrank_1146_a_solve_that_did_not_converge_is_not_believed()
    {
        using CpuDevice device = new(1);
        (Matrix<double> x, string[] labels) = Clouds.Clusters(device, 40, 2, 23);
        using (x)
        {
            using AlignmentResult result = GromovAlignment.Align(x, x, new AlignmentOptions { FirstCost = s_euclid, SecondCost = s_euclid, Gromov = new GromovOptions { Epsilon = 1e-3, MaxIterations = 2 } }, labels, labels);
            Assert.Equal(SolveState.IterationLimit, result.Certificates.State);
            Assert.Equal(Trust.NotReliable, result.Verdict.Trust);
            Assert.Contains(result.Warnings, warning => warning.Contains("did not converge: after 2 outer iterations", StringComparison.Ordinal));
        }
    }

    [Fact]
    public void Ott_83_a_transfer_table_with_equal_columns_is_called_diffuse()
    {
        using CpuDevice device = new(1);
        (Matrix<double> x, string[] labels) = Clouds.Clusters(device, 50, 2, 24);
        (Matrix<double> y, string[] other) = Clouds.Clusters(device, 40, 2, 25);
        using (x)
        using (y)
        {
            AlignmentOptions options = new() { FirstCost = s_euclid, SecondCost = s_euclid, Gromov = new GromovOptions { Epsilon = 5, MaxIterations = 50 } };
            using AlignmentResult blurred = GromovAlignment.Align(x, y, options, labels, other);
            Assert.Contains(blurred.Verdict.Against, reason => reason.Contains("diffuse", StringComparison.Ordinal));
            using AlignmentResult sharp = GromovAlignment.Align(x, y, options with { Gromov = new GromovOptions { Epsilon = 2e-3 } }, labels, other);
            Assert.DoesNotContain(sharp.Verdict.Against, reason => reason.Contains("diffuse", StringComparison.Ordinal));
            Assert.All(Enumerable.Range(0, 4), c => Assert.True(sharp.Labels!.Barycentric.Counts[c][c] > 0.9 * sharp.Labels.Barycentric.Counts[c].Sum()));
        }
    }

    /// <summary>sum (C1_ik - C2_jl)² T_ij T_kl, term by term: a sum of squares, whatever the masses.</summary>
    private static double FourFoldSum(Matrix<double> c1, Matrix<double> c2, Matrix<double> coupling)
    {
        double loss = 0;
        for (int i = 0; i < c1.Rows; i++)
            for (int j = 0; j < c2.Rows; j++)
            {
                double t = coupling.Row(i)[j], at = 0;
                if (t == 0) continue;
                for (int k = 0; k < c1.Rows; k++)
                {
                    ReadOnlySpan<double> row = coupling.Row(k), other = c2.Row(j);
                    double own = c1.Row(i)[k];
                    for (int l = 0; l < row.Length; l++) at += row[l] * (own - other[l]) * (own - other[l]);
                }
                loss += t * at;
            }
        return loss;
    }

    private static int Best(ReadOnlySpan<double> row)
    {
        int best = 0;
        for (int j = 1; j < row.Length; j++) if (row[j] > row[best]) best = j;
        return best;
    }

    private static Matrix<double> Filled(CpuDevice device, int rows, int columns, double value)
    {
        Matrix<double> matrix = device.AllocateMatrix<double>(rows, columns);
        for (int i = 0; i < rows; i++) matrix.Row(i).Fill(value);
        return matrix;
    }

    /// <summary>Noise of this size on every entry, alike for (i, j) and (j, i) where the matrix is a cost.</summary>
    private static Matrix<double> Perturbed(Matrix<double> source, double size, ulong seed, bool relative = false)
    {
        Matrix<double> moved = source.CopyOnHost();
        CounterRandom random = new(seed);
        bool symmetric = source.Rows == source.Columns;
        for (int i = 0; i < moved.Rows; i++)
            for (int j = 0; j < (symmetric ? i : moved.Columns); j++)
            {
                double noise = size * (2 * random.NextDouble() - 1);
                moved.Row(i)[j] = relative ? moved.Row(i)[j] * (1 + noise) : Math.Abs(moved.Row(i)[j] + noise) * (symmetric ? 1 : Math.Sign(moved.Row(i)[j] + noise));
                if (symmetric) moved.Row(j)[i] = moved.Row(i)[j];
            }
        return moved;
    }

    private static Matrix<double> Lumps(CpuDevice device, int n, ulong seed)
    {
        Matrix<double> x = Clouds.Normal(device, n, 2, seed);
        for (int i = 0; i < n; i++) x.Row(i)[0] = 0.3 * x.Row(i)[0] + (i % 2 == 0 ? 10 : -10);
        return x;
    }
}
