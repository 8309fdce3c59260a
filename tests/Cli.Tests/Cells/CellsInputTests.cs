using System.Text.Json.Nodes;
using BioSup.Cli.Pipeline.Cells;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Cli.Tests.Cells;

/// <summary>What biosup cells accepts, and the sentence and exit code for what it does not.</summary>
public sealed class CellsInputTests : IDisposable
{
    private static readonly CpuDevice s_host = new(1);
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-cells-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Tables_and_plain_matrices_are_cells_by_variables()
    {
        File.WriteAllText(PathOf("t.csv"), "cell,geneA,geneB\na,1,0\nb,0,2\n");
        AnnData table = CellsInput.Read(s_host, PathOf("t.csv"));
        Assert.Equal(["a", "b"], table.Obs.Index);
        Assert.Equal(["geneA", "geneB"], table.Var.Index);
        File.WriteAllText(PathOf("twice.csv"), "g,g\n1,0\n0,2\n");
        Assert.Contains("share a name", Assert.Single(CellsInput.Read(s_host, PathOf("twice.csv")).Warnings));
        NpyFile.Write(PathOf("x.npy"), new NdArray(new[] { 1.5, 2, 3, 4, 5, 6 }, 2, 3));
        AnnData matrix = CellsInput.Read(s_host, PathOf("x.npy"));
        Assert.Equal(["feature_0", "feature_1", "feature_2"], matrix.Var.Index);
        Assert.Equal(ElementType.Float32, ((NdArray)matrix.X!).Type);
        NpzFile.Write(PathOf("many.npz"), npz =>
        {
            npz.Add("a", new NdArray(new[] { 1f, 2 }, 1, 2));
            npz.Add("b", new NdArray(new[] { 3f, 4, 5 }, 1, 3));
        });
        Assert.Equal(3, CellsInput.Read(s_host, PathOf("many.npz") + ":b").VariableCount);
        AnnData store = CellsInput.Read(s_host, Path.Combine(RepositoryRoot.Path, "tests", "golden", "data", "example.zarr.zip"));
        Assert.Equal((5, 3), (store.ObservationCount, store.VariableCount));
    }

    [Fact]
    public void What_the_matrix_holds_chooses_the_steps()
    {
        AnnData data = new(DataFrame.OfRows(2), DataFrame.OfRows(2)) { X = new NdArray(new[] { 0f, 3, 1, 2 }, 2, 2) };
        Assert.Equal(CellDefaults.Counts, CellDefaults.For(data).Steps);
        data.X = new SparseMatrix(2, 2, SparseLayout.Csr, [0, 1, 1], [0], NdArray.Vector(new[] { 7 }));
        Assert.Equal(CellDefaults.Counts, CellDefaults.For(data).Steps);
        data.X = new NdArray(new[] { 0.5, 3, 1, 2 }, 2, 2);
        Assert.Equal(CellDefaults.Latents, CellDefaults.For(data).Steps);
        data.Uns["log1p"] = new AnnDictionary();
        Assert.Equal(CellDefaults.Logarithms, CellDefaults.For(data).Steps);
        data.Var.Add("usage_ema", new float[2]);
        Assert.Equal(CellDefaults.Latents, CellDefaults.For(data).Steps);
    }

    [Fact]
    public void Columns_of_a_table_are_matched_by_name_as_the_published_code_does()
    {
        AnnData data = new(new DataFrame(["d/a.tar:x1.tif", "d/a.tar:x2.tif", "d/a.tar:x3.tif"]), DataFrame.OfRows(1)) { X = new NdArray(new float[3], 3, 1) };
        File.WriteAllText(PathOf("death.csv"), "filename,class,intensity_rate\nmasks/x3_mask.tif,SNCA,0.5\nmasks/x1_mask.tif,Control,0.25\n");
        Assert.Contains("2 of 3 cells have a row", CellColumns.Add(data, PathOf("death.csv")));
        Assert.Equal([0.25, double.NaN, 0.5], data.Obs["cell_death"].Values.As<double>());
        Assert.Equal(["Control", "", "SNCA"], data.Obs["class"].ToColumn("t").Text);
        AnnData patches = new(new DataFrame(["x1_x0_y0", "x1_x0_y128"]), DataFrame.OfRows(1));
        CellColumns.Add(patches, PathOf("death.csv"));
        Assert.Equal(["Control", "Control"], patches.Obs["class"].ToColumn("t").Text);
        File.WriteAllText(PathOf("twice.csv"), "uid,rate\nx1,1\nx1_mask,2\n");
        Assert.Contains("rows 0 and 1", Assert.Throws<DataException>(() => CellColumns.Add(data, PathOf("twice.csv"))).Message);
        File.WriteAllText(PathOf("others.csv"), "uid,rate\ny1,1\ny2,2\n");
        Assert.Contains("none of its 2 names is a cell", Assert.Throws<DataException>(() => CellColumns.Add(data, PathOf("others.csv"))).Message);
    }

