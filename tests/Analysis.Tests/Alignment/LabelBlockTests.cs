using BioSup.Analysis.Alignment;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Couplings restricted to equal labels: against the definition on few cells, and what must hold of them.</summary>
public sealed class LabelBlockTests
{
    private static readonly string[] s_first = ["b", "a", "c", "a", "b", "b", "a", "c", "b"], s_second = ["a", "c", "b", "b", "a", "b", "c", "b"];

    [Theory]
    [InlineData(LabelBlockMode.Joint, GromovSolverKind.Pgd, GromovLoss.Square, false)]
    [InlineData(LabelBlockMode.Joint, GromovSolverKind.Ppa, GromovLoss.Square, true)]
    [InlineData(LabelBlockMode.Joint, GromovSolverKind.Pgd, GromovLoss.KullbackLeibler, true)]
    [InlineData(LabelBlockMode.Separate, GromovSolverKind.Pgd, GromovLoss.Square, true)]
    public void Steps_are_those_of_the_definition_on_few_cells(LabelBlockMode mode, GromovSolverKind solver, GromovLoss kind, bool isFused)
    {
        using CpuDevice device = new(1);
        using Matrix<double> c1 = Distances(device, 9, 31), c2 = Distances(device, 8, 32), fused = Clouds.Normal(device, 9, 8, 33);
        // Plain scaling must come to its limit: a cost between the domains of the size of the others, and an epsilon for the logarithms of zero distances.
        Elementwise.Divide(fused.View, 20, fused.View);
        GromovOptions options = new() { Epsilon = kind == GromovLoss.Square ? 0.2 : 8, Solver = solver, Loss = kind, Alpha = isFused ? 0.6 : 1, MaxIterations = 3, Inner = SinkhornOptions.Pot with { Tolerance = 1e-14, MaxIterations = 20_000 } };
        using GromovResult result = LabelBlockGromovWasserstein.Solve(c1, c2, new BlockLabels(s_first, s_second), options, mode, isFused ? fused : null);
        (double[,] expected, double loss) = BruteForce(c1, c2, isFused ? fused : null, options, mode);
        for (int i = 0; i < 9; i++)
            for (int j = 0; j < 8; j++) Assert.True(Math.Abs(expected[i, j] - result.Coupling.Row(i)[j]) < 1e-11, $"({i}, {j}): {expected[i, j]} expected, {result.Coupling.Row(i)[j]} found");
        Assert.Equal(loss, result.Loss, 1e-11);
        Assert.InRange(result.RowError + result.ColumnError, 0, 1e-9);
    }

    [Fact]
    public void Joint_labels_orient_each_other_where_each_alone_is_its_own_mirror_image()
    {
        using CpuDevice device = new(2);
        // Two straight rows of cells, evenly spaced: each alone is symmetric, together they are not.
        double[] places = [0, 1, 2, 3, 4, 5, 9, 10.5, 12, 13.5, 15];
        string[] labels = ["a", "a", "a", "a", "a", "a", "b", "b", "b", "b", "b"];
        using Matrix<double> c = device.AllocateMatrix<double>(11, 11);
        for (int i = 0; i < 11; i++)
            for (int k = 0; k < 11; k++) c.Row(i)[k] = Math.Abs(places[i] - places[k]) / 15;
        GromovOptions options = new() { Epsilon = 1e-3 };
        using GromovResult joint = LabelBlockGromovWasserstein.Solve(c, c, new BlockLabels(labels, labels), options), separate = LabelBlockGromovWasserstein.Solve(c, c, new BlockLabels(labels, labels), options with { MaxIterations = 4 }, LabelBlockMode.Separate);
        for (int i = 0; i < 11; i++) Assert.True(joint.Coupling.Row(i)[i] > 0.99 / 11, $"cell {i} gives itself {joint.Coupling.Row(i)[i] * 11:F3}");
        // From the product the symmetry stays until rounding breaks it one way or the other.
        for (int i = 0; i < 6; i++) Assert.Equal(separate.Coupling.Row(i)[i], separate.Coupling.Row(i)[5 - i], 1e-7);
        Assert.InRange(joint.Loss, 0, 1e-4);
    }

