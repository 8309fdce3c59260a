using BioSup.Analysis.Alignment;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Scores of couplings small enough to be counted by hand, ties included.</summary>
public sealed class LabelTransferTests : IDisposable
{
    private readonly CpuDevice _device = new(1);

    public void Dispose() => _device.Dispose();

    [Fact]
    public void One_to_one_takes_the_first_of_equal_cells_and_barycentric_the_first_of_equal_classes()
    {
        using Matrix<double> coupling = Matrix<double>.From(_device, 3, 4, [0.2, 0.2, 0.1, 0, 0.1, 0.1, 0, 0, 0, 0, 0, 0.3]);
        LabelTransferResult result = LabelTransfer.Evaluate(coupling, ["a", "b", "b"], ["b", "a", "a", "b"]);
        Assert.Equal(["a", "b"], result.OneToOne.Classes);
        Assert.Equal([[0, 1], [0, 2]], result.OneToOne.Counts);
        Assert.Equal([[1, 0], [1, 1]], result.Barycentric.Counts);
        Assert.Equal(2.0 / 3, result.OneToOne.Accuracy, 1e-15);
        Assert.Equal(2.0 / 3, result.Barycentric.Accuracy, 1e-15);
        Assert.Equal(0.75, result.Barycentric.BalancedAccuracy, 1e-15);
        // 1/3 · 1/2 + 2/3 · 1/2: frequencies of the one domain against those of the other, which has four cells.
        Assert.Equal(0.5, result.Chance, 1e-15);
        Assert.Equal(2.0 / 3, result.Majority, 1e-15);
    }

    [Fact]
    public void The_best_renaming_undoes_a_rotation_of_the_classes()
    {
        // Cells of class a lie on b's, b's on c's, c's on a's.
        using Matrix<double> coupling = Matrix<double>.From(_device, 3, 3, [0, 1, 0, 0, 0, 1, 1, 0, 0]);
        LabelTransferResult result = LabelTransfer.Evaluate(coupling, ["a", "b", "c"], ["a", "b", "c"]);
        Assert.Equal(0, result.Barycentric.Accuracy);
        Assert.Equal([2, 0, 1], result.BestRenaming);
        Assert.Equal(1, result.BestRenamedAccuracy);
        // Nothing is worse than nothing right: every renaming counts.
        Assert.Equal(1, result.RenamingP);
    }

    [Fact]
    public void The_renaming_p_of_a_perfect_transfer_is_the_share_of_renamings_that_change_nothing()
    {
        using Matrix<double> coupling = Matrix<double>.From(_device, 3, 3, [1, 0, 0, 0, 1, 0, 0, 0, 1]);
        LabelTransferResult result = LabelTransfer.Evaluate(coupling, ["a", "b", "c"], ["a", "b", "c"]);
        Assert.Equal([0, 1, 2], result.BestRenaming);
        // One of the six renamings is the identity: 1/6 with a standard error of 0.012 from 999 draws.
        Assert.InRange(result.RenamingP, 0.12, 0.22);
    }

