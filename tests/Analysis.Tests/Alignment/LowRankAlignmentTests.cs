using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Scores, starts and certificates of low-rank couplings against the coupling formed.</summary>
[Collection(MemoryCollection.Name)]
public sealed class LowRankAlignmentTests
{
    private static readonly DomainCostOptions s_points = new() { Cost = DomainCost.SquaredEuclidean, RowNormalisation = RowNormalisation.None, Scale = CostScale.Mean };
    private static readonly LowRankOptions s_solver = new() { Rank = 10, Tolerance = 1e-6 };

    [Fact]
    public void The_gap_through_factors_is_that_of_the_costs_formed()
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 40, 3, 61), y = Clouds.Normal(device, 30, 2, 62);
        using DomainCostResult c1 = DomainCosts.Build(x, s_points), c2 = DomainCosts.Build(y, s_points);
        using LowRankResult result = LowRankGromovWasserstein.Solve(c1, c2, new LowRankOptions { Rank = 5 });
        using SquaredDistanceDomain first = new(c1.Points!, c1.Divisor, "x"), second = new(c2.Points!, c2.Divisor, "y");
        StationarityGap factored = LowRankCertificates.Gap(first, second, result.Coupling, default);
        using Matrix<double> dense = result.Coupling.ToMatrix();
        using Matrix<double> one = c1.Cost.CopyOnHost(), other = c2.Cost.CopyOnHost();
        using DomainCostResult k1 = DomainCosts.Build(one, new DomainCostOptions { Cost = DomainCost.Precomputed, Scale = CostScale.None }), k2 = DomainCosts.Build(other, new DomainCostOptions { Cost = DomainCost.Precomputed, Scale = CostScale.None });
        // The assignment of 120 parts is exact.
        StationarityGap exact = StationarityGap.Of(k1, k2, dense, new GromovOptions { Solver = GromovSolverKind.Ppa });
        TestContext.Current.TestOutputHelper?.WriteLine($"gap {exact.Loss:g6}, by factors {factored.Loss:g6} with slack {factored.Slack:e2}, product {exact.Scale:g6}");
        Assert.Equal(0, exact.Slack);
        Assert.Equal(exact.Scale, factored.Scale, 1e-9 * exact.Scale);
        Assert.InRange(factored.Loss, exact.Loss - 1e-9, exact.Loss + factored.Slack + 1e-9);
        Assert.InRange(factored.Slack, 0, 0.05 * exact.Scale);
        List<string> missing = [];
        AlignmentCertificates points = LowRankCertificates.Of(c1, c2, result, missing, default), costs = LowRankCertificates.Of(k1, k2, result, [], default);
        Assert.Equal(LowerBounds.Of(one, other).First, points.Bounds!.First, 1e-10);
        Assert.Equal(costs.Bounds!.First, points.Bounds.First, 1e-10);
        Assert.Equal(exact.Loss, costs.Gap!.Loss, 1e-12);
        Assert.True(costs.Bounds.Best <= result.Loss);
        Assert.Contains(missing, reason => reason.Contains("second and third lower bound", StringComparison.Ordinal));
    }

    [Fact]
    public void A_mirror_symmetric_cloud_has_two_optima_and_a_lopsided_one_has_not()
    {
        using CpuDevice device = new(2);
        using Matrix<double> symmetric = Halves(device, 63, lopsided: false), another = Halves(device, 67, lopsided: false), lopsided = Halves(device, 63, lopsided: true), turned = Halves(device, 67, lopsided: true);
        AlignmentOptions options = new() { FirstCost = s_points, SecondCost = s_points, Starts = 4 };
        using LowRankAlignmentResult two = LowRankAlignment.Align(symmetric, another, options, s_solver), one = LowRankAlignment.Align(lopsided, turned, options, s_solver);
        Assert.Equal(["clusters", "mirrored", "random", "random"], two.Starts.Select(s => s.Kind));
        TestContext.Current.TestOutputHelper?.WriteLine(string.Join("; ", ((LowRankAlignmentResult[])[two, one]).Select(r => string.Join(", ", r.Starts.Select(s => $"{s.Kind} {s.Loss:g4} at {s.Displacement:F2}")))));
        Assert.True(two.Optima!.EquallyGood >= 2, string.Join(", ", two.Starts.Select(s => $"{s.Kind} {s.Loss:g4} at {s.Displacement:F2}")));
        Assert.Contains(two.Verdict.Against, reason => reason.Contains("the objective does not single one out", StringComparison.Ordinal));
        Assert.DoesNotContain(one.Verdict.Against, reason => reason.Contains("the objective does not single one out", StringComparison.Ordinal));
        Assert.Equal(one.Solve.Loss, one.Starts.Min(s => s.Loss), 1e-3 * one.Solve.Loss + 1e-12);
    }

    [Fact]
    public void Scores_through_factors_are_those_of_the_coupling_formed()
    {
        using CpuDevice device = new(2);
        (Matrix<double> x, string[] labels) = Clouds.Clusters(device, 50, 3, 64, spread: 1.5);
        using Matrix<double> owner = x;
        using LowRankResult result = LowRankGromovWasserstein.Solve(x, x, new LowRankOptions { Rank = 6 });
        using Matrix<double> dense = result.Coupling.ToMatrix();
        LabelTransferResult factored = LabelTransfer.Evaluate(result.Coupling, labels, labels), formed = LabelTransfer.Evaluate(dense, labels, labels);
        Assert.Equal(formed.Barycentric.Counts, factored.Barycentric.Counts);
        Assert.Equal(formed.OneToOne.Counts, factored.OneToOne.Counts);
        Assert.Equal((formed.Chance, formed.Majority, formed.RenamingP), (factored.Chance, factored.Majority, factored.RenamingP));
        Assert.Equal(GromovAlignment.MeanPartners(dense), result.Coupling.MeanPartners(), 1e-9);
        FosctTm byMass = MatchAccuracy.ByMass(result.Coupling), ofMatrix = MatchAccuracy.ByMass(dense);
        Assert.Equal(ofMatrix.Average, byMass.Average, 1e-3);
        using Matrix<double> projected = result.Coupling.Project(x.View), expected = MatchAccuracy.BarycentricProjection(dense, x);
        for (int i = 0; i < 50; i++)
            for (int k = 0; k < 3; k++) Assert.Equal(expected.Row(i)[k], projected.Row(i)[k], 1e-9);
    }

    [Fact]
    public void Factors_that_make_no_coupling_are_refused_in_one_sentence()
    {
        using CpuDevice device = new(1);
        using Matrix<double> q = Matrix<double>.From(device, 2, 2, [0.5, 0, 0, 0.5]), r = Matrix<double>.From(device, 3, 2, [0.3, 0, 0.2, 0.1, 0, 0.4]), wide = device.AllocateMatrix<double>(2, 3);
        Assert.Contains("make no coupling", Assert.Throws<DataException>(() => LowRankCoupling.From(q, wide, [0.5, 0.5])).Message);
        Assert.Contains("g, element 1", Assert.Throws<DataException>(() => LowRankCoupling.From(q, r, [0.5, 0])).Message);
        r.Row(2)[1] = -1;
        Assert.Contains("R, row 2", Assert.Throws<DataException>(() => LowRankCoupling.From(q, r, [0.5, 0.5])).Message);
        r.Row(2)[1] = 0;
        q.Row(1)[1] = 0;
        Assert.Contains("row 1", Assert.Throws<DataException>(() => LowRankCoupling.From(q, r, [0.5, 0.5])).Message);
    }

    [Theory]
    [InlineData(1500, 1200, 6, 8, DomainCost.SquaredEuclidean)]
    [InlineData(150, 120, 6, 8, DomainCost.Euclidean)]
    public void Memory_follows_the_plan(int n, int m, int d, int rank, DomainCost cost)
    {
        using CpuDevice device = new(1);
        DomainCostOptions own = s_points with { Cost = cost };
        AlignmentOptions options = new() { FirstCost = own, SecondCost = own, Starts = 2 };
        LowRankOptions solver = new() { Rank = rank, MaxIterations = 5 };
        Run();
        // Buffers that earlier tests dropped go now, not between the two readings.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        long before = MemoryAccounting.CurrentBytes;
        MemoryAccounting.ResetPeak();
        long planned = Run();
        long used = MemoryAccounting.PeakBytes - before;
        TestContext.Current.TestOutputHelper?.WriteLine($"{used} of {planned} bytes planned");
        // Certificates of costs are planned with the managed arrays that they sort.
        Assert.InRange(used, planned / (cost == DomainCost.SquaredEuclidean ? 2 : 4), planned + 40L * 8 * (n + m));
        Assert.True(MemoryAccounting.CurrentBytes <= before, $"{MemoryAccounting.CurrentBytes - before} bytes stay");

        long Run()
        {
            using Matrix<double> x = Clouds.Normal(device, n, d, 65), y = Clouds.Normal(device, m, d, 66);
            string[] first = [.. Enumerable.Range(0, n).Select(i => $"{i % 3}")], second = [.. Enumerable.Range(0, m).Select(j => $"{j % 3}")];
            using LowRankAlignmentResult result = LowRankAlignment.Align(x, y, options, solver, first, second);
            return result.Memory.TotalBytes;
        }
    }

    /// <summary>A band of points and its mirror image, or a wider band in place of that.</summary>
    private static Matrix<double> Halves(CpuDevice device, ulong seed, bool lopsided)
    {
        CounterRandom random = new(seed);
        Matrix<double> x = device.AllocateMatrix<double>(48, 2);
        for (int i = 0; i < 24; i++)
        {
            (double along, double across) = (1 + 4 * random.NextDouble(), 0.6 * random.NextNormal());
            (x.Row(2 * i)[0], x.Row(2 * i)[1], x.Row(2 * i + 1)[0], x.Row(2 * i + 1)[1]) = (along, across, lopsided ? -9 - along * along : -along, lopsided ? 4 * across : across);
        }
        return x;
    }
}
