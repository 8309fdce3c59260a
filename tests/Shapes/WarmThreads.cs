using BioSup.Runtime;

namespace BioSup.Shapes;

/// <summary>
/// Scratch memory belongs to the threads and stays with them. Running some work once does not make every thread take its own: on a busy machine a worker
/// may get no processor before the work is done, and takes it in a later run, which then seems to need more memory than it does.
/// </summary>
public static class WarmThreads
{
    /// <summary>Runs the work once from beginning to end on each thread of the device, one after the other, so that it may write files.</summary>
    public static void Run(CpuDevice device, Action work)
    {
        int threads = device.Pool.Threads;
        using Barrier all = new(threads);
        Lock turn = new();
        BlockLoop.Run(device, threads, _ =>
        {
            // Nobody begins before everybody has a block, so no thread can take two.
            all.SignalAndWait();
            lock (turn) work();
        });
    }
}
