using BioSup.Runtime.Interop;

namespace BioSup.Runtime;

/// <summary>A queue of work on a device: what is put in runs in that order, beside other streams.</summary>
public sealed unsafe class CudaStream : IDisposable
{
    private readonly StreamHandle _handle;

    /// <param name="device">The device on which the work runs.</param>
    /// <param name="priority">Lower numbers go first where the device has a choice; 0 is usual, -5 the most urgent on current devices.</param>
    public CudaStream(CudaDevice device, int priority = 0)
    {
        Device = device;
        device.Bind();
        _handle = new StreamHandle(device.Context, priority);
    }

    public CudaDevice Device { get; }

    /// <summary>True between the start and the end of <see cref="CudaGraph.Capture"/>.</summary>
    public bool IsCapturing
    {
        get
        {
            Device.Bind();
            CUstreamCaptureStatus status;
            nvcuda.cuStreamIsCapturing(Raw, &status).Ok();
            GC.KeepAlive(this);
            return status != CUstreamCaptureStatus.CU_STREAM_CAPTURE_STATUS_NONE;
        }
    }

    /// <summary>True when all work put in so far is done.</summary>
    public bool IsIdle
    {
        get
        {
            Device.Bind();
            CUresult code = nvcuda.cuStreamQuery(Raw);
            GC.KeepAlive(this);
            if (code == CUresult.CUDA_ERROR_NOT_READY) return false;
            code.Ok("cuStreamQuery");
            return true;
        }
    }

    internal StreamHandle Handle => _handle;

    /// <summary>The native stream; the caller keeps this object alive until its call has returned.</summary>
    internal CUstream Raw => new(_handle.Value);

    /// <summary>Waits until all work put in so far is done, and reports what went wrong in it.</summary>
    public void Synchronize()
    {
        Device.Bind();
        nvcuda.cuStreamSynchronize(Raw).Ok();
        GC.KeepAlive(this);
    }

    /// <summary>Work put in from now on waits for <paramref name="mark"/>, without holding up the host.</summary>
    public void Wait(CudaEvent mark)
    {
        Device.Bind();
        nvcuda.cuStreamWaitEvent(Raw, mark.Raw, 0).Ok();
        GC.KeepAlive(mark);
        GC.KeepAlive(this);
    }

    /// <summary>Copies page-locked host memory to the device. The host memory must stay as it is until the stream has passed this point.</summary>
    public void Upload<T>(ReadOnlySpan<T> pinned, DeviceSpan<T> destination) where T : unmanaged
    {
        if (pinned.Length > destination.Length) throw new ArgumentException("The source is longer than the destination.", nameof(pinned));
        if (pinned.IsEmpty) return;
        Device.Bind();
        fixed (T* source = pinned) nvcuda.cuMemcpyHtoDAsync(Address(destination), source, (nuint)pinned.Length * (nuint)sizeof(T), Raw).Ok();
        GC.KeepAlive(this);
    }

    /// <summary>Copies device memory to page-locked host memory, which may be read when the stream has passed this point.</summary>
    public void Download<T>(DeviceSpan<T> source, Span<T> pinned) where T : unmanaged
    {
        if (pinned.Length > source.Length) throw new ArgumentException("The destination is longer than the source.", nameof(pinned));
        if (pinned.IsEmpty) return;
        Device.Bind();
        fixed (T* destination = pinned) nvcuda.cuMemcpyDtoHAsync(destination, Address(source), (nuint)pinned.Length * (nuint)sizeof(T), Raw).Ok();
        GC.KeepAlive(this);
    }

    /// <summary>Copies one run of device memory to another of at least its length.</summary>
    public void Copy<T>(DeviceSpan<T> source, DeviceSpan<T> destination) where T : unmanaged
    {
        if (source.Length > destination.Length) throw new ArgumentException("The source is longer than the destination.", nameof(source));
        if (source.Length == 0) return;
        Device.Bind();
        nvcuda.cuMemcpyDtoDAsync(Address(destination), Address(source), checked((nuint)source.Length * (nuint)sizeof(T)), Raw).Ok();
        GC.KeepAlive(this);
    }

    /// <summary>Sets every byte to zero.</summary>
    public void Clear<T>(DeviceSpan<T> destination) where T : unmanaged
    {
        if (destination.Length == 0) return;
        Device.Bind();
        nvcuda.cuMemsetD8Async(Address(destination), 0, checked((nuint)destination.Length * (nuint)sizeof(T)), Raw).Ok();
        GC.KeepAlive(this);
    }

    /// <summary>Sets every element of four bytes to the bits of <paramref name="value"/>.</summary>
    public void Fill<T>(DeviceSpan<T> destination, T value) where T : unmanaged
    {
        if (sizeof(T) != 4) throw new ArgumentException("Only elements of four bytes can be filled.", nameof(value));
        if (destination.Length == 0) return;
        Device.Bind();
        nvcuda.cuMemsetD32Async(Address(destination), *(uint*)&value, (nuint)destination.Length, Raw).Ok();
        GC.KeepAlive(this);
    }

    public void Dispose() => _handle.Dispose();

    private static CUdeviceptr Address<T>(DeviceSpan<T> span) where T : unmanaged => new((ulong)span.Pointer);
}
