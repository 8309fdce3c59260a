using BioSup.Analysis.Sae;
using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;
using CsCheck;

namespace BioSup.Analysis.Tests.Sae;

public sealed class TokenBatchesTests
{
    private const long Window = 64 << 10;
    private static readonly CpuDevice s_device = new(1);

    /// <summary>Row i holds i; not in memory as a whole, so it is streamed.</summary>
    private sealed class Streamed(int rows, int columns) : ITokenSource
    {
        public long Rows => rows;
        public int Columns => columns;
        public long BrokenRow { get; set; } = -1;
        public int Slow { get; init; }

        public void Read(long start, MatrixView<float> destination)
        {
            if (Slow > 0) Thread.Sleep(Slow);
            if (BrokenRow >= start && BrokenRow < start + destination.Rows) throw new DataException("tokens.npy", $"row {BrokenRow}", "reading failed");
            for (int i = 0; i < destination.Rows; i++) destination.Row(i).Fill(start + i);
        }

        public void Dispose() { }
    }

    private static ITokenSource Held(int rows, int columns)
    {
        Matrix<float> matrix = s_device.AllocateMatrix<float>(rows, columns);
        for (int i = 0; i < rows; i++) matrix.Row(i).Fill(i);
        return TokenSource.From(matrix);
    }

    private static float[] Load(TokenBatches batches, long step, int batch, int columns)
    {
        using Matrix<float> tokens = s_device.AllocateMatrix<float>(batch, columns);
        batches.Load(step, tokens.View);
        return [.. Enumerable.Range(0, batch).Select(i => tokens.Row(i)[columns - 1])];
    }

    [Fact]
    public void A_batch_is_a_function_of_its_step_whoever_asks_and_in_whatever_turn()
    {
        Gen.Select(Gen.Int[1, 400], Gen.Int[1, 60], Gen.Bool, Gen.Int[0, 40].Array[1, 12]).Sample((rows, batch, shuffled, steps) =>
        {
            batch = Math.Min(batch, rows);
            TokenOrder order = shuffled ? TokenOrder.Shuffled : TokenOrder.Fixed;
            using ITokenSource held = Held(rows, 512);
            using TokenBatches expected = new(held, batch, order, 4, windowBytes: Window), streamed = new(new Streamed(rows, 512), batch, order, 4, windowBytes: Window);
            // The same step twice, as two models ask; then the next ones in turn; then anywhere.
            foreach (int step in steps)
                foreach (int at in new[] { step, step, step + 1, step + 2 })
                    Assert.Equal(Load(expected, at, batch, 512), Load(streamed, at, batch, 512));
        }, iter: 30, threads: 1);
    }

    [Fact]
    public void Models_that_load_from_threads_of_their_own_get_the_same_batches()
    {
        const int Steps = 60, Batch = 20;
        using TokenBatches alone = new(new Streamed(300, 512), Batch, TokenOrder.Shuffled, 4, Steps, Window);
        float[][] expected = [.. Enumerable.Range(0, Steps).Select(step => Load(alone, step, Batch, 512))];
        using TokenBatches shared = new(new Streamed(300, 512), Batch, TokenOrder.Shuffled, 4, Steps, Window);
        using Barrier together = new(3);
        List<Exception> failures = [];
        Thread[] models = [.. Enumerable.Range(0, 3).Select(_ => new Thread(() =>
        {
            for (int step = 0; step < Steps; step++)
            {
                together.SignalAndWait();
                try
                {
                    Assert.Equal(expected[step], Load(shared, step, Batch, 512));
                }
                catch (Exception e)
                {
                    lock (failures) failures.Add(e);
                }
            }
        }))];
        foreach (Thread model in models) model.Start();
        foreach (Thread model in models) model.Join();
        Assert.Empty(failures);
    }

    [Theory]
    [InlineData(TokenOrder.Fixed)]
    [InlineData(TokenOrder.Shuffled)]
    public void A_reading_error_comes_out_of_the_step_that_needs_the_row(TokenOrder order)
    {
        Streamed source = new(400, 512) { BrokenRow = 333 };
        using TokenBatches batches = new(source, 20, order, 4, windowBytes: Window);
        long failed = -1;
        for (long step = 0; step < 20 && failed < 0; step++)
        {
            try
            {
                Load(batches, step, 20, 512);
            }
            catch (DataException e)
            {
                Assert.Equal("tokens.npy (row 333): reading failed", e.Message);
                failed = step;
            }
        }
        Assert.True(failed >= 0);
        if (order == TokenOrder.Fixed) Assert.Equal(16, failed);
        source.BrokenRow = -1;
        using TokenBatches whole = new(new Streamed(400, 512), 20, order, 4, windowBytes: Window);
        Assert.Equal(Load(whole, failed, 20, 512), Load(batches, failed, 20, 512));
    }

    [Fact]
    public void Nothing_is_allocated_once_warm()
    {
        using ITokenSource held = Held(2000, 64);
        using TokenBatches streamed = new(new Streamed(2000, 64), 50, TokenOrder.Shuffled, 1, windowBytes: Window), resident = new(held, 50, TokenOrder.Shuffled, 1, windowBytes: Window);
        using Matrix<float> tokens = s_device.AllocateMatrix<float>(50, 64);
        foreach (TokenBatches batches in new[] { streamed, resident })
        {
            for (int step = 0; step < 45; step++) batches.Load(step, tokens.View);
            WarmAllocation rounds = new();
            while (rounds.Again()) for (int step = 45; step < 200; step++) batches.Load(step, tokens.View);
            Assert.Equal(0, rounds.Least);
        }
    }

    [Fact]
    public void Closing_in_the_middle_of_reading_ends_every_thread()
    {
        for (int steps = 0; steps < 4; steps++)
        {
            using TokenBatches batches = new(new Streamed(4000, 512) { Slow = 1 }, 20, TokenOrder.Shuffled, 4, windowBytes: 1 << 20);
            for (int step = 0; step < steps; step++) Load(batches, step, 20, 512);
        }
        using TokenBatches one = new(new Streamed(400, 512), 20, TokenOrder.Shuffled, 4);
        one.Dispose();
        using Matrix<float> tokens = s_device.AllocateMatrix<float>(20, 512);
        Assert.Throws<ObjectDisposedException>(() => one.Load(0, tokens.View));
    }
}
