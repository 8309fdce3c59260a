using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// Independent problems of one alignment (starts, decoys, turned targets, held-out cells), solved at the same time: small solves keep few threads, and few multiprocessors, busy.
/// On the host each has a thread, on a GPU they share launches. A solve gives the same bytes whatever runs beside it, so results do not depend on how many run at once.
/// </summary>
internal static class ManyProblems
{
    /// <summary>Above this a solve keeps all threads and the memory bus busy by itself.</summary>
    private const long LargestProblem = 128L << 20;

    /// <summary>What problems solved at the same time may hold together.</summary>
    private const long Budget = 2L << 30;

    /// <summary>How many problems a device has room for at the same time: one a thread, or as many as share a launch.</summary>
    public static int Room(ComputeDevice device) => device.IsHost ? device.Host.Pool.Threads : int.MaxValue;

    /// <summary>How many problems to solve at the same time.</summary>
    /// <param name="threads">Threads there are, or <see cref="Room"/>.</param>
    /// <param name="count">Problems there are.</param>
    /// <param name="bytesEach">What one of them holds.</param>
    public static int AtOnce(int threads, int count, long bytesEach) =>
        bytesEach > LargestProblem ? 1 : (int)Math.Clamp(Budget / Math.Max(1, bytesEach), 1, Math.Max(1, Math.Min(threads, count)));

    /// <summary>Solves every problem, as many at the same time as may be.</summary>
    /// <param name="device">Device on which the costs lie.</param>
    /// <param name="count">Problems.</param>
    /// <param name="bytesEach">What one of them holds.</param>
    /// <param name="options">Of all of them.</param>
    /// <param name="pose">Makes a problem; on the host it may run on any thread.</param>
    /// <param name="found">Receives a problem with its result, which is from then on the receiver's; on the host it may run on any thread.</param>
    /// <param name="cancellation">Stops between problems, on a GPU also within them.</param>
    public static void Solve(ComputeDevice device, int count, long bytesEach, GromovOptions options, Func<int, GromovProblem> pose, Action<int, GromovProblem, GromovResult> found,
        CancellationToken cancellation)
    {
        int together = AtOnce(Room(device), count, bytesEach);
        if (device.IsHost || !GromovBatchSolver.Takes(options))
        {
            Run(device, count, together, Alone);
            return;
        }
        for (int first = 0; first < count; first += together)
            SolveTogether([.. Enumerable.Range(first, Math.Min(together, count - first))], options, pose, found, cancellation);

        void Alone(int index)
        {
            cancellation.ThrowIfCancellationRequested();
            using GromovProblem problem = pose(index);
            found(index, problem, problem.Solve(options, cancellation));
        }
    }

    private static void SolveTogether(int[] indices, GromovOptions options, Func<int, GromovProblem> pose, Action<int, GromovProblem, GromovResult> found, CancellationToken cancellation)
    {
        List<GromovProblem> problems = [];
        GromovResult[]? together = null;
        int handedOn = 0;
        try
        {
            foreach (int index in indices) problems.Add(pose(index));
            together = GromovBatchSolver.TrySolve(problems, options, cancellation);
            while (handedOn < indices.Length)
            {
                int k = handedOn++;
                found(indices[k], problems[k], together?[k] ?? problems[k].Solve(options, cancellation));
            }
        }
        finally
        {
            for (int k = handedOn; k < together?.Length; k++) together[k].Dispose();
            foreach (GromovProblem problem in problems) problem.Dispose();
        }
    }

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
