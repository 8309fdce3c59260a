using BioSup.Runtime;
using CsCheck;

namespace BioSup.Data.Tests;

public sealed class ShuffledTokensTests
{
    private static readonly CpuDevice s_device = new(1);

    /// <summary>Rows that hold their number, read as slowly as the test wants.</summary>
    private class Numbered(long rows, int columns) : ITokenSource
    {
        private int _reads;

        public long Rows => rows;
        public int Columns => columns;
        public int Reads => _reads;
        public Action<long>? BeforeRead { get; init; }

        public void Read(long start, MatrixView<float> destination)
        {
            Interlocked.Increment(ref _reads);
            BeforeRead?.Invoke(start);
            for (int i = 0; i < destination.Rows; i++) destination.Row(i).Fill(start + i);
        }

        public void Dispose() { }
    }

    private sealed class NumberedBlocks(int blocks, int blockRows, int perRead) : Numbered(blocks * (long)blockRows, 2), IBlockTokens
    {
        public int BlockRows => blockRows;
        public int BlocksPerRead => perRead;

        public void ReadBlocks(ReadOnlySpan<int> blocks, MatrixView<float> destination)
        {
            Assert.Equal(blocks.Length * blockRows, destination.Rows);
            for (int i = 0; i < blocks.Length; i++) Read((long)blocks[i] * blockRows, destination.RowBlock(i * blockRows, blockRows));
        }
    }

    /// <summary>The order as its description says it, in one piece.</summary>
    private static List<long> Stated(long rows, int blockRows, int blocksPerWindow, ulong seed, ulong epoch)
    {
        int[] blocks = [.. Enumerable.Range(0, (int)((rows + blockRows - 1) / blockRows))];
        CounterRandom permutation = new(seed, epoch << 32);
        permutation.Shuffle(blocks.AsSpan());
        List<long> order = [];
        uint window = 0;
        foreach (int[] part in blocks.Chunk(blocksPerWindow))
        {
            long[] inside = [.. part.SelectMany(block => Enumerable.Range(0, blockRows).Select(i => (long)block * blockRows + i)).Where(row => row < rows)];
            CounterRandom random = new(seed, (epoch << 32) | ++window);
            random.Shuffle(inside.AsSpan());
            order.AddRange(inside);
        }
        return order;
    }

    private static List<long> Deliver(ShuffledTokens shuffled, int batch, int columns, long most = long.MaxValue)
    {
        using Matrix<float> tokens = s_device.AllocateMatrix<float>(batch, columns);
        long[] numbers = new long[batch];
        List<long> order = [];
        for (int count; order.Count < most && (count = shuffled.Next(tokens.View, numbers)) > 0;)
            for (int i = 0; i < count; i++)
            {
                Assert.Equal(numbers[i], tokens.Row(i)[^1]);
                order.Add(numbers[i]);
            }
        return order;
    }

    [Fact]
    public void The_order_is_the_one_stated_however_the_tokens_come()
    {
        Gen.Select(Gen.Int[1, 700], Gen.Int[1, 5], Gen.Int[1, 60], Gen.ULong[0, 3], Gen.Int[1, 90]).Sample((rows, blockRows, windowRows, epoch, batch) =>
        {
            // A row of 64 KiB / blockRows or a little less makes blocks of that many rows.
            int columns = 16384 / blockRows;
            int actual = 65536 / (4 * columns), perWindow = Math.Max(1, windowRows / actual);
            List<long> stated = Stated(rows, actual, Math.Min(perWindow, (rows + actual - 1) / actual), 5, epoch);
            Numbered source = new(rows, columns);
            using (ShuffledTokens streamed = new(source, 5, epoch, (long)perWindow * actual * columns * sizeof(float))) Assert.Equal(stated, Deliver(streamed, batch, columns));
            Matrix<float> matrix = s_device.AllocateMatrix<float>(rows, columns);
            source.Read(0, matrix.View);
            using ITokenSource held = TokenSource.From(matrix);
            using ShuffledTokens resident = new(held, 5, epoch, (long)perWindow * actual * columns * sizeof(float));
            Assert.Equal(stated, Deliver(resident, batch, columns));
        }, iter: 40, threads: 1);
    }

