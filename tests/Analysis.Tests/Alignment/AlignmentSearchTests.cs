using BioSup.Analysis.Alignment;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Which start is chosen, what it is compared by, and where the mirrored starts lie.</summary>
public sealed class AlignmentSearchTests : IDisposable
{
    private static readonly DomainCostOptions s_euclid = new() { Cost = DomainCost.Euclidean, RowNormalisation = RowNormalisation.None };
    private static readonly GromovOptions s_solve = new() { Epsilon = 2e-3, MaxIterations = 300 };
    private readonly CpuDevice _device = new(2);

    public void Dispose() => _device.Dispose();

    [Fact]
    public void A_better_start_is_taken_with_its_own_loss_and_mirrored_in_its_turn()
    {
        using Matrix<double> x = Clouds.Normal(_device, 40, 2, 11), identity = Identity(40);
        using DomainCostResult cost = DomainCosts.Build(x, s_euclid);
        // From the mirror image of the truth the main solve ends in the mirrored optimum.
        using Matrix<double> mirror = StartingCouplings.Mirrored(cost.Cost, cost.Cost, identity);
        AlignmentOptions options = new() { FirstCost = s_euclid, SecondCost = s_euclid, Gromov = s_solve, Starts = 2 };
        AlignmentSearch search = Search(cost, options, null, mirror);
        using GromovResult result = search.Run();
        TestContext.Current.TestOutputHelper?.WriteLine(string.Join(" | ", search.Outcomes));
        Assert.Equal(["given", "mirrored", "mirrored"], search.Outcomes.Select(o => o.Kind));
        Assert.Equal("mirrored", search.Selected);
        Assert.True(search.Outcomes[1].Loss < 0.5 * search.Outcomes[0].Loss);
        Assert.Equal(search.Outcomes[1].Loss, search.SelectedScreeningLoss);
        Assert.InRange(search.Outcomes[1].Displacement, 0, 0.1);
        // The start that was left behind, and the mirror image of the chosen one, which is where that was.
        Assert.True(search.Outcomes[0].Displacement > AlignmentVerdict.DifferentAlignment);
        Assert.True(search.Outcomes[2].Displacement > AlignmentVerdict.DifferentAlignment);
        Assert.InRange(DistinctOptima.Partners(result.Coupling).Where((partner, i) => partner == i).Count(), 36, 40);
    }

