using BioSup.Cli.Pipeline.Cells;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Cells;

/// <summary>The step <c>phate</c>: its keys, its settings and what it says.</summary>
public sealed class PhateStepTests
{
    [Fact]
    public void Layouts_and_settings_are_where_scanpy_users_look_for_them()
    {
        using CpuDevice host = new(1);
        List<string> notes = [];
        CellsContext context = new() { Cells = Clouds(1), Source = "test.h5ad", Device = host, Host = host, Seed = 3, Note = notes.Add };
        FinishedStep step = Run(context, "phate:use_rep=X:knn=4:decay=120:t=auto;20");
        Assert.Contains("40 cells of X, exact", step.Outcome.Said);
        Assert.Single(step.Outcome.Warnings, w => w.StartsWith("the graph has", StringComparison.Ordinal));
        Assert.Contains(notes, n => n.Contains("two matrices of 40 x 40 doubles", StringComparison.Ordinal));
        AnnDictionary uns = (AnnDictionary)context.Cells.Uns["phate"]!, used = (AnnDictionary)uns["params"]!;
        Assert.Equal(["auto", "20"], ((NdArray)used["t"]!).As<string>());
        Assert.Equal(120.0, ((NdArray)used["decay"]!).ToDoubles()[0]);
        long knee = ((NdArray)uns["t"]!).ToInt64()[0];
        NdArray first = (NdArray)context.Cells.Obsm["X_phate"]!;
        Assert.Equal([40L, 2], first.Shape);
        Assert.Equal(first.ToDoubles(), ((NdArray)context.Cells.Obsm[$"X_phate_t{knee}"]!).ToDoubles());
        Assert.Equal(100, ((NdArray)uns["vne"]!).Length);
        // Another t from the same graph is what a run of its own gives.
        double[] shared = ((NdArray)context.Cells.Obsm["X_phate_t20"]!).ToDoubles();
        CellsContext alone = CellsRunnerTests.Context(host, Clouds(1));
        _ = Run(alone, "phate:use_rep=X:knn=4:decay=120:t=20");
        Assert.Equal(shared, ((NdArray)alone.Cells.Obsm["X_phate"]!).ToDoubles());
        Assert.Equal(["X_phate"], alone.Cells.Obsm.Keys);
    }

    [Fact]
    public void Landmarks_walk_where_they_are_asked_for_and_every_cell_gets_a_place()
    {
        using CpuDevice host = new(1);
        List<string> notes = [];
        CellsContext context = new() { Cells = Clouds(1), Source = "test.h5ad", Device = host, Host = host, Seed = 3, Note = notes.Add };
        Assert.Contains("40 cells of X, 20 landmarks", Run(context, "phate:use_rep=X:knn=4:t=auto:n_landmark=20").Outcome.Said);
        Assert.Contains(notes, n => n.Contains("three matrices of 20 x 20 doubles", StringComparison.Ordinal));
        double[] places = ((NdArray)context.Cells.Obsm["X_phate"]!).ToDoubles();
        Assert.Equal(80, places.Length);
        Assert.All(places, v => Assert.True(double.IsFinite(v)));
    }

    [Theory]
    [InlineData("phate:t=0", "t=0; a whole number from 1 to 10000 or auto was expected")]
    [InlineData("phate:t=soon", "t=soon")]
    [InlineData("phate:gamma=0", "gamma=0")]
    [InlineData("phate:decay=0", "decay=0")]
    [InlineData("phate:n_landmark=3", "n_landmark=3")]
    public void Settings_are_checked_before_anything_runs(string text, string expected) =>
        Assert.Contains(expected, Assert.Throws<UsageException>(() => CellSteps.Parse(text, CellSteps.All)).Message);

    [Fact]
    public void Components_have_to_be_there_and_cells_enough()
    {
        using CpuDevice host = new(1);
        Assert.Contains("'pca' makes it", Assert.Throws<UsageException>(() => Run(CellsRunnerTests.Context(host, Clouds(1)), "phate")).Message);
        Assert.Contains("there are 40", Assert.Throws<UsageException>(() => Run(CellsRunnerTests.Context(host, Clouds(1)), "phate:use_rep=X:knn=40")).Message);
    }

    private static FinishedStep Run(CellsContext context, string text) => CellsRunner.Run(CellSteps.Parse(text, CellSteps.All), context, _ => { })[0];

    /// <summary>Two clouds of twenty cells, far apart.</summary>
    private static AnnData Clouds(ulong seed)
    {
        CounterRandom random = new(seed);
        float[] values = new float[40 * 3];
        for (int i = 0; i < values.Length; i++) values[i] = (float)random.NextNormal() + (i < 60 ? 0 : 100);
        return new AnnData(DataFrame.OfRows(40), DataFrame.OfRows(3)) { X = new NdArray(values, 40, 3) };
    }
}
