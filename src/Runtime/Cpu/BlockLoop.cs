namespace BioSup.Runtime;

/// <summary>Runs independent pieces of host work on the worker threads of a device's host; each piece must depend on its number alone.</summary>
public static class BlockLoop
{
    public static void Run(ComputeDevice device, long blocks, Action<int> body)
    {
        DelegateJob job = new(body);
        device.Host.Pool.Run(blocks, ref job);
    }

    private readonly struct DelegateJob(Action<int> body) : IBlockJob
    {
        public void Execute(long block, int worker) => body((int)block);
    }
}