    [Fact]
    public void Mass_stays_within_labels_and_unequal_shares_meet_in_the_middle()
    {
        using CpuDevice device = new(2);
        using Matrix<double> c1 = Distances(device, 9, 34), c2 = Distances(device, 8, 35);
        using GromovResult result = LabelBlockGromovWasserstein.Solve(c1, c2, new BlockLabels(s_first, s_second), new GromovOptions { Epsilon = 0.05 });
        double[] mass = new double[3];
        for (int i = 0; i < 9; i++)
            for (int j = 0; j < 8; j++)
            {
                if (s_first[i] != s_second[j]) Assert.Equal(0, result.Coupling.Row(i)[j]);
                mass[s_first[i][0] - 'a'] += result.Coupling.Row(i)[j];
            }
        Assert.Equal(0.5 * (3 / 9.0 + 2 / 8.0), mass[0], 1e-9);
        Assert.Equal(0.5 * (4 / 9.0 + 4 / 8.0), mass[1], 1e-9);
        Assert.Equal(0.5 * (2 / 9.0 + 2 / 8.0), mass[2], 1e-9);
        // The masses of single cells are uniform within a label, not over all.
        Assert.InRange(result.RowDeviation, 0.01, 0.2);
    }

    [Fact]
    public void One_label_is_the_problem_without_labels()
    {
        using CpuDevice device = new(2);
        using Matrix<double> c1 = Distances(device, 12, 36), c2 = Distances(device, 10, 37);
        GromovOptions options = new() { Epsilon = 0.05, Tolerance = 1e-11 };
        string[] first = [.. Enumerable.Repeat("x", 12)], second = [.. Enumerable.Repeat("x", 10)];
        using GromovResult block = LabelBlockGromovWasserstein.Solve(c1, c2, new BlockLabels(first, second), options), plain = EntropicGromovWasserstein.Solve(c1, c2, options);
        for (int i = 0; i < 12; i++)
            for (int j = 0; j < 10; j++) Assert.Equal(plain.Coupling.Row(i)[j], block.Coupling.Row(i)[j], 1e-8);
        Assert.Equal(plain.Loss, block.Loss, 1e-8);
    }

    [Fact]
    public void A_start_is_taken_block_by_block_and_masses_are_those_given()
    {
        using CpuDevice device = new(2);
        using Matrix<double> c1 = Distances(device, 9, 41), c2 = Distances(device, 8, 42);
        BlockLabels labels = new(s_first, s_second);
        GromovOptions options = new() { Epsilon = 0.02, Tolerance = 1e-11 };
        using GromovResult found = LabelBlockGromovWasserstein.Solve(c1, c2, labels, options);
        using GromovResult again = LabelBlockGromovWasserstein.Solve(c1, c2, labels, options with { Tolerance = 1e-7 }, initial: found.Coupling);
        Assert.InRange(again.Iterations, 1, 1);
        for (int i = 0; i < 9; i++)
            for (int j = 0; j < 8; j++) Assert.Equal(found.Coupling.Row(i)[j], again.Coupling.Row(i)[j], 1e-9);
        double[] p = [.. Enumerable.Range(1, 9).Select(i => i / 45.0)], q = [.. Enumerable.Range(1, 8).Select(j => (9 - j) / 36.0)];
        using GromovResult weighed = LabelBlockGromovWasserstein.Solve(c1, c2, labels, options, p: p, q: q);
        Assert.InRange(weighed.RowError + weighed.ColumnError, 0, 1e-7);
        foreach (string label in labels.First.Distinct())
        {
            double first = s_first.Index().Where(l => l.Item == label).Sum(l => p[l.Index]), second = s_second.Index().Where(l => l.Item == label).Sum(l => q[l.Index]);
            foreach ((int i, string own) in s_first.Index())
                if (own == label) Assert.Equal(0.5 * (first + second) * p[i] / first, weighed.Coupling.Row(i).ToArray().Sum(), 1e-7);
        }
    }

