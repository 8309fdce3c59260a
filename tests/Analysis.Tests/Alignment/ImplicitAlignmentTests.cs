using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Runs alone: the accounting of native memory is one for the whole process.</summary>
[CollectionDefinition(nameof(ImplicitAlignmentTests), DisableParallelization = true)]
public sealed class ImplicitAlignmentCollection;

/// <summary>An alignment whose coupling is not stored says what the stored one says.</summary>
[Collection(nameof(ImplicitAlignmentTests))]
public sealed class ImplicitAlignmentTests
{
    private static readonly DomainCostOptions s_squared = new() { Cost = DomainCost.SquaredEuclidean, RowNormalisation = RowNormalisation.None, Scale = CostScale.Mean };
    private static readonly AlignmentOptions s_options = new()
    {
        FirstCost = s_squared, SecondCost = s_squared, Gromov = new GromovOptions { Epsilon = 0.02, Tolerance = 1e-9, MaxIterations = 2000 }, Seed = 3,
    };

    [Theory]
    [InlineData(70, 70, 2, 4)]
    [InlineData(90, 60, 5, 2)]
    public void Scores_starts_and_verdict_are_those_of_the_stored_coupling(int n, int m, int d1, int d2)
    {
        using CpuDevice device = new(2);
        (Matrix<double> x, string[] labelsX) = Clouds.Clusters(device, n, d1, 5);
        (Matrix<double> y, string[] labelsY) = Clouds.Clusters(device, m, d2, 6);
        using (x)
        using (y)
        {
            AlignmentOptions options = s_options with { Starts = 4, TruthIsIdentity = n == m };
            using AlignmentResult stored = GromovAlignment.Align(x, y, options, labelsX, labelsY);
            using AlignmentResult known = GromovAlignment.Align(x, y, options with { Coupling = CouplingForm.Implicit }, labelsX, labelsY);
            Assert.True(known.Choice!.IsImplicit);
            Assert.Null(stored.Gromov.Implicit);
            Assert.Throws<InvalidOperationException>(() => known.Coupling);
            Assert.Equal(stored.Gromov.Loss, known.Gromov.Loss, 1e-7);
            Assert.Equal(stored.Gromov.RegularisedObjective, known.Gromov.RegularisedObjective, 1e-7);
            Assert.Equal(stored.MeanPartners, known.MeanPartners, 1e-4 * m);
            Assert.Equal(stored.Labels!.OneToOne.Accuracy, known.Labels!.OneToOne.Accuracy);
            Assert.Equal(stored.Labels.Barycentric.Counts, known.Labels.Barycentric.Counts);
            Assert.Equal(stored.NeighbourVote!.Counts, known.NeighbourVote!.Counts);
            if (n == m) Assert.Equal(stored.Foscttm!.Average, known.Foscttm!.Average, 1e-4);
            Assert.Equal(stored.Starts.Select(s => s.Kind), known.Starts.Select(s => s.Kind));
            Assert.Equal(stored.Verdict.Trust, known.Verdict.Trust);
            Assert.Equal(stored.Optima!.Optima[0].Loss, known.Optima!.Optima[0].Loss, 1e-3 * stored.Gromov.Loss);
        }
    }

