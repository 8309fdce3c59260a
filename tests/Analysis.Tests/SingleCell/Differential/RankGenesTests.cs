using System.Globalization;
using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.SingleCell.Differential;

/// <summary>Genes tested between groups of cells, against SciPy and statsmodels on the same values (tests/golden/differential/scipy_rank_genes.py), and against counting.</summary>
public sealed class RankGenesTests : IDisposable
{
    private static readonly Lazy<(string Reason, string[][] Lines)> s_peer = new(RunPeer);

    private readonly CpuDevice _device = new(2);
    private readonly ExpressionCases _cases = new();

    [Theory]
    [InlineData(-1)]
    [InlineData(0)]
    [InlineData(3)]
    public void Every_test_is_scipys_to_ten_digits_of_its_logarithm(int reference)
    {
        Dictionary<(string, int), double[]> peer = Peer(reference);
        (GeneTest Test, bool TieCorrect, string Score, string LogP)[] tests =
        [
            (GeneTest.MannWhitney, false, "u", "logp"), (GeneTest.MannWhitneyAsymptotic, false, "u", "loga"), (GeneTest.Wilcoxon, false, "z", "logz"), (GeneTest.Wilcoxon, true, "zt", "logzt"),
            (GeneTest.Welch, false, "t", "logt"), (GeneTest.WelchOverestimated, false, "o", "logo"),
        ];
        foreach ((GeneTest test, bool tieCorrect, string score, string logP) in tests)
            foreach (RankedGroup group in Run(_cases.Dense, new RankGenesOptions { Test = test, TieCorrect = tieCorrect, Reference = reference < 0 ? null : reference }))
            {
                // The one kind whose differences are of the size of a mean's rounding says nothing about a test of means.
                double[] Told(double[] values) => test is GeneTest.Welch or GeneTest.WelchOverestimated ? [.. values[..ExpressionCases.Fine], .. values[(ExpressionCases.Fine + 1)..]] : values;
                Near(Told(peer[(score, group.Group)]), Told(group.Scores), 1e-9, $"{test} {score} of group {group.Group}");
                Near(Told(peer[(logP, group.Group)]), Told(Array.ConvertAll(group.Log10P, p => p * Math.Log(10))), 1e-10, $"{test} ln p of group {group.Group}");
                Assert.Equal(group.Scores.Select((s, gene) => (s, gene)).OrderByDescending(g => g.s).ThenBy(g => g.gene).Select(g => g.gene), group.Order);
            }
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(1)]
    public void Corrections_fold_changes_and_shares_are_statsmodels_and_numpys(int reference)
    {
        Dictionary<(string, int), double[]> peer = Peer(reference);
        foreach ((FoldChangeFormula formula, string name) in new[] { (FoldChangeFormula.Scanpy, "scanpy"), (FoldChangeFormula.Seurat, "seurat"), (FoldChangeFormula.Paper, "paper") })
            foreach (MultipleTesting correction in Enum.GetValues<MultipleTesting>())
                foreach (RankedGroup group in Run(_cases.Dense, new RankGenesOptions { Test = GeneTest.MannWhitney, FoldChange = formula, Correction = correction, Reference = reference < 0 ? null : reference }))
                {
                    Near(peer[(name, group.Group)], group.LogFoldChanges, 1e-9, $"{name} of group {group.Group}");
                    Near(peer[(correction == MultipleTesting.Bonferroni ? "bonferroni" : "q", group.Group)], Array.ConvertAll(group.Log10Adjusted, q => Math.Pow(10, q)), 1e-9, $"{correction} of group {group.Group}");
                    Near(peer[("mean", group.Group)], group.Means, 1e-12, "means");
                    Near(peer[("mean_rest", group.Group)], group.ReferenceMeans, 1e-12, "means of the others");
                    Near(peer[("pts", group.Group)], group.Pts, 1e-15, "shares");
                    Near(peer[("pts_rest", group.Group)], group.ReferencePts, 1e-15, "shares of the others");
                }
    }

