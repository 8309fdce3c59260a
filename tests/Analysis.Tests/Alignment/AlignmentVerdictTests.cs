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
            Assert.Equal(4, blind.Null!.Decoys.Count);
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
    public void A_cloud_with_one_mirror_symmetry_has_two_optima_and_its_lopsided_sister_one()
    {
        // Points and their mirror images; a copy in another order. The lopsided sister moves the images away.
        using CpuDevice device = new(2);
        foreach (bool symmetric in new[] { true, false })
        {
            using Matrix<double> half = Clouds.Normal(device, 24, 2, 11), x = device.AllocateMatrix<double>(48, 2);
            for (int i = 0; i < 48; i++)
            {
                (double a, double b) = (3 + half.Row(i % 24)[0], half.Row(i % 24)[1] + half.Row(i % 24)[0] * 0.5);
                x.Row(i)[0] = i < 24 ? a : symmetric ? -a : -2 * a - 4;
                x.Row(i)[1] = b;
            }
            int[] order = Clouds.Order(48, 12);
            using Matrix<double> y = Clouds.Permuted(x, order);
            using AlignmentResult result = GromovAlignment.Align(x, y, s_options with { Starts = 6, Gromov = s_options.Gromov with { Epsilon = 1e-4 } });
            TestContext.Current.TestOutputHelper?.WriteLine(string.Join(" | ", result.Starts));
            Assert.Equal(symmetric ? 2 : 1, result.Optima!.EquallyGood);
            Assert.Equal(symmetric, result.Verdict.Against.Any(reason => reason.Contains("does not single one out")));
            Assert.Equal(result.Starts.Count, result.Optima.Optima.Sum(o => o.Starts.Count));
            int[] partners = DistinctOptima.Partners(result.Coupling);
            int right = 0, mirrored = 0;
            for (int i = 0; i < 48; i++)
            {
                if (order[partners[i]] == i) right++;
                if (order[partners[i]] == (i + 24) % 48) mirrored++;
            }
            Assert.True(right == 48 || (symmetric && mirrored == 48), $"{right} right, {mirrored} mirrored");
        }
    }

    [Fact]
    public void A_rotated_and_reordered_copy_is_recovered_exactly()
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 120, 3, 21), turned = device.AllocateMatrix<double>(120, 3);
        (double sine, double cosine) = Math.SinCos(0.7);
        for (int i = 0; i < 120; i++)
        {
            (double a, double b, double c) = (x.Row(i)[0], x.Row(i)[1], x.Row(i)[2]);
            (turned.Row(i)[0], turned.Row(i)[1], turned.Row(i)[2]) = (cosine * a - sine * c + 5, b - 2, sine * a + cosine * c);
        }
        int[] order = Clouds.Order(120, 22);
        using Matrix<double> y = Clouds.Permuted(turned, order);
        using AlignmentResult result = GromovAlignment.Align(x, y, s_options with { Starts = 5, Gromov = s_options.Gromov with { Epsilon = 5e-5, Tolerance = 1e-8 } });
        TestContext.Current.TestOutputHelper?.WriteLine($"{result.Gromov.Loss:e2} {string.Join(" | ", result.Starts)}; {string.Join(" ", result.Verdict.Against)}");
        int[] partners = DistinctOptima.Partners(result.Coupling);
        for (int i = 0; i < 120; i++) Assert.Equal(i, order[partners[i]]);
        Assert.InRange(result.Gromov.Loss, -1e-12, 1e-6);
        Assert.InRange(result.Certificates.Bounds!.Best, 0, 1e-20);
        Assert.Empty(result.Verdict.Against);
    }

    [Fact]
    public void Displacements_are_symmetric_and_group_the_starts()
    {
        using CpuDevice device = new(1);
        using Matrix<double> line = device.AllocateMatrix<double>(4, 4);
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++) line.Row(i)[j] = Math.Abs(i - j);
        DistinctOptima optima = DistinctOptima.Of([1.02, 1, 1.2, 1], [[0, 1, 2, 3], [3, 2, 1, 0], [0, 0, 0, 0], [0, 1, 2, 3]], line);
        // Mean distance 1.25; reversing the line moves cells by 3, 1, 1, 3.
        Assert.Equal(2 / 1.25, optima.Displacement[0][1], 1e-12);
        Assert.Equal(1.5 / 1.25, optima.Displacement[2][3], 1e-12);
        Assert.Equal([1], optima.Optima[0].Starts);
        Assert.Equal([0, 3], optima.Optima[1].Starts);
        Assert.Equal(1, optima.Optima[1].Loss);
        Assert.Equal(2, optima.EquallyGood);
        for (int a = 0; a < 4; a++)
            for (int b = 0; b < 4; b++) Assert.Equal(optima.Displacement[a][b], optima.Displacement[b][a]);
    }

    [Fact]
    public void Decoys_that_are_the_target_again_are_not_used()
    {
        // Eight lumps of different size at the corners of a simplex: however their distances are dealt out, the shape is the same.
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 80, 8, 5), y = Clouds.Normal(device, 80, 8, 6);
        foreach (Matrix<double> cloud in new[] { x, y })
            for (int i = 0; i < 80; i++)
                for (int j = 0; j < 8; j++) cloud.Row(i)[j] = 0.01 * cloud.Row(i)[j] + ((int)Math.Sqrt(0.8 * i) == j ? 1 : 0);
        using AlignmentResult result = GromovAlignment.Align(x, y, s_options with { Decoys = 2 });
        TestContext.Current.TestOutputHelper?.WriteLine($"{result.Null!.Observed:F4} against {string.Join(" ", result.Null.Decoys)}, {result.Null.Rejected} rejected");
        Assert.DoesNotContain(result.Verdict.Against, reason => reason.Contains("decoy"));
        Assert.True(result.Null!.Rejected > 0);
    }

    [Fact]
    public void Correlation_of_matched_distances_is_one_for_an_isometry_and_blind_to_scale()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 30, 3, 9), identity = device.AllocateMatrix<double>(30, 30), product = device.AllocateMatrix<double>(30, 30);
        using DomainCostResult cost = DomainCosts.Build(x, s_euclid);
        using Matrix<double> doubled = DomainCosts.Copy(cost.Cost);
        for (int i = 0; i < 30; i++)
        {
            identity.Row(i)[i] = 1.0 / 30;
            product.Row(i).Fill(1.0 / 900);
            foreach (ref double c in doubled.Row(i)) c *= 2;
        }
        Assert.Equal(1, DistanceCorrelation.Of(cost.Cost, doubled, identity), 1e-12);
        Assert.Equal(0, DistanceCorrelation.Of(cost.Cost, doubled, product), 1e-12);
        double direct = 0, mean = 0;
        foreach (int i in Enumerable.Range(0, 30))
            foreach (double c in cost.Cost.Row(i)) (direct, mean) = (direct + c * c / 900, mean + c / 900);
        using Matrix<double> mixed = device.AllocateMatrix<double>(30, 30);
        for (int i = 0; i < 30; i++)
            for (int j = 0; j < 30; j++) mixed.Row(i)[j] = 0.5 * (identity.Row(i)[j] + product.Row(i)[j]);
        // Half of the mass is matched, half spread: the cross moment mixes E[c²], twice E[c_i.]²-like terms and E[c]².
        double rows = 0;
        for (int i = 0; i < 30; i++)
        {
            double row = 0;
            foreach (double c in cost.Cost.Row(i)) row += c / 30;
            rows += row * row / 30;
        }
        double expected = (0.25 * direct + 0.5 * rows + 0.25 * mean * mean - mean * mean) / (direct - mean * mean);
        Assert.Equal(expected, DistanceCorrelation.Of(cost.Cost, doubled, mixed), 1e-12);
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
