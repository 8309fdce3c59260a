using BioSup.Runtime;
using CsCheck;

namespace BioSup.Data.Tests;

/// <summary>
/// Datasets of every layout, index of chunks, filter and number, as h5py writes them (tests/golden/data/make_chunks.py): each element is known in advance.
/// </summary>
public sealed class ChunkedReadingTests
{
    public static TheoryData<string> Files => ["chunks_v0.h5", "chunks_latest.h5"];

    [Theory]
    [MemberData(nameof(Files))]
    public void Every_dataset_holds_what_was_written(string name)
    {
        using IStoreFile file = PureHdfFile.Open(Golden.File(name));
        int numbers = 0, texts = 0;
        foreach (IStoreArray array in file.Root.Names.Select(child => (IStoreArray)file.Root.Find(child)!))
        {
            NdArray values = array.Read();
            Assert.Equal(array.Shape, values.Shape);
            if (values.Type == ElementType.Text)
            {
                texts++;
                Assert.Equal(Words(values.Length), values.As<string>());
            }
            else
            {
                numbers++;
                Assert.Equal(Expected(array), values.Values.Cast<object>().Select(AsNumber));
            }
        }
        Assert.Equal((59, 4), (numbers, texts));
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void Parts_are_the_same_as_the_whole(string name)
    {
        using IStoreFile file = PureHdfFile.Open(Golden.File(name));
        foreach (IStoreArray array in file.Root.Names.Select(child => (IStoreArray)file.Root.Find(child)!).Where(array => array.Shape.Count < 3))
        {
            object[] whole = [.. array.Read().Values.Cast<object>()];
            int rows = (int)array.Shape[0], width = whole.Length / rows;
            Gen.Select(Gen.Int[0, rows], Gen.Int[0, rows]).Sample((a, b) =>
            {
                int start = Math.Min(a, b), count = Math.Max(a, b) - start;
                NdArray part = array.Shape.Count == 2 ? array.ReadRows(start, count) : array.ReadRange(start, count);
                Assert.Equal(count, part.Shape[0]);
                Assert.Equal(whole[(start * width)..((start + count) * width)], part.Values.Cast<object>());
            }, iter: 20, threads: 1);
        }
    }

    [Fact]
    public void A_part_beyond_the_end_is_refused()
    {
        using IStoreFile file = PureHdfFile.Open(Golden.File("chunks_v0.h5"));
        Assert.ThrowsAny<Exception>(() => ((IStoreArray)file.Root.Find("gzip")!).ReadRows(20, 4));
        Assert.ThrowsAny<Exception>(() => ((IStoreArray)file.Root.Find("list")!).ReadRange(-1, 4));
    }

    /// <summary>Large enough to be shared by several threads: values and bytes come back as written.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Chunks_read_side_by_side_are_what_was_written(bool compress)
    {
        const int Rows = 3001, Columns = 517;
        float[] values = new float[Rows * Columns];
        for (int i = 0; i < values.Length; i++) values[i] = i % 10 == 0 ? BitConverter.UInt32BitsToSingle((uint)i * 2654435761u) : 0;
        using TemporaryFolder folder = new();
        AnnDataFile.Write(folder["x.h5ad"], new AnnData(DataFrame.OfRows(Rows), DataFrame.OfRows(Columns)) { X = new NdArray(values, Rows, Columns) }, compress);
        uint[] expected = Array.ConvertAll(values, BitConverter.SingleToUInt32Bits);
        for (int round = 0; round < 3; round++)
            Assert.Equal(expected, Array.ConvertAll(((NdArray)AnnDataFile.Read(folder["x.h5ad"]).X!).As<float>(), BitConverter.SingleToUInt32Bits));
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void Damaged_files_are_typed_errors_or_other_numbers(string name)
    {
        byte[] valid = File.ReadAllBytes(Golden.File(name));
        using TemporaryFolder folder = new();
        string path = folder["x.h5"];
        DamagedInputTests.Mutations(valid).Sample(bytes => DamagedInputTests.Throw(path, bytes, ReadAll), iter: 60, threads: 1);
    }

    /// <summary>Numbers in the indexes of chunks and in the global heap replaced by others: nothing but a result or an error that names file and dataset.</summary>
    [Theory]
    [InlineData("chunks_v0.h5", "TREE")]
    [InlineData("chunks_latest.h5", "FAHD")]
    [InlineData("chunks_latest.h5", "FADB")]
    [InlineData("chunks_latest.h5", "EAHD")]
    [InlineData("chunks_latest.h5", "EAIB")]
    [InlineData("chunks_latest.h5", "EASB")]
    [InlineData("chunks_latest.h5", "EADB")]
    [InlineData("chunks_latest.h5", "BTHD")]
    [InlineData("chunks_latest.h5", "BTIN")]
    [InlineData("chunks_latest.h5", "BTLF")]
    [InlineData("chunks_latest.h5", "GCOL")]
    public void Wild_numbers_in_an_index_are_typed_errors_or_other_numbers(string name, string signature)
    {
        byte[] valid = File.ReadAllBytes(Golden.File(name)), mark = System.Text.Encoding.ASCII.GetBytes(signature);
        int[] places = [.. Enumerable.Range(0, valid.Length - 64).Where(at => valid.AsSpan(at).StartsWith(mark))];
        Assert.NotEmpty(places);
        using TemporaryFolder folder = new();
        string path = folder["x.h5"];
        Gen.Select(Gen.Int[0, places.Length - 1], Gen.Int[0, 56], Gen.ULong, Gen.Int[0, 63], Gen.Int[1, 8]).Sample((which, at, value, shift, size) =>
        {
            byte[] bytes = [.. valid];
            BitConverter.GetBytes(value >> shift).AsSpan(0, size).CopyTo(bytes.AsSpan(places[which] + at));
            DamagedInputTests.Throw(path, bytes, ReadAll);
        }, iter: 40, threads: 1);
    }

    [Fact]
    public void A_deflated_chunk_that_does_not_hold_up_is_named()
    {
        byte[] bytes = File.ReadAllBytes(Golden.File("chunks_v0.h5"));
        using TemporaryFolder folder = new();
        string path = folder["x.h5"];
        int found = 0;
        for (int at = 0; at + 2 < bytes.Length; at++)
            if (bytes[at] == 0x78 && bytes[at + 1] is 0x5E or 0x9C)
            {
                found++;
                bytes[at] = 0xFF;
            }
        Assert.True(found > 50, "no deflated chunks were found");
        File.WriteAllBytes(path, bytes);
        using IStoreFile file = PureHdfFile.Open(path);
        DataException error = Assert.Throws<DataException>(() => ((IStoreArray)file.Root.Find("gzip")!).Read());
        Assert.Equal("/gzip", error.Location);
        Assert.Contains(path, error.Message, StringComparison.Ordinal);
    }

    private static void ReadAll(string path)
    {
        using IStoreFile file = PureHdfFile.Open(path);
        foreach (string child in file.Root.Names)
            try
            {
                if (file.Root.Find(child) is not IStoreArray { Type: not null } array) continue;
                array.Read();
                if (array.Shape is [> 2, _]) array.ReadRows(1, 2);
            }
            catch (DataException e)
            {
                // One dataset must not hide what the next one does with the same bytes.
                Assert.Contains(path, e.Message, StringComparison.Ordinal);
                Assert.StartsWith("/", e.Location);
            }
    }

    private static IEnumerable<double> Expected(IStoreArray array)
    {
        long count = array.Shape.Aggregate(1L, (product, extent) => product * extent), row = count / array.Shape[0];
        long written = array.HasAttribute("written") ? array.ReadAttribute("written").ToInt64()[0] * row : count;
        double fill = array.HasAttribute("fill") ? array.ReadAttribute("fill").ToInt64()[0] : 0;
        for (long k = 0; k < count; k++)
        {
            long value = (7 * k + 3) % 101;
            yield return k >= written ? fill : array.Type == ElementType.Boolean ? value % 2 : value;
        }
    }

    private static double AsNumber(object value) => value switch
    {
        bool flag => flag ? 1 : 0,
        Half half => (double)half,
        _ => Convert.ToDouble(value, System.Globalization.CultureInfo.InvariantCulture),
    };

    private static string[] Words(int count) => [.. Enumerable.Range(0, count).Select(k => string.Concat(Enumerable.Repeat($"{k}", k % 5)) + (k % 3 == 0 ? "ä" : ""))];
}
