using System.Security.Cryptography;
using System.Text;
using BioSup.Runtime;
using BioSup.Shapes;
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

    public static TheoryData<ElementType, TokenContainer> Stores => new()
    {
        { ElementType.Float32, TokenContainer.Npy }, { ElementType.Float16, TokenContainer.Npy }, { ElementType.BFloat16, TokenContainer.Npy },
        { ElementType.Float32, TokenContainer.Safetensors }, { ElementType.Float16, TokenContainer.Safetensors }, { ElementType.BFloat16, TokenContainer.Safetensors },
    };

    private static float Rounded(ElementType type, float value) => type switch { ElementType.Float16 => (float)(Half)value, ElementType.BFloat16 => (float)(BFloat16)value, _ => value };

    [Theory]
    [MemberData(nameof(Stores))]
    public void Every_type_in_every_container_gives_back_what_it_can_hold(ElementType type, TokenContainer container)
    {
        Gen.Select(Gen.Int[1, 40], Gen.Int[1, 70], Gen.Int[1, 9], Gen.ULong).Sample((rows, columns, perShard, seed) =>
        {
            using TemporaryFolder folder = new();
            using Matrix<float> tokens = Random(rows, columns, seed);
            using (TokenShardWriter writer = new(folder.Path, columns, type, perShard, container))
            {
                writer.Append(tokens.View);
                writer.Complete();
            }
            using TokenShards shards = TokenShards.Open(folder.Path);
            shards.Verify(SilentProgress.Instance, CancellationToken.None);
            using Matrix<float> read = s_device.AllocateMatrix<float>(rows, columns + 3);
            shards.Read(0, read.View.ColumnBlock(2, columns));
            for (int i = 0; i < rows; i++)
                for (int j = 0; j < columns; j++) Assert.Equal(Rounded(type, tokens.Row(i)[j]), read.Row(i)[j + 2]);
        }, iter: 8, threads: 1);
    }

    // Magnitudes from subnormal halves up to their largest number.
    private static Matrix<float> Random(int rows, int columns, ulong seed)
    {
        CounterRandom random = new(seed);
        Matrix<float> matrix = s_device.AllocateMatrix<float>(rows, columns);
        for (int i = 0; i < rows; i++)
            foreach (ref float value in matrix.Row(i)) value = (float)((random.NextInt32(2) * 2 - 1) * Math.Exp((random.NextDouble() - 0.6) * 25) * (random.NextInt32(20) > 0 ? 1 : 0));
        return matrix;
    }

    [Fact]
    public void Every_half_decodes_as_the_runtime_does()
    {
        ushort[] all = [.. Enumerable.Range(0, 65536).Select(i => (ushort)i)];
        float[] half = new float[65536], brain = new float[65536];
        TokenCodec.Decode(ElementType.Float16, System.Runtime.InteropServices.MemoryMarshal.AsBytes(all.AsSpan()), half);
        TokenCodec.Decode(ElementType.BFloat16, System.Runtime.InteropServices.MemoryMarshal.AsBytes(all.AsSpan()), brain);
        for (int i = 0; i < all.Length; i++)
        {
            Assert.Equal((float)BitConverter.UInt16BitsToHalf(all[i]), half[i]);
            Assert.Equal((float)new BFloat16(all[i]), brain[i]);
        }
        Assert.Equal(BitConverter.SingleToUInt32Bits(-0f), BitConverter.SingleToUInt32Bits(half[0x8000]));
    }

    [Fact]
    public void A_value_beyond_half_precision_is_refused_when_it_is_written()
    {
        using TemporaryFolder folder = new();
        using TokenShardWriter writer = new(folder.Path, 2, ElementType.Float16);
        using Matrix<float> large = Matrix<float>.From(s_device, 1, 2, [1, 70000]);
        DataException e = Assert.Throws<DataException>(() => writer.Append(large.View));
        Assert.Contains("column 1", e.Message, StringComparison.Ordinal);
        Assert.Contains("70000 does not fit into float16", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Indices_of_the_first_version_are_written_and_read()
    {
        using TemporaryFolder folder = new();
        WriteFolder(folder.Path, 5, 2, 4, ElementType.Float16);
        Assert.Contains("\"version\": 1", File.ReadAllText(folder["index.json"]), StringComparison.Ordinal);
        WriteFolder(folder.Path, 5, 2, 4, ElementType.BFloat16);
        string index = File.ReadAllText(folder["index.json"]);
        Assert.Contains("\"version\": 2", index, StringComparison.Ordinal);
        using (TokenShards shards = TokenShards.Open(folder.Path)) Assert.Equal(5, shards.Rows);
        File.WriteAllText(folder["index.json"], index.Replace("\"version\": 2", "\"version\": 3", StringComparison.Ordinal));
        Assert.Contains("only versions 1 and 2", Assert.Throws<DataException>(() => TokenShards.Open(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Brain_floats_open_in_numpy_and_torch_and_theirs_open_here()
    {
        string? python = Python.Find("import numpy, torch", out string reason);
        Assert.SkipWhen(python is null, reason);
        using TemporaryFolder folder = new();
        using (TokenShardWriter writer = new(folder.Path, 3, ElementType.BFloat16))
        {
            using Matrix<float> tokens = Matrix<float>.From(s_device, 2, 3, [1, -2.5f, 3, 0.15625f, 1e30f, -0f]);
            writer.Append(tokens.View);
            writer.Complete();
        }
        string shard = Directory.GetFiles(folder.Path, "tokens-*.npy")[0];
        string script = $"""
            import numpy, torch
            stored = numpy.load(r"{shard}", mmap_mode="r")
            tokens = torch.from_numpy(stored.view(numpy.int16).copy()).view(torch.bfloat16)
            print(stored.shape, stored.dtype, tokens.float().tolist())
            numpy.save(r"{folder["bits.npy"]}", tokens.view(torch.int16).numpy().view(numpy.uint16))
            numpy.save(r"{folder["void.npy"]}", tokens.view(torch.int16).numpy().view("V2"))
            """;
        string output = Python.Run(python, "-c", script);
        Assert.StartsWith("(2, 3) |V2 [[1.0, -2.5, 3.0], [0.15625, 1.00", output, StringComparison.Ordinal);
        using Matrix<float> voids = MatrixReader.ReadSingle(s_device, folder["void.npy"]);
        Assert.Equal(-2.5f, voids.Row(0)[1]);
        // The bits as whole numbers, under an index that says what they are.
        string index = File.ReadAllText(folder["index.json"]);
        File.WriteAllText(folder["index.json"], index.Replace(Path.GetFileName(shard), "bits.npy", StringComparison.Ordinal));
        using TokenShards shards = TokenShards.Open(folder.Path);
        using Matrix<float> read = shards.ReadAll(s_device);
        Assert.Equal(0.15625f, read.Row(1)[0]);
    }

    [Theory]
    [InlineData(ElementType.Float16)]
    [InlineData(ElementType.BFloat16)]
    [InlineData(ElementType.Float32)]
    [InlineData(ElementType.Float64)]
    public void Large_arrays_are_streamed_and_equal_to_held_ones(ElementType type)
    {
        using TemporaryFolder folder = new();
        using Matrix<float> tokens = Random(50, 7, 3);
        Array values = type switch
        {
            ElementType.Float16 => tokens.Buffer.View.Host.ToArray().Select(v => (Half)v).ToArray(),
            ElementType.BFloat16 => tokens.Buffer.View.Host.ToArray().Select(v => (BFloat16)v).ToArray(),
            ElementType.Float64 => tokens.Buffer.View.Host.ToArray().Select(v => (double)v).ToArray(),
            _ => tokens.Buffer.View.Host.ToArray(),
        };
        NpyFile.Write(folder["t.npy"], new NdArray(values, 50, 7));
        SafetensorsFile.Write(folder["t.safetensors"], writer =>
        {
            writer.Add("other", new float[3]);
            writer.Add("t", new NdArray(values, 50, 7));
        });
        foreach (string locator in new[] { folder["t.npy"], folder["t.safetensors"] + ":t" })
        {
            using ITokenSource streamed = TokenSource.Open(s_device, locator, 1), held = TokenSource.Open(s_device, locator);
            Assert.False(streamed is IResidentTokens);
            Assert.True(held is IResidentTokens);
            using Matrix<float> part = s_device.AllocateMatrix<float>(20, 7);
            streamed.Read(25, part.View);
            for (int i = 0; i < 20; i++) Assert.True(part.Row(i).SequenceEqual(((IResidentTokens)held).All.Row(25 + i)));
            using IResidentTokens all = TokenSource.Hold(s_device, streamed);
            Assert.True(all.All.Row(49).SequenceEqual(((IResidentTokens)held).All.Row(49)));
        }
        Assert.Equal(2, Assert.Throws<UsageException>(() => TokenSource.Open(s_device, folder["t.npy"] + ":x", 1)).ExitCode);
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
        Assert.InRange(MemoryAccounting.CurrentBytes - before, 1, bounded.Plan.MemoryBytes);
        // Read-ahead takes four groups of eight blocks and a block for each thread.
        Assert.InRange(bounded.Plan.MemoryBytes, Window, Window + 40 * 4 * 4096 * sizeof(float));
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
        WarmAllocation rounds = new();
        while (rounds.Again()) for (int i = 0; i < 20; i++) shuffled.Next(batch.View);
        Assert.Equal(0, rounds.Least);
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
