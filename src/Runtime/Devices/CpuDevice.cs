namespace BioSup.Runtime;

/// <summary>The host processor: a pool of worker threads and the best instruction set it has.</summary>
public sealed class CpuDevice : ComputeDevice
{
    /// <param name="threads">Worker threads, the caller included; 0 takes every processor this process may use.</param>
    public CpuDevice(int threads = 0) => Pool = new WorkerPool(threads > 0 ? threads : ProcessorAllowance.Current.Usable);

    public WorkerPool Pool { get; }
    public override string Name => "cpu";
    public override bool IsHost => true;
    public override CpuDevice Host => this;
    public override DeviceBuffer<T> Allocate<T>(long length) => new AlignedBuffer<T>(this, length);
    public override void Synchronize() { }
    public override void Dispose() => Pool.Dispose();
}
