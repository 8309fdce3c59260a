using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.SingleCell.Clustering;

/// <summary>Connections between groups against counting by hand, and against scanpy's numbers for blood cells.</summary>
public sealed class PagaTests
{
    /// <summary>Edges 0 → 1, 1 → 0, 1 → 2, 2 → 3, 3 → 2, 3 → 1, 4 → 3; groups {0, 1}, {2, 3}, {4}.</summary>
    private static CellGraph Five() => new([0, 1, 3, 4, 6, 7], [1, 0, 2, 3, 1, 2, 3], [1, 1, 1, 1, 1, 1, 1]);

    [Fact]
    public void Five_cells_counted_by_hand()
    {
        Paga paga = Paga.Compute(Five(), [0, 0, 1, 1, 2], 4);
        Assert.Equal([2, 2, 1, 0], paga.Sizes);
        // Leaving edges 3, 3, 1. Between 0 and 1: two, expected (3 · 2 + 3 · 2) / 4 = 3. Between 1 and 2: one, expected (3 · 1 + 1 · 2) / 4 = 1.25.
        Assert.Equal((2 / 3.0, 0.8, 0.0), (paga.Connectivities[0, 1], paga.Connectivities[2, 1], paga.Connectivities[0, 2]));
        Assert.Equal([(1, 2), (0, 1)], paga.Tree);
        Assert.Equal(0, Enumerable.Range(0, 4).Sum(g => paga.Connectivities[3, g]));
    }

    [Fact]
    public void More_edges_than_expected_count_as_one_and_a_tree_has_no_cycle()
    {
        CellGraph graph = new([0, 2, 4, 6], [1, 2, 0, 2, 0, 1], [1, 1, 1, 1, 1, 1]);
        Paga paga = Paga.Compute(graph, [0, 1, 2], 3);
        Assert.Equal([1.0, 1, 1], [paga.Connectivities[0, 1], paga.Connectivities[0, 2], paga.Connectivities[1, 2]]);
        Assert.Equal([(0, 1), (0, 2)], paga.Tree);
        // Two of four cells know each other alone: two edges where (1 · 1 + 1 · 1) / 3 are expected.
        Assert.Equal(1, Paga.Compute(new CellGraph([0, 1, 2, 2, 2], [1, 0], [1, 1]), [0, 1, 2, 2], 3).Connectivities[0, 1]);
    }

    [Fact]
    public void Groups_that_do_not_fit_are_refused()
    {
        Assert.Contains("for 4 cells", Assert.Throws<UsageException>(() => Paga.Compute(Five(), [0, 0, 1, 1], 2)).Message);
        Assert.Contains("Cell 4 is in group 2", Assert.Throws<UsageException>(() => Paga.Compute(Five(), [0, 0, 1, 1, 2], 2)).Message);
    }

    [Fact]
    public void Blood_cells_have_the_connections_that_scanpy_counts()
    {
        string? folder = SharedData.Find("pbmc68k_reduced", out string reason);
        Assert.SkipWhen(folder is null, reason);
        string file = Path.Combine(folder!, "pbmc68k_reduced.h5ad");
        using CpuDevice device = new(2);
        using Matrix<double> all = MatrixReader.ReadDouble(device, file + ":obsm/X_pca");
        using Matrix<double> x = Matrix<double>.From(device, all.Rows, 30, [.. Enumerable.Range(0, all.Rows).SelectMany(i => all.Row(i)[..30].ToArray())]);
        int[] group = [.. ColumnReader.Read(file + ":obs/louvain").Text.Select(int.Parse)];
        Paga paga = Paga.Compute(NearestCells.Find(x, 10).ToGraph(), group, group.Max() + 1);
        double[] expected = [0, 0, 0.0128, 0.431, 0.0769, 0.0166, 0, 0, 0, 0.8962, 0.1608];
        for (int g = 0; g < expected.Length; g++) Assert.Equal(expected[g], paga.Connectivities[0, g], 5e-5);
        Assert.True(paga.Tree.Count <= 10);
    }
}
