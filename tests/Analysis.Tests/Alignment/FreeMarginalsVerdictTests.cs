using BioSup.Analysis.Alignment;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Verdicts on couplings whose marginals are free by design: what they leave out is reported, what freedom can be misused for is looked at.</summary>
public sealed class FreeMarginalsVerdictTests
{
    private static readonly DomainCostOptions s_plain = new() { Cost = DomainCost.Euclidean, RowNormalisation = RowNormalisation.None, Scale = CostScale.None };

    [Theory]
    [InlineData(MarginalConstraint.Partial, 0.2, 2)]
    [InlineData(MarginalConstraint.Partial, 1e-3, 0)]
    [InlineData(MarginalConstraint.Unbalanced, 0.2, 2)]
    public void Cells_without_a_partner_are_counted_and_the_others_scored(MarginalConstraint marginals, double epsilon, int nulls)
    {
        // The second domain lacks the first one's two last clusters, 18 of 60 cells.
        using CpuDevice device = new(2);
        (Matrix<double> x, string[] labels) = Clouds.Clusters(device, 60, 2, 29, spread: 0.2);
        int kept = labels.Count(l => l is "type 0" or "type 1");
        using Matrix<double> y = device.AllocateMatrix<double>(kept, 2);
        for (int i = 0; i < kept; i++) x.Row(i).CopyTo(y.Row(i));
        using (x)
        {
            GromovOptions options = new() { Epsilon = epsilon, Marginals = marginals, Mass = marginals == MarginalConstraint.Partial ? kept / 60.0 : 1, Rho = 1, MaxIterations = 200, Tolerance = 1e-6 };
            using AlignmentResult result = GromovAlignment.Align(x, y, new AlignmentOptions { FirstCost = s_plain, SecondCost = s_plain, Gromov = options, Starts = 1 + nulls / 2, Decoys = nulls }, labels, labels[..kept]);
            TestContext.Current.TestOutputHelper?.WriteLine($"{result.Matched.LeftOutFirst} left out, mass {result.Gromov.Mass:F3}, deviation {result.Gromov.RowDeviation:F3}; {result.Verdict.Word}: {string.Join(" ", result.Verdict.Against)}");
            Assert.Equal(Enumerable.Range(0, kept), result.Matched.First);
            Assert.Equal(60 - kept, result.Matched.LeftOutFirst);
            Assert.InRange(result.Matched.LeftOutSecond, 0, 2);
            Assert.True(result.Gromov.RowDeviation > 0.2);
            Assert.Equal(kept, result.Labels!.Barycentric.Total);
            Assert.Equal(1, result.Labels.Barycentric.Accuracy);
            Assert.Equal(1, result.NeighbourVote!.Accuracy);
            Assert.DoesNotContain(result.Verdict.Against, reason => reason.Contains("marginals", StringComparison.Ordinal) || reason.Contains("mass", StringComparison.Ordinal));
            if (nulls == 0) return;
            Assert.True(double.IsFinite(result.MeanPartners) && double.IsFinite(result.Null!.Observed) && double.IsFinite(result.SmoothNulls!.Permuted.Observed));
            Assert.All(result.SmoothNulls!.Rotated!.Accuracies!, a => Assert.InRange(a, 0, 1));
            Assert.InRange(result.Null!.Observed, 0.9, 1);
        }
    }

    [Fact]
    public void A_truth_is_measured_on_the_cells_that_have_a_partner()
    {
        using CpuDevice device = new(1);
        (Matrix<double> x, string[] labels) = Clouds.Clusters(device, 60, 2, 29, spread: 0.2);
        int kept = labels.Count(l => l is "type 0" or "type 1");
        using (x)
        using (Matrix<double> y = x.CopyOnHost())
        {
            // Instead of its two last clusters the second domain has one far away.
            for (int i = kept; i < 60; i++) (y.Row(i)[0], y.Row(i)[1]) = (200 + 0.1 * i, 200);
            GromovOptions options = new() { Epsilon = 0.2, Marginals = MarginalConstraint.Partial, Mass = kept / 60.0, MaxIterations = 300, Tolerance = 1e-6 };
            AlignmentOptions precomputed = new() { FirstCost = s_plain with { Cost = DomainCost.Precomputed }, SecondCost = s_plain with { Cost = DomainCost.Precomputed }, Gromov = options, TruthIsIdentity = true };
            using Matrix<double> start = device.AllocateMatrix<double>(60, 60);
            for (int i = 0; i < kept; i++) start.Row(i)[i] = 1.0 / 60;
            using DomainCostResult c1 = DomainCosts.Build(x, s_plain), c2 = DomainCosts.Build(y, s_plain);
            using AlignmentResult points = GromovAlignment.Align(x, y, precomputed with { FirstCost = s_plain, SecondCost = s_plain }, initial: start);
            using AlignmentResult costs = GromovAlignment.Align(c1.Cost, c2.Cost, precomputed, initial: start);
            Assert.Equal(60 - kept, points.Matched.LeftOutFirst);
            foreach (AlignmentResult result in new[] { points, costs })
            {
                Assert.Equal(result.Matched.First.Length, result.Foscttm!.PerCell.Length);
                Assert.All(result.Foscttm.PerCell, share => Assert.InRange(share, 0, 1));
            }
        }
    }

