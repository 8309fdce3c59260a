using System.Diagnostics;
using BioSup.Shapes;

namespace BioSup.Runtime.Tests;

public sealed class WorkerPoolTests
{
    private unsafe struct SumJob : IBlockJob
    {
        public double* Partials;
        public int PerBlock;

        public readonly void Execute(long block, int worker)
        {
            double sum = 0;
            for (int i = 0; i < PerBlock; i++) sum += 1.0 / (1 + block * PerBlock + i);
            Partials[block] = sum;
        }
    }

    private struct CountJob : IBlockJob
    {
        public int[] Seen;
        public int[] Workers;

        public readonly void Execute(long block, int worker)
        {
            Interlocked.Increment(ref Seen[block]);
            Interlocked.Increment(ref Workers[worker]);
        }
    }

    private struct ThrowingJob : IBlockJob
    {
        public long Bad;
        public int[] Started;

        public readonly void Execute(long block, int worker)
        {
            Interlocked.Increment(ref Started[0]);
            if (block == Bad) throw new InvalidDataException($"block {block}");
        }
    }

    private struct NestedJob : IBlockJob
    {
        public WorkerPool Pool;
        public int[] Seen;

        public readonly void Execute(long block, int worker)
        {
            CountJob inner = new() { Seen = Seen, Workers = new int[Pool.Threads] };
            Pool.Run(10, ref inner);
            Assert.Equal(10, inner.Workers[0]);
        }
    }

    private struct MutatingJob : IBlockJob
    {
        public long Done;
        public void Execute(long block, int worker) => Interlocked.Increment(ref Done);
    }

    private sealed class Holder
    {
        public MutatingJob Job;
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void Every_block_runs_exactly_once(int threads)
    {
        using WorkerPool pool = new(threads);
        foreach (int blocks in (int[])[0, 1, 2, 3, 17, 1000])
        {
            CountJob job = new() { Seen = new int[blocks], Workers = new int[threads] };
            pool.Run(blocks, ref job);
            Assert.All(job.Seen, n => Assert.Equal(1, n));
            Assert.Equal(blocks, job.Workers.Sum());
        }
    }

    [Fact]
    public unsafe void A_reduction_over_blocks_has_the_same_bits_on_any_number_of_threads()
    {
        double? first = null;
        foreach (int threads in (int[])[1, 2, 3, 8])
        {
            using WorkerPool pool = new(threads);
            double[] partials = new double[237];
            fixed (double* p = partials)
            {
                SumJob job = new() { Partials = p, PerBlock = 1001 };
                pool.Run(partials.Length, ref job);
            }
            double sum = 0;
            foreach (double partial in partials) sum += partial;
            first ??= sum;
            Assert.Equal(BitConverter.DoubleToInt64Bits(first.Value), BitConverter.DoubleToInt64Bits(sum));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void An_exception_reaches_the_caller_and_the_pool_lives_on(int threads)
    {
        using WorkerPool pool = new(threads);
        for (int repeat = 0; repeat < 50; repeat++)
        {
            ThrowingJob job = new() { Bad = repeat, Started = new int[1] };
            InvalidDataException e = Assert.Throws<InvalidDataException>(() =>
            {
                ThrowingJob copy = job;
                pool.Run(100, ref copy);
            });
            Assert.Equal($"block {repeat}", e.Message);
            CountJob after = new() { Seen = new int[20], Workers = new int[threads] };
            pool.Run(20, ref after);
            Assert.All(after.Seen, n => Assert.Equal(1, n));
        }
    }

    [Fact]
    public void A_job_started_inside_a_job_runs_on_that_thread()
    {
        using WorkerPool pool = new(3);
        NestedJob job = new() { Pool = pool, Seen = new int[10] };
        pool.Run(40, ref job);
        Assert.All(job.Seen, n => Assert.Equal(40, n));
    }

    [Fact]
    public void Several_callers_share_one_pool()
    {
        using WorkerPool pool = new(3);
        int[][] seen = [.. Enumerable.Range(0, 4).Select(_ => new int[64])];
        Thread[] callers = [.. seen.Select(s => new Thread(() =>
        {
            for (int i = 0; i < 300; i++)
            {
                CountJob job = new() { Seen = s, Workers = new int[3] };
                pool.Run(64, ref job);
            }
        }))];
        foreach (Thread caller in callers) caller.Start();
        foreach (Thread caller in callers) Assert.True(caller.Join(TimeSpan.FromSeconds(30)));
        Assert.All(seen, s => Assert.All(s, n => Assert.Equal(300, n)));
    }

    [Fact]
    public void Many_tiny_jobs_with_and_without_pauses_never_hang()
    {
        using WorkerPool pool = new(4);
        MutatingJob job = default;
        Stopwatch clock = Stopwatch.StartNew();
        long expected = 0;
        for (int i = 0; i < 20_000 && clock.Elapsed < TimeSpan.FromSeconds(4); i++)
        {
            pool.Run(2 + i % 7, ref job);
            expected += 2 + i % 7;
            // Long enough now and then for workers to be on their way to sleep, which is where a wake-up could be lost.
            if (i % 400 == 0) Thread.Sleep(i % 3);
            else if (i % 50 == 0) Thread.SpinWait(i % 5000);
        }
        Assert.Equal(expected, job.Done);
    }

    [Fact]
    public void A_job_inside_an_object_is_found_even_when_the_collector_moves_the_object()
    {
        using WorkerPool pool = new(3);
        Holder holder = new();
        for (int i = 0; i < 40; i++)
        {
            byte[] litter = new byte[1000 + i];
            holder = new Holder { Job = holder.Job };
            Thread collector = new(() => GC.Collect(0, GCCollectionMode.Forced));
            collector.Start();
            pool.Run(500, ref holder.Job);
            collector.Join();
            GC.KeepAlive(litter);
        }
        Assert.Equal(40 * 500, holder.Job.Done);
    }

    [Fact]
    public void Starting_a_job_allocates_nothing()
    {
        using WorkerPool pool = new(2);
        MutatingJob job = default;
        for (int i = 0; i < 100; i++) pool.Run(8, ref job);
        WarmAllocation rounds = new();
        while (rounds.Again()) for (int i = 0; i < 100; i++) pool.Run(8, ref job);
        Assert.Equal(0, rounds.Least);
    }

    [Fact]
    public void A_disposed_pool_says_so()
    {
        WorkerPool pool = new(2);
        MutatingJob job = default;
        pool.Run(8, ref job);
        pool.Dispose();
        pool.Dispose();
        Assert.Throws<ObjectDisposedException>(() =>
        {
            MutatingJob late = default;
            pool.Run(8, ref late);
        });
        Assert.Throws<ArgumentOutOfRangeException>(() => new WorkerPool(0));
    }
}
