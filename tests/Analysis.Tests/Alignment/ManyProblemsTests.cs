using BioSup.Analysis.Alignment;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Starts, decoys and held-out cells solved at the same time, and where the mirrored starts lie.</summary>
public sealed class ManyProblemsTests
{
    private static readonly DomainCostOptions s_euclid = new() { Cost = DomainCost.Euclidean, RowNormalisation = RowNormalisation.None };

    [Fact]
    public void An_alignment_is_the_same_bytes_however_many_problems_run_at_once()
    {
        string? first = null;
        foreach (int threads in new[] { 1, 2, 3 })
        {
            using CpuDevice device = new(threads);
            (Matrix<double> x, string[] labels) = Clouds.Clusters(device, 60, 3, 1, spread: 0.8);
            (Matrix<double> y, string[] other) = Clouds.Clusters(device, 50, 3, 2, spread: 0.8);
            using (x)
            using (y)
            {
                AlignmentOptions options = new()
                {
                    FirstCost = s_euclid, SecondCost = s_euclid, Gromov = new GromovOptions { Epsilon = 5e-3, MaxIterations = 60, Tolerance = 1e-6 }, Starts = 6, Decoys = 5, Replicates = 2,
                };
                using AlignmentResult result = GromovAlignment.Align(x, y, options, labels, other);
                Assert.Equal(["product", "mirrored", "random", "mirrored along the second direction"], result.Starts.Take(4).Select(s => s.Kind));
                string all = string.Join(' ', [.. result.Starts.Select(s => $"{s.Kind} {s.Loss:R} {s.Displacement:R}"), .. result.Null!.Decoys.Select(d => $"{d:R}"), $"{result.Null.Rejected}",
                    .. result.SmoothNulls!.Rotated!.Correlations.Select(c => $"{c:R}"), $"{result.SmoothNulls.HeldOut}", $"{result.Stability!.Mean:R}", $"{result.Gromov.Loss:R}"]);
                first ??= all;
                Assert.Equal(first, all);
            }
        }
    }

    [Theory]
    [InlineData(1, 5, 1)]
    [InlineData(4, 5, 4)]
    [InlineData(4, 2, 2)]
    [InlineData(8, 0, 1)]
    public void As_many_run_at_once_as_there_are_threads_and_problems(int threads, int count, int expected)
    {
        Assert.Equal(expected, ManyProblems.AtOnce(threads, count, 1000));
        Assert.Equal(1, ManyProblems.AtOnce(threads, count, 200L << 20));
        // Two gibibytes for all of them.
        Assert.Equal(Math.Min(expected, 20), ManyProblems.AtOnce(threads, count, 100L << 20));
        Assert.Equal(20, ManyProblems.AtOnce(64, 100, 100L << 20));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(10)]
    public void Every_problem_runs_once_and_a_failure_is_the_callers(int atOnce)
    {
        using CpuDevice device = new(3);
        int[] runs = new int[7];
        ManyProblems.Run(device, 7, atOnce, problem => Interlocked.Increment(ref runs[problem]));
        Assert.All(runs, count => Assert.Equal(1, count));
        ConvergenceException error = Assert.Throws<ConvergenceException>(() => ManyProblems.Run(device, 7, atOnce, problem =>
        {
            if (problem == 4) throw new ConvergenceException("the fourth");
        }));
        Assert.Equal("the fourth", error.Message);
    }

    [Fact]
    public void A_flipped_start_mirrors_one_direction_and_leaves_the_others()
    {
        // Extents 6, 4, 2 along the axes: the directions of the cloud, and a coupling that matches every point with itself.
        using CpuDevice device = new(1);
        using Matrix<double> x = device.AllocateMatrix<double>(80, 3), identity = device.AllocateMatrix<double>(80, 80);
        CounterRandom random = new(5);
        for (int i = 0; i < 80; i++)
        {
            for (int d = 0; d < 3; d++) x.Row(i)[d] = (6 - 2 * d) * (random.NextDouble() - 0.5);
            identity.Row(i)[i] = 1.0 / 80;
        }
        using DomainCostResult cost = DomainCosts.Build(x, s_euclid);
        for (int direction = 0; direction < StartingCouplings.FlippedDirections; direction++)
        {
            using Matrix<double> start = StartingCouplings.MirroredAlong(cost.Cost, cost.Cost, identity, direction)!;
            for (int d = 0; d < 3; d++)
            {
                // Correlation of a point's coordinate with that of its mean partner.
                double both = 0, own = 0, other = 0;
                for (int i = 0; i < 80; i++)
                {
                    double partner = 0;
                    for (int j = 0; j < 80; j++) partner += 80 * start.Row(i)[j] * x.Row(j)[d];
                    (both, own, other) = (both + partner * x.Row(i)[d], own + x.Row(i)[d] * x.Row(i)[d], other + partner * partner);
                }
                Assert.InRange((d == direction ? -1 : 1) * both / Math.Sqrt(own * other), 0.5, 1);
            }
        }
    }

    [Fact]
    public void A_direction_without_extent_is_not_flipped()
    {
        using CpuDevice device = new(1);
        using Matrix<double> line = Clouds.Normal(device, 40, 1, 6), product = device.AllocateMatrix<double>(40, 40);
        for (int i = 0; i < 40; i++) product.Row(i).Fill(1.0 / 1600);
        using DomainCostResult cost = DomainCosts.Build(line, s_euclid);
        Assert.Null(StartingCouplings.MirroredAlong(cost.Cost, cost.Cost, product, 1));
        using AlignmentResult result = GromovAlignment.Align(line, line, new AlignmentOptions { FirstCost = s_euclid, SecondCost = s_euclid, Gromov = new GromovOptions { Epsilon = 5e-3, MaxIterations = 20 }, Starts = 5 });
        Assert.DoesNotContain(result.Starts, start => start.Kind.Contains("along", StringComparison.Ordinal));
        Assert.Equal(3, result.Starts.Count(start => start.Kind == "random"));
    }

    [Fact]
    public void The_plan_counts_what_runs_at_the_same_time_and_the_certificates()
    {
        AlignmentOptions options = new() { FirstCost = s_euclid, SecondCost = s_euclid };
        long alone = MemoryPlan.For(options, (400, 3), (300, 3), fused: false).TotalBytes;
        MemoryPlan many = MemoryPlan.For(options with { Starts = 5, Decoys = 3 }, (400, 3), (300, 3), fused: false, threads: 3);
        long each = MemoryPlan.OfScreening(options, 400, 300);
        Assert.Equal(alone + 6L * 400 * 300 * 8 + 300L * 300 * 8 + 2 * each, many.TotalBytes);
        // A third bound between domains of 401 and 300 cells lays out all quantiles of both.
        Assert.Contains(MemoryPlan.For(options, (401, 3), (300, 3), fused: false).Items, item => item.Item.StartsWith("certificates", StringComparison.Ordinal));
        Assert.DoesNotContain(MemoryPlan.For(options with { Gromov = options.Gromov with { Marginals = MarginalConstraint.Partial, Mass = 0.5 } }, (401, 3), (300, 3), fused: false).Items,
            item => item.Item.StartsWith("certificates", StringComparison.Ordinal));
    }
}
