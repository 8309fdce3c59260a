using System.Runtime.CompilerServices;

namespace BioSup.Runtime;

/// <summary>A piece of parallel work: block b may run on any thread, so its result must depend on b alone.</summary>
public interface IBlockJob
{
    /// <param name="block">Which block, 0 ≤ block &lt; blocks.</param>
    /// <param name="worker">
    /// Which thread runs it, 0 ≤ worker &lt; <see cref="WorkerPool.Threads"/>: for scratch memory only, never for results. Unique within one run;
    /// two runs at the same time (nested, or from two callers) may both use 0, so scratch indexed by it must belong to the run.
    /// </param>
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
    private int _active;
    private volatile bool _open;
    // Written with Interlocked (a full fence), read with Volatile.
    private int _generation;
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
    /// calling thread (as worker 0): same result, no deadlock. After an exception no further block is started; the first one is rethrown here
    /// when every running block has ended, and the pool can be used again.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The pool has been disposed.</exception>
    public void Run<TJob>(long blocks, ref TJob job) where TJob : struct, IBlockJob
    {
        ObjectDisposedException.ThrowIf(_stopping, this);
        if (blocks <= 0) return;
        if (blocks == 1 || Threads == 1 || t_insideJob || !_entry.TryEnter())
        {
            for (long block = 0; block < blocks; block++) job.Execute(block, 0);
            return;
        }
        try
        {
            ObjectDisposedException.ThrowIf(_stopping, this);
            // Pinned, because the caller's job may be a field of an object that the collector would move while workers hold its address.
            fixed (byte* pinned = &Unsafe.As<TJob, byte>(ref job)) RunOnAllThreads(pinned, &Invoke<TJob>, blocks);
        }
        finally
        {
            _entry.Exit();
        }
    }

    /// <summary>Stops the threads after the run in progress, if any.</summary>
    public void Dispose()
    {
        lock (_entry)
        {
            if (_stopping) return;
            _stopping = true;
            WakeWorkers();
        }
        foreach (Thread worker in _workers) worker.Join();
    }

    private void RunOnAllThreads(void* job, delegate*<void*, long, int, void> execute, long blocks)
    {
        _job = job;
        _execute = execute;
        _blocks = blocks;
        _failure = null;
        _next = 0;
        _open = true;
        WakeWorkers();
        Drain(0);
        // Only threads that have entered are waited for: on a busy machine a worker that got no processor in time must not hold up the others' result.
        _open = false;
        Interlocked.MemoryBarrier();
        SpinWait wait = default;
        while (Volatile.Read(ref _active) != 0) wait.SpinOnce(sleep1Threshold: -1);
        _job = null;
        if (_failure is { } failure) System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
    }

    private void WakeWorkers()
    {
        // A worker announces its sleep and then reads the generation; here the generation is raised and then the sleepers are read. Both sides
        // need a full fence in between: with a mere release store this read could overtake it and a worker would sleep for ever.
        Interlocked.Increment(ref _generation);
        if (Volatile.Read(ref _sleepers) > 0) lock (_wake) Monitor.PulseAll(_wake);
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
            for (int spin = 0; spin < SpinIterations && Volatile.Read(ref _generation) == seen; spin++) Thread.SpinWait(8);
            if (Volatile.Read(ref _generation) == seen)
            {
                lock (_wake)
                {
                    Interlocked.Increment(ref _sleepers);
                    while (Volatile.Read(ref _generation) == seen) Monitor.Wait(_wake);
                    Interlocked.Decrement(ref _sleepers);
                }
            }
            if (_stopping) return;
            seen = Volatile.Read(ref _generation);
            // Enter, then look whether the job is open; a run closes, then looks whether anyone is inside. So no thread touches a finished job.
            Interlocked.Increment(ref _active);
            if (_open) Drain(worker);
            Interlocked.Decrement(ref _active);
        }
    }
}
