using BioSup.Analysis.SingleCell;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.SingleCell.Trajectory;

/// <summary>Pseudotime over cells whose time is known: from one state to four, 160 cells to each, 11 genes, as many as in the simulated blood differentiation that scanpy ships.</summary>
public sealed class BranchingTests
{
    private const int Branches = 4, Cells = 160, Genes = 11;

    [Theory]
    [InlineData(30, PseudotimeRule.Scanpy)]
    [InlineData(30, PseudotimeRule.Exact)]
    [InlineData(15, PseudotimeRule.Exact)]
    public void Every_branch_is_in_the_order_of_its_time(int neighbours, PseudotimeRule rule)
    {
        (double[] kendall, _) = Order(neighbours, rule);
        Assert.All(kendall, k => Assert.InRange(k, 0.9, 1));
    }

    [Fact]
    public void Where_slow_eigenvalues_pass_scanpys_bound_its_rule_loses_the_order_and_says_so()
    {
        (double[] kendall, DiffusionPseudotime time) = Order(15, PseudotimeRule.Scanpy);
        Assert.InRange(time.LeftUnweighted, 1, 9);
        Assert.All(kendall, k => Assert.InRange(k, 0, 0.8));
    }

    private static (double[] Kendall, DiffusionPseudotime Time) Order(int neighbours, PseudotimeRule rule)
    {
        using CpuDevice device = new(2);
        double[] time = new double[Branches * Cells];
        using Matrix<double> x = device.AllocateMatrix<double>(time.Length, Genes);
        CounterRandom random = new(11);
        for (int i = 0; i < time.Length; i++)
        {
            (int branch, double t) = (i / Cells, (i % Cells + 0.5) / Cells);
            time[i] = t;
            for (int g = 0; g < Genes; g++)
            {
                // Each fate turns its own genes on, one after the other, and the first gene, common to all, off.
                double onset = g == 0 ? 0.5 : (g + branch) % 2 == 0 || g % Branches == branch ? 0.3 + 0.05 * g : 2;
                double level = 1 / (1 + Math.Exp(-(t - onset) / 0.07));
                x.Row(i)[g] = (g == 0 ? 1 - level : level) + 0.01 * random.NextNormal();
            }
        }
        using DiffusionMap map = DiffusionMap.Compute(device, Connectivities.Umap(NearestCells.Find(x, neighbours)));
        DiffusionPseudotime found = DiffusionPseudotime.Compute(map, 0, rule: rule);
        Assert.Equal(0, found.Unreachable);
        double[] kendall = [.. Enumerable.Range(0, Branches).Select(b => Kendall(time.AsSpan(b * Cells, Cells), found.Values.AsSpan(b * Cells, Cells)))];
        TestContext.Current.TestOutputHelper?.WriteLine(string.Join(' ', kendall.Select(k => k.ToString("0.000"))));
        return (kendall, found);
    }

    /// <summary>Kendall's τ without ties.</summary>
    private static double Kendall(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        int balance = 0;
        for (int i = 0; i < a.Length; i++)
            for (int j = 0; j < i; j++) balance += Math.Sign(a[i] - a[j]) * Math.Sign(b[i] - b[j]);
        return 2.0 * balance / (a.Length * (a.Length - 1.0));
    }
}