    [Fact]
    public void Blocks_made_together_follow_the_same_order()
    {
        Gen.Select(Gen.Int[1, 40], Gen.Int[1, 30], Gen.Int[1, 9], Gen.Int[1, 12]).Sample((blocks, blockRows, perRead, perWindow) =>
        {
            NumberedBlocks source = new(blocks, blockRows, perRead);
            using ShuffledTokens shuffled = new(source, 3, 1, (long)perWindow * blockRows * 2 * sizeof(float));
            Assert.Equal(Stated(blocks * (long)blockRows, blockRows, Math.Min(perWindow, blocks), 3, 1), Deliver(shuffled, 17, 2));
        }, iter: 60, threads: 1);
    }

    [Fact]
    public void Threads_that_are_late_change_nothing()
    {
        const int Rows = 3000, Columns = 2048;
        int calls = 0;
        Numbered uneven = new(Rows, Columns) { BeforeRead = start => Thread.Sleep((int)((start * 7919 + Interlocked.Increment(ref calls) * 31) % 11 == 0 ? 5 : 0)) };
        using ShuffledTokens shuffled = new(uneven, 11, 0, 800L * Columns * sizeof(float));
        Assert.Equal(Stated(Rows, 8, 100, 11, 0), Deliver(shuffled, 64, Columns));
    }

    [Fact]
    public void Epochs_that_follow_one_another_are_read_ahead_and_equal_to_fresh_ones()
    {
        const int Rows = 1040, Columns = 2048;
        const long Window = 240L * Columns * sizeof(float);
        Numbered source = new(Rows, Columns);
        using ShuffledTokens shuffled = new(source, 2, 0, Window, epochs: 3);
        for (ulong epoch = 0; epoch < 3; epoch++)
        {
            if (epoch > 0) shuffled.Restart(epoch);
            // The incomplete last batch is left out, as training does.
            Assert.Equal(Stated(Rows, 8, 30, 2, epoch)[..1000], Deliver(shuffled, 100, Columns, 1000));
        }
        // Each block of each epoch is read once: nothing is read twice for a new epoch, and nothing after the last.
        Assert.Equal(3 * 130, source.Reads);
    }

    [Fact]
    public void A_failure_comes_out_where_its_tokens_would_and_a_restart_forgets_it()
    {
        const int Rows = 1000, Columns = 2048;
        bool broken = true;
        Numbered source = new(Rows, Columns)
        {
            BeforeRead = start =>
            {
                if (Volatile.Read(ref broken) && start == 960) throw new DataException("shard.npy", "offset 7", "reading failed");
            },
        };
        using ShuffledTokens shuffled = new(source, 2, 0, 240L * Columns * sizeof(float));
        List<long> stated = Stated(Rows, 8, 30, 2, 0);
        int bad = stated.IndexOf(960) / 240 * 240;
        Assert.True(bad > 0);
        Assert.Equal(stated[..bad], Deliver(shuffled, 60, Columns, bad));
        for (int again = 0; again < 2; again++)
            Assert.Equal("shard.npy (offset 7): reading failed", Assert.Throws<DataException>(() => Deliver(shuffled, 60, Columns)).Message);
        Volatile.Write(ref broken, false);
        shuffled.Restart(0, bad + 5);
        Assert.Equal(stated[(bad + 5)..], Deliver(shuffled, 60, Columns));
    }

    [Fact]
    public void Closing_ends_the_threads_whatever_they_wait_for()
    {
        const int Columns = 2048;
        Numbered source = new(4000, Columns) { BeforeRead = _ => Thread.Sleep(1) };
        for (int taken = 0; taken <= 600; taken += 200)
        {
            using ShuffledTokens shuffled = new(source, 2, 0, 400L * Columns * sizeof(float), epochs: 2);
            if (taken > 0) Assert.Equal(taken, Deliver(shuffled, 200, Columns, taken).Count);
        }
        int reads = source.Reads;
        Thread.Sleep(20);
        Assert.Equal(reads, source.Reads);
    }

