using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Alignments on a GPU, or the emulated one, against the same alignments on the host.</summary>
[Collection("cuda")]
public sealed class GromovCudaTests
{
    private static CudaDevice Open()
    {
        CudaDevice? device = CudaEmulator.Open(out string reason);
        Assert.SkipWhen(device is null, reason);
        return device!;
    }

    /// <summary>
    /// In double precision both solve every inner problem to 1e-9 and stop when the coupling changes by less than 1e-7: what differs is
    /// the order of sums and with it the path, not the solution.
    /// </summary>
    [Theory]
    [InlineData(GromovSolverKind.Pgd, GromovLoss.Square, false)]
    [InlineData(GromovSolverKind.Ppa, GromovLoss.Square, false)]
    [InlineData(GromovSolverKind.Pgd, GromovLoss.KullbackLeibler, false)]
    [InlineData(GromovSolverKind.Pgd, GromovLoss.Square, true)]
    public void Coupling_loss_and_trace_are_the_hosts(GromovSolverKind solver, GromovLoss loss, bool fused)
    {
        using CudaDevice gpu = Open();
        using CpuDevice host = new(2);
        (Matrix<double> c1, Matrix<double> c2, Matrix<double> between) = Problem(host);
        using (c1) using (c2) using (between)
        {
            GromovOptions options = new() { Epsilon = solver == GromovSolverKind.Ppa ? 0.05 : 5e-3, Loss = loss, Solver = solver, Tolerance = 1e-9, MaxIterations = 100, Alpha = fused ? 0.7 : 1 };
            using GromovResult expected = EntropicGromovWasserstein.Solve(c1, c2, options, fused ? between : null);
            using Matrix<double> d1 = c1.CopyAt(gpu), d2 = c2.CopyAt(gpu), dBetween = between.CopyAt(gpu);
            using GromovResult found = EntropicGromovWasserstein.Solve(d1, d2, options, fused ? dBetween : null);
            Assert.Equal((expected.Converged, expected.Iterations), (found.Converged, found.Iterations));
            Assert.Equal(expected.Loss, found.Loss, 1e-7);
            Assert.Equal(expected.FusedLoss, found.FusedLoss, 1e-7);
            Assert.Equal(expected.Entropy, found.Entropy, 1e-5);
            Assert.True(found.RowError + found.ColumnError < 1e-6);
            // A proximal step starts from the logarithms of the last coupling, so what the inner tolerances leave adds up over the steps.
            Near(expected.Coupling, found.Coupling, solver == GromovSolverKind.Ppa ? 1e-5 : 1e-7);
            for (int k = 0; k < expected.ErrorTrace.Count; k++) Assert.Equal(expected.ErrorTrace[k], found.ErrorTrace[k], 1e-3 * expected.ErrorTrace[k] + 1e-8);
            Assert.True(found.InnerIterations <= 1.5 * expected.InnerIterations + 50, $"{found.InnerIterations} inner iterations, the host {expected.InnerIterations}");
        }
    }

    [Fact]
    public void Pots_own_iterates_are_followed()
    {
        using CudaDevice gpu = Open();
        using CpuDevice host = new(2);
        (Matrix<double> c1, Matrix<double> c2, Matrix<double> between) = Problem(host);
        using (c1) using (c2) using (between)
        {
            GromovOptions options = new() { Epsilon = 5e-3, InnerSolve = InnerSolve.PotIterates, Inner = SinkhornOptions.Pot with { MaxIterations = 60 }, MaxIterations = 4, CheckEvery = 1, ExactProducts = true };
            using GromovResult expected = EntropicGromovWasserstein.Solve(c1, c2, options);
            using Matrix<double> d1 = c1.CopyAt(gpu), d2 = c2.CopyAt(gpu);
            using GromovResult found = EntropicGromovWasserstein.Solve(d1, d2, options);
            Assert.Equal(expected.InnerIterations, found.InnerIterations);
            Near(expected.Coupling, found.Coupling, 1e-11);
            for (int k = 0; k < expected.ErrorTrace.Count; k++) Assert.Equal(expected.ErrorTrace[k], found.ErrorTrace[k], 1e-9 * expected.ErrorTrace[k]);
        }
    }

