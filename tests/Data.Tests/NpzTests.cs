using System.Buffers.Binary;
using System.Text;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Data.Tests;

public sealed class NpzTests
{
    private static readonly CpuDevice s_device = new(1);

    [Theory]
    [InlineData("cache_stored.npz")]
    [InlineData("cache_deflated.npz")]
    public void A_feature_cache_is_read_whole(string name)
    {
        using NpzFile npz = NpzFile.Open(Golden.File(name));
        Assert.Equal(["X_all", "y", "lines", "uids", "usage_ema", "which_layer", "fortran"], npz.Members);
        Assert.Equal(["a", "b", "a", "c", "b"], npz.Read("lines").As<string>());
        Assert.Equal("plate/4.tar:0004", npz.Read("uids").As<string>()[4]);
        Assert.Equal([0, 1, 2, 3, 4], npz.Read("y").As<long>());
        Assert.Equal("layer3", npz.Read("which_layer").As<string>()[0]);
        foreach (string member in new[] { "X_all", "fortran" })
        {
            using Matrix<double> matrix = MatrixReader.ReadDouble(s_device, $"{Golden.File(name)}:{member}");
            Assert.Equal(Golden.Ramp(15), matrix.Buffer.View.Host.ToArray());
        }
    }

    [Fact]
    public void A_wrong_member_lists_the_members()
    {
        DataException e = Assert.Throws<DataException>(() => MatrixReader.ReadSingle(s_device, Golden.File("cache_stored.npz") + ":X"));
        Assert.Contains("X_all, y, lines", e.Message, StringComparison.Ordinal);
        e = Assert.Throws<DataException>(() => MatrixReader.ReadSingle(s_device, Golden.File("cache_stored.npz")));
        Assert.Contains("X_all, y, lines", e.Message, StringComparison.Ordinal);
        e = Assert.Throws<DataException>(() => MatrixReader.ReadSingle(s_device, Golden.File("cache_stored.npz") + ":lines"));
        Assert.Contains("text", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_single_member_needs_no_name_and_no_extension()
    {
        using Matrix<float> matrix = MatrixReader.ReadSingle(s_device, Golden.File("no_extension.npz"));
        Assert.Equal((5, 3), (matrix.Rows, matrix.Columns));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_is_written_is_read_back(bool compress)
    {
        using TemporaryFolder folder = new();
        using Matrix<int> indices = Matrix<int>.From(s_device, 2, 2, [1, 2, 3, 4]);
        void Content(NpzWriter npz)
        {
            npz.Add("indices", indices);
            npz.Add("names", new[] { "é", "b" });
            npz.Add("weight", NdArray.Scalar(2.5f));
        }
        NpzFile.Write(folder["a.npz"], Content, compress);
        NpzFile.Write(folder["b.npz"], Content, compress);
        Assert.Equal(File.ReadAllBytes(folder["a.npz"]), File.ReadAllBytes(folder["b.npz"]));
        using NpzFile read = NpzFile.Open(folder["a.npz"]);
        Assert.Equal([1, 2, 3, 4], read.Read("indices").As<int>());
        Assert.Equal(["é", "b"], read.Read("names").As<string>());
        Assert.Equal(2.5f, read.Read("weight").As<float>()[0]);
    }

    [Fact]
    public void Numpy_reads_what_is_written()
    {
        string? python = Python.Find("import numpy", out string reason);
        Assert.SkipWhen(python is null, reason);
        using TemporaryFolder folder = new();
        using Matrix<float> x = Matrix<float>.From(s_device, 2, 3, [1, 2, 3, 4, 5, 6]);
        NpzFile.Write(folder["a.npz"], npz =>
        {
            npz.Add("x", x);
            npz.Add("labels", new[] { "é", "SNCA" });
            npz.Add("flags", new[] { true, false });
        }, compress: true);
        MatrixWriter.Write(folder["x.npy"], x.View);
        File.WriteAllText(folder["check.py"], """
            import sys, numpy as np
            z, x = np.load(sys.argv[1]), np.load(sys.argv[2])
            assert x.dtype == np.float32 and np.array_equal(x, [[1, 2, 3], [4, 5, 6]]) and np.array_equal(z["x"], x)
            assert list(z["labels"]) == ["é", "SNCA"] and list(z["flags"]) == [True, False] and z["flags"].dtype == bool
            print("equal")
            """);
        Assert.StartsWith("equal", Python.Run(python!, folder["check.py"], folder["a.npz"], folder["x.npy"]), StringComparison.Ordinal);
    }

    [Fact]
    public void Damage_is_found_by_the_checksum()
    {
        using TemporaryFolder folder = new();
        byte[] bytes = File.ReadAllBytes(Golden.File("cache_stored.npz"));
        // The last byte of X_all's data: 4 bytes before the next local header.
        int next = bytes.AsSpan(4).IndexOf("PK\x03\x04"u8) + 4;
        bytes[next - 1] ^= 1;
        File.WriteAllBytes(folder["bad.npz"], bytes);
        DataException e = Assert.Throws<DataException>(() => MatrixReader.ReadSingle(s_device, folder["bad.npz"] + ":X_all"));
        Assert.Contains("CRC-32", e.Message, StringComparison.Ordinal);
        Assert.Contains("X_all", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Zip64_structures_are_understood()
    {
        using TemporaryFolder folder = new();
        File.WriteAllBytes(folder["z.npz"], Zip64Archive("x.npy", File.ReadAllBytes(Golden.File("c_f4.npy"))));
        using Matrix<double> matrix = MatrixReader.ReadDouble(s_device, folder["z.npz"] + ":x");
        Assert.Equal(Golden.Ramp(15), matrix.Buffer.View.Host.ToArray());
    }

    /// <summary>One stored member whose sizes, offset and directory stand only in zip64 fields (PKWARE APPNOTE 4.3.14, 4.5.3).</summary>
    private static byte[] Zip64Archive(string name, byte[] content)
    {
        using MemoryStream zip = new();
        byte[] label = Encoding.UTF8.GetBytes(name);
        uint crc = Crc32.Append(0, content);
        void U16(int value) => zip.Write(BitConverter.GetBytes((ushort)value));
        void U32(uint value) => zip.Write(BitConverter.GetBytes(value));
        void U64(long value) => zip.Write(BitConverter.GetBytes(value));

        U32(0x04034B50); U16(45); U16(0); U16(0); U16(0); U16(0x21); U32(crc); U32(uint.MaxValue); U32(uint.MaxValue); U16(label.Length); U16(20);
        zip.Write(label);
        U16(1); U16(16); U64(content.Length); U64(content.Length);
        zip.Write(content);

        long directory = zip.Position;
        U32(0x02014B50); U16(45); U16(45); U16(0); U16(0); U16(0); U16(0x21); U32(crc); U32(uint.MaxValue); U32(uint.MaxValue); U16(label.Length); U16(28);
        U16(0); U16(0); U16(0); U32(0); U32(uint.MaxValue);
        zip.Write(label);
        U16(1); U16(24); U64(content.Length); U64(content.Length); U64(0);

        long end = zip.Position;
        U32(0x06064B50); U64(44); U16(45); U16(45); U32(0); U32(0); U64(1); U64(1); U64(end - directory); U64(directory);
        U32(0x07064B50); U32(0); U64(end); U32(1);
        U32(0x06054B50); U16(0xFFFF); U16(0xFFFF); U16(0xFFFF); U16(0xFFFF); U32(uint.MaxValue); U32(uint.MaxValue); U16(0);
        return zip.ToArray();
    }

    [Fact]
    public void Crc32_matches_the_published_check_value()
    {
        Assert.Equal(0xCBF43926u, Crc32.Append(0, "123456789"u8));
        byte[] bytes = new byte[1000];
        new Random(1).NextBytes(bytes);
        Assert.Equal(Crc32.Append(0, bytes), Crc32.Append(Crc32.Append(0, bytes.AsSpan(0, 333)), bytes.AsSpan(333)));
        Assert.Equal(0u, BinaryPrimitives.ReverseEndianness(Crc32.Append(0, [])));
    }
}