    [Fact]
    public void Starts_of_unbalanced_problems_are_compared_by_the_whole_objective()
    {
        using Matrix<double> x = Clouds.Normal(_device, 30, 2, 12), y = Clouds.Normal(_device, 25, 3, 13);
        using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid);
        GromovOptions unbalanced = s_solve with { Epsilon = 0.05, Marginals = MarginalConstraint.Unbalanced, Rho = 0.1, MaxIterations = 100 };
        AlignmentOptions options = new() { FirstCost = s_euclid, SecondCost = s_euclid, Gromov = unbalanced, Starts = 2 };
        using GromovResult reference = EntropicGromovWasserstein.Solve(c1, c2, options.Screening);
        AlignmentSearch search = new(c1, c2, options, null, null, null, null, SilentProgress.Instance, default);
        using GromovResult result = search.Run();
        Assert.NotEqual(reference.FusedLoss, reference.RegularisedObjective, 1e-3);
        Assert.Equal(reference.RegularisedObjective, search.Outcomes[0].Loss, 1e-9);
    }

    /// <summary>A cost between the domains may be a similarity with the other sign: its losses are negative.</summary>
    [Fact]
    public void Of_negative_losses_the_lower_one_is_better_and_equal_ones_are_equally_good()
    {
        using Matrix<double> line = _device.AllocateMatrix<double>(3, 3);
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++) line.Row(i)[j] = Math.Abs(i - j);
        DistinctOptima optima = DistinctOptima.Of([-0.97, -1, -0.5], [[0, 1, 2], [2, 1, 0], [1, 1, 1]], line);
        Assert.Equal([-1, -0.97, -0.5], optima.Optima.Select(o => o.Loss));
        Assert.Equal([true, true, false], optima.Optima.Select(o => o.EquallyGood));

        // A start that ends where the main solve ends is no better, and replaces nothing.
        using Matrix<double> x = Clouds.Normal(_device, 24, 2, 14), identity = Identity(24), between = _device.AllocateMatrix<double>(24, 24);
        for (int i = 0; i < 24; i++)
            for (int j = 0; j < 24; j++) between.Row(i)[j] = i == j ? -3 : -1;
        using DomainCostResult cost = DomainCosts.Build(x, s_euclid);
        AlignmentOptions options = new() { FirstCost = s_euclid, SecondCost = s_euclid, Gromov = s_solve with { Alpha = 0.1, Epsilon = 0.05 }, Starts = 3 };
        AlignmentSearch search = Search(cost, options, between, null);
        using GromovResult result = search.Run();
        Assert.All(search.Outcomes, o => Assert.True(o.Loss < -1 && o.Displacement == 0));
        Assert.Equal("product", search.Selected);
    }

    [Fact]
    public void A_rival_with_the_same_negative_loss_is_named()
    {
        using Matrix<double> identity = Identity(10);
        AlignmentVerdict Judge(double rival) => Verdict(identity, [new("product", -1, true, 0, null), new("mirrored", rival, true, 0.9, null)], -1);
        Assert.Contains("does not single one out", string.Join(" ", Judge(-0.97).Against));
        Assert.Empty(Judge(-0.9).Against);
    }

    [Fact]
    public void The_mirrored_start_runs_against_the_coupling_found()
    {
        using Matrix<double> x = Clouds.Normal(_device, 40, 2, 15), identity = Identity(40);
        using DomainCostResult cost = DomainCosts.Build(x, s_euclid);
        double[] ranks = StartingCouplings.Ranks(StartingCouplings.WidestDirections(cost.Cost, 1)[0]);
        using Matrix<double> mirror = StartingCouplings.Mirrored(cost.Cost, cost.Cost, identity), back = StartingCouplings.Mirrored(cost.Cost, cost.Cost, mirror);
        Assert.True(Along(identity, ranks) > 0.3);
        Assert.True(Along(mirror, ranks) < -0.2 * Along(identity, ranks));
        Assert.True(Along(back, ranks) > 0.2 * Along(identity, ranks));
    }

    [Fact]
    public void A_start_mirrored_along_one_direction_keeps_the_others()
    {
        using Matrix<double> x = Clouds.Normal(_device, 60, 3, 16), identity = Identity(60);
        using DomainCostResult cost = DomainCosts.Build(x, s_euclid);
        double[][] directions = StartingCouplings.WidestDirections(cost.Cost, 3);
        for (int flipped = 1; flipped < 3; flipped++)
        {
            using Matrix<double> start = StartingCouplings.MirroredAlong(cost.Cost, cost.Cost, identity, flipped)!;
            for (int d = 0; d < 3; d++) Assert.Equal(d == flipped ? -1 : 1, Math.Sign(Along(start, directions[d])));
        }
    }

    internal static AlignmentVerdict Verdict(Matrix<double> coupling, IReadOnlyList<StartOutcome> starts, double? selected, LabelTransferResult? labels = null, SmoothnessNulls? nulls = null)
    {
        CouplingSums sums = CouplingSums.Of(coupling);
        GromovResult result = new()
        {
            Coupling = coupling, Mass = sums.Mass, Loss = 0.1, FusedLoss = 0.1, RegularisedObjective = 0.1, Entropy = sums.Entropy, RowError = 0, ColumnError = 0, ErrorTrace = [0],
            Converged = true, Iterations = 1, InnerIterations = 1, InnerNotConverged = 0, LastInnerError = 0, KernelFill = 1, Timing = default, Warnings = [],
        };
        return AlignmentVerdict.Judge(result, new GromovOptions(), MatchedCells.Of(coupling), 1, labels, null, starts, selected, null, null, new AlignmentCertificates(SolveState.Converged, null, null, []), null, nulls);
    }

    private static AlignmentSearch Search(DomainCostResult cost, AlignmentOptions options, Matrix<double>? fused, Matrix<double>? initial) =>
        new(cost, cost, options, fused, initial, null, null, SilentProgress.Instance, default);

    private Matrix<double> Identity(int n)
    {
        Matrix<double> identity = _device.AllocateMatrix<double>(n, n);
        for (int i = 0; i < n; i++) identity.Row(i)[i] = 1.0 / n;
        return identity;
    }

    /// <summary>Covariance of matched coordinates over their variance: 1 for a coupling of every point with itself.</summary>
    private static double Along(Matrix<double> coupling, double[] coordinate)
    {
        double mean = coordinate.Average(), sum = 0, variance = coordinate.Average(c => (c - mean) * (c - mean));
        for (int i = 0; i < coordinate.Length; i++)
            for (int j = 0; j < coordinate.Length; j++) sum += coupling.Row(i)[j] * (coordinate[i] - mean) * (coordinate[j] - mean);
        return sum / variance;
    }
}