    [Fact]
    public void All_forms_of_the_matrix_and_any_threads_give_the_same_bytes()
    {
        float[] singles = _cases.Singles;
        ExpressionCases rounded = new();
        for (int i = 0; i < singles.Length; i++) rounded.Values[i] = singles[i];
        using CpuDevice one = new(1);
        using Matrix<float> matrix = Matrix<float>.From(_device, ExpressionCases.Cells, ExpressionCases.Kinds, singles);
        foreach (GeneTest test in Enum.GetValues<GeneTest>())
            foreach (int? reference in new int?[] { null, 1 })
            {
                RankGenesOptions options = new() { Test = test, Reference = reference, FoldChange = FoldChangeFormula.Seurat };
                IReadOnlyList<RankedGroup> expected = Run(rounded.Dense, options);
                IAnnElement[] forms = [rounded.DenseSingle, rounded.Sparse(SparseLayout.Csr, true), rounded.Sparse(SparseLayout.Csc, true), rounded.Sparse(SparseLayout.Csr, false), rounded.Sparse(SparseLayout.Csc, false)];
                foreach (IAnnElement form in forms) Same(expected, Run(form, options));
                Same(expected, RankGenes.Compute(matrix, _cases.Codes, ExpressionCases.Groups, options));
                Same(expected, RankGenes.Compute(one, rounded.DenseSingle, _cases.Codes, ExpressionCases.Groups, options));
            }
    }

    [Fact]
    public void Small_groups_without_ties_have_the_exact_distribution_by_counting_every_arrangement()
    {
        double[] values = [0.1, 0.9, 1.7, 2.2, 3.8, 5.1, 5.5, 7.25, 8.5];
        foreach (int size in new[] { 1, 2, 4, 7 })
        {
            (List<double> all, int subsets) = ([], 1 << values.Length);
            for (int set = 0; set < subsets; set++) if (int.PopCount(set) == size) all.Add(U(values, set));
            double middle = size * (values.Length - size) / 2.0;
            for (int set = 0; set < subsets; set++)
            {
                if (int.PopCount(set) != size) continue;
                int[] codes = [.. values.Select((_, i) => (set >> i & 1) == 1 ? 0 : 1)];
                RankedGroup group = RankGenes.Compute(_device, new NdArray(values, values.Length, 1), codes, 2, new RankGenesOptions { Test = GeneTest.MannWhitney })[0];
                double u = U(values, set), p = Math.Min(1, 2.0 * all.Count(other => other >= middle + Math.Abs(u - middle)) / all.Count);
                Assert.Equal(u, group.Scores[0]);
                Assert.Equal(Math.Log10(p), group.Log10P[0], 1e-12);
            }
        }
    }

    [Fact]
    public void A_side_of_eight_is_exact_and_of_nine_is_not()
    {
        foreach (int size in new[] { 8, 9 })
        {
            double[] values = [.. Enumerable.Range(0, 40).Select(i => (double)i)];
            int[] codes = [.. values.Select(v => v % 4 == 1 && v < 4 * size ? 0 : 1)];
            RankedGroup group = RankGenes.Compute(_device, new NdArray(values, 40, 1), codes, 2, new RankGenesOptions { Test = GeneTest.MannWhitney })[0];
            double normal = Analysis.Geometry.RankStatistics.MannWhitney([.. values.Where((_, i) => codes[i] == 0)], [.. values.Where((_, i) => codes[i] == 1)]).Log10P;
            Assert.Equal(size, group.Cells);
            if (size == 9) Assert.Equal(normal, group.Log10P[0], 1e-14);
            else Assert.True(Math.Abs(normal - group.Log10P[0]) > 1e-4);
        }
    }

