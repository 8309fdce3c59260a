using BioSup.Analysis.SingleCell;
using BioSup.Cli.Pipeline.Cells;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Cells;

/// <summary>umap, leiden and paga on a neighbour graph as the file holds it: the keys they write, and what they say.</summary>
public sealed class LayoutStepTests : IDisposable
{
    private const int Cells = 120;
    private readonly CpuDevice _host = new(2);

    public void Dispose() => _host.Dispose();

    [Fact]
    public void Leiden_writes_a_column_of_labels_by_size_with_its_modularity()
    {
        CellsContext context = Groups();
        StepOutcome outcome = Run(context, "leiden:resolution=0.01:runs=3");
        FrameColumn column = context.Cells.Obs["leiden"];
        Assert.Equal(["0", "1", "2"], column.Values.ToText());
        Assert.Equal([60, 40, 20], Enumerable.Range(0, 3).Select(c => column.Codes!.Count(x => x == c)));
        AnnDictionary kept = (AnnDictionary)context.Cells.Uns["leiden"]!, settings = (AnnDictionary)kept["params"]!;
        Assert.Equal((0.01, -1, 3L), (Number(settings["resolution"]), Number(settings["n_iterations"]), (long)Number(settings["random_state"])));
        Assert.Equal(Leiden.Modularity(CellMatrices.Connectivities(context).ToLeiden(), column.Codes!, 0.01), Number(kept["modularity"]), 12);
        Assert.Equal([1.0, 1], ((NdArray)kept["adjusted_rand"]!).ToDoubles());
        Assert.StartsWith("3 communities of 20 to 60 cells, modularity 0.", outcome.Said);
        Assert.Contains("other 2 runs 1.000 to 1.000", outcome.Said);
    }

    [Fact]
    public void Umap_writes_its_coordinates_with_the_curve_and_warns_of_parts()
    {
        CellsContext context = Groups();
        StepOutcome outcome = Run(context, "umap:maxiter=30");
        NdArray layout = (NdArray)context.Cells.Obsm["X_umap"]!;
        Assert.Equal((ElementType.Float32, $"{Cells} x 2"), (layout.Type, layout.ShapeText));
        Assert.All(layout.ToDoubles(), v => Assert.True(double.IsFinite(v)));
        AnnDictionary used = (AnnDictionary)((AnnDictionary)context.Cells.Uns["umap"]!)["params"]!;
        Assert.Equal(0.58303, Number(used["a"]), 1e-5);
        Assert.Equal(1.33417, Number(used["b"]), 1e-5);
        Assert.Contains("in 2 dimensions on cpu, 30 passes from the spectral layout", outcome.Said);
        Assert.Contains("3 parts", Assert.Single(outcome.Warnings));
        Run(context, "umap:maxiter=30:init_pos=X_umap:key_added=X_again:n_components=1");
        Assert.Equal($"{Cells} x 1", ((NdArray)context.Cells.Obsm["X_again"]!).ShapeText);
        Assert.True(context.Cells.Uns.ContainsKey("X_again"));
        Assert.Contains("has 2 columns, and 3 are needed", Assert.Throws<UsageException>(() => Run(context, "umap:init_pos=X_umap:n_components=3")).Message);
    }

