using BioSup.Runtime;
using BioSup.Shapes;
using CsCheck;

namespace BioSup.Data.Tests;

/// <summary>Stores of zarr version 2, written by zarr-python 2 and anndata while the test runs.</summary>
public sealed class ZarrVersion2Tests
{
    private const string Compressors = """
        import sys, zarr, numcodecs, numpy
        g = zarr.open_group(sys.argv[1], "w")
        plain = {"none": None, "zlib": numcodecs.Zlib(), "gzip": numcodecs.GZip(), "zstd": numcodecs.Zstd()}
        for name in ["lz4", "lz4hc", "zlib", "zstd"]:
            for shuffle in [0, 1]: plain[f"blosc_{name}_{shuffle}"] = numcodecs.Blosc(cname=name, shuffle=shuffle)
        kinds = ["|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8", ">i4", ">f8"]
        def ramp(shape, kind): return ((numpy.arange(numpy.prod(shape)) * 7 + 3) % 101).reshape(shape).astype(kind)
        for name, codec in plain.items():
            g.array(name, ramp((70, 50), "<f4"), chunks=(32, 17), compressor=codec)
            g.array(name + "_large", ramp((400, 300), "<i8"), chunks=(400, 300), compressor=codec)
            g.array(name + "_bytes", ramp((70, 50), "|u1"), chunks=(70, 50), compressor=codec)
        for k, kind in enumerate(kinds): g.array(f"kind_{k}", ramp((33, 5), kind), chunks=(8, 3))
        g.array("nested", ramp((33, 5), "<f4"), chunks=(8, 3), dimension_separator="/")
        d = g.create_dataset("partly", shape=(33, 5), chunks=(8, 3), dtype="<f4", fill_value=7)
        d[:16] = ramp((33, 5), "<f4")[:16]
        d.attrs["written"] = 16
        rng = numpy.random.default_rng(0)
        g.array("noise", rng.standard_normal((500, 40)).astype("<f8"), chunks=(100, 40))
        numpy.save(sys.argv[2], g["noise"][:])
        """;

    private const string Cells = """
        import sys, warnings, anndata, numpy, pandas
        from scipy import sparse
        warnings.simplefilter("ignore")
        rng = numpy.random.default_rng(0)
        x = rng.poisson(1, (60, 12)).astype("f4")
        obs = pandas.DataFrame({"line": pandas.Categorical(["a", "b\u00e4", "c"] * 20), "depth": rng.random(60), "count": numpy.arange(60), "good": numpy.arange(60) % 3 == 0,
            "note": [f"cell {i}" * (i % 4) for i in range(60)]}, index=[f"cell{i}" for i in range(60)])
        a = anndata.AnnData(x, obs=obs, var=pandas.DataFrame({"usage": rng.random(12)}, index=[f"gene{i}" for i in range(12)]), dtype="f4")
        a.layers["sparse"] = sparse.csr_matrix(x)
        a.layers["columns"] = sparse.csc_matrix(x)
        a.obsm["X_pca"] = rng.standard_normal((60, 4))
        a.uns["title"], a.uns["numbers"], a.uns["nested"] = "text", numpy.arange(5), {"one": 1.5}
        a.write_zarr(sys.argv[1])
        a.write_h5ad(sys.argv[2])
        """;

