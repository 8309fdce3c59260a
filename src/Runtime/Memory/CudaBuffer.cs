namespace BioSup.Runtime;

/// <summary>Memory of a GPU, zero-initialised, ordered on its device's stream. Host arrays travel through page-locked memory, so that any array will do.</summary>
public sealed unsafe class CudaBuffer<T> : DeviceBuffer<T> where T : unmanaged
{
    private readonly CudaDevice _device;
    private readonly DeviceAllocation _allocation;

    internal CudaBuffer(CudaDevice device, long length) : base(device, length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        _device = device;
        // No finalizer here: the allocation has its own.
        _allocation = new DeviceAllocation(device.Pool, device.Stream, checked(length * sizeof(T)));
        Clear();
    }

    public override T* Pointer => (T*)_allocation.Value;

    /// <summary>Returns when the source may be changed again; the device's copy is complete for everything put into its stream afterwards.</summary>
    public override void CopyFrom(ReadOnlySpan<T> source) => _device.Upload(source, View);

    /// <summary>Waits for the work before it in the device's stream.</summary>
    public override void CopyTo(Span<T> destination) => _device.Download(View, destination);

    public override void Clear() => _device.Stream.Clear(View);

    protected override void Release() => _allocation.Dispose();
}

/// <summary>Page-locked host memory, which a device reads and writes on its own while the host works on.</summary>
public sealed unsafe class PinnedBuffer<T> : IDisposable where T : unmanaged
{
    private readonly PinnedHandle _handle;

    /// <param name="device">A device; every device may use the memory.</param>
    /// <param name="length">Elements, at most 2^31-1. They are not initialised.</param>
    public PinnedBuffer(CudaDevice device, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        device.Bind();
        Length = length;
        _handle = new PinnedHandle(device.Context, Math.Max(1, (long)length * sizeof(T)));
    }

    public int Length { get; }

    public T* Pointer => (T*)_handle.Value;

    /// <summary>The elements; valid until the buffer is disposed.</summary>
    public Span<T> Span => new(Pointer, Length);

    public void Dispose() => _handle.Dispose();
}