    [Fact]
    public void A_random_start_is_the_stored_one()
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 50, 3, 7), y = Clouds.Normal(device, 40, 2, 8);
        using DomainCostResult c1 = DomainCosts.Build(x, s_squared), c2 = DomainCosts.Build(y, s_squared);
        using ImplicitStarts starts = new(c1, c2);
        using Matrix<double> gamma = starts.Random(9, 2), plan = StartingCouplings.Random(c1.Cost, c2.Cost, 9, 2);
        using SquaredDistanceDomain first = new(x, c1.Divisor, "x"), second = new(y, c2.Divisor, "y");
        for (int a = 0; a < 3; a++)
            for (int b = 0; b < 2; b++)
            {
                double expected = 0;
                for (int i = 0; i < 50; i++)
                    for (int j = 0; j < 40; j++) expected += first.Points.Row(i)[a] * plan.Row(i)[j] * second.Points.Row(j)[b];
                Assert.Equal(expected, gamma.Row(a)[b], 1e-6);
            }
    }

    [Fact]
    public void A_cloud_with_a_mirror_symmetry_has_two_optima_here_too()
    {
        using CpuDevice device = new(2);
        using Matrix<double> half = Clouds.Normal(device, 24, 2, 11), x = device.AllocateMatrix<double>(48, 2);
        for (int i = 0; i < 48; i++)
        {
            x.Row(i)[0] = (i < 24 ? 1 : -1) * (3 + half.Row(i % 24)[0]);
            x.Row(i)[1] = half.Row(i % 24)[1] + half.Row(i % 24)[0] * 0.5;
        }
        using Matrix<double> y = Clouds.Permuted(x, Clouds.Order(48, 12));
        using AlignmentResult result = GromovAlignment.Align(x, y, s_options with { Starts = 6, Coupling = CouplingForm.Implicit, Gromov = s_options.Gromov with { Epsilon = 5e-3 } });
        Assert.Equal(2, result.Optima!.EquallyGood);
        Assert.Contains(result.Verdict.Against, reason => reason.Contains("does not single one out", StringComparison.Ordinal));
    }

    [Fact]
    public void Nulls_and_stability_are_measured_on_a_sample_and_say_so()
    {
        using CpuDevice device = new(2);
        (Matrix<double> x, string[] labelsX) = Clouds.Clusters(device, 60, 3, 5);
        (Matrix<double> y, string[] labelsY) = Clouds.Clusters(device, 50, 2, 6);
        using (x)
        using (y)
        {
            using AlignmentResult result = GromovAlignment.Align(x, y, s_options with { Coupling = CouplingForm.Implicit, Decoys = 2, Replicates = 2 }, labelsX, labelsY);
            Assert.Equal((60, 50), (result.SampledCells!.Value.First.Length, result.SampledCells.Value.Second.Length));
            Assert.NotNull(result.Null);
            Assert.NotNull(result.Stability);
            Assert.NotNull(result.SmoothNulls);
            Assert.Contains(result.Certificates.NotMeasured, reason => reason.Contains("60 x 50 cells drawn at random", StringComparison.Ordinal));
            Assert.Null(result.Certificates.Gap);
            Assert.Contains(result.Certificates.NotMeasured, reason => reason.Contains("stationarity gap", StringComparison.Ordinal));
        }
    }

    [Fact]
    public void The_form_follows_the_memory_and_what_it_cannot_solve_is_refused_in_words()
    {
        using CpuDevice device = new(1);
        CouplingChoice Decide(AlignmentOptions options, bool fused = false, bool started = false) => CouplingChoice.Decide(options, (2000, 3), (2000, 3), fused, started, device);
        AlignmentOptions automatic = s_options with { Coupling = CouplingForm.Auto, MemoryLimit = 1 << 25 };
        CouplingChoice choice = Decide(automatic);
        Assert.Equal(("implicit", true), (choice.Word, choice.IsImplicit));
        Assert.Contains("of 0.0 GiB that may be used", choice.Reason, StringComparison.Ordinal);
        Assert.Equal("stored", Decide(automatic with { MemoryLimit = 1L << 40 }).Word);
        Assert.Equal("stored", Decide(automatic with { Coupling = CouplingForm.Stored }).Word);
        AlignmentOptions geodesic = automatic with { FirstCost = DomainCostOptions.Scot(10) };
        Assert.Contains("does not fit", Assert.Throws<UsageException>(() => Decide(geodesic)).Message, StringComparison.Ordinal);
        AlignmentOptions asked = automatic with { Coupling = CouplingForm.Implicit };
        foreach ((AlignmentOptions options, bool fused, bool started, string reason) in new[]
        {
            (geodesic with { Coupling = CouplingForm.Implicit }, false, false, "squared Euclidean"), (asked, true, false, "fused"), (asked, false, true, "starting coupling"),
            (asked with { Gromov = asked.Gromov with { Loss = GromovLoss.KullbackLeibler } }, false, false, "square loss"),
            (asked with { Gromov = asked.Gromov with { Marginals = MarginalConstraint.Unbalanced } }, false, false, "balanced"),
            (asked with { Gromov = asked.Gromov with { Stop = StoppingRule.Ott } }, false, false, "stopping rule"),
            (asked with { Gromov = asked.Gromov with { InnerSolve = InnerSolve.PotIterates } }, false, false, "inner iterates"),
        })
            Assert.Contains(reason, Assert.Throws<UsageException>(() => Decide(options, fused, started)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(GromovPrecision.Double, CostScale.Mean)]
    [InlineData(GromovPrecision.Single, CostScale.Max)]
    public void The_memory_planned_is_not_exceeded_and_none_of_it_but_what_is_kept_within_bounds_is_of_the_size_of_the_coupling(GromovPrecision precision, CostScale scale)
    {
        const int N = 3000, M = 2800;
        using CpuDevice device = new(2);
        (Matrix<double> x, string[] labelsX) = Clouds.Clusters(device, N, 3, 5);
        (Matrix<double> y, string[] labelsY) = Clouds.Clusters(device, M, 4, 6);
        using (x)
        using (y)
        {
            DomainCostOptions cost = s_squared with { Scale = scale };
            AlignmentOptions options = s_options with
            {
                Coupling = CouplingForm.Implicit,
                FirstCost = cost,
                SecondCost = cost,
                Gromov = new GromovOptions { Epsilon = 0.5, MaxIterations = 2, Tolerance = 1, Precision = precision, Inner = SinkhornOptions.Pot with { MaxIterations = 3 } },
            };
            long before = MemoryAccounting.CurrentBytes;
            MemoryAccounting.ResetPeak();
            long planned;
            using (AlignmentResult result = GromovAlignment.Align(x, y, options, labelsX, labelsY)) planned = result.Memory.TotalBytes;
            long peak = MemoryAccounting.PeakBytes - before;
            // Kernels keep the scratch of their threads; nothing else may stay. Buffers that earlier tests dropped may go meanwhile.
            Assert.True(MemoryAccounting.CurrentBytes - before <= 1 << 20);
            Assert.InRange(peak, 1, planned);
            long kept = precision == GromovPrecision.Double ? FactoredPlan<double>.KeptBytesFor(N, M) : FactoredPlan<float>.KeptBytesFor(N, M);
            Assert.InRange(kept, 1, 5L * N * M);
            Assert.InRange(planned - kept, 1, 8L * N * M);
        }
    }

    [Fact]
    public void Fifty_thousand_cells_are_planned_in_less_than_four_gigabytes()
    {
        using CpuDevice device = new(2);
        CouplingChoice choice = CouplingChoice.Decide(s_options with { Coupling = CouplingForm.Implicit, Decoys = 5, Replicates = 5 }, (50_000, 30), (50_000, 30), false, false, device);
        Assert.InRange(choice.Plan.TotalBytes, 1, 2L << 30);
    }

    [Fact]
    public void Masses_of_true_partners_rank_as_in_the_stored_coupling_and_any_number_of_classes_is_summed()
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 45, 3, 81), y = Clouds.Normal(device, 45, 2, 82);
        using OnlineGromovResult result = OnlineGromovWasserstein.Solve(x, y, new GromovOptions { Epsilon = 2, MaxIterations = 50 }, 10, 10);
        ImplicitCoupling coupling = result.Coupling;
        using Matrix<double> plan = coupling.ToMatrix();
        Assert.Equal(MatchAccuracy.ByMass(plan).PerCell, MatchAccuracy.ByMass(coupling).PerCell);
        int[] classes = [.. Enumerable.Range(0, 45).Select(j => j % 21)];
        using Matrix<double> sums = coupling.LabelSums(classes, 21);
        foreach (int c in (int[])[0, 15, 16, 20])
            Assert.Equal(Enumerable.Range(0, 45).Where(j => j % 21 == c).Sum(j => plan.Row(8)[j]), sums.Row(8)[c], 1e-14);

        using Matrix<double> left = device.AllocateMatrix<double>(45, 3), right = device.AllocateMatrix<double>(45, 3);
        coupling.RowFactors.CopyTo(left.Buffer.View.Host[..(45 * 3)]);
        coupling.ColumnFactors.CopyTo(right.Buffer.View.Host[..(45 * 3)]);
        using ImplicitCoupling again = ImplicitCoupling.From(device, left, right, coupling.RowPotentials, coupling.ColumnPotentials, coupling.Placement);
        using Matrix<double> same = again.ToMatrix(), moved = coupling.ProjectNew(x.View.RowBlock(3, 5), y.View), movedAgain = again.ProjectNew(x.View.RowBlock(3, 5), y.View);
        Assert.Equal(plan.ToArray(), same.ToArray());
        Assert.Equal(moved.ToArray(), movedAgain.ToArray());
        for (int j = 0; j < 45; j++) Assert.Equal(coupling.ColumnMasses[j], again.ColumnMasses[j], 1e-15);
        Assert.Throws<DataException>(() => ImplicitCoupling.From(device, left, right, coupling.RowPotentials[1..], coupling.ColumnPotentials));
    }

    [Fact]
    public void A_hopeless_epsilon_fails_and_names_one_that_works()
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 60, 4, 1), y = Clouds.Normal(device, 50, 3, 2);
        AlignmentOptions options = s_options with { Coupling = CouplingForm.Implicit, Gromov = new GromovOptions { Epsilon = 1e-300 } };
        ConvergenceException error = Assert.Throws<ConvergenceException>(() => GromovAlignment.Align(x, y, options));
        Assert.Contains("the smallest power of ten whose first iteration meets the masses of these data is", error.Message, StringComparison.Ordinal);
    }
}
