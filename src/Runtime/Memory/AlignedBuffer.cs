using System.Runtime.InteropServices;

namespace BioSup.Runtime;

/// <summary>Host memory outside the garbage-collected heap, aligned to 64 bytes (one cache line, one AVX-512 register), zero-initialised.</summary>
public sealed unsafe class AlignedBuffer<T> : DeviceBuffer<T> where T : unmanaged
{
    public const int Alignment = 64;
    private void* _block;
    private T* _pointer;

    public AlignedBuffer(ComputeDevice device, long length) : base(device, length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        device.RequireHost();
        long bytes = checked(length * sizeof(T));
        try
        {
            // Of large blocks the system makes the zeros, page by page and by the thread that comes first, instead of this thread all of them at once.
            _block = NativeMemory.AllocZeroed((nuint)bytes + Alignment);
        }
        catch (OutOfMemoryException e)
        {
            GC.SuppressFinalize(this);
            throw new DeviceException($"Not enough memory: {bytes / 1048576.0:F0} MiB were asked for in one buffer.", e);
        }
        _pointer = (T*)(((nuint)_block + Alignment - 1) & ~(nuint)(Alignment - 1));
        LargePages.Advise(_pointer, bytes);
        MemoryAccounting.Add(bytes);
    }

    ~AlignedBuffer() => Release();

    public override T* Pointer => _pointer;

    /// <summary>The elements; only up to 2^31-1 of them.</summary>
    public Span<T> Span
    {
        get
        {
            ObjectDisposedException.ThrowIf(IsDisposed, this);
            return new Span<T>(_pointer, checked((int)Length));
        }
    }

    public override void CopyFrom(ReadOnlySpan<T> source)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        if (source.Length > Length) throw new ArgumentException("The source is longer than the buffer.", nameof(source));
        source.CopyTo(new Span<T>(_pointer, source.Length));
    }

    public override void CopyTo(Span<T> destination)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        if (destination.Length > Length) throw new ArgumentException("The destination is longer than the buffer.", nameof(destination));
        new ReadOnlySpan<T>(_pointer, destination.Length).CopyTo(destination);
    }

    public override void Clear()
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        NativeMemory.Clear(_pointer, (nuint)(Length * sizeof(T)));
    }

    protected override void Release()
    {
        void* block = _block;
        _block = null;
        _pointer = null;
        if (block == null) return;
        NativeMemory.Free(block);
        MemoryAccounting.Add(-Length * sizeof(T));
    }
}
