using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Many problems in one launch on a GPU, or the emulated one.</summary>
[Collection("cuda")]
public sealed class GromovBatchTests
{
    private static CudaDevice Open()
    {
        CudaDevice? device = CudaEmulator.Open(out string reason);
        Assert.SkipWhen(device is null, reason);
        return device!;
    }

    /// <summary>Problems of three shapes, with shared and own costs and starts, that need different numbers of outer and inner iterations.</summary>
    [Theory]
    [InlineData(GromovSolverKind.Pgd, GromovPrecision.Double, StoppingRule.Pot, 1.0)]
    [InlineData(GromovSolverKind.Pgd, GromovPrecision.Single, StoppingRule.Pot, 1.0)]
    [InlineData(GromovSolverKind.Ppa, GromovPrecision.Double, StoppingRule.Pot, 1.0)]
    [InlineData(GromovSolverKind.Pgd, GromovPrecision.Double, StoppingRule.Ott, 0.7)]
    public void A_problem_has_the_same_bytes_alone_and_among_others(GromovSolverKind solver, GromovPrecision precision, StoppingRule stop, double alpha)
    {
        using CudaDevice gpu = Open();
        using CpuDevice host = new(1);
        using Problems problems = new(host, gpu, alpha);
        bool single = precision == GromovPrecision.Single;
        GromovOptions options = new()
        {
            Epsilon = 0.05, Solver = solver, Precision = precision, Stop = stop, Alpha = alpha,
            Tolerance = stop == StoppingRule.Ott ? 1e-3 : single ? 1e-5 : 1e-8, MaxIterations = solver == GromovSolverKind.Ppa ? 6 : 40, CheckEvery = 2, Inner = SinkhornOptions.Pot with { MaxIterations = 60 },
        };
        GromovResult[] together = GromovBatchSolver.TrySolve(problems.There, options, TestContext.Current.CancellationToken)!;
        for (int i = 0; i < together.Length; i++)
        {
            using GromovResult found = together[i], alone = GromovBatchSolver.TrySolve([problems.There[i]], options, TestContext.Current.CancellationToken)![0];
            Assert.Equal(alone.Coupling.Buffer.View.Host.ToArray(), found.Coupling.Buffer.View.Host.ToArray());
            Assert.Equal((alone.Loss, alone.Iterations, alone.InnerIterations, alone.Converged), (found.Loss, found.Iterations, found.InnerIterations, found.Converged));
            Assert.Equal(alone.ErrorTrace, found.ErrorTrace);
            Assert.Equal(alone.CostTrace, found.CostTrace);

            using GromovResult expected = problems.Here[i].Solve(options with { Precision = GromovPrecision.Double }, TestContext.Current.CancellationToken);
            Assert.Equal(expected.Converged, found.Converged);
            // The solver of one problem does not solve the first transport problems in full where that does not show in the end.
            if (stop == StoppingRule.Ott || solver == GromovSolverKind.Ppa) Assert.Equal(expected.Iterations, found.Iterations);
            Assert.Equal(expected.Loss, found.Loss, single ? 1e-4 : 1e-7);
            Assert.Equal(expected.FusedLoss, found.FusedLoss, single ? 1e-4 : 1e-7);
            Assert.Equal(expected.RegularisedObjective, found.RegularisedObjective, single ? 1e-4 : 1e-6);
            // Inner solves end at their tolerance on other paths; a proximal step adds up what they leave.
            Near(expected, found, single ? 2e-3 : solver == GromovSolverKind.Ppa ? 1e-5 : 1e-6);
        }
        if (stop == StoppingRule.Pot) Assert.True(together.Select(result => result.InnerIterations).Distinct().Count() > 1);
    }

    [Fact]
    public void Costs_that_are_not_symmetric_and_other_marginals_are_solved_one_by_one()
    {
        using CudaDevice gpu = Open();
        using CpuDevice host = new(1);
        using Matrix<double> c = host.AllocateMatrix<double>(9, 9);
        CounterRandom random = new(3);
        foreach (ref double v in c.Buffer.View.Host) v = 0.2 + random.NextDouble();
        using Matrix<double> there = c.CopyAt(gpu);
        GromovOptions options = new() { Epsilon = 0.1, MaxIterations = 3 };
        Assert.Null(GromovBatchSolver.TrySolve([new GromovProblem(there, there)], options, TestContext.Current.CancellationToken));
        Assert.False(GromovBatchSolver.Takes(options with { Marginals = MarginalConstraint.Partial, Mass = 0.5 }));
        Assert.False(GromovBatchSolver.Takes(options with { InnerSolve = InnerSolve.PotIterates }));
        double[] losses = new double[3];
        ManyProblems.Solve(gpu, 3, 1000, options, _ => new GromovProblem(there, there), (i, _, result) =>
        {
            using (result) losses[i] = result.Loss;
        }, TestContext.Current.CancellationToken);
        using GromovResult expected = EntropicGromovWasserstein.Solve(c, c, options);
        Assert.All(losses, loss => Assert.Equal(expected.Loss, loss, 1e-9));
    }

