using System.Buffers.Binary;
using BioSup.Runtime;
using CsCheck;

namespace BioSup.Data.Tests;

/// <summary>
/// HDF5 files whose length fields were overwritten with large numbers: the answer is a result or a <see cref="DataException"/>, and the memory that
/// is asked for stays within a cap that the size of the file justifies, whatever the field says.
/// </summary>
public sealed class WildLengthTests
{
    // PureHdfFile lets a dataset claim 64 MiB beyond what deflate can hold in the file; a file is read in a handful of such datasets.
    private const long Cap = 256L << 20;

    [Theory]
    [InlineData("anndata08.h5ad")]
    [InlineData("anndata08_gzip.h5ad")]
    [InlineData("dense_lzf.h5ad")]
    [InlineData("newer.h5ad")]
    [InlineData("legacy06.h5ad")]
    [InlineData("legacy07.h5ad")]
    [InlineData("tenx_v2.h5")]
    [InlineData("tenx_v3.h5")]
    public void Memory_is_bounded_whatever_a_length_says(string name)
    {
        byte[] valid = File.ReadAllBytes(Golden.File(name));
        using TemporaryFolder folder = new();
        string path = folder["x" + Path.GetExtension(name)];
        Gen.Select(Gen.Int[0, valid.Length - 9], Gen.Int[0, 4], Gen.ULong, Gen.Int[0, 63], Gen.Bool).Sample((at, kind, value, shift, narrow) =>
        {
            ulong length = kind switch { 0 => int.MaxValue, 1 => 1UL << 30, 2 => (1UL << 30) - 1, 3 => 0x7F000000, _ => value >> shift };
            byte[] bytes = [.. valid];
            if (narrow) BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(at), (uint)length);
            else BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(at), length);
            ReadBounded(path, bytes);
        }, iter: 150, threads: 1);
    }

    [Theory]
    [InlineData(int.MaxValue)]
    [InlineData(1 << 30)]
    public void An_object_of_the_global_heap_that_claims_more_than_the_file_is_named(int length)
    {
        byte[] bytes = File.ReadAllBytes(Golden.File("anndata08.h5ad"));
        int heap = bytes.AsSpan().IndexOf("GCOL"u8);
        Assert.True(heap > 0, "the file has no global heap");
        // Signature, version, size of the collection: 16 bytes; index and count of references of the first object: 8 more; then its size.
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(heap + 24), length);
        using TemporaryFolder folder = new();
        string path = folder["x.h5ad"];
        DataException? error = ReadBounded(path, bytes);
        Assert.NotNull(error);
        Assert.StartsWith("/", error.Location);
        Assert.Contains($"{path} (/", error.Message, StringComparison.Ordinal);
        Assert.Contains($"{length} bytes were expected", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1u << 30)]
    [InlineData(uint.MaxValue)]
    [InlineData(5u)]
    public void An_array_in_a_record_that_claims_more_than_its_field_is_named(uint extent)
    {
        byte[] bytes = File.ReadAllBytes(Golden.File("legacy06.h5ad"));
        // The only field of the records of obsm: its name in 8 bytes, where it begins, the class and size of an array, its rank, its extent.
        int field = bytes.AsSpan().IndexOf("X_pca\0\0\0"u8);
        Assert.True(field > 0, "the file has no record with an array");
        Assert.Equal(2u, BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(field + 24)));
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(field + 24), extent);
        using TemporaryFolder folder = new();
        DataException? error = ReadBounded(folder["x.h5ad"], bytes);
        Assert.NotNull(error);
        Assert.Contains("an array in a record claims", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(int.MaxValue)]
    [InlineData((1 << 30) - 1)]
    public void A_chunk_that_claims_more_stored_bytes_than_the_file_has_is_named(int length)
    {
        byte[] bytes = File.ReadAllBytes(Golden.File("anndata08_gzip.h5ad"));
        using TemporaryFolder folder = new();
        string path = folder["x.h5ad"];
        int found = 0;
        for (int at = 0; at + 32 < bytes.Length; at++)
        {
            // A node of chunks: signature, type 1, level, count of entries, siblings; then the first key, which begins with the stored size.
            if (!bytes.AsSpan(at).StartsWith("TREE\u0001\0"u8)) continue;
            byte[] wild = [.. bytes];
            BinaryPrimitives.WriteInt32LittleEndian(wild.AsSpan(at + 24), length);
            DataException? error = ReadBounded(path, wild);
            found++;
            // Records that cannot be read are left out with a warning.
            if (error is null) continue;
            Assert.StartsWith("/", error.Location);
            Assert.Contains($"claims {length} stored bytes, the file has {bytes.Length}", error.Message, StringComparison.Ordinal);
        }
        Assert.True(found > 10, "no chunks were found");
    }

    [Fact]
    public void A_dataset_of_more_elements_than_the_file_can_hold_is_named()
    {
        byte[] bytes = File.ReadAllBytes(Golden.File("tenx_v2.h5"));
        using TemporaryFolder folder = new();
        string path = folder["x.h5"];
        // The first extent of a data space of rank 1 whose extent and greatest extent are equal: found by its two equal fields of 8 bytes.
        int found = 0;
        for (int at = 0; at + 24 <= bytes.Length; at += 8)
        {
            if (bytes[at] != 1 || bytes[at + 1] != 1 || bytes[at + 2] != 1) continue;
            long extent = BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(at + 8));
            if (extent is < 1 or > 1000 || BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(at + 16)) != extent) continue;
            found++;
            byte[] wild = [.. bytes];
            BinaryPrimitives.WriteInt64LittleEndian(wild.AsSpan(at + 8), 1L << 40);
            BinaryPrimitives.WriteInt64LittleEndian(wild.AsSpan(at + 16), 1L << 40);
            DataException? error = ReadBounded(path, wild);
            Assert.NotNull(error);
            Assert.Contains(path, error.Message, StringComparison.Ordinal);
            Assert.NotNull(error.Location);
        }
        Assert.True(found > 0, "no data space was found");
    }

    [Fact]
    public void A_matrix_of_less_than_no_rows_is_named()
    {
        byte[] bytes = File.ReadAllBytes(Golden.File("dense_lzf.h5ad"));
        using TemporaryFolder folder = new();
        string path = folder["x.h5ad"];
        // The extents of a data space of rank 2: 6 observations come first.
        int found = 0;
        for (int at = 0; at + 24 <= bytes.Length; at += 8)
        {
            if (bytes[at] != 1 || bytes[at + 1] != 2 || BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(at + 8)) != 6) continue;
            found++;
            BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(at + 8), -1);
        }
        Assert.Equal(1, found);
        File.WriteAllBytes(path, bytes);
        using CpuDevice device = new(1);
        DataException error = Assert.Throws<DataException>(() => MatrixReader.ReadSingle(device, path).Dispose());
        Assert.Equal("/X", error.Location);
        Assert.Contains("negative", error.Message, StringComparison.Ordinal);
    }

    private static DataException? ReadBounded(string path, byte[] bytes)
    {
        File.WriteAllBytes(path, bytes);
        // Tests of other classes allocate at the same time; their share belongs to other threads.
        long before = GC.GetAllocatedBytesForCurrentThread(), native = MemoryAccounting.CurrentBytes;
        DataException? error = null;
        try
        {
            if (path.EndsWith(".h5ad", StringComparison.Ordinal)) AnnDataFile.Read(path);
            else TenXFile.Read(path);
        }
        catch (DataException e)
        {
            error = e;
        }
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before + Math.Max(0, MemoryAccounting.CurrentBytes - native);
        Assert.True(allocated < Cap, $"{allocated} bytes were allocated for a file of {bytes.Length}");
        return error;
    }
}
