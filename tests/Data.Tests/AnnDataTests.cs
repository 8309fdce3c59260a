using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Data.Tests;

public sealed class AnnDataTests
{
    private static readonly CpuDevice s_device = new(1);
    private static readonly double[] s_x = [.. Golden.Ramp(24).Select(v => Math.Max(v, 0))];

    internal static double[] Dense(IAnnElement? element)
    {
        if (element is NdArray array) return array.ToDoubles();
        using Matrix<double> dense = Assert.IsType<SparseMatrix>(element).ToDouble(s_device);
        return dense.Buffer.View.Host.ToArray();
    }

    [Theory]
    [InlineData("anndata08")]
    [InlineData("anndata08_gzip")]
    public void Everything_anndata_08_writes_is_read(string name)
    {
        CheckExample(AnnDataFile.Read(Golden.File(name + ".h5ad")));
    }

    internal static void CheckExample(AnnData data)
    {
        RecordArray names = Assert.IsType<RecordArray>(data.Uns["names"]), scores = Assert.IsType<RecordArray>(data.Uns["scores"]);
        Assert.Equal(["g1", "g2"], names.Fields[0].Values.As<string>());
        Assert.Equal(("B", 4.0), (scores.Fields[1].Name, scores.Fields[1].Values.ToDoubles()[1]));
        Assert.Empty(data.Warnings);
        Assert.Equal((6, 4), (data.ObservationCount, data.VariableCount));
        Assert.Equal(["cell0", "cell1", "cell2", "cell3", "cell4", "cell5"], data.Obs.Index);
        Assert.Equal(["line", "stage", "death", "death32", "count", "alive", "batch", "flag", "uid", "grade"], data.Obs.Columns.Select(c => c.Name));
        Assert.Equal(SparseLayout.Csr, Assert.IsType<SparseMatrix>(data.X).Layout);
        Assert.Equal(s_x, Dense(data.X));
        Assert.Equal(Golden.Ramp(24), Dense(data.Layers["dense"]));
        Assert.Equal(Golden.Ramp(24), Dense(data.Layers["ints"]));
        Assert.Equal(SparseLayout.Csc, Assert.IsType<SparseMatrix>(data.Layers["csc"]).Layout);
        Assert.Equal(s_x.Select(v => 2 * v), Dense(data.Layers["csc"]));
        Assert.Equal(s_x.Select(v => 2 * v), Dense(((SparseMatrix)data.Layers["csc"]!).ToCsr()));
        Assert.Equal(Golden.Ramp(18), Dense(data.Obsm["X_pca"]));
        Assert.Equal(["u", "v", "w", "x", "y", "z"], Assert.IsType<DataFrame>(data.Obsm["frame"])["b"].Values.As<string>());
        Assert.Equal(Golden.Ramp(8), Dense(data.Varm["PCs"]));
        Assert.Equal(3, Dense(data.Obsp["distances"])[3 * 6 + 3]);
        Assert.Equal(Golden.Ramp(16), Dense(data.Varp["corr"]));

        Assert.Equal(["SNCA", "GBA", "Control", "SNCA", "", "GBA"], data.Obs["line"].ToColumn("t").Text);
        Assert.Equal(-1, data.Obs["line"].Codes![4]);
        Assert.True(data.Obs["stage"].Ordered);
        Assert.Equal(["early", "mid", "late"], data.Obs["stage"].Values.As<string>());
        Assert.Equal([0.5, double.NaN, 1.5, 2, -1, 0.25], data.Obs["death"].ToColumn("t").Numbers);
        Assert.Equal("0.1", data.Obs["death32"].ToColumn("t").Text[0]);
        Assert.Equal(1L << 40, data.Obs["count"].Values.As<long>()[5]);
        Assert.Equal([true, false, true, true, false, true], data.Obs["alive"].Values.As<bool>());
        Assert.Equal([1, double.NaN, 3, 4, 5, 6], data.Obs["batch"].ToColumn("t").Numbers);
        Assert.Equal(["True", "", "False", "True", "True", "False"], data.Obs["flag"].ToColumn("t").Text);
        Assert.Equal("plate/µ5.tar:0005", data.Obs["uid"].Values.As<string>()[5]);
        Assert.Equal([3, 1, 2, 1, 2, 3], data.Obs["grade"].ToColumn("t").Numbers);

        AnnDictionary neighbours = Assert.IsType<AnnDictionary>(data.Uns["neighbors"]), parameters = Assert.IsType<AnnDictionary>(neighbours["params"]);
        Assert.Equal(15, Assert.IsType<NdArray>(parameters["n_neighbors"]).ToInt64()[0]);
        Assert.Equal("umap", Assert.IsType<NdArray>(parameters["method"]).As<string>()[0]);
        Assert.Equal(["#aabbcc", "#ddeeff"], Assert.IsType<NdArray>(data.Uns["colors"]).As<string>());
        Assert.Equal(0.25, Assert.IsType<NdArray>(data.Uns["ratio"]).As<double>()[0]);
        Assert.True(Assert.IsType<NdArray>(data.Uns["done"]).As<bool>()[0]);
        Assert.Equal("fünf", Assert.IsType<NdArray>(data.Uns["title"]).As<string>()[0]);
        Assert.Empty(Assert.IsType<AnnDictionary>(data.Uns["empty"]));
        Assert.NotNull(data.Raw);
        Assert.Equal(s_x, Dense(data.Raw.X));
        Assert.Equal(Golden.Ramp(8), Dense(data.Raw.Varm["PCs"]));
    }

