using System.Security.Cryptography;
using System.Text;
using BioSup.Runtime;
using CsCheck;

namespace BioSup.Data.Tests;

public sealed class TokenShardTests
{
    private static readonly CpuDevice s_device = new(1);

    // Row i holds i * columns + j: every row is known by its first value.
    private static Matrix<float> Tokens(int rows, int columns, int first = 0)
    {
        Matrix<float> matrix = s_device.AllocateMatrix<float>(rows, columns);
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < columns; j++) matrix.Row(i)[j] = (first + i) * columns + j;
        return matrix;
    }

    private static void WriteFolder(string folder, int rows, int columns, int rowsPerShard, ElementType type = ElementType.Float32)
    {
        using TokenShardWriter writer = new(folder, columns, type, rowsPerShard);
        for (int start = 0; start < rows; start += 7)
        {
            using Matrix<float> part = Tokens(Math.Min(7, rows - start), columns, start);
            writer.Append(part.View);
        }
        writer.Complete();
    }

    [Theory]
    [InlineData(0, 3, 5)]
    [InlineData(1, 1, 1)]
    [InlineData(23, 3, 5)]
    [InlineData(25, 3, 5)]
    [InlineData(23, 3, 100)]
    public void Ranges_across_shards(int rows, int columns, int rowsPerShard)
    {
        using TemporaryFolder folder = new();
        WriteFolder(folder.Path, rows, columns, rowsPerShard);
        using TokenShards shards = TokenShards.Open(folder.Path);
        Assert.Equal((rows, columns), (shards.Rows, shards.Columns));
        Assert.Equal((rows + rowsPerShard - 1) / rowsPerShard, shards.Index.Shards.Count);
        shards.Verify(SilentProgress.Instance, CancellationToken.None);
        using Matrix<float> expected = Tokens(rows, columns);
        for (int start = 0; start <= rows; start++)
            for (int count = 0; count <= rows - start; count++)
            {
                using Matrix<float> part = s_device.AllocateMatrix<float>(count, columns);
                shards.Read(start, part.View);
                Assert.True(part.Buffer.View.Host.SequenceEqual(expected.Buffer.View.Host.Slice(start * columns, count * columns)));
            }
        using Matrix<float> all = MatrixReader.ReadSingle(s_device, folder.Path);
        Assert.True(all.Buffer.View.Host.SequenceEqual(expected.Buffer.View.Host));
        // Each shard is an ordinary npy file.
        if (rows > 0) Assert.Equal([Math.Min(rows, rowsPerShard), columns], NpyFile.Read(folder[shards.Index.Shards[0].File]).Shape);
        Assert.Throws<ArgumentOutOfRangeException>(() =>
        {
            using Matrix<float> part = s_device.AllocateMatrix<float>(1, columns);
            shards.Read(rows, part.View);
        });
    }

    [Fact]
    public void Half_precision_padding_and_images()
    {
        using TemporaryFolder folder = new();
        using (TokenShardWriter writer = new(folder.Path, 4, ElementType.Float16, 3))
        {
            using Matrix<float> a = Tokens(2, 4), b = Tokens(3, 4, 2);
            writer.AppendImage("a", a.View);
            writer.AppendImage("é", b.View);
            Assert.Throws<DataException>(() => writer.AppendImage("a", b.View));
            Assert.Throws<InvalidOperationException>(() => writer.Append(b.View));
            writer.Complete();
        }
        using TokenShards shards = TokenShards.Open(folder.Path);
        Assert.Equal(["a", "é"], shards.ImageIds);
        Assert.Equal((2, 3), shards.RowsOfImage(1));
        using Matrix<float> wide = s_device.AllocateMatrix<float>(5, 6);
        shards.Read(0, wide.View.ColumnBlock(1, 4));
        Assert.Equal([0f, 16, 17, 18, 19, 0], wide.Row(4).ToArray());
        using Matrix<double> all = MatrixReader.ReadDouble(s_device, folder.Path);
        Assert.Equal(19.0, all.Row(4)[3]);
    }

    [Fact]
    public void Abandoned_writers_leave_the_old_tokens()
    {
        using TemporaryFolder folder = new();
        WriteFolder(folder.Path, 10, 2, 4);
        string[] before = [.. Directory.GetFiles(folder.Path).Order(StringComparer.Ordinal)];
        using (TokenShardWriter writer = new(folder.Path, 2, ElementType.Float32, 4))
        {
            // The first shard equals an old one and must survive; the second does not.
            using Matrix<float> other = Tokens(11, 2);
            other.Row(7)[0] = -1;
            writer.Append(other.View);
        }
        Assert.Equal(before, Directory.GetFiles(folder.Path).Order(StringComparer.Ordinal));
        WriteFolder(folder.Path, 5, 2, 4);
        Assert.Equal(3, Directory.GetFiles(folder.Path).Length);
        using TokenShards shards = TokenShards.Open(folder.Path);
        Assert.Equal(5, shards.Rows);
    }

    [Fact]
    public void Tokens_that_are_not_finite_are_named()
    {
        using TemporaryFolder folder = new();
        using TokenShardWriter writer = new(folder.Path, 2);
        using Matrix<float> good = Tokens(3, 2), bad = Tokens(3, 2);
        bad.Row(2)[1] = float.PositiveInfinity;
        writer.Append(good.View);
        DataException e = Assert.Throws<DataException>(() => writer.Append(bad.View));
        Assert.Contains("row 5, column 1", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Damaged_folders_are_typed_errors()
    {
        using TemporaryFolder folder = new();
        DataException e = Assert.Throws<DataException>(() => MatrixReader.ReadSingle(s_device, folder.Path));
        Assert.Contains("index.json", e.Message, StringComparison.Ordinal);
        WriteFolder(folder.Path, 10, 2, 4);
        string shard = Directory.GetFiles(folder.Path, "tokens-00001*")[0];
        byte[] bytes = File.ReadAllBytes(shard);
        bytes[^1] ^= 1;
        File.WriteAllBytes(shard, bytes);
        using (TokenShards shards = TokenShards.Open(folder.Path))
            Assert.Contains("checksum", Assert.Throws<DataException>(() => shards.Verify(SilentProgress.Instance, CancellationToken.None)).Message, StringComparison.Ordinal);
        File.WriteAllBytes(shard, bytes[..^4]);
        Assert.Contains("truncated", Assert.Throws<DataException>(() => TokenShards.Open(folder.Path)).Message, StringComparison.Ordinal);
        File.Delete(shard);
        Assert.Contains(Path.GetFileName(shard), Assert.Throws<DataException>(() => TokenShards.Open(folder.Path)).Message, StringComparison.Ordinal);
        string index = File.ReadAllText(folder["index.json"]);
        foreach ((string from, string to) in new[] { ("\"tokens-00000", "\"../tokens-00000"), ("\"d\": 2", "\"d\": 3"), ("\"rows\": 10", "\"rows\": 11"), ("float32", "int8"), ("{", "[") })
        {
            File.WriteAllText(folder["index.json"], index.Replace(from, to, StringComparison.Ordinal));
            Assert.Throws<DataException>(() => TokenShards.Open(folder.Path));
        }
    }

    [Fact]
    public void A_shuffled_epoch_is_a_permutation_and_pure()
    {
        Gen.Select(Gen.Int[0, 300], Gen.Int[1, 3], Gen.Int[1, 200], Gen.Int[1, 64], Gen.ULong[0, 5]).Sample((rows, columns, windowRows, batch, epoch) =>
        {
            using ITokenSource source = TokenSource.From(Tokens(rows, columns));
            long window = windowRows * columns * sizeof(float);
            long[] first = Order(source, 7, epoch, window, batch), second = Order(source, 7, epoch, window, 1);
            Assert.Equal(first, second);
            Assert.Equal(Enumerable.Range(0, rows).Select(i => (long)i), first.Order());
            if (rows > 20) Assert.NotEqual(first, Order(source, 7, epoch + 1, window, batch));
            if (rows > 20) Assert.NotEqual(first, Order(source, 8, epoch, window, batch));
        }, iter: 40, threads: 1);
    }

    private static long[] Order(ITokenSource source, ulong seed, ulong epoch, long window, int batch, long from = 0)
    {
        using ShuffledTokens shuffled = new(source, seed, epoch, window);
        shuffled.Restart(epoch, from);
        using Matrix<float> rows = s_device.AllocateMatrix<float>(batch, source.Columns);
        long[] numbers = new long[batch];
        List<long> order = [];
        int count;
        while ((count = shuffled.Next(rows.View, numbers)) > 0)
            for (int i = 0; i < count; i++)
            {
                Assert.Equal(numbers[i] * source.Columns, rows.Row(i)[0]);
                order.Add(numbers[i]);
            }
        Assert.Equal(source.Rows, shuffled.Position);
        return [.. order];
    }

    [Fact]
    public void Shuffling_streams_many_windows_and_resumes_anywhere()
    {
        // 4096 features make blocks of 4 rows, so 1,003 rows give 251 blocks; the window holds 25 of them.
        using TemporaryFolder folder = new();
        using (TokenShardWriter writer = new(folder.Path, 4096, ElementType.Float32, 100))
        {
            using Matrix<float> row = s_device.AllocateMatrix<float>(1, 4096);
            for (int i = 0; i < 1003; i++)
            {
                row.Row(0).Fill(i * 4096f);
                writer.Append(row.View);
            }
            writer.Complete();
        }
        using TokenShards shards = TokenShards.Open(folder.Path);
        const long Window = 100 * 4096 * sizeof(float);
        long before = MemoryAccounting.CurrentBytes;
        using ShuffledTokens bounded = new(shards, 1, 0, Window);
        Assert.InRange(MemoryAccounting.CurrentBytes - before, 1, Window);
        long[] whole = Order(shards, 1, 0, Window, 64);
        Assert.Equal(1003, whole.Distinct().Count());
        foreach (long from in new long[] { 1, 99, 100, 555, 1002, 1003 }) Assert.Equal(whole[(int)from..], Order(shards, 1, 0, Window, 10, from));

        // Neighbours in the file are far apart in the order: mean distance of a random permutation is a third of its length.
        int[] place = new int[1003];
        for (int i = 0; i < whole.Length; i++) place[whole[i]] = i;
        double distance = Enumerable.Range(0, 998).Average(i => Math.Abs(place[i + 4] - place[i]));
        Assert.InRange(distance, 0.8 * 1003 / 3, 1.2 * 1003 / 3);
    }

    [Fact]
    public void A_batch_allocates_nothing_once_warm()
    {
        using ITokenSource source = TokenSource.From(Tokens(1000, 8));
        using ShuffledTokens shuffled = new(source, 1);
        using Matrix<float> batch = s_device.AllocateMatrix<float>(32, 8);
        shuffled.Next(batch.View);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 20; i++) shuffled.Next(batch.View);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void Shard_checksums_are_plain_sha256()
    {
        using TemporaryFolder folder = new();
        WriteFolder(folder.Path, 9, 2, 4);
        using TokenShards shards = TokenShards.Open(folder.Path);
        foreach (TokenShard shard in shards.Index.Shards)
            Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(folder[shard.File]))), shard.Sha256);
        Assert.Contains("\"format\": \"biosup-tokens\"", File.ReadAllText(folder["index.json"], Encoding.UTF8), StringComparison.Ordinal);
    }
}