    [Fact]
    public void The_stationarity_gap_is_that_of_the_best_coupling_within_the_blocks()
    {
        using CpuDevice device = new(2);
        string[] labels = ["a", "b", "a", "b", "b", "a", "b"];
        using Matrix<double> c1 = Distances(device, 7, 43), c2 = Distances(device, 7, 44);
        GromovOptions options = new() { Epsilon = 0.05, Tolerance = 1e-12 };
        BlockLabels blocks = new(labels, labels);
        using GromovResult found = LabelBlockGromovWasserstein.Solve(c1, c2, blocks, options);
        StationarityGap gap = LabelBlockGromovWasserstein.Gap(c1, c2, blocks, found.Coupling, options, null, default);
        Assert.InRange(gap.Objective, 0, 1e-8);
        // The loss alone: its gradient by the four-fold sum, against every matching that keeps to the labels.
        double[,] gradient = new double[7, 7];
        double here = 0, scale = 0, least = double.PositiveInfinity;
        for (int i = 0; i < 7; i++)
            for (int j = 0; j < 7; j++)
            {
                for (int k = 0; k < 7; k++)
                    for (int l = 0; l < 7; l++)
                    {
                        double difference = c1.Row(i)[k] - c2.Row(j)[l];
                        gradient[i, j] += 2 * difference * difference * found.Coupling.Row(k)[l];
                        if (labels[i] == labels[j] && labels[k] == labels[l]) scale += difference * difference / (49.0 * Count(i) * Count(k));
                    }
                here += gradient[i, j] * found.Coupling.Row(i)[j];
            }
        foreach (int[] matching in Matchings(labels)) least = Math.Min(least, matching.Index().Sum(pair => gradient[pair.Index, pair.Item] / 7));
        Assert.Equal(here - least, gap.Loss, 1e-9);
        Assert.Equal(scale, gap.Scale, 1e-9);

        int Count(int cell) => labels.Count(l => l == labels[cell]);
    }

    [Fact]
    public void The_verdict_looks_at_what_the_blocks_do_not_tell_by_themselves()
    {
        using CpuDevice device = new(2);
        (Matrix<double> x, string[] labels) = Clouds.Clusters(device, 60, 3, 45, spread: 0.8);
        using Matrix<double> owner = x, other = Clouds.Clusters(device, 60, 3, 46, spread: 0.8).X;
        DomainCostOptions cost = new() { Cost = DomainCost.Euclidean, Scale = CostScale.Max };
        AlignmentOptions options = new()
        {
            FirstCost = cost, SecondCost = cost, Gromov = new GromovOptions { Epsilon = 5e-4 }, Blocks = new BlockLabels(labels, labels), TruthIsIdentity = true, Starts = 3, Decoys = 2, Replicates = 2,
        };
        using AlignmentResult copy = GromovAlignment.Align(x, x, options, labels, labels), unrelated = GromovAlignment.Align(x, other, options with { Decoys = 0, Replicates = 0 }, labels, labels);
        foreach (AlignmentResult result in (ReadOnlySpan<AlignmentResult>)[copy, unrelated])
        {
            Assert.True(result.Gromov.Converged);
            Assert.InRange(result.Certificates.Gap!.Relative, 0, 1e-4);
            Assert.Equal(1, result.Labels!.Barycentric.Accuracy);
            Assert.Equal(1, result.Labels.Majority);
            Assert.Contains(result.Warnings, warning => warning.Contains("The blocks determine the labels", StringComparison.Ordinal));
            Assert.DoesNotContain(result.Verdict.For, reason => reason.Contains("Labels are transferred", StringComparison.Ordinal));
            for (int i = 0; i < 60; i++)
                for (int j = 0; j < 60; j++)
                    if (labels[i] != labels[j]) Assert.Equal(0, result.Coupling.Row(i)[j]);
        }
        Assert.InRange(copy.FoscttmWithinBlocks!.Average, 0, 0.02);
        Assert.Equal(Trust.Reliable, copy.Verdict.Trust);
        Assert.Equal(2, copy.Stability!.Replicates);
        // The clusters lie where they lie, so FOSCTTM over all cells is good whatever the partners within a cluster.
        Assert.InRange(unrelated.FoscttmWithinBlocks!.Average, 0.35, 0.65);
        Assert.InRange(unrelated.Foscttm!.Average, 0, unrelated.FoscttmWithinBlocks.Average - 0.1);
        Assert.Contains(unrelated.Verdict.Against, reason => reason.Contains("among the cells of a block", StringComparison.Ordinal));
        Assert.Equal([("type 0", 24, 24), ("type 1", 18, 18), ("type 2", 12, 12), ("type 3", 6, 6)], copy.Blocks!.Select(b => (b.Label, b.First, b.Second)));
    }

    [Fact]
    public void Finer_labels_are_held_against_the_most_frequent_one_of_the_block()
    {
        BlockLabels blocks = new(["a", "a", "a", "b", "b"], ["a", "b"]);
        Assert.Equal(4 / 5.0, blocks.Majority(["u", "u", "v", "w", "w"]), 1e-12);
    }