    [Fact]
    public void What_is_written_is_read_back()
    {
        using TemporaryFolder folder = new();
        AnnData data = AnnDataFile.Read(Golden.File("anndata08.h5ad"));
        AnnDataFile.Write(folder["copy.h5ad"], data);
        CheckExample(AnnDataFile.Read(folder["copy.h5ad"]));
        AnnDataFile.Write(folder["plain.h5ad"], data, compress: false);
        CheckExample(AnnDataFile.Read(folder["plain.h5ad"]));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Anndata_reads_what_is_written_as_equal(bool compress)
    {
        string? python = Python.Find("import anndata, h5py", out string reason);
        Assert.SkipWhen(python is null, reason);
        using TemporaryFolder folder = new();
        AnnDataFile.Write(folder["copy.h5ad"], AnnDataFile.Read(Golden.File("anndata08.h5ad")), compress);
        Assert.StartsWith("equal", Python.Run(python!, Golden.File("compare_h5ad.py"), Golden.File("anndata08.h5ad"), folder["copy.h5ad"]), StringComparison.Ordinal);
    }

    /// <summary>h5py's own choice of chunks divides the columns, too: a row crosses many of them, and each must be inflated only once.</summary>
    [Fact]
    public void Chunks_may_hold_a_part_of_the_columns()
    {
        string? python = Python.Find("import h5py, numpy", out string reason);
        Assert.SkipWhen(python is null, reason);
        using TemporaryFolder folder = new();
        const string Script = """
            import sys, h5py, numpy
            x = numpy.random.RandomState(0).standard_normal((3000, 512)).astype("f4")
            with h5py.File(sys.argv[1], "w") as file:
                d = file.create_dataset("X", data=x, chunks=(750, 32), compression="gzip", compression_opts=1)
            numpy.save(sys.argv[2], x)
            """;
        File.WriteAllText(folder["write.py"], Script);
        Python.Run(python!, folder["write.py"], folder["x.h5"], folder["x.npy"]);
        using IStoreFile file = PureHdfFile.Open(folder["x.h5"]);
        IStoreArray x = (IStoreArray)file.Root.Find("X")!;
        float[] expected = NpyFile.Read(folder["x.npy"]).As<float>();
        Assert.Equal(expected, x.Read().As<float>());
        Assert.Equal(expected[(1400 * 512)..(1500 * 512)], x.ReadRows(1400, 100).As<float>());
    }

    [Fact]
    public void Anndata_opens_files_made_from_nothing()
    {
        string? python = Python.Find("import anndata, h5py", out string reason);
        Assert.SkipWhen(python is null, reason);
        using TemporaryFolder folder = new();
        using Matrix<float> x = s_device.AllocateMatrix<float>(300, 500);
        for (int i = 0; i < 300; i++) x.Row(i)[i] = i + 1;
        AnnData data = new(DataFrame.OfRows(300), DataFrame.OfRows(500)) { X = SparseMatrix.FromDense(x.View) };
        data.Obs.Add(FrameColumn.Categorical("superclass", [.. Enumerable.Range(0, 300).Select(i => i % 3 == 0 ? "SNCA" : "Control")]));
        data.Obs.Add("alive", new bool[300]);
        data.Obs.Add(FrameColumn.Nullable("note", NdArray.Vector(Enumerable.Repeat("n", 300).ToArray()), [.. Enumerable.Range(0, 300).Select(i => i == 7)]));
        data.Uns["rank_genes_groups"] = new AnnDictionary { ["names"] = new RecordArray([("SNCA", NdArray.Vector(new[] { "g1", "g2" })), ("0", NdArray.Vector(new[] { "g3", "é" }))]) };
        data.Uns["iroot"] = NdArray.Scalar(3L);
        data.Uns["nothing"] = null;
        AnnDataFile.Write(folder["a.h5ad"], data);
        MatrixWriter.Write(folder["b.h5ad"], x.View);
        const string Script = """
            import sys, anndata, numpy as np
            a, b = anndata.read_h5ad(sys.argv[1]), anndata.read_h5ad(sys.argv[2])
            assert a.shape == b.shape == (300, 500) and a.X.dtype == b.X.dtype == np.float32
            assert np.array_equal(a.X.toarray(), b.X) and b.X[299, 299] == 300
            assert list(a.obs["superclass"].cat.categories) == ["Control", "SNCA"] and not a.obs["superclass"].cat.ordered
            assert a.obs["alive"].dtype == bool and a.obs["note"].isna().sum() == 1
            assert a.uns["rank_genes_groups"]["names"]["0"][1] == "é" and a.uns["iroot"] == 3
            a.write_h5ad(sys.argv[1] + "2")
            print("opened")
            """;
        File.WriteAllText(folder["check.py"], Script);
        Assert.StartsWith("opened", Python.Run(python!, folder["check.py"], folder["a.h5ad"], folder["b.h5ad"]), StringComparison.Ordinal);
        Assert.Equal(300, AnnDataFile.Read(folder["a.h5ad2"]).ObservationCount);
    }

    [Fact]
    public void Elements_newer_than_anndata_08()
    {
        AnnData data = AnnDataFile.Read(Golden.File("newer.h5ad"));
        Assert.Null(data.X);
        Assert.Equal(["obs0", "obs1", "obs2"], data.Obs.Index);
        Assert.Equal(["a", "", "c"], data.Obs["note"].ToColumn("t").Text);
        Assert.Equal([0, 5, 0, 0, 7, 9], Dense(data.Layers["counts"]));
        Assert.Null(data.Uns["nothing"]);
        Assert.Contains("awkward-array", Assert.Single(data.Warnings), StringComparison.Ordinal);
        DataException e = Assert.Throws<DataException>(() => MatrixReader.ReadSingle(s_device, Golden.File("newer.h5ad") + ":X"));
        Assert.Contains("layers/counts", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Files_of_anndata_06_hold_records()
    {
        AnnData data = AnnDataFile.Read(Golden.File("legacy06.h5ad"));
        Assert.Equal(["c0", "c1", "c2"], data.Obs.Index);
        Assert.Equal(["0", "1", "0"], data.Obs["louvain"].ToColumn("t").Text);
        Assert.True(data.Obs["louvain"].IsCategorical);
        Assert.Equal([1.5, 2.5, 3.5], data.Obs["score"].ToColumn("t").Numbers);
        Assert.Equal([0, 5, 0, 0, 7, 9], Dense(data.X));
        Assert.Equal([1, 2, 3, 4, 5, 6], Dense(data.Obsm["X_pca"]));
        using Matrix<float> embedding = MatrixReader.ReadSingle(s_device, Golden.File("legacy06.h5ad") + ":obsm/X_pca");
        Assert.Equal((3, 2), (embedding.Rows, embedding.Columns));
    }

    [Fact]
    public void Files_of_anndata_07_refer_to_their_categories()
    {
        AnnData data = AnnDataFile.Read(Golden.File("legacy07.h5ad"));
        Assert.Equal(["SNCA", "", "GBA"], data.Obs["line"].ToColumn("t").Text);
        Assert.Empty(data.Var.Columns);
        Assert.Equal(Golden.Ramp(6), Dense(data.X));
    }

    [Theory]
    [InlineData("anndata08", "X", 24)]
    [InlineData("anndata08_gzip", "layers/dense", 24)]
    [InlineData("anndata08", "layers/csc", 24)]
    [InlineData("anndata08", "obsm/X_pca", 18)]
    [InlineData("anndata08", "raw/X", 24)]
    [InlineData("dense_lzf", "X", 18)]
    public void Matrices_by_locator(string file, string key, int count)
    {
        using Matrix<float> matrix = MatrixReader.ReadSingle(s_device, $"{Golden.File(file + ".h5ad")}:{key}");
        using Matrix<double> wide = MatrixReader.ReadDouble(s_device, $"{Golden.File(file + ".h5ad")}:{key}");
        Assert.Equal((6, count / 6), (matrix.Rows, matrix.Columns));
        Assert.Equal(wide.Buffer.View.Host.ToArray(), matrix.Buffer.View.Host.ToArray().Select(v => (double)v));
        AnnData data = AnnDataFile.Read(Golden.File(file + ".h5ad"));
        IAnnElement? expected = key.Split('/') switch { ["X"] => data.X, ["layers", string name] => data.Layers[name], ["obsm", string name] => data.Obsm[name], _ => data.Raw!.X };
        Assert.Equal(Dense(expected), wide.Buffer.View.Host.ToArray());
        if (file == "dense_lzf") for (int i = 0; i < 6; i++) for (int j = 0; j < 3; j++) Assert.Equal(s_x[i * 4 + j], wide.Row(i)[j]);
    }

    [Fact]
    public void Columns_by_locator()
    {
        string file = Golden.File("anndata08.h5ad");
        Assert.Equal("GBA", ColumnReader.Read(file + ":obs/line").Text[1]);
        Assert.Equal("GBA", ColumnReader.Read(file + ":line").Text[1]);
        Assert.Equal(0.25, ColumnReader.Read(file + ":var/usage").Numbers[1]);
        Assert.Equal("cell3", ColumnReader.Read(file + ":obs/_index").Text[3]);
        DataException e = Assert.Throws<DataException>(() => ColumnReader.Read(file + ":obs/klass"));
        Assert.Contains("line, stage, death", e.Message, StringComparison.Ordinal);
        e = Assert.Throws<DataException>(() => MatrixReader.ReadSingle(s_device, file + ":obsm/X_umap"));
        Assert.Contains("obsm/X_pca", e.Message, StringComparison.Ordinal);
        Assert.Throws<UsageException>(() => ColumnReader.Read(file));
    }

    [Fact]
    public void Empty_frames_and_matrices()
    {
        using TemporaryFolder folder = new();
        AnnData data = AnnDataFile.Read(Golden.File("no_columns.h5ad"));
        Assert.Empty(data.Obs.Columns);
        AnnDataFile.Write(folder["none.h5ad"], new AnnData(DataFrame.OfRows(0), DataFrame.OfRows(3)) { X = new NdArray(Array.Empty<float>(), 0, 3) });
        AnnData none = AnnDataFile.Read(folder["none.h5ad"]);
        Assert.Equal((0, 3), (none.ObservationCount, none.VariableCount));
        using Matrix<float> x = MatrixReader.ReadSingle(s_device, folder["none.h5ad"] + ":X");
        Assert.Equal((0, 3), (x.Rows, x.Columns));
    }

    [Fact]
    public void A_large_matrix_streams_through()
    {
        using TemporaryFolder folder = new();
        using Matrix<float> big = s_device.AllocateMatrix<float>(1500, 700);
        for (int i = 0; i < big.Rows; i++)
            for (int j = 0; j < big.Columns; j++) big.Row(i)[j] = i * 700 + j;
        MatrixWriter.Write(folder["big.h5ad"], big.View.ColumnBlock(0, 699));
        using Matrix<float> read = MatrixReader.ReadSingle(s_device, folder["big.h5ad"]);
        Assert.Equal((1500, 699), (read.Rows, read.Columns));
        for (int i = 0; i < read.Rows; i++) Assert.True(read.Row(i).SequenceEqual(big.Row(i)[..699]));
    }

    [Fact]
    public void Parts_that_do_not_fit_are_named()
    {
        AnnData data = new(DataFrame.OfRows(3), DataFrame.OfRows(2)) { X = new NdArray(new float[6], 3, 2) };
        data.Obsm["X_pca"] = new NdArray(new float[4], 2, 2);
        DataException e = Assert.Throws<DataException>(() => AnnDataFile.Write("never.h5ad", data));
        Assert.Contains("obsm/X_pca", e.Message, StringComparison.Ordinal);
        Assert.False(File.Exists("never.h5ad"));
        Assert.Throws<DataException>(() => new SparseMatrix(2, 2, SparseLayout.Csr, [0, 1, 2], [0, 2], NdArray.Vector(new float[2])));
        Assert.Throws<DataException>(() => new SparseMatrix(2, 2, SparseLayout.Csr, [0, 2, 1], [0, 1], NdArray.Vector(new float[2])));
        Assert.Throws<DataException>(() => data.Obs.Add("x", new int[2]));
        SparseMatrix huge = new(int.MaxValue, 100_000, SparseLayout.Csc, new long[100_001], [], NdArray.Vector(Array.Empty<float>()));
        e = Assert.Throws<DataException>(() => AnnDataFile.RequireDensifiable(huge, "f.h5ad:X", 4));
        Assert.Contains("GiB", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_real_file_agrees_with_its_table()
    {
        string? folder = SharedData.Find("pbmc68k_reduced", out string reason);
        Assert.SkipWhen(folder is null, reason);
        AnnData data = AnnDataFile.Read(Path.Combine(folder!, "pbmc68k_reduced.h5ad"));
        Assert.Equal((700, 765), (data.ObservationCount, data.VariableCount));
        Assert.Empty(data.Warnings);
        Table cells = CsvFile.Read(Path.Combine(folder!, "cells.csv"));
        Assert.Equal(cells.Columns[0].Text, data.Obs.Index);
        Assert.Equal(cells["bulk_labels"].Text, data.Obs["bulk_labels"].ToColumn("h5ad").Text);
        using Matrix<float> pca = MatrixReader.ReadSingle(s_device, Path.Combine(folder!, "pbmc68k_reduced.h5ad") + ":obsm/X_pca");
        Assert.Equal((700, 50), (pca.Rows, pca.Columns));
    }

    [Theory]
    [InlineData("X", 6, 4)]
    [InlineData("layers/csc", 6, 4)]
    [InlineData("obsm/X_pca", 6, 3)]
    [InlineData("varm/PCs", 4, 2)]
    public void Shapes_are_known_without_reading(string key, int rows, int columns)
    {
        string path = Golden.File("anndata08.h5ad");
        Assert.Equal((rows, columns), MatrixReader.ReadShape($"{path}:{key}"));
        using Matrix<float> matrix = MatrixReader.ReadSingle(s_device, $"{path}:{key}", requireFinite: false);
        Assert.Equal((rows, columns), (matrix.Rows, matrix.Columns));
    }

    [Fact]
    public void Shapes_of_every_format_are_those_of_the_matrix()
    {
        using TemporaryFolder folder = new();
        using Matrix<float> x = s_device.AllocateMatrix<float>(5, 3);
        x.Buffer.View.Host.Fill(1);
        foreach ((string file, string member) in new[] { ("a.npy", ""), ("a.npz", ":x"), ("b.npz", ""), ("a.csv", ""), ("a.safetensors", ":x"), ("a.h5ad", ""), ("a.h5ad", ":X") })
        {
            MatrixWriter.Write(folder[file], x.View);
            Assert.Equal((5, 3), MatrixReader.ReadShape(folder[file] + member));
        }
        using (TokenShardWriter writer = new(folder["tokens"], 3))
        {
            writer.Append(x.View);
            writer.Complete();
        }
        Assert.Equal((5, 3), MatrixReader.ReadShape(folder["tokens"]));
        // Records, as anndata before 0.7 wrote them.
        Assert.Equal((3, 2), MatrixReader.ReadShape(Golden.File("legacy06.h5ad") + ":obsm/X_pca"));
        Assert.Throws<DataException>(() => MatrixReader.ReadShape(folder["a.npz"] + ":y"));
        Assert.Throws<DataException>(() => MatrixReader.ReadShape(folder["none.npy"]));
    }

    [Fact]
    public void Two_observations_of_one_name_are_named_whatever_is_read()
    {
        byte[] bytes = File.ReadAllBytes(Golden.File("anndata08.h5ad"));
        // The names lie in the global heap, those of obs and of the frame in obsm.
        for (int at; (at = bytes.AsSpan().IndexOf("cell3"u8)) >= 0;) "cell1"u8.CopyTo(bytes.AsSpan(at));
        using TemporaryFolder folder = new();
        string path = folder["twice.h5ad"];
        File.WriteAllBytes(path, bytes);
        foreach (Action read in new Action[]
        {
            () => AnnDataFile.Read(path), () => AnnDataFile.ReadObservationNames(path), () => ColumnReader.Read(path + ":obs/line"),
            () => MatrixReader.ReadSingle(s_device, path).Dispose(), () => MatrixReader.ReadDouble(s_device, path + ":obsm/X_pca").Dispose(),
            () => MatrixReader.ReadDouble(s_device, path + ":layers/dense").Dispose(),
        })
        {
            DataException error = Assert.Throws<DataException>(read);
            Assert.Equal($"{path} (obs): rows 1 and 3 have the same name 'cell1'; every observation needs its own (counted from 0)", error.Message);
        }
        // What has no row per observation does not need their names.
        MatrixReader.ReadDouble(s_device, path + ":varm/PCs").Dispose();
        AnnData data = new(new DataFrame(["a", "b", "a"]), DataFrame.OfRows(1));
        Assert.Contains("rows 0 and 2 have the same name 'a'", Assert.Throws<DataException>(() => AnnDataFile.Write(folder["new.h5ad"], data)).Message, StringComparison.Ordinal);
        Assert.False(File.Exists(folder["new.h5ad"]));
        AnnDataFile.Write(folder["genes.h5ad"], new AnnData(DataFrame.OfRows(1), new DataFrame(["SNCA", "SNCA"])));
        Assert.Equal(["SNCA", "SNCA"], AnnDataFile.Read(folder["genes.h5ad"]).Var.Index);
    }
}
