using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.SingleCell.Neighbours;

/// <summary>Sparse cells × cells matrices against dense ones.</summary>
public sealed class CellGraphTests
{
    /// <summary>0 → 2 (1.5), 0 → 3 (2), 2 → 0 (0.5), 3 → 4 (1); cell 1 is alone.</summary>
    private static CellGraph Small() => new([0, 2, 2, 3, 4, 4], [2, 3, 0, 4], [1.5f, 2, 0.5f, 1]);

    [Fact]
    public void Entries_that_are_not_stored_are_zero()
    {
        CellGraph graph = Small();
        Assert.Equal((1.5f, 0, 0.5f, 0), (graph[0, 2], graph[0, 1], graph[2, 0], graph[4, 3]));
        Assert.Equal((5, 4), (graph.Cells, graph.Entries));
    }

    [Fact]
    public void A_transposed_graph_has_rows_and_columns_exchanged()
    {
        CellGraph graph = Small(), other = graph.Transpose();
        for (int i = 0; i < 5; i++)
            for (int j = 0; j < 5; j++) Assert.Equal(graph[i, j], other[j, i]);
        Assert.Equal([0], other.Neighbours(2).ToArray());
    }

    [Fact]
    public void Symmetrising_sees_both_directions_and_drops_zeros()
    {
        CellGraph sum = Small().Symmetrise((a, b) => a + b);
        Assert.Equal((2f, 2f, 2f, 1f), (sum[0, 2], sum[2, 0], sum[3, 0], sum[4, 3]));
        Assert.Equal(6, sum.Entries);
        Assert.Equal(2, Small().Symmetrise(Math.Min).Entries);
        Assert.Equal(3, sum.ToLeiden().Edges);
    }

    [Fact]
    public void Components_are_numbered_by_their_first_cell()
    {
        Assert.Equal([0, 1, 0, 0, 0], Small().Components(out int count));
        Assert.Equal(2, count);
        // A chain named backwards, and a pair.
        Assert.Equal([0, 1, 0, 1, 0], new CellGraph([0, 0, 0, 1, 2, 3], [0, 1, 2], [1, 1, 1]).Components(out count));
        Assert.Equal(2, count);
    }

    [Fact]
    public void A_walk_in_breadth_meets_all_cells_of_all_components()
    {
        // 0 - 3 - 1, 3 - 5; 2 alone; 4 - 6.
        CellGraph graph = new([0, 1, 2, 2, 5, 6, 7, 8], [3, 3, 0, 1, 5, 6, 3, 4], [1, 1, 1, 1, 1, 1, 1, 1]);
        Assert.Equal([0, 3, 1, 5, 2, 4, 6], graph.BreadthFirst());
        // Along stored entries alone.
        Assert.Equal([0, 2, 3, 4, 1], Small().BreadthFirst());
    }

    [Fact]
    public void What_is_written_to_a_file_is_the_same_matrix()
    {
        using CpuDevice device = new(1);
        SparseMatrix sparse = Small().ToSparse();
        using Matrix<float> dense = sparse.ToSingle(device);
        for (int i = 0; i < 5; i++)
            for (int j = 0; j < 5; j++) Assert.Equal(Small()[i, j], dense.Row(i)[j]);
    }

    [Theory]
    [InlineData("from 0 to that number", new[] { 0, 1 }, new[] { 0, 0 }, new[] { 1f, 1f })]
    [InlineData("from 0 to that number", new int[0], new int[0], new float[0])]
    [InlineData("from 0 to that number", new[] { 1, 1 }, new[] { 0 }, new[] { 1f })]
    [InlineData("from 0 to that number", new[] { 0, 1 }, new[] { 0 }, new[] { 1f, 1f })]
    [InlineData("each once", new[] { 0, 2, 2 }, new[] { 1, 1 }, new[] { 1f, 1f })]
    [InlineData("numbered 0 to 1", new[] { 0, 1, 1 }, new[] { 2 }, new[] { 1f })]
    [InlineData("ascending order", new[] { 0, 2, 2 }, new[] { 1, 0 }, new[] { 1f, 1f })]
    [InlineData("ends before", new[] { 0, 2, 1, 2 }, new[] { 0, 1 }, new[] { 1f, 1f })]
    [InlineData("finite", new[] { 0, 1, 1 }, new[] { 1 }, new[] { float.NaN })]
    public void Malformed_rows_are_refused(string complaint, int[] start, int[] columns, float[] values) =>
        Assert.Contains(complaint, Assert.Throws<UsageException>(() => new CellGraph(start, columns, values)).Message);
}
