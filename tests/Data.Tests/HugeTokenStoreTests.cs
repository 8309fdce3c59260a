using System.Globalization;
using BioSup.Runtime;

namespace BioSup.Data.Tests;

[CollectionDefinition(nameof(AloneCollection), DisableParallelization = true)]
public sealed class AloneCollection;

/// <summary>
/// 100 million tokens of 512 bfloat16 values, 102.4 GB, as shards with holes: what the reader does with memory and with its order at full size,
/// without the disk and the hour that the content would take.
/// </summary>
[Collection(nameof(AloneCollection))]
public sealed class HugeTokenStoreTests
{
    private const long Rows = 100_000_000, RowsPerShard = 2_500_000;
    private const int Columns = 512, Batch = 2048;
    private const ulong Seed = 17;
    private static readonly CpuDevice s_device = new(1);

    // What a row holds: zeros, but for the marked ones.
    private static float Mark(long row) => (float)(BFloat16)(1 + row % 251);

    [Fact]
    public void The_order_of_a_hundred_million_tokens_has_every_token_once()
    {
        ShuffleOrder order = new(Rows, 32, 4096, Seed);
        order.Draw(0);
        Assert.Equal((763, 131_072), (order.Windows, order.Capacity));
        Assert.InRange(order.TableBytes, 1, 13L << 20);
        ulong[] seen = new ulong[Rows / 64 + 1];
        int[] inside = new int[order.Capacity];
        long delivered = 0;
        for (int window = 0; window < order.Windows; window++)
        {
            Assert.Equal(delivered, order.FirstRow(window));
            Span<int> rows = inside.AsSpan(0, order.RowsOf(window));
            for (int i = 0; i < rows.Length; i++) rows[i] = i;
            order.Permute(window, rows);
            foreach (int row in rows)
            {
                long source = order.SourceRow(window, row);
                ulong bit = 1UL << (int)(source & 63);
                if ((seen[source >> 6] & bit) != 0) Assert.Fail($"row {source} comes twice");
                seen[source >> 6] |= bit;
            }
            delivered += rows.Length;
        }
        Assert.Equal(Rows, delivered);
    }

    [Fact]
    public void A_hundred_gigabytes_are_streamed_in_constant_memory_and_resumed_anywhere()
    {
        using TemporaryFolder folder = new();
        string? unable = Sparse(folder.Path);
        Assert.SkipWhen(unable is not null, unable ?? "");
        // Windows from all over the epoch, and a few rows of each that are not zero.
        ShuffleOrder order = new(Rows, 32, 4096, Seed);
        order.Draw(0);
        long[] starts = [0, order.FirstRow(381) + 77_777, order.FirstRow(762) - 3 * Batch];
        HashSet<long> marked = MarkRows(folder.Path, order, [0, 381, 762]);

        using TokenShards shards = TokenShards.Open(folder.Path);
        Assert.Equal((Rows, Columns), (shards.Rows, shards.Columns));
        using Matrix<float> batch = s_device.AllocateMatrix<float>(Batch, Columns);
        long[] numbers = new long[Batch];
        long before = Resident(reset: true), accounted = MemoryAccounting.CurrentBytes;
        long stated;
        int met = 0;
        using (ShuffledTokens shuffled = new(shards, Seed))
        {
            stated = shuffled.Plan.MemoryBytes;
            foreach (long start in starts)
            {
                shuffled.Restart(0, start);
                for (long read = 0; read < 30_000 && shuffled.Next(batch.View, numbers) is > 0 and int count; read += count)
                    for (int i = 0; i < count; i++)
                    {
                        float expected = marked.Contains(numbers[i]) ? Mark(numbers[i]) : 0;
                        if (expected != 0) met++;
                        Assert.Equal(expected, batch.Row(i)[0]);
                        Assert.Equal(expected, batch.Row(i)[Columns - 1]);
                    }
            }
            Assert.InRange(MemoryAccounting.CurrentBytes - accounted, 1L << 20, stated);
        }
        Assert.True(met > 20, $"{met} marked rows were met");
        long peak = Resident(reset: false) - before;
        Assert.InRange(stated, 256L << 20, 300L << 20);
        Assert.True(peak < stated + (64L << 20), $"{peak >> 20} MiB at the peak, {stated >> 20} MiB stated");

        // A reader that goes on from a position gives what one that came there by reading gives.
        using ShuffledTokens through = new(shards, Seed), resumed = new(shards, Seed);
        using Matrix<float> other = s_device.AllocateMatrix<float>(Batch, Columns);
        long[] again = new long[Batch];
        long middle = order.FirstRow(500) - Batch;
        through.Restart(0, middle);
        through.Next(batch.View, numbers);
        through.Next(batch.View, numbers);
        resumed.Restart(0, middle + Batch);
        resumed.Next(other.View, again);
        Assert.Equal(numbers, again);
        Assert.True(batch.Buffer.View.Host.SequenceEqual(other.Buffer.View.Host));
    }

