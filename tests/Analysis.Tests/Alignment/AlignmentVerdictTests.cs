using BioSup.Analysis.Alignment;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

public sealed class AlignmentVerdictTests
{
    private static readonly DomainCostOptions s_euclid = new() { Cost = DomainCost.Euclidean, RowNormalisation = RowNormalisation.None };
    private static readonly AlignmentOptions s_options = new() { FirstCost = s_euclid, SecondCost = s_euclid, Gromov = new GromovOptions { Epsilon = 2e-3, MaxIterations = 300 } };

    [Fact]
    public void Lopsided_clusters_are_aligned_reliably_with_and_without_labels()
    {
        using CpuDevice device = new(2);
        (Matrix<double> x, string[] labels) = Clouds.Clusters(device, 90, 3, 1);
        (Matrix<double> y, string[] other) = Clouds.Clusters(device, 70, 2, 2);
        using (x)
        using (y)
        {
            using AlignmentResult labelled = GromovAlignment.Align(x, y, s_options, labels, other);
            Assert.Equal(Trust.Reliable, labelled.Verdict.Trust);
            Assert.True(labelled.Labels!.Barycentric.Accuracy > 0.9);
            Assert.True(labelled.Labels.RenamingP < 0.1);
            Assert.Equal(Enumerable.Range(0, 4), labelled.Labels.BestRenaming);
            using AlignmentResult blind = GromovAlignment.Align(x, y, s_options with { Starts = 4, Decoys = 4 });
            Assert.True(blind.Verdict.Trust == Trust.Reliable, string.Join(" ", blind.Verdict.Against));
            Assert.Equal(4, blind.Starts.Count);
            Assert.Equal(4, blind.Null!.DecoyLosses.Count);
            using AlignmentResult unknown = GromovAlignment.Align(x, y, s_options);
            Assert.Equal(Trust.NotAssessed, unknown.Verdict.Trust);
        }
    }

    [Fact]
    public void A_symmetric_cloud_has_a_mirrored_optimum_and_is_not_trusted()
    {
        // Two equal lumps: exchanging them changes no distance.
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 60, 2, 3), y = Clouds.Normal(device, 60, 2, 4);
        foreach (Matrix<double> cloud in new[] { x, y })
            for (int i = 0; i < 60; i++)
            {
                cloud.Row(i)[0] = 0.3 * cloud.Row(i)[0] + (i % 2 == 0 ? 10 : -10);
                cloud.Row(i)[1] *= 0.3;
            }
        using AlignmentResult result = GromovAlignment.Align(x, y, s_options with { Starts = 3 });
        Assert.Equal(Trust.NotReliable, result.Verdict.Trust);
        Assert.Contains(result.Verdict.Against, reason => reason.Contains("does not single one out"));
    }

    [Fact]
    public void Exchanged_classes_are_called_a_mirrored_optimum()
    {
        using CpuDevice device = new(1);
        using Matrix<double> coupling = device.AllocateMatrix<double>(40, 40);
        for (int i = 0; i < 40; i++) coupling.Row(i)[39 - i] = 1.0 / 40;
        string[] labels = [.. Enumerable.Range(0, 40).Select(i => i < 20 ? "a" : "b")];
        LabelTransferResult transfer = LabelTransfer.Evaluate(coupling, labels, labels);
        Assert.Equal(0, transfer.Barycentric.Accuracy);
        Assert.Equal(1, transfer.BestRenamedAccuracy);
        Assert.Equal([1, 0], transfer.BestRenaming);
        Assert.Equal(20, transfer.OneToOne.Counts[0][1]);
    }

    [Fact]
    public void Foscttm_counts_cells_closer_than_the_true_match()
    {
        using CpuDevice device = new(1);
        using Matrix<double> a = Matrix<double>.From(device, 3, 1, [0, 1, 5]), b = Matrix<double>.From(device, 3, 1, [0.2, 4.9, 5.2]);
        FosctTm foscttm = MatchAccuracy.Foscttm(a, b);
        // Rows: 0 is closest to its own; 1 has 0.2 closer than 4.9; 5 has 4.9 closer than 5.2. Columns: 4.9 has 5 closer than 1, the others none.
        Assert.Equal(2.0 / 6, foscttm.FirstToSecond, 1e-12);
        Assert.Equal(1.0 / 6, foscttm.SecondToFirst, 1e-12);
        Assert.Throws<DataException>(() => GromovAlignment.Align(a, b, s_options, ["a"], ["b", "c", "d"]));
    }
}
