using BioSup.Analysis.Alignment;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Native memory is counted for the whole process, so nothing else runs beside these.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class MemoryCollection
{
    public const string Name = "memory";
}

/// <summary>Users' reports of memory that other solvers took without saying so.</summary>
[Collection(MemoryCollection.Name)]
public sealed class PeerMemoryTests
{
    private static readonly DomainCostOptions s_euclid = new() { Cost = DomainCost.Euclidean, RowNormalisation = RowNormalisation.None };

    [Theory]
    [InlineData(120, 90, GromovPrecision.Double, MarginalConstraint.Balanced, DomainCost.Euclidean)]
    [InlineData(120, 90, GromovPrecision.Single, MarginalConstraint.Balanced, DomainCost.Euclidean)]
    [InlineData(120, 90, GromovPrecision.Double, MarginalConstraint.Partial, DomainCost.Euclidean)]
    [InlineData(160, 120, GromovPrecision.Double, MarginalConstraint.Balanced, DomainCost.Euclidean)]
    [InlineData(160, 120, GromovPrecision.Double, MarginalConstraint.Balanced, DomainCost.SquaredEuclidean)]
    [InlineData(160, 120, GromovPrecision.Single, MarginalConstraint.Balanced, DomainCost.SquaredEuclidean)]
    public void Moscot_804_memory_follows_the_plan(int n, int m, GromovPrecision precision, MarginalConstraint marginals, DomainCost cost)
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, n, 3, 1), y = Clouds.Normal(device, m, 2, 2);
        DomainCostOptions own = s_euclid with { Cost = cost };
        AlignmentOptions options = new()
        {
            FirstCost = own, SecondCost = own,
            Gromov = new GromovOptions { Epsilon = 1e-2, Precision = precision, MaxIterations = 5, Marginals = marginals, Mass = marginals == MarginalConstraint.Partial ? 0.7 : 1 },
        };
        // Scratch of the matrix products belongs to the threads and stays with them.
        Solve(x, y, own, options.Gromov);
        long before = MemoryAccounting.CurrentBytes;
        MemoryPlan plan = MemoryPlan.For(options, (n, 3), (m, 2), fused: false);
        long planned = plan.Items.Where(item => !item.Item.StartsWith("certificates", StringComparison.Ordinal)).Sum(item => item.Bytes);
        MemoryAccounting.ResetPeak();
        Solve(x, y, own, options.Gromov);
        long used = MemoryAccounting.PeakBytes - before;
        TestContext.Current.TestOutputHelper?.WriteLine($"{used} of {planned} bytes planned");
        Assert.InRange(used, planned / 2, planned);
        Assert.Equal(before, MemoryAccounting.CurrentBytes);

        // With starts, decoys and certificates.
        options = options with { Starts = 2, Decoys = 1, Gromov = options.Gromov with { Epsilon = 0.2 } };
        MemoryAccounting.ResetPeak();
        using (AlignmentResult whole = GromovAlignment.Align(x, y, options)) Assert.InRange(MemoryAccounting.PeakBytes - before, 1, whole.Memory.TotalBytes);
    }

    [Theory]
    [InlineData(true, GromovPrecision.Double)]
    [InlineData(true, GromovPrecision.Single)]
    [InlineData(false, GromovPrecision.Double)]
    public void Moscot_804_the_solvers_of_linear_memory_keep_to_the_plan_they_report_first(bool online, GromovPrecision precision)
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 700, 4, 1), y = Clouds.Normal(device, 600, 3, 2);
        void Run(IProgressReporter? progress)
        {
            if (online)
            {
                using OnlineGromovResult result = OnlineGromovWasserstein.Solve(x, y, new GromovOptions { Epsilon = 50, MaxIterations = 11, Precision = precision }, progress: progress);
            }
            else
            {
                using LowRankResult result = LowRankGromovWasserstein.Solve(x, y, new LowRankOptions { Rank = 8, MaxIterations = 3 }, progress: progress);
            }
        }

        WarmThreads.Run(device, () => Run(null));
        Recorder recorder = new();
        long before = MemoryAccounting.CurrentBytes;
        MemoryAccounting.ResetPeak();
        Run(recorder);
        MemoryPlan plan = online ? OnlineGromovWasserstein.Plan((700, 4), (600, 3), precision, device) : LowRankGromovWasserstein.PlanPoints((700, 4), (600, 3), 8);
        TestContext.Current.TestOutputHelper?.WriteLine($"{MemoryAccounting.PeakBytes - before} of {plan.TotalBytes} bytes planned");
        Assert.InRange(MemoryAccounting.PeakBytes - before, plan.TotalBytes / 4, plan.TotalBytes);
        Assert.Contains($"the solve will hold {plan}", recorder.First, StringComparison.Ordinal);
        Assert.Equal(before, MemoryAccounting.CurrentBytes);
    }

    private sealed class Recorder : IProgressReporter
    {
        public string First { get; private set; } = "";

        public void Report(string stage, long done, long total, string? detail = null)
        {
            if (First.Length == 0) First = detail ?? "";
        }
    }

    private static void Solve(Matrix<double> x, Matrix<double> y, DomainCostOptions cost, GromovOptions options)
    {
        using DomainCostResult c1 = DomainCosts.Build(x, cost), c2 = DomainCosts.Build(y, cost);
        using GromovResult result = EntropicGromovWasserstein.Solve(c1, c2, options);
    }

    [Fact]
    public void Moscot_559_soft_targets_are_streamed()
    {
        // 3,000 genes: what is held beside coupling, expression and result is a tile or two, not another copy of either.
        using CpuDevice device = new(1);
        const int n = 60, m = 50, genes = 3000;
        using Matrix<double> coupling = device.AllocateMatrix<double>(n, m), expression = device.AllocateMatrix<double>(m, genes), projected = device.AllocateMatrix<double>(n, genes);
        CounterRandom random = new(3);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < m; j++) coupling.Row(i)[j] = random.NextDouble() / (n * m);
        for (int j = 0; j < m; j++)
            for (int g = 0; g < genes; g++) expression.Row(j)[g] = random.NextDouble();
        foreach (int tile in new[] { 16, 256 })
        {
            long before = MemoryAccounting.CurrentBytes;
            MemoryAccounting.ResetPeak();
            Kernels.BarycentricProjection.Stream(coupling.View, expression.View, projected.View, columnsAtOnce: tile);
            Assert.InRange(MemoryAccounting.PeakBytes - before, 1, 8L * tile * (n + 3 * m) + 8 * n + 4096);
        }
        for (int i = 0; i < n; i += 13)
            for (int g = 0; g < genes; g += 271)
            {
                double sum = 0, mass = 0;
                for (int j = 0; j < m; j++) (sum, mass) = (sum + coupling.Row(i)[j] * expression.Row(j)[g], mass + coupling.Row(i)[j]);
                Assert.Equal(sum / mass, projected.Row(i)[g], 1e-13);
            }
    }

    [Fact]
    public void Ott_27_a_point_cloud_is_solved_without_any_square_matrix()
    {
        using CpuDevice device = new(1);
        const int n = 800, m = 600;
        using Matrix<double> x = Clouds.Normal(device, n, 3, 4), y = Clouds.Normal(device, m, 3, 5);
        // The coupling alone would take eight bytes for each of the n m pairs; the solve takes a few numbers per point, blocks of fixed size, and a bounded amount for what it keeps between passes.
        long kept = Kernels.FactoredPlan<double>.KeptBytesFor(n, m);
        long before = MemoryAccounting.CurrentBytes;
        MemoryAccounting.ResetPeak();
        using (OnlineGromovResult result = OnlineGromovWasserstein.Solve(x, y, new GromovOptions { Epsilon = 50, MaxIterations = 11 })) Assert.True(double.IsFinite(result.Loss));
        Assert.InRange(MemoryAccounting.PeakBytes - before - kept, 1, 8L * n * m / 2);
        Assert.Equal(0, Kernels.FactoredPlan<double>.KeptBytesFor(100 * n, 100 * m));
    }
}