    [Fact]
    public void P_values_far_below_the_doubles_keep_their_size_and_order()
    {
        const int half = 4000;
        float[] x = [.. Enumerable.Range(0, 2 * half).SelectMany(i => new[] { i < half ? i : i + 1f, i % half, i < half ? i + (i % 8 == 0 ? half : 0f) : i + 1f })];
        int[] codes = [.. Enumerable.Range(0, 2 * half).Select(i => i / half)];
        foreach (GeneTest test in new[] { GeneTest.MannWhitney, GeneTest.Welch })
        {
            RankedGroup group = RankGenes.Compute(_device, new NdArray(x, 2 * half, 3), codes, 2, new RankGenesOptions { Test = test })[1];
            Assert.InRange(group.Log10P[0], -6000, -1000);
            Assert.True(group.Log10P[0] < group.Log10P[2] && group.Log10P[2] < -300, $"{group.Log10P[0]} and {group.Log10P[2]}");
            Assert.Equal(0, group.Log10P[1], 1e-2);
            Assert.Equal([0, 2, 1], group.Order);
            Assert.Equal(group.Log10P[0] + Math.Log10(3), group.Log10Adjusted[0], 1e-9);
        }
    }

    [Fact]
    public void Genes_without_variation_are_counted_and_some_groups_can_be_asked_for()
    {
        RankGenesOptions options = new() { Test = GeneTest.MannWhitney, Groups = [2, 1], Reference = 0 };
        IReadOnlyList<RankedGroup> groups = Run(_cases.Dense, options);
        Assert.Equal([2, 1], groups.Select(g => g.Group));
        // Constant everywhere (two kinds), and constant in each of groups 1 and 2 against a constant reference.
        Assert.Equal([3, 3], groups.Select(g => g.Untested));
        Assert.Equal([2, 2], Run(_cases.Dense, options with { Test = GeneTest.Welch }).Select(g => g.Untested - (g.Group == 2 ? 1 : 0)));
        RankedGroup infinite = Run(_cases.Dense, options with { Test = GeneTest.Welch })[1];
        Assert.Equal((double.PositiveInfinity, double.NegativeInfinity), (infinite.Scores[7], infinite.Log10P[7]));
        Assert.Equal(7, infinite.Order[0]);
        RankedGroup lower = Run(_cases.Dense, options with { Test = GeneTest.Welch, Groups = [0], Reference = 1 })[0];
        Assert.Equal((double.NegativeInfinity, double.NegativeInfinity), (lower.Scores[7], lower.Log10P[7]));
        Assert.Equal(7, lower.Order[^1]);
        Same([Run(_cases.Dense, options with { Groups = null })[0]], [groups[1]]);
        // Against all others the group that is left out of the question still counts.
        Same([Run(_cases.Dense, options with { Groups = null, Reference = null })[2]], [Run(_cases.Dense, options with { Groups = [2], Reference = null })[0]]);
    }

    [Fact]
    public void Many_genes_are_the_same_genes_one_by_one_and_progress_reaches_the_end()
    {
        const int cells = 12, genes = 600;
        CounterRandom random = new(2);
        double[] five = [.. Enumerable.Range(0, 5 * cells).Select(_ => random.NextDouble() - 0.3)];
        double[] x = [.. Enumerable.Range(0, cells).SelectMany(i => Enumerable.Range(0, genes).Select(gene => five[5 * i + gene % 5]))];
        int[] codes = [.. Enumerable.Range(0, cells).Select(i => i % 2)];
        Progress progress = new();
        RankedGroup all = RankGenes.Compute(_device, new NdArray(x, cells, genes), codes, 2, new RankGenesOptions { Test = GeneTest.Wilcoxon }, progress: progress)[1];
        RankedGroup few = RankGenes.Compute(_device, new NdArray(five, cells, 5), codes, 2, new RankGenesOptions { Test = GeneTest.Wilcoxon })[1];
        for (int gene = 0; gene < genes; gene++) Assert.Equal((few.Scores[gene % 5], few.Means[gene % 5]), (all.Scores[gene], all.Means[gene]));
        Assert.Equal([(512L, 600L), (600L, 600L)], progress.Seen);
    }

