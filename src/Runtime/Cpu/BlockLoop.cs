namespace BioSup.Runtime;

/// <summary>Runs independent pieces of host work on a device's worker threads; each piece must depend on its number alone.</summary>
public static class BlockLoop
{
    public static void Run(ComputeDevice device, long blocks, Action<int> body)
    {
        if (device is CpuDevice cpu)
        {
            DelegateJob job = new(body);
            cpu.Pool.Run(blocks, ref job);
        }
        else
        {
            for (int block = 0; block < blocks; block++) body(block);
        }
    }

    private readonly struct DelegateJob(Action<int> body) : IBlockJob
    {
        public void Execute(long block, int worker) => body((int)block);
    }
}
