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
        using GromovResult result = LabelBlockGromovWasserstein.Solve(c1, c2, s_first, s_second, options, mode, isFused ? fused : null);
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
        using GromovResult joint = LabelBlockGromovWasserstein.Solve(c, c, labels, labels, options), separate = LabelBlockGromovWasserstein.Solve(c, c, labels, labels, options with { MaxIterations = 4 }, LabelBlockMode.Separate);
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
        using GromovResult result = LabelBlockGromovWasserstein.Solve(c1, c2, s_first, s_second, new GromovOptions { Epsilon = 0.05 });
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
        using GromovResult block = LabelBlockGromovWasserstein.Solve(c1, c2, first, second, options), plain = EntropicGromovWasserstein.Solve(c1, c2, options);
        for (int i = 0; i < 12; i++)
            for (int j = 0; j < 10; j++) Assert.Equal(plain.Coupling.Row(i)[j], block.Coupling.Row(i)[j], 1e-8);
        Assert.Equal(plain.Loss, block.Loss, 1e-8);
    }

    [Fact]
    public void Problems_without_a_meaning_are_refused_in_one_sentence()
    {
        using CpuDevice device = new(1);
        using Matrix<double> c1 = Distances(device, 9, 38), c2 = Distances(device, 8, 39);
        string[] other = [.. s_second[..7], "z"];
        Assert.Contains("'z' occurs in the second domain only", Assert.Throws<DataException>(() => LabelBlockGromovWasserstein.Solve(c1, c2, s_first, other, new GromovOptions())).Message);
        Assert.Contains("8 labels were given for 9 cells", Assert.Throws<DataException>(() => LabelBlockGromovWasserstein.Solve(c1, c2, s_second, s_second, new GromovOptions())).Message);
        Assert.Contains("balanced within the labels", Assert.Throws<UsageException>(() => LabelBlockGromovWasserstein.Solve(c1, c2, s_first, s_second, new GromovOptions { Marginals = MarginalConstraint.Partial, Mass = 0.5 })).Message);
        c1.Row(2)[3] += 0.5;
        Assert.Contains("not symmetric", Assert.Throws<DataException>(() => LabelBlockGromovWasserstein.Solve(c1, c2, s_first, s_second, new GromovOptions())).Message);
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
        using GromovResult result = LabelBlockGromovWasserstein.Solve(c1.Cost, c2.Cost, family, family, options);
        using Matrix<double> target = DomainCosts.NormalisedRows(electric), projected = MatchAccuracy.BarycentricProjection(result.Coupling, target);
        FosctTm foscttm = MatchAccuracy.Foscttm(projected, target);
        ConfusionMatrix vote = LabelTransfer.ByNeighbours(projected, family, target, family);
        TestContext.Current.TestOutputHelper?.WriteLine($"FOSCTTM {foscttm.Average:F4}, vote {vote.Accuracy:F4}, loss {result.Loss:F5}, {result.Iterations} iterations, converged {result.Converged}, {result.Timing.Total:F1} s");
        // Without the families: 0.54 to 0.57. From a coupling of the families' blocks: 0.28 to 0.33, label transfer 0.59 to 0.68.
        Assert.True(result.Converged);
        Assert.InRange(foscttm.Average, 0, 0.33);
        Assert.InRange(vote.Accuracy, 0.59, 1);
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