    [Fact]
    public void Sides_that_vary_are_told_from_constant_ones_whatever_their_first_values()
    {
        // Group 0 | group 1 | group 2, and whether group 0 against all others is tested.
        (double[] Values, bool Tested)[] genes =
        [
            ([5, 5, 5, 1, 2, 3, 1, 4, 4.5], true), ([5, 5, 5, 1, 2, 3, 1, 1, 1], true), ([5, 5, 5, 1, 0, 1, 1, 1, 1], true), ([5, 5, 5, 1, 1, 1, 1, 1, 1], false), ([1, 1, 2, 3, 3, 3, 3, 3, 3], true),
            ([2, 2, 2, 1, 1, 1, 3, 3, 3], true), ([0, 0, 0, 1, 1, 1, 1, 1, 1], false), ([0, 0, 1, 1, 1, 1, 1, 1, 1], true), ([5, 5, 5, 0, 0, 0, 0, 0, 0], false), ([5, 5, 5, 0, 0, 0, 0, 0, -1], true),
        ];
        double[] x = [.. Enumerable.Range(0, 9).SelectMany(i => genes.Select(g => g.Values[i]))];
        foreach (RankGenesOptions options in new RankGenesOptions[] { new() { Test = GeneTest.MannWhitney }, new() { Test = GeneTest.MannWhitney, Groups = [0] } })
        {
            IReadOnlyList<RankedGroup> all = RankGenes.Compute(_device, new NdArray(x, 9, genes.Length), [0, 0, 0, 1, 1, 1, 2, 2, 2], 3, options);
            RankedGroup group = all[0];
            Assert.Equal(3, group.Untested);
            foreach (RankedGroup any in all)
            {
                int first = 3 * any.Group;
                Assert.Equal(genes.Count(g => g.Values[first..(first + 3)].Distinct().Count() == 1 && g.Values.Where((_, i) => i < first || i >= first + 3).Distinct().Count() == 1), any.Untested);
            }
            for (int g = 0; g < genes.Length; g++)
                Assert.Equal(genes[g].Tested ? Analysis.Geometry.RankStatistics.MannWhitney(genes[g].Values.AsSpan(0, 3), genes[g].Values.AsSpan(3)).Log10P : 0, group.Log10P[g], 1e-14);
        }
    }

    [Fact]
    public void Two_cells_and_small_differences_have_their_scores()
    {
        NdArray x = new(new double[] { 2, 1.5, 1, 1 }, 2, 2), constant = new(new double[] { 1.5, 1.5, 1, 1 }, 4, 1);
        // U = 1 against ½ expected; variance 1 · 1 · 3 / 12.
        Assert.Equal([1, 1], RankGenes.Compute(_device, x, [0, 1], 2, new RankGenesOptions { Test = GeneTest.Wilcoxon, TieCorrect = true })[0].Scores);
        IReadOnlyList<RankedGroup> found = RankGenes.Compute(_device, constant, [0, 0, 1, 1], 2);
        Assert.Equal((double.PositiveInfinity, double.NegativeInfinity), (found[0].Scores[0], found[1].Scores[0]));
        Assert.Equal([0, 0], found.Select(g => g.Untested));
    }

    [Fact]
    public void Columns_compressed_in_any_order_are_read_and_an_entry_twice_is_refused()
    {
        NdArray dense = new(new double[] { 3, 0, 1, 2, 4, 0, 2, 5 }, 4, 2);
        SparseMatrix untidy = new(4, 2, SparseLayout.Csc, [0, 4, 6], [2, 0, 3, 1, 3, 1], NdArray.Vector(new double[] { 4, 3, 2, 1, 5, 2 }));
        RankGenesOptions options = new() { Test = GeneTest.MannWhitney };
        Same(RankGenes.Compute(_device, dense, [0, 1, 0, 1], 2, options), RankGenes.Compute(_device, untidy, [0, 1, 0, 1], 2, options));
        SparseMatrix twice = new(4, 2, SparseLayout.Csc, [0, 2, 5], [2, 0, 3, 1, 3], NdArray.Vector(new double[] { 4, 3, 2, 1, 5 }));
        string message = Assert.Throws<DataException>(() => RankGenes.Compute(_device, twice, [0, 1, 0, 1], 2, options, "counts")).Message;
        Assert.Contains("counts", message);
        Assert.Contains("row 3, column 1", message);
        SparseMatrix first = new(2, 2, SparseLayout.Csc, [0, 2, 3], [1, 1, 0], NdArray.Vector(new double[] { 4, 3, 2 }));
        Assert.Contains("row 1, column 0", Assert.Throws<DataException>(() => RankGenes.Compute(_device, first, [0, 1], 2, options)).Message);
    }