    // Orders alone, counted: a pair of tokens of one image in one batch, over many seeds.
    [Theory]
    [InlineData(4000, 8, 50, 100, 21, false)]
    [InlineData(4000, 8, 50, 90, 21, false)]
    [InlineData(4000, 16, 25, 640, 7, false)]
    [InlineData(4000, 1, 400, 100, 50, false)]
    [InlineData(4000, 40, 10, 64, 40, true)]
    [InlineData(4000, 8, 50, 100, 80, true)]
    [InlineData(4000, 8, 500, 128, 21, false)]
    [InlineData(3996, 8, 33, 70, 3, false)]
    public void Crowding_is_what_the_formula_says(int rows, int blockRows, int blocksPerWindow, int batch, int imageRows, bool aligned)
    {
        const int Seeds = 200;
        ShuffleMixing mixing = new(rows, blockRows, blocksPerWindow);
        double[] found = new double[Seeds];
        double images = (double)rows / imageRows, pairs = 0;
        for (int first = 0; first < rows; first += imageRows)
        {
            int m = Math.Min(imageRows, rows - first);
            pairs += m * (m - 1) / 2.0;
        }
        double perfect = (double)(rows / batch * batch) / rows * (batch - 1) / (rows - 1);
        int[] batchOf = new int[rows], counts = new int[rows / imageRows + 1];
        for (int seed = 0; seed < Seeds; seed++)
        {
            Batches(rows, blockRows, blocksPerWindow, (ulong)seed, batch, batchOf);
            double together = 0;
            for (int first = 0; first < rows; first += imageRows)
                for (int i = first; i < Math.Min(rows, first + imageRows); i++)
                    for (int j = i + 1; j < Math.Min(rows, first + imageRows); j++)
                        if (batchOf[i] >= 0 && batchOf[i] == batchOf[j]) together++;
            found[seed] = together / pairs / perfect;
        }
        double mean = found.Average(), error = Math.Sqrt(found.Sum(f => (f - mean) * (f - mean)) / (Seeds - 1) / Seeds);
        double expected = mixing.Crowding(batch, imageRows, aligned);
        Assert.True(Math.Abs(mean - expected) < 4 * error + 0.004 * expected, $"{mean:F4} ± {error:F4}, expected {expected:F4}; {images} images");
    }

    private static void Batches(int rows, int blockRows, int blocksPerWindow, ulong seed, int batch, int[] batchOf)
    {
        ShuffleOrder order = new(rows, blockRows, blocksPerWindow, seed);
        order.Draw(0);
        int[] inside = new int[order.Capacity];
        for (int window = 0; window < order.Windows; window++)
        {
            int count = order.RowsOf(window);
            for (int i = 0; i < count; i++) inside[i] = i;
            order.Permute(window, inside.AsSpan(0, count));
            for (int i = 0; i < count; i++)
            {
                long position = order.FirstRow(window) + i, at = position / batch;
                batchOf[order.SourceRow(window, inside[i])] = (at + 1) * batch <= rows ? (int)at : -1;
            }
        }
    }

    [Fact]
    public void A_window_of_everything_is_a_perfect_shuffle_and_small_blocks_mix_better()
    {
        Assert.Equal(1, new ShuffleMixing(10_000, 1, 10_000).Crowding(100, 64), 9);
        Assert.Equal(1, new ShuffleMixing(10_000, 32, 313).Crowding(100, 64), 9);
        double coarse = new ShuffleMixing(1_000_000, 64, 100).Crowding(2048, 4096), fine = new ShuffleMixing(1_000_000, 16, 400).Crowding(2048, 4096);
        Assert.True(fine < coarse, $"{fine} {coarse}");
        (double here, double perfect) = new ShuffleMixing(100_000_000, 32, 4096).Company(2048, 4096);
        Assert.InRange(perfect, 0.083, 0.085);
        Assert.InRange(here, perfect, 1);
    }
}