    [Fact]
    public void Projections_are_divided_by_the_mass_of_their_row()
    {
        using Matrix<double> coupling = Matrix<double>.From(_device, 2, 2, [0.1, 0.3, 0.2, 0]), y = Matrix<double>.From(_device, 2, 2, [0, 8, 4, 0]);
        using Matrix<double> projected = MatchAccuracy.BarycentricProjection(coupling, y);
        Assert.Equal([3, 2, 0, 8], projected.Buffer.View.Host.ToArray().Select(v => Math.Round(v, 12)));
        coupling.Row(1).Clear();
        Assert.Contains("row 1", Assert.Throws<DataException>(() => MatchAccuracy.BarycentricProjection(coupling, y)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Foscttm_counts_what_is_closer_and_no_ties()
    {
        using Matrix<double> first = Matrix<double>.From(_device, 3, 1, [0, 10, 20]), second = Matrix<double>.From(_device, 3, 1, [0, 0, 21]);
        FosctTm score = MatchAccuracy.Foscttm(first, second);
        // Only for the second cell of the second domain is another one closer: the first cell at 0.
        Assert.Equal((0, 1.0 / 6, 1.0 / 12), (score.FirstToSecond, Math.Round(score.SecondToFirst, 15), Math.Round(score.Average, 15)), new Close());
        Assert.Equal([0, 0.25, 0], score.PerCell);
    }

    [Fact]
    public void Foscttm_by_mass_counts_what_is_heavier_and_no_ties()
    {
        using Matrix<double> coupling = Matrix<double>.From(_device, 3, 3, [0.2, 0.2, 0.1, 0.3, 0.1, 0, 0, 0.05, 0.05]);
        FosctTm score = MatchAccuracy.ByMass(coupling);
        Assert.Equal((1.0 / 6, 0.5, 1.0 / 3), (score.FirstToSecond, score.SecondToFirst, score.Average), new Close());
        Assert.Equal([0.25, 0.5, 0.25], score.PerCell);
    }

    [Fact]
    public void Mean_partners_do_not_depend_on_the_mass_of_a_row()
    {
        // Two equal partners and one: the exponential of the mean of ln 2 and 0.
        using Matrix<double> coupling = Matrix<double>.From(_device, 2, 2, [0.1, 0.1, 0.8, 0]);
        Assert.Equal(Math.Sqrt(2), GromovAlignment.MeanPartners(coupling), 1e-12);
    }

    [Theory]
    [InlineData(CostScale.Max, 6)]
    [InlineData(CostScale.Mean, 3)]
    [InlineData(CostScale.Median, 3)]
    [InlineData(CostScale.None, 1)]
    public void Scales_are_taken_over_all_entries_the_diagonal_included(CostScale scale, double divisor)
    {
        // The cost is 0, 6, 6, 0: its median lies between 0 and 6.
        using Matrix<double> x = Matrix<double>.From(_device, 2, 1, [1, 7]);
        using DomainCostResult cost = DomainCosts.Build(x, new DomainCostOptions { Cost = DomainCost.Euclidean, RowNormalisation = RowNormalisation.None, Scale = scale });
        Assert.Equal(divisor, cost.Divisor);
        Assert.Equal([0, 6 / divisor, 6 / divisor, 0], cost.Cost.Buffer.View.Host.ToArray());
    }

    [Theory]
    [InlineData(true, GraphWeights.Hops, new double[] { 0, 1, 2, 3 })]
    [InlineData(false, GraphWeights.Hops, new double[] { 0, 1, 1, 2 })]
    [InlineData(true, GraphWeights.Distance, new double[] { 0, 1, 3, 7 })]
    [InlineData(false, GraphWeights.Distance, new double[] { 0, 1, 3, 7 })]
    public void Paths_along_a_line_of_growing_gaps(bool includeSelf, GraphWeights weights, double[] fromFirst)
    {
        // Points at 0, 1, 3, 7. Two neighbours with the point itself: only the nearest other, which joins each to the one on its left.
        // Two others: 0 and 1 also reach 3, and 7 reaches 1 and 3.
        using Matrix<double> x = Matrix<double>.From(_device, 4, 1, [0, 1, 3, 7]);
        DomainCostOptions options = new()
        {
            Neighbours = 2, IncludeSelf = includeSelf, GraphMetric = Kernels.DistanceMetric.Euclidean, GraphWeights = weights, RowNormalisation = RowNormalisation.None, Scale = CostScale.None,
        };
        using DomainCostResult cost = DomainCosts.Build(x, options);
        Assert.Equal(fromFirst, cost.Cost.Row(0).ToArray());
    }

    private sealed class Close : IEqualityComparer<(double, double, double)>
    {
        public bool Equals((double, double, double) x, (double, double, double) y) =>
            Math.Abs(x.Item1 - y.Item1) < 1e-12 && Math.Abs(x.Item2 - y.Item2) < 1e-12 && Math.Abs(x.Item3 - y.Item3) < 1e-12;

        public int GetHashCode((double, double, double) obj) => 0;
    }
}
