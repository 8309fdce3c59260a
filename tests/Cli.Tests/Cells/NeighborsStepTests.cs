using BioSup.Cli.Pipeline.Cells;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Cells;

/// <summary>The steps <c>neighbors</c> and <c>diffmap</c>: keys, settings and what they say.</summary>
public sealed class NeighborsStepTests
{
    [Fact]
    public void Graph_and_map_are_where_scanpy_looks_for_them()
    {
        using CpuDevice host = new(1);
        CellsContext context = CellsRunnerTests.Context(host, Clouds());
        IReadOnlyList<FinishedStep> steps = CellsRunner.Run(CellSteps.Parse("neighbors:n_neighbors=6,diffmap:n_comps=5", CellSteps.All), context, _ => { });
        AnnDictionary described = (AnnDictionary)context.Cells.Uns["neighbors"]!, used = (AnnDictionary)described["params"]!;
        Assert.Equal(("connectivities", "distances"), (Text(described["connectivities_key"]), Text(described["distances_key"])));
        Assert.Equal(("umap", "euclidean", "X", "exact"), (Text(used["method"]), Text(used["metric"]), Text(used["use_rep"]), Text(used["mode"])));
        Assert.Equal([6L], ((NdArray)used["n_neighbors"]!).ToInt64());
        Assert.False(used.ContainsKey("recall"));
        SparseMatrix distances = (SparseMatrix)context.Cells.Obsp["distances"]!, weights = (SparseMatrix)context.Cells.Obsp["connectivities"]!;
        for (int i = 0; i < 60; i++)
        {
            Assert.Equal(5 * i, distances.Pointers[i]);
            Assert.DoesNotContain(i, distances.Indices[(5 * i)..(5 * i + 5)]);
        }
        Assert.All(weights.Values.As<float>(), w => Assert.InRange(w, float.Epsilon, 1));
        Assert.Contains("exact", steps[0].Outcome.Said);
        NdArray map = (NdArray)context.Cells.Obsm["X_diffmap"]!, values = (NdArray)context.Cells.Uns["diffmap_evals"]!;
        Assert.Equal([60L, 5], map.Shape);
        Assert.Equal((ElementType.Float32, ElementType.Float32, 5), (map.Type, values.Type, values.Length));
        Assert.Equal(1f, values.As<float>()[0], 1e-6f);
        // Both clouds are components of their own.
        Assert.Single(steps[1].Outcome.Warnings, w => w.StartsWith("the graph has 2 components", StringComparison.Ordinal));
    }

    [Fact]
    public void Another_key_leaves_the_first_graph_alone()
    {
        using CpuDevice host = new(1);
        CellsContext context = CellsRunnerTests.Context(host, Clouds());
        _ = CellsRunner.Run(CellSteps.Parse("neighbors:n_neighbors=6,neighbors:n_neighbors=8:method=gauss:metric=cosine:n_pcs=2:key_added=second:mode=approximate,diffmap:n_comps=4:neighbors_key=second", CellSteps.All), context, _ => { });
        Assert.Equal(["connectivities", "distances", "second_connectivities", "second_distances"], context.Cells.Obsp.Keys.Order());
        AnnDictionary described = (AnnDictionary)context.Cells.Uns["second"]!, used = (AnnDictionary)described["params"]!;
        Assert.Equal(("second_connectivities", "gauss", "approximate"), (Text(described["connectivities_key"]), Text(used["method"]), Text(used["mode"])));
        Assert.Equal([2L], ((NdArray)used["n_pcs"]!).ToInt64());
        Assert.InRange(((NdArray)used["recall"]!).ToDoubles()[0], 0.99, 1);
        Assert.Equal(60 * 7, ((SparseMatrix)context.Cells.Obsp["second_distances"]!).StoredCount);
    }

    [Theory]
    [InlineData("neighbors:n_neighbors=1", "n_neighbors=1")]
    [InlineData("neighbors:metric=far", "metric=far")]
    [InlineData("neighbors:method=magic", "method=magic")]
    [InlineData("neighbors:mode=quick", "mode=quick")]
    [InlineData("neighbors:n_pcs=some", "n_pcs=some")]
    [InlineData("neighbors:recall=2", "recall=2")]
    [InlineData("diffmap:n_comps=1", "n_comps=1")]
    public void Settings_are_checked_before_anything_runs(string text, string expected) =>
        Assert.Contains(expected, Assert.Throws<UsageException>(() => CellSteps.Parse(text, CellSteps.All)).Message);

    [Theory]
    [InlineData("neighbors:n_neighbors=61", "there are 60")]
    [InlineData("neighbors:n_pcs=9", "X has 3 columns")]
    [InlineData("neighbors:use_rep=X_pca", "'pca' makes it")]
    [InlineData("diffmap", "'neighbors' makes it")]
    public void What_does_not_fit_the_cells_is_said_in_a_sentence(string text, string expected)
    {
        using CpuDevice host = new(1);
        Assert.Contains(expected, Assert.Throws<UsageException>(() => CellsRunner.Run(CellSteps.Parse(text, CellSteps.All), CellsRunnerTests.Context(host, Clouds()), _ => { })).Message);
    }

    private static string Text(IAnnElement? element) => ((NdArray)element!).As<string>()[0];

    /// <summary>Two clouds of thirty cells, far apart.</summary>
    private static AnnData Clouds()
    {
        CounterRandom random = new(21);
        float[] values = new float[60 * 3];
        for (int i = 0; i < values.Length; i++) values[i] = (float)random.NextNormal() + (i < 90 ? 0 : 100);
        return new AnnData(DataFrame.OfRows(60), DataFrame.OfRows(3)) { X = new NdArray(values, 60, 3) };
    }
}