    [Fact]
    public void A_base_of_the_logarithm_enters_the_fold_change()
    {
        double[] x = [3, 3, 1, 1];
        RankedGroup group = RankGenes.Compute(_device, new NdArray(x, 4, 1), [0, 0, 1, 1], 2, new RankGenesOptions { Test = GeneTest.Wilcoxon, LogBase = 2 })[0];
        Assert.Equal(Math.Log2(7), group.LogFoldChanges[0], 1e-8);
        group = RankGenes.Compute(_device, new NdArray(x, 4, 1), [0, 0, 1, 1], 2, new RankGenesOptions { Test = GeneTest.Wilcoxon, LogBase = 2, FoldChange = FoldChangeFormula.Seurat })[0];
        Assert.Equal(Math.Log2(8.0 / 2), group.LogFoldChanges[0], 1e-12);
    }

    [Fact]
    public void What_cannot_be_compared_is_refused_in_a_sentence()
    {
        NdArray x = new(new double[] { 1, 2, 3, 4 }, 4, 1);
        string Refused(int[] codes, RankGenesOptions options, int groups = 2) => Assert.Throws<UsageException>(() => RankGenes.Compute(_device, x, codes, groups, options)).Message;
        RankGenesOptions rank = new() { Test = GeneTest.Wilcoxon };
        Assert.Contains("for 3 cells; the matrix has 4", Refused([0, 0, 1], rank));
        Assert.Contains("Cell 3 is in group 2", Refused([0, 0, 1, 2], rank));
        Assert.Contains("Group 1 has 0 cells", Refused([0, 0, -1, 0], rank));
        Assert.Contains("Group 0 is compared with 0 cells", Refused([0, 0, 0, 0], rank, 1));
        Assert.Contains("Group 0 has 1 cells; the test needs 2", Refused([0, 1, 1, 1], new RankGenesOptions()));
        Assert.Contains("Group 0 is compared with 1 cells; the test needs 2", Refused([0, 0, 0, 1], new RankGenesOptions()));
        Assert.Contains("The reference is group 2", Refused([0, 0, 1, 1], rank with { Reference = 2 }));
        Assert.Contains("Group 2 is to be tested", Refused([0, 0, 1, 1], rank with { Groups = [2] }));
        Assert.Contains("Group 5 is to be tested", Refused([0, 0, 1, 1], rank with { Groups = [5] }));
        Assert.Contains("twice", Refused([0, 0, 1, 1], rank with { Groups = [1, 1] }));
        Assert.Contains("no group to compare", Refused([0, 0, 1, 1], rank with { Groups = [1], Reference = 1 }));
        Assert.Contains("The base 1", Refused([0, 0, 1, 1], rank with { LogBase = 1 }));
        foreach (double wrong in new[] { double.NaN, double.PositiveInfinity })
            Assert.Contains("column 1", Assert.Throws<DataException>(() => RankGenes.Compute(_device, new NdArray(new[] { 1, 2, 3, wrong }, 2, 2), [0, 1], 2, rank)).Message);
        SparseMatrix twice = new(2, 2, SparseLayout.Csr, [0, 3, 3], [1, 0, 1], NdArray.Vector(new double[] { 1, 2, 3 }));
        Assert.Contains("row 0, column 1", Assert.Throws<DataException>(() => RankGenes.Compute(_device, twice, [0, 1], 2, rank)).Message);
        Assert.Throws<DataException>(() => RankGenes.Compute(_device, null, [0, 1], 2, rank));
        using CancellationTokenSource stop = new();
        stop.Cancel();
        Assert.Throws<OperationCanceledException>(() => RankGenes.Compute(_device, x, [0, 0, 1, 1], 2, rank, cancellation: stop.Token));
    }

