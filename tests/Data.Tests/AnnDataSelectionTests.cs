using BioSup.Runtime;

namespace BioSup.Data.Tests;

/// <summary>Selections of cells and variables against the same selection of the dense matrices.</summary>
public sealed class AnnDataSelectionTests
{
    private static AnnData Example() => AnnDataFile.Read(Golden.File("anndata08.h5ad"));

    [Fact]
    public void Cells_are_selected_from_every_part_in_the_order_given()
    {
        AnnData all = Example();
        all.Obsp["dense"] = new NdArray(Golden.Ramp(36), 6, 6);
        all.Uns["line_colors"] = NdArray.Vector(new[] { "#111111", "#222222", "#333333" });
        int[] rows = [5, 0, 3];
        AnnData some = all.SelectCells(rows);
        some.Validate("selection");
        Assert.Equal(["cell5", "cell0", "cell3"], some.Obs.Index);
        Assert.Equal(Rows(all.X, 4, rows), AnnDataTests.Dense(some.X));
        foreach (string layer in all.Layers.Keys) Assert.Equal(Rows(all.Layers[layer], 4, rows), AnnDataTests.Dense(some.Layers[layer]));
        Assert.Equal(Rows(all.Obsm["X_pca"], 3, rows), AnnDataTests.Dense(some.Obsm["X_pca"]));
        Assert.Equal(["z", "u", "x"], ((DataFrame)some.Obsm["frame"]!)["b"].Values.As<string>());
        foreach (string graph in all.Obsp.Keys) Assert.Equal(Columns(Rows(all.Obsp[graph], 6, rows), 6, rows), AnnDataTests.Dense(some.Obsp[graph]));
        Assert.Equal(Rows(all.Raw!.X, 4, rows), AnnDataTests.Dense(some.Raw!.X));
        Assert.Equal(AnnDataTests.Dense(all.Varm["PCs"]), AnnDataTests.Dense(some.Varm["PCs"]));
        Assert.Equal(["GBA", "SNCA", "SNCA"], some.Obs["line"].ToColumn("t").Text);
        string[] lines = some.Obs["line"].Values.As<string>();
        Assert.Equal(["GBA", "SNCA"], lines.Order(StringComparer.Ordinal));
        string[] before = all.Obs["line"].Values.As<string>();
        Assert.Equal(lines.Select(l => $"#{new string((char)('1' + Array.IndexOf(before, l)), 6)}"), ((NdArray)some.Uns["line_colors"]!).As<string>());
        Assert.Equal(all.Obs["flag"].Missing![5], some.Obs["flag"].Missing![0]);
    }

    [Fact]
    public void Variables_are_selected_from_every_part_and_leave_raw_alone()
    {
        AnnData all = Example();
        int[] columns = [3, 0];
        AnnData some = all.SelectVariables(columns);
        some.Validate("selection");
        Assert.Equal([all.Var.Index[3], all.Var.Index[0]], some.Var.Index);
        Assert.Equal(Columns(AnnDataTests.Dense(all.X), 4, columns), AnnDataTests.Dense(some.X));
        foreach (string layer in all.Layers.Keys) Assert.Equal(Columns(AnnDataTests.Dense(all.Layers[layer]), 4, columns), AnnDataTests.Dense(some.Layers[layer]));
        Assert.Equal(Rows(all.Varm["PCs"], 2, columns), AnnDataTests.Dense(some.Varm["PCs"]));
        Assert.Equal(Columns(Rows(all.Varp["corr"], 4, columns), 4, columns), AnnDataTests.Dense(some.Varp["corr"]));
        Assert.Equal(AnnDataTests.Dense(all.Raw!.X), AnnDataTests.Dense(some.Raw!.X));
        Assert.All([some.X, some.Layers["csc"]], sparse => Assert.True(SortedEntries((SparseMatrix)sparse!)));
    }

    [Fact]
    public void A_selection_is_written_and_a_key_set_in_it_stays_in_it()
    {
        using TemporaryFolder folder = new();
        AnnData all = Example(), some = all.SelectCells([2, 1]).SelectVariables([1, 2]);
        ((AnnDictionary)some.Uns["neighbors"]!)["new"] = NdArray.Scalar(1);
        some.Obs.Set(FrameColumn.Of("death", new[] { 7.0, 8 }));
        Assert.False(((AnnDictionary)all.Uns["neighbors"]!).ContainsKey("new"));
        AnnDataFile.Write(folder["some.h5ad"], some);
        AnnData back = AnnDataFile.Read(folder["some.h5ad"]);
        Assert.Equal(AnnDataTests.Dense(some.X), AnnDataTests.Dense(back.X));
        Assert.Equal([7.0, 8], back.Obs["death"].Values.As<double>());
        Assert.Equal(["cell2", "cell1"], back.Obs.Index);
        Assert.Equal(10, back.Obs.Columns.Count);
    }

    [Fact]
    public void Nothing_can_be_selected_twice_or_from_outside()
    {
        AnnData all = Example();
        Assert.Throws<ArgumentException>(() => all.SelectCells([0, 0]));
        Assert.Throws<ArgumentException>(() => all.SelectCells([6]));
        Assert.Throws<ArgumentException>(() => all.SelectVariables([-1]));
        AnnData none = all.SelectCells([]);
        none.Validate("none");
        Assert.Equal((0, 4), (none.ObservationCount, none.VariableCount));
        Assert.Throws<DataException>(() => all.Obs.Set(FrameColumn.Of("death", new[] { 1.0 })));
    }

    private static double[] Rows(IAnnElement? matrix, int width, int[] rows)
    {
        double[] dense = AnnDataTests.Dense(matrix);
        return [.. rows.SelectMany(row => dense[(row * width)..((row + 1) * width)])];
    }

    private static double[] Columns(double[] dense, int width, int[] columns) => [.. Enumerable.Range(0, dense.Length / width).SelectMany(i => columns.Select(j => dense[i * width + j]))];

    private static bool SortedEntries(SparseMatrix sparse) => Enumerable.Range(0, sparse.Pointers.Length - 1)
        .All(i => sparse.Indices[(int)sparse.Pointers[i]..(int)sparse.Pointers[i + 1]] is int[] row && row.SequenceEqual(row.Order()));
}