    [Fact]
    public void Freedom_that_is_misused_is_named()
    {
        using CpuDevice device = new(1);
        using Matrix<double> collapsed = device.AllocateMatrix<double>(20, 30), spread = device.AllocateMatrix<double>(20, 30), half = device.AllocateMatrix<double>(20, 30), few = device.AllocateMatrix<double>(20, 30);
        for (int i = 0; i < 20; i++)
        {
            collapsed.Row(i)[4] = 1.0 / 20;
            spread.Row(i)[i] = 1.0 / 20;
            half.Row(i)[i] = 0.5 / 20;
            if (i < 8) few.Row(i)[i] = 1.0 / 20;
        }
        Assert.Contains("lies on 1.0 of 30 cells", Against(collapsed, MarginalConstraint.SemiRelaxed));
        Assert.Empty(Against(spread, MarginalConstraint.SemiRelaxed));
        Assert.Contains("carries 0.500 of the mass where 0.700 was asked for", Against(half, MarginalConstraint.Partial));
        Assert.Empty(Against(half, MarginalConstraint.Unbalanced));
        Assert.Contains("12 of 20 cells of the first domain have no partner", Against(few, MarginalConstraint.Unbalanced));
        for (int i = 0; i < 20; i++)
            foreach (ref double t in few.Row(i)) t *= 0.1;
        Assert.Contains("keeps 0.04 of the mass", Against(few, MarginalConstraint.Unbalanced));
        // What is free is not an error, however far it is from the masses.
        Assert.Empty(Against(spread, MarginalConstraint.Balanced));
    }

    [Fact]
    public void A_cell_that_keeps_a_hundredth_of_its_mass_has_a_partner()
    {
        using CpuDevice device = new(1);
        using Matrix<double> coupling = device.AllocateMatrix<double>(4, 5);
        (coupling.Row(0)[0], coupling.Row(1)[1], coupling.Row(3)[1]) = (0.25, 0.0025, 0.0024);
        MatchedCells matched = MatchedCells.Of(coupling);
        Assert.Equal([0, 1], matched.First);
        Assert.Equal([0, 1], matched.Second);
        Assert.Equal((2, 3), (matched.LeftOutFirst, matched.LeftOutSecond));
        double a = 0.25 / 0.2549, b = 1 - a;
        Assert.Equal(Math.Exp(-a * Math.Log(a) - b * Math.Log(b)), matched.ColumnsInUse, 1e-12);
        Assert.Equal(["p", "q"], matched.Labels(["p", "q", "r", "s"])!);
        using PlacedRows rows = matched.Rows(coupling);
        Assert.Equal((2, 5), (rows.Matrix.Rows, rows.Matrix.Columns));
        Assert.Equal(0.0025, rows.Matrix.Row(1)[1]);
    }

    [Fact]
    public void Correlations_of_matched_distances_do_not_depend_on_the_mass()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 20, 2, 1), y = Clouds.Normal(device, 15, 3, 2), coupling = device.AllocateMatrix<double>(20, 15);
        using DomainCostResult c1 = DomainCosts.Build(x, s_plain), c2 = DomainCosts.Build(y, s_plain);
        CounterRandom random = new(3);
        double sum = 0;
        for (int i = 0; i < 20; i++)
            foreach (ref double t in coupling.Row(i)) sum += t = random.NextDouble();
        for (int i = 0; i < 20; i++)
            foreach (ref double t in coupling.Row(i)) t /= sum;
        double whole = DistanceCorrelation.Of(c1.Cost, c2.Cost, coupling);
        for (int i = 0; i < 20; i++)
            foreach (ref double t in coupling.Row(i)) t *= 0.3;
        Assert.Equal(whole, DistanceCorrelation.Of(c1.Cost, c2.Cost, coupling), 1e-12);
        coupling.Buffer.Clear();
        Assert.Equal(0, DistanceCorrelation.Of(c1.Cost, c2.Cost, coupling));
    }

    private static string Against(Matrix<double> coupling, MarginalConstraint marginals)
    {
        CouplingSums sums = CouplingSums.Of(coupling);
        GromovResult result = new()
        {
            Coupling = coupling, Mass = sums.Mass, Loss = 0.1, FusedLoss = 0.1, RegularisedObjective = 0.1, Entropy = sums.Entropy, RowError = 0, ColumnError = 0, ErrorTrace = [0],
            Converged = true, Iterations = 1, InnerIterations = 1, InnerNotConverged = 0, LastInnerError = 0, KernelFill = 1, Timing = default, Warnings = [],
        };
        AlignmentCertificates certificates = new(SolveState.Converged, null, null, []);
        return string.Join(" ", AlignmentVerdict.Judge(result, new GromovOptions { Marginals = marginals, Mass = 0.7 }, MatchedCells.Of(coupling), 1, null, null, [], null, null, null, certificates, null, null).Against);
    }
}