    [Fact]
    public void Paga_writes_connections_tree_sizes_places_and_tables()
    {
        CellsContext context = Groups();
        string[] line = [.. Enumerable.Range(0, Cells).Select(i => i < 60 ? "a" : i < 100 ? "b" : "c")], state = [.. Enumerable.Range(0, Cells).Select(i => i % 4 == 0 ? "GBA" : "Control")];
        context.Cells.Obs.Add(FrameColumn.Categorical("line", line)).Add(FrameColumn.Categorical("superclass", state));
        // One more edge, from the first group to the second.
        SparseMatrix old = (SparseMatrix)context.Cells.Obsp["distances"]!;
        int[] columns = (int[])old.Indices.Clone();
        columns[old.Pointers[1] - 1] = 70;
        context.Cells.Obsp["distances"] = new SparseMatrix(Cells, Cells, SparseLayout.Csr, old.Pointers, columns, old.Values);
        StepOutcome outcome = Run(context, "paga:groups=line:threshold=0.001:composition=superclass");
        Paga expected = Paga.Compute(CellMatrices.Distances(context), CellMatrices.Groups(context, "line").Codes, 3);
        AnnDictionary paga = (AnnDictionary)context.Cells.Uns["paga"]!;
        SparseMatrix connections = (SparseMatrix)paga["connectivities"]!, tree = (SparseMatrix)paga["connectivities_tree"]!;
        Assert.Equal([1, 0], connections.Indices);
        Assert.Equal([expected.Connectivities[0, 1], expected.Connectivities[0, 1]], connections.Values.ToDoubles());
        Assert.Equal([0, 1, 1, 1], tree.Pointers);
        Assert.Equal("line", ((NdArray)paga["groups"]!).As<string>()[0]);
        Assert.Equal("3 x 2", ((NdArray)paga["pos"]!).ShapeText);
        Assert.Equal([60L, 40, 20], ((NdArray)context.Cells.Uns["line_sizes"]!).ToInt64());
        Assert.StartsWith("3 groups of 'line', 1 of 3 pairs connected, 1 with 0.001 or more", outcome.Said);
        Assert.Equal(["paga_edges_log_std_X_GBA.csv", "paga_composition_log_std_X_GBA.csv"], outcome.Tables.Select(t => t.FileName));
        Assert.StartsWith("group_a,group_b,connectivity,in_tree\na,b,0.0", outcome.Tables[0].Csv.ReplaceLineEndings("\n"));
        Assert.StartsWith("line,Control,GBA\na,45,15\nb,30,10\nc,15,5", outcome.Tables[1].Csv.ReplaceLineEndings("\n"));
    }

    [Fact]
    public void Steps_that_come_too_early_name_the_one_they_need()
    {
        CellsContext context = CellsRunnerTests.Context(_host, new AnnData(DataFrame.OfRows(3), DataFrame.OfRows(0)));
        foreach (string step in new[] { "umap", "leiden", "paga" }) Assert.Contains("'neighbors'", Assert.Throws<UsageException>(() => Run(context, step)).Message);
        Assert.Contains("'leiden'", Assert.Throws<UsageException>(() => Run(Groups(), "paga")).Message);
        foreach (string wrong in new[] { "umap:min_dist=4", "umap:n_components=0", "leiden:resolution=-1", "leiden:n_iterations=0", "leiden:runs=0", "paga:threshold=2" })
            Assert.Throws<UsageException>(() => CellSteps.Parse(wrong, CellSteps.All));
    }

    private static StepOutcome Run(CellsContext context, string steps)
    {
        StepOutcome? outcome = null;
        CellsRunner.Run(CellSteps.Parse(steps, CellSteps.All), context, step => outcome = step.Outcome);
        return outcome!;
    }

    private static double Number(IAnnElement? element) => ((NdArray)element!).ToDoubles()[0];

    /// <summary>Groups of 60, 40 and 20 cells far apart, 6 neighbours each.</summary>
    private CellsContext Groups()
    {
        CounterRandom random = new(2);
        double[] values = [.. Enumerable.Range(0, 2 * Cells).Select(i => random.NextNormal() + (i < 120 ? 0 : i < 200 ? 1000 : -1000))];
        using Matrix<double> x = Matrix<double>.From(_host, Cells, 2, values);
        NearestCells near = NearestCells.Find(x, 7);
        AnnData data = new(DataFrame.OfRows(Cells), DataFrame.OfRows(0));
        data.Obsp["distances"] = near.ToGraph().ToSparse();
        data.Obsp["connectivities"] = Connectivities.Umap(near).ToSparse();
        data.Uns["neighbors"] = new AnnDictionary { ["connectivities_key"] = NdArray.Scalar("connectivities"), ["distances_key"] = NdArray.Scalar("distances") };
        return CellsRunnerTests.Context(_host, data);
    }
}