    [Fact]
    public void Every_compressor_and_kind_of_zarr_python_2_is_read()
    {
        using TemporaryFolder folder = new();
        Write(folder, Compressors, "import zarr, numcodecs, numpy; assert zarr.__version__ < '3'", folder["x.zarr"], folder["noise.npy"]);
        using IStoreFile file = ZarrFile.Open(folder["x.zarr"]);
        int found = 0;
        foreach (string name in file.Root.Names)
        {
            IStoreArray array = (IStoreArray)file.Root.Find(name)!;
            NdArray values = array.Read();
            if (name == "noise")
            {
                Assert.Equal(NpyFile.Read(folder["noise.npy"]).As<double>(), values.As<double>());
                continue;
            }
            found++;
            long written = array.HasAttribute("written") ? array.ReadAttribute("written").ToInt64()[0] * array.Shape[1] : long.MaxValue;
            double[] numbers = values.Type == ElementType.Boolean ? Array.ConvertAll(values.As<bool>(), flag => flag ? 1.0 : 0) : values.ToDoubles();
            for (int k = 0; k < numbers.Length; k++)
            {
                double expected = k >= written ? 7 : (7L * k + 3) % 101;
                Assert.True(numbers[k] == (values.Type == ElementType.Boolean ? Math.Min(expected, 1) : expected), $"{name}[{k}] is {numbers[k]}");
            }
        }
        Assert.Equal(12 * 3 + 14 + 2, found);
    }

    [Fact]
    public void A_store_of_anndata_equals_its_h5ad()
    {
        using TemporaryFolder folder = new();
        Write(folder, Cells, "import zarr, anndata; assert zarr.__version__ < '3'", folder["x.zarr"], folder["x.h5ad"]);
        AnnData store = AnnDataFile.Read(folder["x.zarr"]), cells = AnnDataFile.Read(folder["x.h5ad"]);
        Assert.Empty(store.Warnings);
        Assert.Equal(((NdArray)cells.X!).As<float>(), ((NdArray)store.X!).As<float>());
        Assert.Equal(cells.Obs.Index, store.Obs.Index);
        Assert.Equal(cells.Var.Index, store.Var.Index);
        Assert.Equal(cells.Obs.Columns.Select(column => column.Name), store.Obs.Columns.Select(column => column.Name));
        foreach (FrameColumn column in cells.Obs.Columns)
        {
            Assert.Equal(column.Codes, store.Obs[column.Name].Codes);
            Assert.Equal(column.Values.ToText(), store.Obs[column.Name].Values.ToText());
        }
        foreach (string layer in cells.Layers.Keys)
        {
            SparseMatrix expected = (SparseMatrix)cells.Layers[layer]!, read = (SparseMatrix)store.Layers[layer]!;
            Assert.Equal(expected.Layout, read.Layout);
            Assert.Equal(expected.Pointers, read.Pointers);
            Assert.Equal(expected.Indices, read.Indices);
            Assert.Equal(expected.Values.ToDoubles(), read.Values.ToDoubles());
        }
        Assert.Equal(((NdArray)cells.Obsm["X_pca"]!).As<double>(), ((NdArray)store.Obsm["X_pca"]!).As<double>());
        Assert.Equal(cells.Uns.Keys.Order(), store.Uns.Keys.Order());
        Assert.Equal("text", ((NdArray)store.Uns["title"]!).ToText()[0]);
    }

    /// <summary>Whatever a chunk of blosc holds, the answer is bytes or an error, and nothing is written beside its place.</summary>
    [Fact]
    public void Damaged_blosc_is_an_error_or_other_bytes()
    {
        // Four literals, then sixteen bytes from one back: LZ4 of "abcd" and "d" sixteen times, padded by literals as the format demands.
        byte[] block = [0x4C, .. "abcd"u8, 1, 0, 0x50, .. "vwxyz"u8];
        byte[] head = [2, 1, 0x20 | 16, 1, 25, 0, 0, 0, 25, 0, 0, 0, (byte)(16 + 4 + 4 + block.Length), 0, 0, 0, 20, 0, 0, 0, (byte)block.Length, 0, 0, 0];
        byte[] valid = [.. head, .. block], target = new byte[25];
        Assert.Equal(25, Blosc.UnpackedBytes(valid));
        Blosc.Unpack(valid, target);
        Assert.Equal("abcdddddddddddddddddvwxyz"u8.ToArray(), target);
        DamagedInputTests.Mutations(valid).Sample(bytes =>
        {
            try
            {
                int length = Blosc.UnpackedBytes(bytes);
                if (length < 1 << 20) Blosc.Unpack(bytes, new byte[length]);
            }
            catch (Exception e) when (e is InvalidDataException or ZstdSharp.ZstdException)
            {
            }
        }, iter: 5000, threads: 1);
    }