    [Fact]
    public void Problems_without_a_meaning_are_refused_in_one_sentence()
    {
        using CpuDevice device = new(1);
        using Matrix<double> c1 = Distances(device, 9, 38), c2 = Distances(device, 8, 39);
        string[] other = [.. s_second[..7], "z"];
        Assert.Contains("'z' occurs in the second domain only", Assert.Throws<DataException>(() => LabelBlockGromovWasserstein.Solve(c1, c2, new BlockLabels(s_first, other), new GromovOptions())).Message);
        Assert.Contains("8 labels were given for 9 cells", Assert.Throws<DataException>(() => LabelBlockGromovWasserstein.Solve(c1, c2, new BlockLabels(s_second, s_second), new GromovOptions())).Message);
        Assert.Contains("balanced within the labels", Assert.Throws<UsageException>(() => LabelBlockGromovWasserstein.Solve(c1, c2, new BlockLabels(s_first, s_second), new GromovOptions { Marginals = MarginalConstraint.Partial, Mass = 0.5 })).Message);
        BlockLabels labels = new(s_first, s_second);
        AlignmentOptions within = new() { FirstCost = new() { Cost = DomainCost.Precomputed }, SecondCost = new() { Cost = DomainCost.Precomputed }, Blocks = labels };
        Assert.Contains("double precision", Assert.Throws<UsageException>(() => GromovAlignment.Align(c1, c2, within with { Gromov = new() { Precision = GromovPrecision.Single } })).Message);
        Assert.Contains("row 0, counted from 0, is in block 'b' in the first domain and in 'c' in the second",
            Assert.Throws<UsageException>(() => GromovAlignment.Align(c1, c1, within with { TruthIsIdentity = true, Blocks = new(s_first, [.. s_first[2..], "b", "a"]) })).Message);
        Assert.Contains("blocks of labels are matrices", Assert.Throws<UsageException>(() => GromovAlignment.Align(c1, c1, within with { Blocks = new(s_first, s_first), Coupling = CouplingForm.Implicit, FirstCost = new() { Cost = DomainCost.SquaredEuclidean }, SecondCost = new() { Cost = DomainCost.SquaredEuclidean } })).Message);
        c1.Row(2)[3] += 0.5;
        Assert.Contains("not symmetric", Assert.Throws<DataException>(() => LabelBlockGromovWasserstein.Solve(c1, c2, new BlockLabels(s_first, s_second), new GromovOptions())).Message);
    }

    [Fact]
    public void Patch_seq_neurons_with_their_families_as_prior_do_at_least_as_well_as_the_band_of_their_source()
    {
        string? folder = SharedData.Find("patchseq_m1", out string reason);
        Assert.SkipWhen(folder is null, reason);
        using CpuDevice device = new();
        using Matrix<double> counts = MatrixReader.ReadDouble(device, Path.Combine(folder!, "rna_counts.npy")), ephys = MatrixReader.ReadDouble(device, Path.Combine(folder!, "ephys.npy"));
        string[] family = ColumnReader.Read(Path.Combine(folder!, "cells.csv:rna_family")).Text;
        using Matrix<double> rna = RealDataTests.Components(device, RealDataTests.LogCountsPerMillion(counts), 30), electric = RealDataTests.ZScored(device, ephys);
        using DomainCostResult c1 = DomainCosts.Build(rna, DomainCostOptions.Scot(30)), c2 = DomainCosts.Build(electric, DomainCostOptions.Scot(30));
        GromovOptions options = new() { Epsilon = 5e-3, Tolerance = 1e-6, MaxIterations = 200 };
        using GromovResult result = LabelBlockGromovWasserstein.Solve(c1.Cost, c2.Cost, new BlockLabels(family, family), options);
        using Matrix<double> target = DomainCosts.NormalisedRows(electric), projected = MatchAccuracy.BarycentricProjection(result.Coupling, target);
        FosctTm foscttm = MatchAccuracy.Foscttm(projected, target);
        ConfusionMatrix vote = LabelTransfer.ByNeighbours(projected, family, target, family);
        TestContext.Current.TestOutputHelper?.WriteLine($"FOSCTTM {foscttm.Average:F4}, vote {vote.Accuracy:F4}, loss {result.Loss:F5}, {result.Iterations} iterations, converged {result.Converged}, {result.Timing.Total:F1} s");
        // Without the families: 0.54 to 0.57. From a coupling of the families' blocks: 0.28 to 0.33, label transfer 0.59 to 0.68.
        Assert.True(result.Converged);
        Assert.InRange(foscttm.Average, 0, 0.33);
        Assert.InRange(vote.Accuracy, 0.59, 1);
    }

