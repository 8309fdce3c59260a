using BioSup.Runtime;

namespace BioSup.Data.Tests;

public sealed class NpyTests
{
    private static readonly CpuDevice s_device = new(1);
    private static readonly string[] s_words = ["Control", "SNCA µ", "", "日本語 😀"];
    private static readonly string[] s_objects = ["line:a", "line:b", "line:a", "日本語 😀", ""];

    [Theory]
    [InlineData("c_f2", ElementType.Float16)]
    [InlineData("c_f4", ElementType.Float32)]
    [InlineData("c_f8", ElementType.Float64)]
    [InlineData("c_i1", ElementType.Int8)]
    [InlineData("c_i2", ElementType.Int16)]
    [InlineData("c_i4", ElementType.Int32)]
    [InlineData("c_i8", ElementType.Int64)]
    [InlineData("fortran_f4", ElementType.Float32)]
    [InlineData("big_f8", ElementType.Float64)]
    [InlineData("version2", ElementType.Float32)]
    [InlineData("version3", ElementType.Float32)]
    public void Numbers_are_read_in_every_layout(string name, ElementType type)
    {
        string path = Golden.File(name + ".npy");
        NdArray array = NpyFile.Read(path);
        Assert.Equal(type, array.Type);
        Assert.Equal([5, 3], array.Shape);
        Assert.Equal(Golden.Ramp(15), array.ToDoubles());
        using Matrix<float> single = MatrixReader.ReadSingle(s_device, path);
        using Matrix<double> wide = MatrixReader.ReadDouble(s_device, path);
        Assert.Equal((5, 3), (single.Rows, single.Columns));
        Assert.Equal(Golden.Ramp(15), single.Buffer.View.Host.ToArray().Select(v => (double)v));
        Assert.Equal(Golden.Ramp(15), wide.Buffer.View.Host.ToArray());
    }

    [Theory]
    [InlineData("c_u1", 8)]
    [InlineData("c_u2", 16)]
    [InlineData("c_u4", 32)]
    public void Unsigned_numbers_wrap_as_numpy_wrote_them(string name, int bits) =>
        Assert.Equal(Golden.Ramp(15).Select(v => v < 0 ? v + Math.Pow(2, bits) : v), NpyFile.Read(Golden.File(name + ".npy")).ToDoubles());

    [Fact]
    public void Unsigned_64_bit_numbers_are_exact() =>
        Assert.Equal(Golden.Ramp(15).Select(v => unchecked((ulong)(long)v)), NpyFile.Read(Golden.File("c_u8.npy")).As<ulong>());

