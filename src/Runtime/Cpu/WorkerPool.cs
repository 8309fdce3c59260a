using System.Runtime.CompilerServices;

namespace BioSup.Runtime;

/// <summary>A piece of parallel work: block b may run on any thread, so its result must depend on b alone.</summary>
public interface IBlockJob
{
    /// <param name="block">Which block, 0 ≤ block &lt; blocks.</param>
    /// <param name="worker">Which thread runs it, 0 ≤ worker &lt; <see cref="WorkerPool.Threads"/>: for scratch memory only, never for results.</param>
    void Execute(long block, int worker);
}

/// <summary>
/// Persistent threads that share blocks of work. The caller cuts its problem into blocks whose number depends on the problem,
/// never on the number of threads; blocks are handed out by an atomic counter. A floating-point reduction keeps one partial per block
/// and adds them in block order, so results are the same bytes on 1 and on N threads. Starting a job allocates nothing.
/// </summary>
public sealed unsafe class WorkerPool : IDisposable
{
    private const int SpinIterations = 2000;
    private readonly Thread[] _workers;
    private readonly Lock _entry = new();
    private readonly object _wake = new();
    private delegate*<void*, long, int, void> _execute;
    private void* _job;
    private long _blocks;
    private long _next;
    private int _pending;
    private volatile int _generation;
    private volatile bool _stopping;
    private int _sleepers;
    private Exception? _failure;
    [ThreadStatic] private static bool t_insideJob;

    public WorkerPool(int threads)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        Threads = threads;
        _workers = new Thread[threads - 1];
        for (int i = 0; i < _workers.Length; i++)
        {
            int worker = i + 1;
            _workers[i] = new Thread(() => WorkerLoop(worker), 4 * 1024 * 1024) { IsBackground = true, Name = $"biosup-{worker}" };
            _workers[i].Start();
        }
    }

    /// <summary>Number of threads that run blocks, the caller included.</summary>
    public int Threads { get; }

    /// <summary>
    /// Runs every block and returns when all are done. A job started from inside a job, or while another caller holds the pool, runs on the
    /// calling thread (as worker 0): same result, no deadlock. The first exception of a block is rethrown here after the others have finished.
    /// </summary>
    public void Run<TJob>(long blocks, ref TJob job) where TJob : struct, IBlockJob
    {
        if (blocks <= 0) return;
        if (blocks == 1 || Threads == 1 || t_insideJob || !_entry.TryEnter())
        {
            for (long block = 0; block < blocks; block++) job.Execute(block, 0);
            return;
        }
        try
        {
            // The job lives on this stack frame, which stays until every worker has left it.
            _job = Unsafe.AsPointer(ref job);
            _execute = &Invoke<TJob>;
            _blocks = blocks;
            _failure = null;
            Volatile.Write(ref _next, 0);
            Volatile.Write(ref _pending, _workers.Length);
            // A full fence: the new generation must be visible before the sleepers are counted, or a worker going to sleep would be missed.
            Interlocked.Increment(ref _generation);
            if (Volatile.Read(ref _sleepers) > 0) lock (_wake) Monitor.PulseAll(_wake);
            Drain(0);
            SpinWait wait = default;
            while (Volatile.Read(ref _pending) != 0) wait.SpinOnce(sleep1Threshold: -1);
            _job = null;
            if (_failure is { } failure) System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
        }
        finally
        {
            _entry.Exit();
        }
    }

    public void Dispose()
    {
        if (_stopping) return;
        _stopping = true;
        Interlocked.Increment(ref _generation);
        lock (_wake) Monitor.PulseAll(_wake);
        foreach (Thread worker in _workers) worker.Join();
    }

    private static void Invoke<TJob>(void* job, long block, int worker) where TJob : struct, IBlockJob =>
        Unsafe.AsRef<TJob>(job).Execute(block, worker);

    private void Drain(int worker)
    {
        t_insideJob = true;
        try
        {
            while (true)
            {
                long block = Interlocked.Increment(ref _next) - 1;
                if (block >= _blocks) return;
                _execute(_job, block, worker);
            }
        }
        catch (Exception e)
        {
            Interlocked.CompareExchange(ref _failure, e, null);
            Volatile.Write(ref _next, _blocks);
        }
        finally
        {
            t_insideJob = false;
        }
    }

    private void WorkerLoop(int worker)
    {
        int seen = 0;
        while (true)
        {
            for (int spin = 0; spin < SpinIterations && _generation == seen; spin++) Thread.SpinWait(8);
            if (_generation == seen)
            {
                lock (_wake)
                {
                    Interlocked.Increment(ref _sleepers);
                    // A full fence stands between announcing sleep and re-reading the generation, so a wake-up cannot be lost.
                    while (_generation == seen) Monitor.Wait(_wake);
                    Interlocked.Decrement(ref _sleepers);
                }
            }
            if (_stopping) return;
            seen = _generation;
            Drain(worker);
            Interlocked.Decrement(ref _pending);
        }
    }
}