    private static IEnumerable<int[]> Matchings(string[] labels)
    {
        int[] chosen = new int[labels.Length];
        return Extend(0);

        IEnumerable<int[]> Extend(int row)
        {
            if (row == labels.Length)
            {
                yield return chosen;
                yield break;
            }
            for (int j = 0; j < labels.Length; j++)
            {
                if (labels[j] != labels[row] || Array.IndexOf(chosen, j, 0, row) >= 0) continue;
                chosen[row] = j;
                foreach (int[] matching in Extend(row + 1)) yield return matching;
            }
        }
    }

    /// <summary>Every cost from the four-fold sum over pairs with equal labels, every block scaled as exp(-C / epsilon) stands.</summary>
    private static (double[,] Coupling, double Loss) BruteForce(Matrix<double> c1, Matrix<double> c2, Matrix<double>? fused, GromovOptions options, LabelBlockMode mode)
    {
        double[] p = [.. s_first.Select(l => Share(l) / s_first.Count(x => x == l))], q = [.. s_second.Select(l => Share(l) / s_second.Count(x => x == l))];
        double[,] t = new double[9, 8];
        for (int i = 0; i < 9; i++)
            for (int j = 0; j < 8; j++) t[i, j] = s_first[i] == s_second[j] ? p[i] * q[j] / Share(s_first[i]) : 0;
        for (int step = 0; step < options.MaxIterations; step++)
        {
            double[,] tensor = Tensor(t), plan = new double[9, 8];
            for (int i = 0; i < 9; i++)
                for (int j = 0; j < 8; j++)
                    if (s_first[i] == s_second[j])
                        plan[i, j] = Math.Exp(-(2 * options.Alpha * tensor[i, j] + (1 - options.Alpha) * (fused?.Row(i)[j] ?? 0)) / options.Epsilon) * (options.Solver == GromovSolverKind.Ppa ? t[i, j] : 1);
            double[] u = [.. Enumerable.Repeat(1.0, 9)], v = [.. Enumerable.Repeat(1.0, 8)];
            for (int sweep = 0; sweep < 20_000; sweep++)
            {
                for (int j = 0; j < 8; j++) v[j] = q[j] / Enumerable.Range(0, 9).Sum(i => plan[i, j] * u[i]);
                for (int i = 0; i < 9; i++) u[i] = p[i] / Enumerable.Range(0, 8).Sum(j => plan[i, j] * v[j]);
            }
            for (int i = 0; i < 9; i++)
                for (int j = 0; j < 8; j++) t[i, j] = plan[i, j] * u[i] * v[j];
        }
        double[,] last = Tensor(t);
        double loss = 0, mass = 0;
        for (int i = 0; i < 9; i++)
            for (int j = 0; j < 8; j++)
            {
                t[i, j] *= mode == LabelBlockMode.Separate ? TrueShare(s_first[i]) : 1;
                loss += last[i, j] * t[i, j];
                mass += t[i, j];
            }
        Assert.Equal(1, mass, 1e-9);
        return (t, loss);

        double Share(string label) => mode == LabelBlockMode.Separate ? 1 : TrueShare(label);

        double[,] Tensor(double[,] coupling)
        {
            double[,] tensor = new double[9, 8];
            for (int i = 0; i < 9; i++)
                for (int j = 0; j < 8; j++)
                    for (int k = 0; k < 9; k++)
                        for (int l = 0; l < 8; l++)
                            if (mode == LabelBlockMode.Joint || s_first[k] == s_first[i]) tensor[i, j] += Loss(c1.Row(i)[k], c2.Row(j)[l]) * coupling[k, l];
            return tensor;
        }

        double Loss(double a, double b) => options.Loss == GromovLoss.Square ? (a - b) * (a - b) : a * Math.Log((a + 1e-15) / (b + 1e-15)) - a + b;
    }

    private static double TrueShare(string label) => 0.5 * (s_first.Count(l => l == label) / 9.0 + s_second.Count(l => l == label) / 8.0);

    private static Matrix<double> Distances(CpuDevice device, int n, ulong seed)
    {
        using Matrix<double> x = Clouds.Normal(device, n, 2, seed);
        Matrix<double> c = device.AllocateMatrix<double>(n, n);
        PairwiseDistance.ComputeSelf(DistanceMetric.Euclidean, x.View, c.View, DistanceForm.Direct);
        Elementwise.Divide(c.View, MatrixElements.Summarise(c.View).Largest, c.View);
        return c;
    }
}