    /// <summary>Neither the host nor the device forms the costs, and both have the result of a solve that does.</summary>
    [Fact]
    public void Squared_distances_need_no_matrix_of_costs()
    {
        using CudaDevice gpu = Open();
        using CpuDevice host = new(2);
        using Matrix<double> x = Clouds.Clusters(host, 40, 3, seed: 1).X, y = Clouds.Clusters(host, 50, 2, seed: 2).X, xThere = x.CopyAt(gpu), yThere = y.CopyAt(gpu);
        using DomainCostResult c1 = DomainCosts.Build(x, Options("sqeuclidean", 0)), c2 = DomainCosts.Build(y, Options("sqeuclidean", 0));
        using DomainCostResult d1 = DomainCosts.Build(xThere, Options("sqeuclidean", 0)), d2 = DomainCosts.Build(yThere, Options("sqeuclidean", 0));
        // Masses are kept far better than losses are compared.
        GromovOptions options = new() { Epsilon = 1e-2, Tolerance = 1e-7, MaxIterations = 60, Inner = SinkhornOptions.Pot with { Tolerance = 1e-11, MaxIterations = 20_000 } };
        using GromovResult dense = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options with { ExactProducts = true });
        foreach ((DomainCostResult first, DomainCostResult second) in new[] { (c1, c2), (d1, d2) })
        {
            using GromovResult found = EntropicGromovWasserstein.Solve(first, second, options);
            Assert.Equal((dense.Converged, dense.Iterations), (found.Converged, found.Iterations));
            Assert.Equal(dense.Loss, found.Loss, 1e-9);
            Near(dense.Coupling, found.Coupling, 1e-7);
            for (int k = 0; k < dense.ErrorTrace.Count; k++) Assert.Equal(dense.ErrorTrace[k], found.ErrorTrace[k], 1e-3 * dense.ErrorTrace[k] + 1e-8);
        }
    }

    /// <summary>Costs, products and coupling in single precision: couplings agree to their rounding.</summary>
    [Fact]
    public void Single_precision_is_near_the_double_result()
    {
        using CudaDevice gpu = Open();
        using CpuDevice host = new(2);
        (Matrix<double> c1, Matrix<double> c2, Matrix<double> between) = Problem(host);
        using (c1) using (c2) using (between)
        {
            GromovOptions options = new() { Epsilon = 5e-3, Tolerance = 1e-6, MaxIterations = 40 };
            using GromovResult expected = EntropicGromovWasserstein.Solve(c1, c2, options);
            using Matrix<double> d1 = c1.CopyAt(gpu), d2 = c2.CopyAt(gpu);
            using GromovResult found = EntropicGromovWasserstein.Solve(d1, d2, options with { Precision = GromovPrecision.Single });
            Assert.Equal(expected.Loss, found.Loss, 2e-5);
            Near(expected.Coupling, found.Coupling, 2e-4);
        }
    }

    [Fact]
    public void A_warm_outer_step_allocates_nothing_on_the_host()
    {
        using CudaDevice gpu = Open();
        using CpuDevice host = new(1);
        (Matrix<double> c1, Matrix<double> c2, Matrix<double> between) = Problem(host);
        using (c1) using (c2) using (between)
        {
            using Matrix<double> d1 = c1.CopyAt(gpu), d2 = c2.CopyAt(gpu);
            double[] p = EntropicGromovWasserstein.Uniform(40), q = EntropicGromovWasserstein.Uniform(50);
            using GromovIteration<double> iteration = new(new GromovIterationInput<double>(d1, d2), new GromovOptions { Epsilon = 5e-3 }, null, null, p, q);
            for (int k = 0; k < 8; k++) iteration.Step(k);
            WarmAllocation rounds = new();
            while (rounds.Again()) iteration.Step(8);
            Assert.Equal(0, rounds.Least);
        }
    }

    [Fact]
    public void Not_a_number_is_refused_with_its_place()
    {
        using CudaDevice gpu = Open();
        using CpuDevice host = new(1);
        using Matrix<double> good = Clouds.Normal(host, 5, 5, 1), bad = Clouds.Normal(host, 5, 5, 2);
        bad.Row(3)[1] = double.NaN;
        using Matrix<double> there = good.CopyAt(gpu), badThere = bad.CopyAt(gpu);
        DataException e = Assert.Throws<DataException>(() => EntropicGromovWasserstein.Solve(there, badThere, new GromovOptions()));
        Assert.Contains("row 3, column 1", e.Message);
        Assert.Contains("second domain", e.Message);
    }

    public static TheoryData<string> Costs => ["scot", "gw-map", "sqeuclidean", "cosine"];

    [Theory]
    [MemberData(nameof(Costs))]
    public void Costs_within_a_domain_are_the_hosts(string recipe)
    {
        using CudaDevice gpu = Open();
        using CpuDevice host = new(2);
        using Matrix<double> x = Clouds.Clusters(host, 70, 4, seed: 3, spread: 1.5).X, there = x.CopyAt(gpu);
        using DomainCostResult expected = DomainCosts.Build(x, Options(recipe, 9)), found = DomainCosts.Build(there, Options(recipe, 9));
        Assert.Equal((expected.Components, expected.UnreachablePairs, expected.DirectionlessRows), (found.Components, found.UnreachablePairs, found.DirectionlessRows));
        Assert.Equal(expected.Divisor, found.Divisor, 1e-12 * expected.Divisor);
        using Matrix<double> readable = found.Cost.CopyOnHost();
        // Hops are whole numbers; distances are sums of a few coordinates or edges.
        Near(expected.Cost, readable, recipe == "scot" ? 0 : 1e-13);
    }

    /// <summary>Everything an alignment does, with labels, a truth, other starts and decoys.</summary>
    [Theory]
    [InlineData("scot")]
    [InlineData("sqeuclidean")]
    public void A_whole_alignment_comes_to_the_hosts_verdict(string recipe)
    {
        using CudaDevice gpu = Open();
        using CpuDevice host = new(2);
        (Matrix<double> first, string[] labels) = Clouds.Clusters(host, 30, 3, seed: 5, spread: 0.8);
        using (first)
        {
            using Matrix<double> second = Clouds.Permuted(first, [.. Enumerable.Range(0, 30)]), there = first.CopyAt(gpu), secondThere = second.CopyAt(gpu);
            AlignmentOptions options = new()
            {
                FirstCost = Options(recipe, 8), SecondCost = Options(recipe, 8), Gromov = new GromovOptions { Epsilon = 2e-2, Tolerance = 1e-7, MaxIterations = 30 },
                Starts = 3, Decoys = 1, TruthIsIdentity = true,
            };
            using AlignmentResult expected = GromovAlignment.Align(first, second, options, labels, labels);
            using AlignmentResult found = GromovAlignment.Align(there, secondThere, options, labels, labels);
            Assert.Equal(expected.Verdict.Word, found.Verdict.Word);
            Assert.Equal(expected.SelectedStart, found.SelectedStart);
            Assert.Equal(expected.Gromov.Loss, found.Gromov.Loss, 1e-7);
            // Points with the same hops to all others are interchangeable, and rounding ranks them: a few pairs of 30 x 29 may change places.
            bool ties = recipe == "scot";
            Assert.Equal(expected.Foscttm!.Average, found.Foscttm!.Average, ties ? 5e-3 : 1e-6);
            Assert.Equal(expected.Labels!.Barycentric.Accuracy, found.Labels!.Barycentric.Accuracy);
            Assert.Equal(expected.NeighbourVote!.Accuracy, found.NeighbourVote!.Accuracy);
            Assert.Equal(expected.MeanPartners, found.MeanPartners, 1e-4);
            for (int s = 0; s < expected.Starts.Count; s++)
            {
                Assert.Equal((expected.Starts[s].Kind, expected.Starts[s].Converged), (found.Starts[s].Kind, found.Starts[s].Converged));
                Assert.Equal(expected.Starts[s].Loss, found.Starts[s].Loss, 1e-5);
                Assert.Equal(expected.Starts[s].Displacement, found.Starts[s].Displacement, ties ? 0.05 : 1e-6);
            }
            Assert.Equal(expected.Null!.Observed, found.Null!.Observed, 1e-5);
            Assert.Equal(expected.Null.Decoys.Count, found.Null.Decoys.Count);
            for (int d = 0; d < expected.Null.Decoys.Count; d++) Assert.Equal(expected.Null.Decoys[d], found.Null.Decoys[d], 1e-4);
            Near(expected.Coupling, found.Coupling, 1e-6);
        }
    }

    private static DomainCostOptions Options(string recipe, int neighbours) => recipe switch
    {
        "scot" => DomainCostOptions.Scot(neighbours) with { GraphMetric = DistanceMetric.Euclidean, RowNormalisation = RowNormalisation.None },
        "gw-map" => DomainCostOptions.GwMap(neighbours),
        "sqeuclidean" => new DomainCostOptions { Cost = DomainCost.SquaredEuclidean, RowNormalisation = RowNormalisation.None, Scale = CostScale.Mean },
        _ => new DomainCostOptions { Cost = DomainCost.Cosine, Scale = CostScale.Median },
    };

    private static void Near(Matrix<double> expected, Matrix<double> found, double tolerance)
    {
        double largest = 0, error = 0;
        for (int i = 0; i < expected.Rows; i++)
            for (int j = 0; j < expected.Columns; j++)
            {
                largest = Math.Max(largest, expected.Row(i)[j]);
                error = Math.Max(error, Math.Abs(expected.Row(i)[j] - found.Row(i)[j]));
            }
        Assert.True(error <= tolerance * largest, $"the largest difference is {error:E2}, the largest mass {largest:E2}");
    }

    /// <summary>Two clouds of clusters, 40 and 50 points, with costs up to 1, and a cost between them.</summary>
    private static (Matrix<double> C1, Matrix<double> C2, Matrix<double> Between) Problem(CpuDevice host)
    {
        DomainCostOptions euclid = new() { Cost = DomainCost.Euclidean, RowNormalisation = RowNormalisation.None };
        using Matrix<double> x = Clouds.Clusters(host, 40, 3, seed: 1).X, y = Clouds.Clusters(host, 50, 3, seed: 2).X;
        Matrix<double> between = host.AllocateMatrix<double>(40, 50);
        PairwiseDistance.Compute(DistanceMetric.Euclidean, x.View, y.View, between.View);
        Elementwise.Divide(between.View, 10, between.View);
        return (DomainCosts.Build(x, euclid).Cost, DomainCosts.Build(y, euclid).Cost, between);
    }
}