    [Fact]
    public void A_coupling_that_is_not_finite_is_a_failure_with_its_iteration()
    {
        using CudaDevice gpu = Open();
        using CpuDevice host = new(1);
        using Matrix<double> c = host.AllocateMatrix<double>(6, 6);
        for (int i = 0; i < 6; i++)
            for (int j = 0; j < 6; j++) c.Row(i)[j] = i == j ? 0 : 1e200;
        using Matrix<double> there = c.CopyAt(gpu);
        ConvergenceException e = Assert.Throws<ConvergenceException>(() =>
            GromovBatchSolver.TrySolve([new GromovProblem(there, there)], new GromovOptions { Epsilon = 0.1, Inner = SinkhornOptions.Pot with { MaxIterations = 20 } }, TestContext.Current.CancellationToken));
        Assert.Contains("iteration 0", e.Message);
    }

    private static void Near(GromovResult expected, GromovResult found, double tolerance)
    {
        double[] e = expected.Coupling.Buffer.View.Host.ToArray(), f = found.Coupling.Buffer.View.Host.ToArray();
        double error = e.Zip(f, (x, y) => Math.Abs(x - y)).Max();
        Assert.True(error <= tolerance * e.Max(), $"the largest difference is {error:E2}, the largest mass {e.Max():E2}");
    }

    /// <summary>14 x 12 points from two starts, 12 x 14, and 9 x 35: more than a strip of columns.</summary>
    private sealed class Problems : IDisposable
    {
        private readonly List<Matrix<double>> _owned = [];

        public Problems(CpuDevice host, CudaDevice gpu, double alpha)
        {
            Matrix<double> a = Cost(host, 14, 1), b = Cost(host, 12, 2), c = Cost(host, 9, 3), d = Cost(host, 35, 4), from = Own(host.AllocateMatrix<double>(14, 12));
            for (int i = 0; i < 14; i++)
                for (int j = 0; j < 12; j++) from.Row(i)[j] = (1 + Math.Sin(0.4 * i) * Math.Cos(0.5 * j) * 0.3) / 168;
            Dictionary<Matrix<double>, Matrix<double>> there = [];
            foreach ((Matrix<double> first, Matrix<double> second, Matrix<double>? initial) in ((Matrix<double>, Matrix<double>, Matrix<double>?)[])[(a, b, null), (a, b, from), (b, a, null), (c, d, null)])
            {
                Matrix<double>? between = alpha == 1 ? null : Own(Clouds.Normal(host, first.Rows, second.Rows, 9));
                if (between is not null)
                    foreach (ref double v in between.Buffer.View.Host) v = 0.01 * Math.Abs(v);
                Here.Add(new GromovProblem(first, second, between, initial));
                There.Add(new GromovProblem(Placed(first), Placed(second), between, initial));
            }

            Matrix<double> Placed(Matrix<double> cost)
            {
                if (!there.TryGetValue(cost, out Matrix<double>? placed)) there.Add(cost, placed = Own(cost.CopyAt(gpu)));
                return placed;
            }
        }

        public List<GromovProblem> Here { get; } = [];
        public List<GromovProblem> There { get; } = [];

        public void Dispose()
        {
            foreach (Matrix<double> owned in _owned) owned.Dispose();
        }

        private Matrix<double> Cost(CpuDevice host, int n, ulong seed)
        {
            using Matrix<double> x = Clouds.Clusters(host, n, 3, seed).X;
            return Own(DomainCosts.Build(x, new DomainCostOptions { Cost = DomainCost.Euclidean, RowNormalisation = RowNormalisation.None }).Cost);
        }

        private Matrix<double> Own(Matrix<double> matrix)
        {
            _owned.Add(matrix);
            return matrix;
        }
    }
}
