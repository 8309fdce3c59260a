using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Resampled cells, held-out cells and the nulls that keep a coupling smooth.</summary>
public sealed class StabilityTests
{
    private static readonly DomainCostOptions s_euclid = new() { Cost = DomainCost.Euclidean, RowNormalisation = RowNormalisation.None };
    private static readonly GromovOptions s_solve = new() { Epsilon = 2e-3, MaxIterations = 400 };

    [Theory]
    [InlineData(EpsilonConvention.Pot, GromovLoss.Square, 1.0)]
    [InlineData(EpsilonConvention.Ott, GromovLoss.Square, 1.0)]
    [InlineData(EpsilonConvention.Pot, GromovLoss.KullbackLeibler, 1.0)]
    [InlineData(EpsilonConvention.Pot, GromovLoss.Square, 0.6)]
    public void The_out_of_sample_map_gives_the_coupling_back_on_its_own_cells(EpsilonConvention convention, GromovLoss loss, double alpha)
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 40, 3, 1), y = Clouds.Normal(device, 33, 2, 2), between = device.AllocateMatrix<double>(40, 33);
        CounterRandom random = new(3);
        for (int i = 0; i < 40; i++)
            for (int j = 0; j < 33; j++) between.Row(i)[j] = random.NextDouble();
        using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid);
        // Logarithms of zero costs are 34 in size, so that what the inner tolerance leaves stays at 5e-9 in the coupling.
        GromovOptions options = s_solve with { Epsilon = 1e-2, Convention = convention, Loss = loss, Alpha = alpha, Tolerance = loss == GromovLoss.Square ? 1e-9 : 1e-8, MaxIterations = 3000, ExactProducts = true };
        Matrix<double>? fused = alpha < 1 ? between : null;
        using GromovResult result = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options, fused);
        Assert.True(result.Converged, string.Join(" ", result.ErrorTrace.TakeLast(3)) + " " + string.Join(" ", result.Warnings));
        using OutOfSampleMap map = OutOfSampleMap.Fit(c1.Cost, c2.Cost, result.Coupling, options, fused);
        using Matrix<double> mapped = map.Map(c1.Cost, fused);
        double error = 0;
        for (int i = 0; i < 40; i++)
            for (int j = 0; j < 33; j++) error = Math.Max(error, Math.Abs(mapped.Row(i)[j] - 40 * result.Coupling.Row(i)[j]));
        Assert.InRange(error, 0, 1e-6);
        Assert.Throws<UsageException>(() => OutOfSampleMap.Fit(c1.Cost, c2.Cost, result.Coupling, options with { Solver = GromovSolverKind.Ppa }));
    }

    [Fact]
    public void Partners_of_a_copy_stay_near_and_the_same_for_any_number_of_threads()
    {
        double[]? before = null;
        foreach (int threads in new[] { 1, 2 })
        {
            using CpuDevice device = new(threads);
            (Matrix<double> x, _) = Clouds.Clusters(device, 60, 2, 1, spread: 1);
            using (x)
            {
                using Matrix<double> y = Clouds.Permuted(x, Clouds.Order(60, 4));
                using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid);
                using GromovResult result = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, s_solve);
                CellStability stability = CellStability.Of(c1.Cost, c2.Cost, result.Coupling, s_solve, null, 6, seed: 9);
                TestContext.Current.TestOutputHelper?.WriteLine($"mean {stability.Mean:F3} chance {stability.Chance:F3}");
                Assert.Equal((6, 0), (stability.Replicates, stability.Failed));
                // Both domains are drawn independently, so a cell's own copy is missing in a third of the replicates.
                Assert.InRange(stability.Chance, 6.0 / 60, 0.2);
                Assert.InRange(stability.Mean, 4 * stability.Chance, 1);
                before ??= stability.First;
                Assert.Equal(before, stability.First);
            }
        }
    }

    [Fact]
    public void Unrelated_clouds_are_less_stable_than_copies()
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Isotropic(device, 60, 6, 1), y = Isotropic(device, 60, 6, 2);
        using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid);
        using GromovResult unrelated = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, s_solve), copy = EntropicGromovWasserstein.Solve(c1.Cost, c1.Cost, s_solve);
        double apart = CellStability.Of(c1.Cost, c2.Cost, unrelated.Coupling, s_solve, null, 6, 5).Mean, together = CellStability.Of(c1.Cost, c1.Cost, copy.Coupling, s_solve, null, 6, 5).Mean;
        TestContext.Current.TestOutputHelper?.WriteLine($"unrelated {apart:F3}, copy {together:F3}");
        Assert.True(together > apart);
    }

    [Fact]
    public void A_smooth_wrong_coupling_passes_the_permutation_null_and_fails_the_smooth_ones()
    {
        using CpuDevice device = new(2);
        (Matrix<double> x, string[] labels) = Clouds.Clusters(device, 90, 3, 1);
        (Matrix<double> y, string[] other) = Clouds.Clusters(device, 70, 2, 2);
        using (x)
        using (y)
        {
            AlignmentOptions options = new() { FirstCost = s_euclid, SecondCost = s_euclid, Gromov = s_solve, Decoys = 4, Replicates = 4 };
            using AlignmentResult result = GromovAlignment.Align(x, y, options, labels, other);
            SmoothnessNulls nulls = result.SmoothNulls!;
            TestContext.Current.TestOutputHelper?.WriteLine($"{nulls.Permuted} {nulls.HeldOut} R² {string.Join(" ", nulls.Rotated!.Predictabilities)} accuracy {string.Join(" ", nulls.Rotated.Accuracies!)} correlation {string.Join(" ", nulls.Rotated.Correlations)}; {string.Join(" ", result.Verdict.For)} {string.Join(" ", result.Verdict.Against)}");
            Assert.Empty(nulls.NotMeasured);
            Assert.True(nulls.Permuted.Observed > 0.8 && nulls.Permuted.ZScore > 10 && nulls.Permuted.NullMean < 0.05);
            // Wrong couplings are just as predictable, and that is why this null is no evidence; labels and distances tell them apart.
            Assert.All(nulls.Rotated!.Predictabilities, r2 => Assert.True(r2 > 0.8));
            Assert.All(nulls.Rotated.Correlations, c => Assert.True(c < result.Null!.Observed));
            Assert.All(nulls.Rotated.Accuracies!, a => Assert.True(a < result.Labels!.Barycentric.Accuracy));
            Assert.Equal((90, 5), (nulls.HeldOut!.Cells, nulls.HeldOut.Folds));
            Assert.True(nulls.HeldOut.Accuracy > 0.8);
            Assert.True(nulls.HeldOut.SamePartner > 2 * nulls.HeldOut.Chance);
            Assert.Contains(result.Verdict.For, reason => reason.Contains("rotated targets"));
            Assert.Equal(90, result.Stability!.First.Length);
            Assert.Equal(70, result.Stability.Second.Length);
        }
    }

    private static Matrix<double> Isotropic(CpuDevice device, int n, int d, ulong seed)
    {
        CounterRandom random = new(seed);
        Matrix<double> x = device.AllocateMatrix<double>(n, d);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < d; j++) x.Row(i)[j] = random.NextNormal();
        return x;
    }
}
