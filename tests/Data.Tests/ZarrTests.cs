using System.Text;
using BioSup.Runtime;
using CsCheck;

namespace BioSup.Data.Tests;

/// <summary>AnnData in zarr of version 3: the same content as from HDF5, in every way of storing it, and one sentence for what cannot be read.</summary>
public sealed class ZarrTests
{
    private static readonly CpuDevice s_device = new(1);

    [Theory]
    [InlineData(ZarrStyle.Whole, false)]
    [InlineData(ZarrStyle.Whole, true)]
    [InlineData(ZarrStyle.Chunked, false)]
    [InlineData(ZarrStyle.Chunked, true)]
    [InlineData(ZarrStyle.Sharded, false)]
    [InlineData(ZarrStyle.Sharded, true)]
    public void A_store_holds_what_the_file_holds(ZarrStyle style, bool zip)
    {
        using TemporaryFolder folder = new();
        string path = Write(folder, AnnDataFile.Read(Golden.File("anndata08.h5ad")), style, zip);
        AnnDataTests.CheckExample(AnnDataFile.Read(path));
    }

    [Theory]
    [InlineData(ZarrStyle.Whole, false)]
    [InlineData(ZarrStyle.Whole, true)]
    [InlineData(ZarrStyle.Chunked, false)]
    [InlineData(ZarrStyle.Chunked, true)]
    [InlineData(ZarrStyle.Sharded, false)]
    [InlineData(ZarrStyle.Sharded, true)]
    public void Matrices_and_columns_are_found_by_locators(ZarrStyle style, bool zip)
    {
        using TemporaryFolder folder = new();
        string file = Golden.File("anndata08.h5ad"), path = Write(folder, AnnDataFile.Read(file), style, zip);
        foreach (string member in new[] { "", ":X", ":layers/dense", ":layers/csc", ":obsm/X_pca", ":raw/X" })
        {
            using Matrix<double> expected = MatrixReader.ReadDouble(s_device, file + member), actual = MatrixReader.ReadDouble(s_device, path + member);
            Assert.Equal(expected.ToArray(), actual.ToArray());
            Assert.Equal((expected.Rows, expected.Columns), MatrixReader.ReadShape(path + member));
        }
        Assert.Equal(ColumnReader.Read(file + ":obs/line").Text, ColumnReader.Read(path + ":obs/line").Text);
        Assert.Contains("obsm/X_pca", Assert.Throws<DataException>(() => MatrixReader.ReadDouble(s_device, path + ":obsm/none")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_store_written_elsewhere_from_the_specification_is_read()
    {
        string path = Golden.File("example.zarr.zip");
        AnnData data = AnnDataFile.Read(path);
        Assert.Empty(data.Warnings);
        Assert.Equal(["c0", "c1", "c2", "c3", "c4"], data.Obs.Index);
        Assert.Equal(["SNCA µ", "GBA", "", "SNCA µ", "GBA"], data.Obs["line"].ToColumn("t").Text);
        Assert.Equal([0.5, double.NaN, 1.5, 2, -1], data.Obs["death"].ToColumn("t").Numbers);
        Assert.Equal([1, double.NaN, 3, 4, 5], data.Obs["batch"].ToColumn("t").Numbers);
        double[] x = [1, 0, 0, 0, 2, 0, 3, 0, 0, 0, 0, 4, 5, 6, 7];
        Assert.Equal(x, AnnDataTests.Dense(data.X));
        Assert.Equal(x, AnnDataTests.Dense(data.Layers["counts"]));
        Assert.Equal([0.5, 1, 1, 0, double.PositiveInfinity, double.PositiveInfinity, double.PositiveInfinity, double.PositiveInfinity, 2.5, -3], AnnDataTests.Dense(data.Obsm["X_pca"]));
        Assert.Equal("fünf!", Assert.IsType<NdArray>(data.Uns["title"]).As<string>()[0]);
        Assert.Null(data.Uns["nothing"]);
        RecordArray names = Assert.IsType<RecordArray>(data.Uns["names"]);
        Assert.Equal(["g1", "g2"], names.Fields[0].Values.As<string>());
        Assert.Equal([7, -8], names.Fields[1].Values.As<int>());
        using Matrix<float> matrix = MatrixReader.ReadSingle(s_device, path + ":X");
        Assert.Equal(x, matrix.ToArray().Select(v => (double)v));
    }

    [Fact]
    public void Blocks_of_rows_are_those_of_the_whole()
    {
        using TemporaryFolder folder = new();
        CounterRandom random = new(3);
        float[] values = [.. Enumerable.Range(0, 23 * 11).Select(_ => (float)random.NextNormal())];
        foreach (ZarrStyle style in Enum.GetValues<ZarrStyle>())
        {
            List<(string Key, byte[] Bytes)> files = [("zarr.json", Encoding.UTF8.GetBytes("""{"zarr_format": 3, "node_type": "group"}"""))];
            ZarrBuilder.AddArray(files, "X", new NdArray(values, 23, 11), style);
            ZarrBuilder.AddArray(files, "v", NdArray.Vector(values), style);
            string path = Save(folder[$"{style}.zarr"], files);
            using IStoreFile store = ZarrFile.Open(path);
            IStoreArray x = (IStoreArray)store.Root.Find("X")!, v = (IStoreArray)store.Root.Find("v")!;
            for (int start = 0; start < 23; start += 5)
            {
                int count = Math.Min(5, 23 - start);
                Assert.Equal(values.AsSpan(start * 11, count * 11).ToArray(), x.ReadRows(start, count).As<float>());
                Assert.Equal(values.AsSpan(start * 9, 7).ToArray(), v.ReadRange(start * 9, 7).As<float>());
            }
            Assert.Empty(x.ReadRows(3, 0).As<float>());
        }
    }

    [Fact]
    public void More_chunks_than_are_unpacked_at_once_all_arrive()
    {
        using TemporaryFolder folder = new();
        const int rows = 600, columns = 1500;
        static float Value(int row, int column) => row * 10_000f + column;
        string description = $$$"""
            {"zarr_format": 3, "node_type": "array", "shape": [{{{rows}}}, {{{columns}}}], "data_type": "float32", "fill_value": -1, "chunk_key_encoding": {"name": "default"},
             "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 1024]}}, "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}]}
            """;
        List<(string Key, byte[] Bytes)> files = [("zarr.json", Encoding.UTF8.GetBytes("""{"zarr_format": 3, "node_type": "group"}""")), ("X/zarr.json", Encoding.UTF8.GetBytes(description))];
        for (int row = 0; row < rows; row++)
            for (int half = 0; half < 2; half++)
                if (row % 7 != 3) files.Add(($"X/c/{row}/{half}", [.. Enumerable.Range(half * 1024, 1024).SelectMany(column => BitConverter.GetBytes(Value(row, column)))]));
        using IStoreFile store = ZarrFile.Open(Save(folder["many.zarr"], files));
        float[] read = ((IStoreArray)store.Root.Find("X")!).Read().As<float>();
        for (int row = 0; row < rows; row++)
            for (int column = 0; column < columns; column++) Assert.Equal(row % 7 == 3 ? -1 : Value(row, column), read[row * columns + column]);
    }

    [Theory]
    [InlineData("float32", "\"NaN\"", double.NaN)]
    [InlineData("float64", "\"-Infinity\"", double.NegativeInfinity)]
    [InlineData("float32", "\"0x40490fdb\"", 3.1415927410125732)]
    [InlineData("int16", "-7", -7)]
    [InlineData("uint64", "9", 9)]
    [InlineData("bool", "true", 1)]
    [InlineData("float16", "1.5", 1.5)]
    public void What_is_not_stored_holds_the_fill_value(string type, string fill, double expected)
    {
        using TemporaryFolder folder = new();
        using IStoreFile store = ZarrFile.Open(One(folder, type, fill, """{"name": "bytes"}"""));
        NdArray values = ((IStoreArray)store.Root.Find("a")!).Read();
        Assert.Equal((type, 3), (values.Type.Name(), values.Length));
        Assert.All(values.ToDoubles(), v => Assert.Equal(expected, v));
    }

    [Fact]
    public void Big_endian_numbers_and_old_keys_are_read()
    {
        using TemporaryFolder folder = new();
        string path = One(folder, "int32", "0", """{"name": "bytes", "configuration": {"endian": "big"}}""", """{"name": "v2"}""");
        File.WriteAllBytes(Path.Combine(path, "a", "0"), [0, 0, 0, 1, 0, 0, 1, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
        using IStoreFile store = ZarrFile.Open(path);
        Assert.Equal([1, 256, -1], ((IStoreArray)store.Root.Find("a")!).Read().As<int>());
    }

    [Fact]
    public void Nothing_and_what_is_not_known_are_told_apart()
    {
        using TemporaryFolder folder = new();
        AnnData data = new(DataFrame.OfRows(2), DataFrame.OfRows(1));
        string path = folder["a.zarr"];
        ZarrBuilder.WriteFolder(path, data, ZarrStyle.Whole);
        Save(path,
        [
            ("X/zarr.json", Node("""{"encoding-type": "null", "encoding-version": "0.1.0"}""", "bool", "false", """{"name": "bytes"}""", "[]")),
            ("uns/when/zarr.json", Node("""{"encoding-type": "array", "encoding-version": "0.2.0"}""", """{"name": "numpy.datetime64", "configuration": {"unit": "s", "scale_factor": 1}}""", "0", """{"name": "bytes"}""", "[1]", quote: false)),
            ("uns/ragged/zarr.json", Encoding.UTF8.GetBytes("""{"zarr_format": 3, "node_type": "group", "attributes": {"encoding-type": "awkward-array", "encoding-version": "0.1.0"}}""")),
        ]);
        AnnData read = AnnDataFile.Read(path);
        Assert.Null(read.X);
        Assert.Equal(2, read.Warnings.Count);
        Assert.Contains(read.Warnings, w => w.Contains("awkward-array", StringComparison.Ordinal));
        Assert.Contains(read.Warnings, w => w.Contains("/uns/when", StringComparison.Ordinal));
    }

    [Fact]
    public void What_cannot_be_read_is_one_sentence()
    {
        using TemporaryFolder folder = new();
        static string Sentence(Action read) => Assert.Throws<DataException>(read).Message;
        Assert.Contains("does not exist", Sentence(() => AnnDataFile.Read(folder["none.zarr"])), StringComparison.Ordinal);
        Directory.CreateDirectory(folder["four.zarr"]);
        File.WriteAllText(folder["four.zarr/.zgroup"], """{"zarr_format": 4}""");
        Assert.Contains("version 2 was expected", Sentence(() => AnnDataFile.Read(folder["four.zarr"])), StringComparison.Ordinal);
        string path = One(folder, "int32", "0", """{"name": "bytes"}, {"name": "lzma", "configuration": {}}""");
        using (IStoreFile store = ZarrFile.Open(path)) Assert.Contains("the codec 'lzma' is not read", Sentence(() => store.Root.Find("a")), StringComparison.Ordinal);
        path = One(folder, "int32", "0", """{"name": "bytes"}, {"name": "crc32c"}""");
        Directory.CreateDirectory(Path.Combine(path, "a", "c"));
        File.WriteAllBytes(Path.Combine(path, "a", "c", "0"), new byte[16]);
        using (IStoreFile store = ZarrFile.Open(path)) Assert.Contains("does not match its crc32c", Sentence(() => ((IStoreArray)store.Root.Find("a")!).Read()), StringComparison.Ordinal);
        path = One(folder, "float64", "0", """{"name": "bytes"}""", shape: "[2000000000]");
        using (IStoreFile store = ZarrFile.Open(path)) Assert.Contains("claims 2000000000 elements", Sentence(() => ((IStoreArray)store.Root.Find("a")!).Read()), StringComparison.Ordinal);
        Assert.Equal(0xE3069283u, ZarrCodecs.Crc32C("123456789"u8));
    }

    [Theory]
    [InlineData(ZarrStyle.Whole, "X/zarr.json")]
    [InlineData(ZarrStyle.Whole, "zarr.json")]
    [InlineData(ZarrStyle.Sharded, "layers/dense/zarr.json")]
    [InlineData(ZarrStyle.Sharded, "layers/dense/c/0/0")]
    [InlineData(ZarrStyle.Sharded, "obs/uid/c/0")]
    [InlineData(ZarrStyle.Chunked, "obs/uid/zarr.json")]
    [InlineData(ZarrStyle.Chunked, "layers/dense/c.0.0")]
    [InlineData(ZarrStyle.Whole, "X/data/c/0")]
    [InlineData(ZarrStyle.Whole, "uns/names/zarr.json")]
    [InlineData(ZarrStyle.Whole, "obs/line/categories/c/0")]
    public void Damaged_stores_are_typed_errors(ZarrStyle style, string key)
    {
        using TemporaryFolder folder = new();
        string path = folder["a.zarr"], file = Path.Combine(path, key);
        ZarrBuilder.WriteFolder(path, AnnDataFile.Read(Golden.File("anndata08.h5ad")), style);
        DamagedInputTests.Mutations(File.ReadAllBytes(file)).Sample(bytes => DamagedInputTests.Throw(file, bytes, _ => AnnDataFile.Read(path), path), iter: 15, threads: 1);
    }

    [Fact]
    public void Damaged_archives_are_typed_errors()
    {
        using TemporaryFolder folder = new();
        string path = Write(folder, AnnDataFile.Read(Golden.File("anndata08.h5ad")), ZarrStyle.Whole, zip: true);
        DamagedInputTests.Mutations(File.ReadAllBytes(path)).Sample(bytes => DamagedInputTests.Throw(path, bytes, DamagedInputTests.ReadAnnData), iter: 40, threads: 1);
    }

    private static string Write(TemporaryFolder folder, AnnData data, ZarrStyle style, bool zip)
    {
        string path = folder[zip ? "a.zarr.zip" : "a.zarr"];
        if (zip) ZarrBuilder.WriteZip(path, data, style);
        else ZarrBuilder.WriteFolder(path, data, style);
        return path;
    }

    /// <summary>A store of one array of three elements, none stored.</summary>
    private static string One(TemporaryFolder folder, string type, string fill, string codecs, string keys = """{"name": "default"}""", string shape = "[3]")
    {
        string path = folder[$"{Guid.NewGuid():N}.zarr"];
        return Save(path, [("zarr.json", Encoding.UTF8.GetBytes("""{"zarr_format": 3, "node_type": "group", "attributes": {}}""")), ("a/zarr.json", Node("{}", type, fill, codecs, shape, keys))]);
    }

    private static byte[] Node(string attributes, string type, string fill, string codecs, string shape, string keys = """{"name": "default"}""", bool quote = true) => Encoding.UTF8.GetBytes(
        $$"""
        {"zarr_format": 3, "node_type": "array", "shape": {{shape}}, "data_type": {{(quote ? $"\"{type}\"" : type)}}, "fill_value": {{fill}}, "codecs": [{{codecs}}], "attributes": {{attributes}},
         "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": {{shape}} } }, "chunk_key_encoding": {{keys}} }
        """);

    private static string Save(string path, List<(string Key, byte[] Bytes)> files)
    {
        foreach ((string key, byte[] bytes) in files)
        {
            string file = Path.Combine(path, key);
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            File.WriteAllBytes(file, bytes);
        }
        return path;
    }
}
