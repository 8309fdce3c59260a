using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Semi-relaxed, unbalanced and partial alignments: what must hold whatever the data.</summary>
public sealed class FreeMarginalsTests
{
    private static readonly DomainCostOptions s_euclid = new() { Cost = DomainCost.Euclidean, RowNormalisation = RowNormalisation.None };

    public static TheoryData<MarginalConstraint> Free => [MarginalConstraint.SemiRelaxed, MarginalConstraint.Unbalanced, MarginalConstraint.Partial];

    [Theory]
    [MemberData(nameof(Free))]
    public void Steps_are_those_of_the_definition_on_few_points(MarginalConstraint marginals)
    {
        using CpuDevice device = new(1);
        using Matrix<double> c1 = Asymmetric(device, 7, 21), c2 = Asymmetric(device, 5, 22);
        // Few steps from the start, before anything converges: every one of them must be right.
        GromovOptions options = Options(marginals, 0.3) with { MaxIterations = 3, Inner = SinkhornOptions.Pot with { Tolerance = 1e-14, MaxIterations = 20_000 } };
        using GromovResult result = EntropicGromovWasserstein.Solve(c1, c2, options);
        Assert.False(result.Symmetric);
        double[,] expected = BruteForce(c1, c2, options, 3);
        double loss = 0;
        double[,] tensor = Tensor(c1, c2, expected);
        for (int i = 0; i < 7; i++)
            for (int j = 0; j < 5; j++)
            {
                Assert.Equal(expected[i, j], result.Coupling.Row(i)[j], 1e-11);
                loss += tensor[i, j] * expected[i, j];
            }
        Assert.Equal(loss, result.Loss, 1e-11);
    }

