using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// Independent problems of one alignment (starts, decoys, turned targets, held-out cells), solved at the same time on one thread each: small solves keep
/// few threads busy. Every solve gives the same bytes on any number of threads, so results do not depend on how many run at once.
/// </summary>
internal static class ManyProblems
{
    /// <summary>Above this a solve keeps all threads and the memory bus busy by itself.</summary>
    private const long LargestProblem = 128L << 20;

    /// <summary>What problems solved at the same time may hold together.</summary>
    private const long Budget = 2L << 30;

    /// <summary>How many problems to solve at the same time.</summary>
    /// <param name="threads">Threads there are.</param>
    /// <param name="count">Problems there are.</param>
    /// <param name="bytesEach">What one of them holds.</param>
    public static int AtOnce(int threads, int count, long bytesEach) =>
        bytesEach > LargestProblem ? 1 : (int)Math.Clamp(Budget / Math.Max(1, bytesEach), 1, Math.Max(1, Math.Min(threads, count)));

    /// <summary>Runs every problem. Where the data lie on another device than the host they are run one after the other.</summary>
    /// <param name="device">Device whose threads are used.</param>
    /// <param name="count">Problems.</param>
    /// <param name="atOnce">Most problems at the same time.</param>
    /// <param name="solve">Solves a problem; may run on any thread, and everything it starts on the device's threads runs on its own.</param>
    public static void Run(ComputeDevice device, int count, int atOnce, Action<int> solve)
    {
        if (!device.IsHost || atOnce <= 1 || count <= 1)
        {
            for (int problem = 0; problem < count; problem++) solve(problem);
            return;
        }
        WorkerPool pool = device.Host.Pool;
        int lanes = atOnce >= pool.Threads ? count : atOnce;
        Lanes job = new(count, lanes, solve);
        pool.Run(lanes, ref job);
    }

    private readonly struct Lanes(int count, int lanes, Action<int> solve) : IBlockJob
    {
        public void Execute(long block, int worker)
        {
            for (int problem = (int)block; problem < count; problem += lanes) solve(problem);
        }
    }
}