    [Fact]
    public void Bool_big_endian_fortran_and_three_dimensions()
    {
        Assert.Equal(Golden.Ramp(15).Select(v => v % 2 == 0), NpyFile.Read(Golden.File("bool.npy")).As<bool>());
        Assert.Equal(Golden.Ramp(15).Select(v => (ushort)(v + 20)), NpyFile.Read(Golden.File("big_fortran_u2.npy")).As<ushort>());
        NdArray cube = NpyFile.Read(Golden.File("fortran_3d_i2.npy"));
        Assert.Equal([2, 3, 4], cube.Shape);
        Assert.Equal(Golden.Ramp(24), cube.ToDoubles());
        DataException e = Assert.Throws<DataException>(() => MatrixReader.ReadSingle(s_device, Golden.File("fortran_3d_i2.npy")));
        Assert.Contains("2 x 3 x 4", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Vectors_scalars_and_empty_arrays()
    {
        using Matrix<float> vector = MatrixReader.ReadSingle(s_device, Golden.File("vector_f4.npy"));
        Assert.Equal((7, 1), (vector.Rows, vector.Columns));
        NdArray scalar = NpyFile.Read(Golden.File("scalar_f8.npy"));
        Assert.Equal(0, scalar.Rank);
        Assert.Equal(2.5, scalar.As<double>()[0]);
        using Matrix<float> empty = MatrixReader.ReadSingle(s_device, Golden.File("empty_f4.npy"));
        Assert.Equal((0, 4), (empty.Rows, empty.Columns));
    }

    [Theory]
    [InlineData("unicode")]
    [InlineData("unicode_big")]
    public void Unicode_text(string name) => Assert.Equal(s_words, NpyFile.Read(Golden.File(name + ".npy")).As<string>());

    [Fact]
    public void Byte_text() => Assert.Equal(["abc", "", "de"], NpyFile.Read(Golden.File("bytes.npy")).As<string>());

    [Theory]
    [InlineData("object_p2")]
    [InlineData("object_p3")]
    [InlineData("object_p4")]
    [InlineData("object_p5")]
    [InlineData("object_numpy2")]
    public void Pickled_strings_of_every_protocol(string name) => Assert.Equal(s_objects, NpyFile.Read(Golden.File(name + ".npy")).As<string>());

    [Fact]
    public void Pickled_scalars_become_text_and_fortran_order_is_undone()
    {
        Assert.Equal(["text", "7", "2.5", "True", "", "scalar"], NpyFile.Read(Golden.File("object_mixed.npy")).As<string>());
        NdArray square = NpyFile.Read(Golden.File("object_2d_fortran.npy"));
        Assert.Equal(["a", "b", "c", "d", "e", "f"], square.As<string>());
    }

    [Theory]
    [InlineData("object_hostile", "pickle")]
    [InlineData("complex", "<c16")]
    [InlineData("record", "records")]
    public void What_is_not_supported_is_a_typed_error(string name, string words)
    {
        DataException e = Assert.Throws<DataException>(() => NpyFile.Read(Golden.File(name + ".npy")));
        Assert.Contains(words, e.Message, StringComparison.Ordinal);
        Assert.Contains(name, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Written_arrays_are_numpys_own_bytes()
    {
        using TemporaryFolder folder = new();
        foreach (string name in new[] { "c_f2", "c_f4", "c_f8", "c_i1", "c_i4", "c_u8", "bool", "vector_f4", "scalar_f8", "empty_f4", "unicode" })
        {
            string original = Golden.File(name + ".npy");
            NpyFile.Write(folder["copy.npy"], NpyFile.Read(original));
            Assert.Equal(File.ReadAllBytes(original), File.ReadAllBytes(folder["copy.npy"]));
        }
    }

    [Fact]
    public void A_strided_view_is_written_without_its_padding()
    {
        using TemporaryFolder folder = new();
        using Matrix<int> wide = Matrix<int>.From(s_device, 2, 4, [0, 1, 2, 3, 4, 5, 6, 7]);
        MatrixWriter.Write(folder["v.npy"], wide.View.ColumnBlock(1, 2));
        NdArray read = NpyFile.Read(folder["v.npy"]);
        Assert.Equal([2, 2], read.Shape);
        Assert.Equal([1, 2, 5, 6], read.As<int>());
    }

    [Fact]
    public void Large_files_are_mapped_not_copied()
    {
        using TemporaryFolder folder = new();
        using (Matrix<float> big = s_device.AllocateMatrix<float>(4096, 1024))
        {
            for (int i = 0; i < big.Rows; i++) big.Row(i).Fill(i);
            MatrixWriter.Write(folder["big.npy"], big.View);
        }
        long before = MemoryAccounting.CurrentBytes;
        using Matrix<float> mapped = MatrixReader.ReadSingle(s_device, folder["big.npy"]);
        Assert.True(MemoryAccounting.CurrentBytes - before < 1 << 20, "a copy was made");
        Assert.IsType<ForeignBuffer<float>>(mapped.Buffer);
        Assert.Equal(4095, mapped.Row(4095)[1023]);

        // A stray write stays in this process.
        mapped.Row(0)[0] = 99;
        using Matrix<float> again = NpyFile.Map<float>(s_device, folder["big.npy"]);
        Assert.Equal(0, again.Row(0)[0]);
    }

    [Fact]
    public void Truncated_files_and_wrong_types_say_what_was_expected()
    {
        using TemporaryFolder folder = new();
        byte[] bytes = File.ReadAllBytes(Golden.File("c_f4.npy"));
        File.WriteAllBytes(folder["short.npy"], bytes[..^1]);
        DataException e = Assert.Throws<DataException>(() => MatrixReader.ReadSingle(s_device, folder["short.npy"]));
        Assert.Contains("60 bytes", e.Message, StringComparison.Ordinal);
        Assert.Throws<DataException>(() => NpyFile.Map<double>(s_device, Golden.File("c_f4.npy")));
        Assert.Throws<DataException>(() => MatrixReader.ReadSingle(s_device, Golden.File("unicode.npy")));
        Assert.Throws<DataException>(() => MatrixReader.ReadSingle(s_device, folder["absent.npy"]));
    }
}
