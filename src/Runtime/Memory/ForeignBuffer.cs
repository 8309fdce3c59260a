namespace BioSup.Runtime;

/// <summary>Host memory that something else owns (a memory-mapped file): read in place, released by disposing <c>owner</c>.</summary>
public sealed unsafe class ForeignBuffer<T>(ComputeDevice device, T* pointer, long length, IDisposable owner)
    : DeviceBuffer<T>(device, length) where T : unmanaged
{
    public override T* Pointer => pointer;

    public override void CopyFrom(ReadOnlySpan<T> source) => throw new NotSupportedException("Mapped memory is read-only.");

    public override void CopyTo(Span<T> destination)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        if (destination.Length > Length) throw new ArgumentException("The destination is longer than the buffer.", nameof(destination));
        new ReadOnlySpan<T>(pointer, destination.Length).CopyTo(destination);
    }

    public override void Clear() => throw new NotSupportedException("Mapped memory is read-only.");

    protected override void Release() => owner.Dispose();
}