    [Theory]
    [InlineData(MarginalConstraint.SemiRelaxed, GromovPrecision.Double)]
    [InlineData(MarginalConstraint.Unbalanced, GromovPrecision.Double)]
    [InlineData(MarginalConstraint.Partial, GromovPrecision.Double)]
    [InlineData(MarginalConstraint.SemiRelaxed, GromovPrecision.Single)]
    [InlineData(MarginalConstraint.Unbalanced, GromovPrecision.Single)]
    [InlineData(MarginalConstraint.Partial, GromovPrecision.Single)]
    public void Tiny_epsilon_gives_a_finite_coupling(MarginalConstraint marginals, GromovPrecision precision)
    {
        // POT issue 723: entropic partial Gromov-Wasserstein returns NaN for a small reg.
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 30, 2, 23), y = Clouds.Normal(device, 22, 3, 24);
        using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid);
        foreach (double epsilon in new[] { 1e-3, 1e-6 })
        {
            using GromovResult result = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, Options(marginals, epsilon) with { Precision = precision, MaxIterations = 11, Inner = SinkhornOptions.Pot with { MaxIterations = 200 } });
            Assert.All(result.Coupling.Buffer.View.Host.ToArray(), t => Assert.True(double.IsFinite(t) && t >= 0));
            Assert.True(double.IsFinite(result.Loss) && result.Loss >= -1e-7);
            Assert.InRange(result.Mass, 1e-6, 1.01);
        }
    }

    [Fact]
    public void Single_precision_agrees_with_double()
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 25, 2, 25), y = Clouds.Normal(device, 20, 3, 26);
        using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid);
        foreach (MarginalConstraint marginals in new[] { MarginalConstraint.SemiRelaxed, MarginalConstraint.Unbalanced, MarginalConstraint.Partial })
        {
            GromovOptions options = Options(marginals, 0.05) with { MaxIterations = 20 };
            using GromovResult exact = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options);
            using GromovResult single = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options with { Precision = GromovPrecision.Single, Inner = SinkhornOptions.Pot with { Tolerance = 1e-5 } });
            Assert.Equal(exact.Loss, single.Loss, 1e-4);
            Assert.Equal(exact.Mass, single.Mass, 1e-3);
        }
    }

    [Fact]
    public void A_large_rho_and_a_whole_mass_are_the_balanced_problem()
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 18, 2, 27), y = Clouds.Normal(device, 15, 3, 28);
        using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid);
        GromovOptions balanced = new() { Epsilon = 0.05, Tolerance = 1e-11, Inner = SinkhornOptions.Pot with { Tolerance = 1e-12, MaxIterations = 50_000 } };
        using GromovResult expected = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, balanced);
        using GromovResult unbalanced = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, balanced with { Marginals = MarginalConstraint.Unbalanced, Rho = 1e6 });
        using GromovResult partial = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, balanced with { Marginals = MarginalConstraint.Partial, Mass = 1, MaxIterations = 200, Inner = balanced.Inner with { MaxIterations = 5000 } });
        for (int i = 0; i < 18; i++)
            for (int j = 0; j < 15; j++)
            {
                Assert.Equal(expected.Coupling.Row(i)[j], unbalanced.Coupling.Row(i)[j], 1e-5);
                Assert.Equal(expected.Coupling.Row(i)[j], partial.Coupling.Row(i)[j], 1e-4);
            }
    }

    [Fact]
    public void Cells_without_a_partner_are_left_out()
    {
        // The second domain lacks the first one's fourth cluster (n != m): balanced couplings must match it with something.
        using CpuDevice device = new(2);
        (Matrix<double> x, string[] labels) = Clouds.Clusters(device, 60, 2, 29, spread: 0.2);
        int kept = labels.Count(l => l != "type 3");
        using Matrix<double> y = device.AllocateMatrix<double>(kept, 2);
        for (int i = 0; i < kept; i++) x.Row(i).CopyTo(y.Row(i));
        using (x)
        using (DomainCostResult c1 = DomainCosts.Build(x, s_euclid with { Scale = CostScale.None }), c2 = DomainCosts.Build(y, s_euclid with { Scale = CostScale.None }))
        {
            using GromovResult partial = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, Options(MarginalConstraint.Partial, 0.5) with { Mass = kept / 60.0 });
            double absent = 0;
            for (int i = kept; i < 60; i++)
                foreach (double t in partial.Coupling.Row(i)) absent += t;
            using GromovResult balanced = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, new GromovOptions { Epsilon = 0.5 });
            Assert.True(absent < 0.02, $"the absent cluster keeps {absent:F3} of the mass");
            Assert.True(partial.Loss < 0.2 * balanced.Loss, $"loss {partial.Loss:g3}, balanced {balanced.Loss:g3}");
        }
    }

    [Theory]
    [MemberData(nameof(Free))]
    public void Bytes_do_not_depend_on_threads_and_warm_steps_allocate_nothing(MarginalConstraint marginals)
    {
        double[]? first = null;
        foreach (int threads in new[] { 1, 3 })
        {
            using CpuDevice device = new(threads);
            using Matrix<double> x = Clouds.Normal(device, 70, 3, 30), y = Clouds.Normal(device, 61, 3, 31);
            using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid);
            double[] p = EntropicGromovWasserstein.Uniform(70), q = EntropicGromovWasserstein.Uniform(61);
            GromovOptions options = Options(marginals, 0.05) with { Inner = SinkhornOptions.Pot with { MaxIterations = 30 } };
            using GromovIteration<double> iteration = new(new GromovIterationInput<double>(c1.Cost, c2.Cost), options, null, null, p, q);
            for (int k = 0; k < 4; k++) iteration.Step(k);
            WarmAllocation rounds = new();
            while (rounds.Again()) iteration.Step(4);
            if (threads == 1) Assert.Equal(0, rounds.Least);
            using GromovResult result = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options with { MaxIterations = 6 });
            double[] plan = result.Coupling.Buffer.View.Host.ToArray();
            first ??= plan;
            Assert.Equal(first, plan);
        }
    }

    [Fact]
    public void Combinations_without_a_meaning_are_refused()
    {
        using CpuDevice device = new(1);
        using Matrix<double> c = Asymmetric(device, 4, 32);
        GromovOptions semiRelaxed = Options(MarginalConstraint.SemiRelaxed, 0.1), unbalanced = Options(MarginalConstraint.Unbalanced, 0.1), partial = Options(MarginalConstraint.Partial, 0.1);
        foreach ((GromovOptions options, string word) in new[]
        {
            (semiRelaxed with { Solver = GromovSolverKind.Pgd }, "ppa"),
            (unbalanced with { Solver = GromovSolverKind.Ppa }, "pgd"),
            (partial with { Solver = GromovSolverKind.Ppa }, "pgd"),
            (semiRelaxed with { InnerSolve = InnerSolve.PotIterates }, "inner iterates"),
            (partial with { Stop = StoppingRule.Ott }, "stopping rule"),
            (partial with { Mass = 1.2 }, "mass is 1.2"),
            (partial with { Mass = double.NaN }, "mass is NaN"),
            (unbalanced with { Rho = 0 }, "rho is 0"),
            (new GromovOptions { Stop = StoppingRule.Ott, Solver = GromovSolverKind.Ppa }, "proximal"),
        })
            Assert.Contains(word, Assert.Throws<UsageException>(() => EntropicGromovWasserstein.Solve(c, c, options, options.Alpha < 1 ? c : null)).Message);
    }

    private static GromovOptions Options(MarginalConstraint marginals, double epsilon) => new()
    {
        Epsilon = epsilon, Marginals = marginals, Mass = marginals == MarginalConstraint.Partial ? 0.6 : 1, Rho = 2,
        Solver = marginals == MarginalConstraint.SemiRelaxed ? GromovSolverKind.Ppa : GromovSolverKind.Pgd,
    };

    private static Matrix<double> Asymmetric(ComputeDevice device, int n, ulong seed)
    {
        CounterRandom random = new(seed);
        Matrix<double> c = device.AllocateMatrix<double>(n, n);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) c.Row(i)[j] = i == j ? 0 : 0.2 + random.NextDouble();
        return c;
    }

    /// <summary>Half the gradient of sum (C1_ik - C2_jl)² T_ij T_kl, by differentiating the sum.</summary>
    private static double[,] Tensor(Matrix<double> c1, Matrix<double> c2, double[,] t)
    {
        double[,] tensor = new double[c1.Rows, c2.Rows];
        for (int i = 0; i < c1.Rows; i++)
            for (int j = 0; j < c2.Rows; j++)
                for (int k = 0; k < c1.Rows; k++)
                    for (int l = 0; l < c2.Rows; l++)
                        tensor[i, j] += 0.5 * t[k, l] * (Math.Pow(c1.Row(i)[k] - c2.Row(j)[l], 2) + Math.Pow(c1.Row(k)[i] - c2.Row(l)[j], 2));
        return tensor;
    }

    /// <summary>The outer iterations with kernels and scaling vectors: exp(-C / epsilon) as it stands.</summary>
    private static double[,] BruteForce(Matrix<double> c1, Matrix<double> c2, GromovOptions options, int iterations)
    {
        int n = c1.Rows, m = c2.Rows;
        double p = 1.0 / n, q = 1.0 / m;
        double[,] t = new double[n, m];
        for (int i = 0; i < n; i++)
            for (int j = 0; j < m; j++) t[i, j] = p * q;
        for (int step = 0; step < iterations; step++)
        {
            double[,] cost = Tensor(c1, c2, t), plan = new double[n, m];
            double[] u = Enumerable.Repeat(1.0, n).ToArray(), v = Enumerable.Repeat(1.0, m).ToArray();
            (double constant, double mass) = options.Marginals == MarginalConstraint.Unbalanced ? Constant(t, options) : (0, 1);
            for (int i = 0; i < n; i++)
                for (int j = 0; j < m; j++)
                    plan[i, j] = Math.Exp(-(2 * cost[i, j] + constant) / (mass * options.Epsilon)) * (options.Marginals switch { MarginalConstraint.SemiRelaxed => t[i, j], MarginalConstraint.Unbalanced => p * q, _ => 1 });
            double whole = 1, power = options.Rho / (options.Rho + options.Epsilon);
            for (int sweep = 0; sweep < (options.Marginals == MarginalConstraint.SemiRelaxed ? 1 : 20_000); sweep++)
            {
                for (int i = 0; i < n; i++) u[i] = Scale(p, Enumerable.Range(0, m).Sum(j => plan[i, j] * v[j]) * whole);
                if (options.Marginals == MarginalConstraint.SemiRelaxed) break;
                for (int j = 0; j < m; j++) v[j] = Scale(q, Enumerable.Range(0, n).Sum(i => plan[i, j] * u[i]) * whole);
                if (options.Marginals == MarginalConstraint.Partial) whole = options.Mass / Sum(plan, u, v);
            }
            if (options.Marginals == MarginalConstraint.Unbalanced) whole = Math.Sqrt(mass / Sum(plan, u, v));
            for (int i = 0; i < n; i++)
                for (int j = 0; j < m; j++) t[i, j] = plan[i, j] * u[i] * v[j] * whole;

            double Scale(double asked, double sum) => options.Marginals switch
            {
                MarginalConstraint.Unbalanced => Math.Pow(asked / sum, power),
                MarginalConstraint.Partial => Math.Min(1, asked / sum),
                _ => asked / sum,
            };
        }
        return t;
    }

    private static double Sum(double[,] plan, double[] u, double[] v)
    {
        double sum = 0;
        for (int i = 0; i < u.Length; i++)
            for (int j = 0; j < v.Length; j++) sum += plan[i, j] * u[i] * v[j];
        return sum;
    }

    private static (double Constant, double Mass) Constant(double[,] t, GromovOptions options)
    {
        int n = t.GetLength(0), m = t.GetLength(1);
        double[] rows = new double[n], columns = new double[m];
        double constant = 0;
        for (int i = 0; i < n; i++)
            for (int j = 0; j < m; j++)
            {
                rows[i] += t[i, j];
                columns[j] += t[i, j];
                constant += options.Epsilon * t[i, j] * Math.Log(t[i, j] * n * m);
            }
        return (constant + options.Rho * (rows.Sum(r => r * Math.Log(r * n)) + columns.Sum(c => c * Math.Log(c * m))), rows.Sum());
    }
}