    public void Dispose() => _device.Dispose();

    private sealed class Progress : IProgressReporter
    {
        public List<(long Done, long Total)> Seen { get; } = [];

        public void Report(string stage, long done, long total, string? detail = null) => Seen.Add((done, total));
    }

    private IReadOnlyList<RankedGroup> Run(IAnnElement x, RankGenesOptions options) => RankGenes.Compute(_device, x, _cases.Codes, ExpressionCases.Groups, options);

    private static Dictionary<(string, int), double[]> Peer(int reference)
    {
        Assert.SkipWhen(s_peer.Value.Reason.Length > 0, s_peer.Value.Reason);
        return s_peer.Value.Lines.Where(f => int.Parse(f[1], CultureInfo.InvariantCulture) == reference).ToDictionary(f => (f[0], int.Parse(f[2], CultureInfo.InvariantCulture)),
            f => f.Skip(3).Select(v => double.Parse(v, CultureInfo.InvariantCulture)).ToArray());
    }

    /// <summary>One run of Python for all references, because starting it takes longer than the tests.</summary>
    private static (string Reason, string[][] Lines) RunPeer()
    {
        string? python = Python.Find("import scipy, statsmodels, mpmath", out string reason);
        if (python is null) return (reason, []);
        ExpressionCases cases = new();
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllLines(file, Enumerable.Range(0, ExpressionCases.Cells).Select(i => string.Join(' ', cases.Values.AsSpan(i * ExpressionCases.Kinds, ExpressionCases.Kinds).ToArray()
                .Prepend(cases.Codes[i]).Select(v => v.ToString("R", CultureInfo.InvariantCulture)))));
            string output = Python.Run(python, Path.Combine(RepositoryRoot.Path, "tests", "golden", "differential", "scipy_rank_genes.py"), file, "-1", "0", "1", "3");
            return ("", [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' '))]);
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static double U(double[] values, int set)
    {
        double u = 0;
        for (int i = 0; i < values.Length; i++)
            for (int j = 0; j < values.Length; j++) if ((set >> i & 1) == 1 && (set >> j & 1) == 0) u += values[i] > values[j] ? 1 : values[i] == values[j] ? 0.5 : 0;
        return u;
    }

    private static void Near(double[] expected, double[] found, double relative, string what)
    {
        Assert.Equal(expected.Length, found.Length);
        for (int k = 0; k < expected.Length; k++)
            Assert.True(expected[k].Equals(found[k]) || Math.Abs(expected[k] - found[k]) <= relative * Math.Abs(expected[k]) + 1e-13, $"{what}, gene {k}: {found[k]:R}; {expected[k]:R} was expected");
    }

    private static void Same(IReadOnlyList<RankedGroup> expected, IReadOnlyList<RankedGroup> found)
    {
        Assert.Equal(expected.Count, found.Count);
        for (int g = 0; g < expected.Count; g++)
        {
            Assert.Equal(expected[g].Scores, found[g].Scores);
            Assert.Equal(expected[g].Log10P, found[g].Log10P);
            Assert.Equal(expected[g].Log10Adjusted, found[g].Log10Adjusted);
            Assert.Equal(expected[g].LogFoldChanges, found[g].LogFoldChanges);
            Assert.Equal(expected[g].Means, found[g].Means);
            Assert.Equal(expected[g].ReferenceMeans, found[g].ReferenceMeans);
            Assert.Equal(expected[g].Pts, found[g].Pts);
            Assert.Equal(expected[g].ReferencePts, found[g].ReferencePts);
            Assert.Equal(expected[g].Order, found[g].Order);
            Assert.Equal(expected[g].Untested, found[g].Untested);
        }
    }
}