    [Theory]
    [InlineData(2, "unknown.bin", "the extension is not known")]
    [InlineData(3, "missing.h5ad", "does not exist")]
    [InlineData(3, "text.csv", "is not a number")]
    [InlineData(3, "empty.csv", "empty")]
    [InlineData(3, "gap.csv", "the value is NaN")]
    [InlineData(3, "ragged.csv", "line 3")]
    [InlineData(3, "nan.npy", "row 1, column 0")]
    [InlineData(3, "none.npy", "0 cells")]
    [InlineData(3, "cube.npy", "a matrix (two dimensions) was expected")]
    [InlineData(3, "cut.h5ad", "cut.h5ad")]
    [InlineData(3, "cut.npz", "cut.npz")]
    [InlineData(3, "other.npz", "name the matrix after a colon")]
    public void Rubbish_is_one_sentence_with_its_exit_code_and_leaves_nothing(int exitCode, string file, string expected)
    {
        Make(file);
        (int code, string output, string error) = CommandFrameTests.Invoke("cells", PathOf(file), "--out", PathOf("out.h5ad"), "--threads", "1");
        Assert.Equal(exitCode, code);
        Assert.Empty(output);
        Assert.Contains(expected, error);
        Assert.Single(error.TrimEnd().Split('\n'));
        Assert.False(File.Exists(PathOf("out.h5ad")) || Directory.Exists(PathOf("out")));
    }

    [Theory]
    [InlineData("input is missing", "--out", "o.h5ad")]
    [InlineData("--out is missing", "x.h5ad")]
    [InlineData("ends in .h5ad", "x.h5ad", "--out", "o.npz")]
    [InlineData("there is no step 'fly'", "x.h5ad", "--out", "o.h5ad", "--steps", "fly")]
    public void Requests_that_are_wrong_are_refused_before_anything_is_read(string expected, params string[] args)
    {
        (int code, _, string error) = CommandFrameTests.Invoke(["cells", .. args]);
        Assert.Equal(2, code);
        Assert.Contains(expected, error);
    }

    [Fact]
    public void Help_lists_every_step_with_its_settings()
    {
        (int code, string output, _) = CommandFrameTests.Invoke("cells", "--steps", "help", "--json");
        Assert.Equal(0, code);
        Assert.Equal(CellSteps.All.Select(s => s.Name), JsonNode.Parse(output)!["steps"]!.AsArray().Select(s => (string)s!["step"]!));
        (_, string said, _) = CommandFrameTests.Invoke("cells", "--steps", "help");
        Assert.All(CellSteps.All, s => Assert.Contains($"{s.Name}: {s.Summary}", said));
    }

    private void Make(string file)
    {
        string path = PathOf(file);
        switch (file)
        {
            case "unknown.bin": File.WriteAllText(path, "x"); break;
            case "text.csv": File.WriteAllText(path, "a,b,c\n1,2,3\n4,five,6\n"); break;
            case "empty.csv": File.WriteAllText(path, ""); break;
            case "gap.csv": File.WriteAllText(path, "a,b,c\n1,,3\n4,5,6\n"); break;
            case "ragged.csv": File.WriteAllText(path, "a,b,c\n1,2,3\n4,5\n"); break;
            case "nan.npy": NpyFile.Write(path, new NdArray(new[] { 1f, 2, float.NaN, 4 }, 2, 2)); break;
            case "none.npy": NpyFile.Write(path, new NdArray(Array.Empty<float>(), 0, 4)); break;
            case "cube.npy": NpyFile.Write(path, new NdArray(new float[8], 2, 2, 2)); break;
            case "cut.h5ad":
                AnnDataFile.Write(path, new AnnData(DataFrame.OfRows(20), DataFrame.OfRows(4)) { X = new NdArray(new float[80], 20, 4) });
                File.WriteAllBytes(path, File.ReadAllBytes(path)[..700]);
                break;
            case "cut.npz":
                NpzFile.Write(path, npz => npz.Add("X", new NdArray(new float[80], 20, 4)));
                File.WriteAllBytes(path, File.ReadAllBytes(path)[..300]);
                break;
            case "other.npz":
                NpzFile.Write(path, npz =>
                {
                    npz.Add("a", new float[3]);
                    npz.Add("b", new float[3]);
                });
                break;
        }
    }

    private string PathOf(string name) => Path.Combine(_folder, name);
}