    [Theory]
    [InlineData("""{"chunks": [2], "compressor": {"id": "zlib", "level": 1}, "dtype": "<i4", "fill_value": 0, "filters": null, "order": "C", "shape": [2], "zarr_format": 2}""")]
    [InlineData("""{"chunks": [2], "compressor": null, "dtype": [["a", "<i2"], ["b", "|S2"]], "fill_value": null, "filters": [], "order": "F", "shape": [2], "zarr_format": 2}""")]
    [InlineData("""{"chunks": [2], "compressor": null, "dtype": "|O", "fill_value": "", "filters": [{"id": "vlen-utf8"}], "order": "C", "shape": [2], "zarr_format": 2}""")]
    public void A_damaged_description_is_a_typed_error(string description)
    {
        using TemporaryFolder folder = new();
        Directory.CreateDirectory(folder["x.zarr/a"]);
        File.WriteAllText(folder["x.zarr/.zgroup"], """{"zarr_format": 2}""");
        File.WriteAllBytes(folder["x.zarr/a/0"], [2, 0, 0, 0, 1, 0, 0, 0]);
        DamagedInputTests.Mutations(System.Text.Encoding.UTF8.GetBytes(description)).Sample(bytes => DamagedInputTests.Throw(folder["x.zarr/a/.zarray"], bytes, _ =>
        {
            using IStoreFile file = ZarrFile.Open(folder["x.zarr"]);
            if (file.Root.Find("a") is not IStoreArray array) return;
            if (array.IsRecord) array.ReadRecords();
            else array.Read();
        }, folder["x.zarr"]), iter: 1000, threads: 1);
    }

    [Fact]
    public void What_is_not_read_is_named()
    {
        using TemporaryFolder folder = new();
        Directory.CreateDirectory(folder["x.zarr/a"]);
        File.WriteAllText(folder["x.zarr/.zgroup"], """{"zarr_format": 2}""");
        string Sentence(string compressor, string filters, string order, string shape)
        {
            File.WriteAllText(folder["x.zarr/a/.zarray"], $$"""{"chunks": {{shape}}, "compressor": {{compressor}}, "dtype": "<i4", "fill_value": 0, "filters": {{filters}}, "order": "{{order}}", "shape": {{shape}}, "zarr_format": 2}""");
            using IStoreFile file = ZarrFile.Open(folder["x.zarr"]);
            return Assert.Throws<DataException>(() => file.Root.Find("a")).Message;
        }
        Assert.Contains("the codec 'bz2' is not read", Sentence("""{"id": "bz2"}""", "null", "C", "[2]"), StringComparison.Ordinal);
        Assert.Contains("the codec 'delta' is not read", Sentence("null", """[{"id": "delta"}]""", "C", "[2]"), StringComparison.Ordinal);
        Assert.Contains("Fortran order", Sentence("null", "null", "F", "[2, 3]"), StringComparison.Ordinal);
        byte[] snappy = [2, 1, 0x40, 4, 8, 0, 0, 0, 8, 0, 0, 0, 28, 0, 0, 0, 20, 0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4];
        Assert.Contains("snappy, which is not read", Assert.Throws<InvalidDataException>(() => Blosc.Unpack(snappy, new byte[8])).Message, StringComparison.Ordinal);
    }

    private static void Write(TemporaryFolder folder, string script, string needs, params string[] arguments)
    {
        string? python = Python.Find(needs, out string reason);
        Assert.SkipWhen(python is null, reason);
        File.WriteAllText(folder["write.py"], script);
        Python.Run(python!, [folder["write.py"], .. arguments]);
    }
}
