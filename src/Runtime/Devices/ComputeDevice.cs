namespace BioSup.Runtime;

/// <summary>Where arrays live and operations run. Algorithms ask it for memory and never for what it is.</summary>
public abstract class ComputeDevice : IDisposable
{
    /// <summary>Short name for manifests and logs, for example "cpu".</summary>
    public abstract string Name { get; }

    /// <summary>True when the device's memory can be addressed by the host.</summary>
    public abstract bool IsHost { get; }

    /// <summary>The processor that serves this device: small remainders of an algorithm are brought there and worked on by its threads. It is the device itself where that is the processor.</summary>
    public abstract CpuDevice Host { get; }

    /// <summary>Zero-initialised elements in this device's memory.</summary>
    public abstract DeviceBuffer<T> Allocate<T>(long length) where T : unmanaged;

    /// <summary>A zero-initialised row-major matrix in this device's memory.</summary>
    public Matrix<T> AllocateMatrix<T>(int rows, int columns) where T : unmanaged =>
        new(Allocate<T>((long)rows * columns), rows, columns);

    /// <summary>A way for host data to reach this device tile by tile while it works on the tile before.</summary>
    /// <param name="capacity">Most elements of one tile, up to 2^31-1.</param>
    public virtual TransferPipeline<T> CreateTransferPipeline<T>(long capacity) where T : unmanaged => new HostTransferPipeline<T>(this, capacity);

    /// <summary>Copies host elements to this device's memory. Returns when the source may be changed.</summary>
    public virtual void Upload<T>(ReadOnlySpan<T> source, DeviceSpan<T> destination) where T : unmanaged => source.CopyTo(destination.Host);

    /// <summary>Copies from this device's memory to the host, after the work that was given to the device before.</summary>
    public virtual void Download<T>(DeviceSpan<T> source, Span<T> destination) where T : unmanaged => source.Host[..destination.Length].CopyTo(destination);

    /// <summary>Copies within this device's memory, in the order of the work given to it. The runs must not overlap.</summary>
    public virtual void Copy<T>(DeviceSpan<T> source, DeviceSpan<T> destination) where T : unmanaged => source.Host.CopyTo(destination.Host);

    /// <summary>Waits until all work given to this device is done.</summary>
    public abstract void Synchronize();

    public abstract void Dispose();

    internal void RequireHost()
    {
        if (!IsHost) throw new InvalidOperationException($"The memory of {Name} cannot be read from the host: copy it first.");
    }
}