    /// <summary>The shards as holes behind their headers, and the index; null, or why this file system will not do.</summary>
    private static string? Sparse(string folder)
    {
        DriveInfo drive = new(Path.GetFullPath(folder));
        long free = drive.AvailableFreeSpace;
        List<TokenShard> shards = [];
        for (long first = 0; first < Rows; first += RowsPerShard)
        {
            string name = string.Create(CultureInfo.InvariantCulture, $"tokens-{first / RowsPerShard:00000}-00000000.npy");
            using FileStream shard = File.Create(Path.Combine(folder, name));
            byte[] header = TokenContainer.Npy.Header(ElementType.BFloat16, RowsPerShard, Columns);
            shard.Write(header);
            try
            {
                shard.SetLength(header.Length + RowsPerShard * Columns * 2);
            }
            catch (Exception e) when (e is IOException or ArgumentOutOfRangeException or UnauthorizedAccessException)
            {
                return $"the file system of {folder} holds no file of {RowsPerShard * Columns * 2} bytes: {e.Message}";
            }
            shards.Add(new TokenShard(name, RowsPerShard, new string('0', 64)));
            if (free - drive.AvailableFreeSpace > 1L << 30) return $"the file system of {folder} does not keep holes: {first + RowsPerShard} empty rows took {free - drive.AvailableFreeSpace} bytes";
        }
        new TokenIndex(ElementType.BFloat16, Columns, shards, [], []).Write(folder);
        return null;
    }

    private static HashSet<long> MarkRows(string folder, ShuffleOrder order, int[] windows)
    {
        HashSet<long> marked = [];
        byte[] row = new byte[Columns * 2];
        float[] values = new float[Columns];
        foreach (int window in windows)
        {
            if (window >= order.Windows) continue;
            for (int i = 0; i < order.RowsOf(window); i += 1000) marked.Add(order.SourceRow(window, i));
        }
        foreach (IGrouping<long, long> shard in marked.GroupBy(number => number / RowsPerShard))
        {
            using FileStream file = File.OpenWrite(Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"tokens-{shard.Key:00000}-00000000.npy")));
            foreach (long number in shard)
            {
                values.AsSpan().Fill(Mark(number));
                TokenCodec.Encode(ElementType.BFloat16, values, row);
                file.Position = 128 + number % RowsPerShard * row.Length;
                file.Write(row);
            }
        }
        return marked;
    }

    /// <summary>Resident bytes of the process: now, having set the peak back; or the peak since.</summary>
    private static long Resident(bool reset)
    {
        if (reset)
        {
            GC.Collect();
            File.WriteAllText("/proc/self/clear_refs", "5");
        }
        string line = File.ReadLines("/proc/self/status").First(l => l.StartsWith("VmHWM:", StringComparison.Ordinal));
        return long.Parse(line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) << 10;
    }
}
