using System.Runtime.CompilerServices;

namespace BioSup.Runtime;

/// <summary>Owns <see cref="Length"/> elements in the memory of one device. Algorithms hold these and pass <see cref="DeviceSpan{T}"/> views.</summary>
public abstract unsafe class DeviceBuffer<T>(ComputeDevice device, long length) : IDisposable where T : unmanaged
{
    public ComputeDevice Device { get; } = device;

    /// <summary>Number of elements.</summary>
    public long Length { get; } = length;

    public bool IsDisposed { get; private set; }

    /// <summary>Address in the device's own address space.</summary>
    public abstract T* Pointer { get; }

    /// <summary>The whole buffer as a borrowed view; it must not outlive the buffer.</summary>
    public DeviceSpan<T> View
    {
        get
        {
            ObjectDisposedException.ThrowIf(IsDisposed, this);
            return new DeviceSpan<T>(Pointer, Length, Device);
        }
    }

    /// <summary>Copies host elements to the start of the buffer.</summary>
    public abstract void CopyFrom(ReadOnlySpan<T> source);

    /// <summary>Copies the first elements of the buffer to host memory.</summary>
    public abstract void CopyTo(Span<T> destination);

    /// <summary>Sets every byte to zero.</summary>
    public abstract void Clear();

    public void Dispose()
    {
        if (IsDisposed) return;
        IsDisposed = true;
        Release();
        GC.SuppressFinalize(this);
    }

    protected abstract void Release();
}

/// <summary>A borrowed run of elements in a device's memory.</summary>
public readonly unsafe ref struct DeviceSpan<T>(T* pointer, long length, ComputeDevice device) where T : unmanaged
{
    public readonly T* Pointer = pointer;
    public readonly long Length = length;
    public readonly ComputeDevice Device = device;

    /// <summary>The elements as a host span. Only for host devices and up to 2^31-1 elements.</summary>
    public Span<T> Host
    {
        get
        {
            Device.RequireHost();
            return new Span<T>(Pointer, checked((int)Length));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public DeviceSpan<T> Slice(long start, long length)
    {
        if ((ulong)start > (ulong)Length || (ulong)length > (ulong)(Length - start)) throw new ArgumentOutOfRangeException(nameof(start));
        return new DeviceSpan<T>(Pointer + start, length, Device);
    }
}
