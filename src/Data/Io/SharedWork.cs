using System.Runtime.ExceptionServices;

namespace BioSup.Data;

/// <summary>Numbered pieces of work shared by the processors, each written to a place of its own, so that the outcome does not depend on their number.</summary>
internal static class SharedWork
{
    private const long WorthSharing = 1 << 20;

    /// <summary>Does the pieces 0 … <paramref name="count"/> - 1.</summary>
    /// <param name="count">Pieces.</param>
    /// <param name="bytes">What they write together: little is not shared.</param>
    /// <param name="state">Makes what one thread keeps between pieces.</param>
    /// <param name="work">Does one piece.</param>
    /// <exception cref="Exception">Of the pieces that fail, what the first of them threw.</exception>
    public static void Run<T>(int count, long bytes, Func<T> state, Action<int, T> work)
    {
        int threads = bytes < WorthSharing ? 1 : Math.Min(Environment.ProcessorCount, count);
        if (threads <= 1)
        {
            T own = state();
            for (int i = 0; i < count; i++) work(i, own);
            return;
        }
        // Pieces are taken in their order: when one fails, all before it are done or under way, so the first failure is the same on any number of threads.
        int next = 0, failed = int.MaxValue;
        Exception? failure = null;
        Lock guard = new();
        Parallel.For(0, threads, _ =>
        {
            T own = state();
            for (int i; (i = Interlocked.Increment(ref next) - 1) < count && i < Volatile.Read(ref failed);)
                try
                {
                    work(i, own);
                }
                catch (Exception e)
                {
                    lock (guard)
                        if (i < failed) (failed, failure) = (i, e);
                }
        });
        if (failure is not null) ExceptionDispatchInfo.Throw(failure);
    }
}
