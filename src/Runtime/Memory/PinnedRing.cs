using BioSup.Runtime.Interop;

namespace BioSup.Runtime;

/// <summary>
/// A few slots of page-locked memory, used in turn, through which ordinary host arrays travel: while the device copies one slot the host
/// fills or empties the next. One event per slot says when it is free again.
/// </summary>
internal sealed unsafe class PinnedRing : IDisposable
{
    private readonly Lock _gate = new();
    private readonly int _slotBytes;
    private readonly PinnedBuffer<byte>[] _slots;
    private readonly CudaEvent[] _free;
    private int _next;

    public PinnedRing(CudaDevice device, int slotBytes, int slots)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(slotBytes);
        ArgumentOutOfRangeException.ThrowIfLessThan(slots, 2);
        _slotBytes = slotBytes;
        _slots = new PinnedBuffer<byte>[slots];
        _free = new CudaEvent[slots];
        for (int i = 0; i < slots; i++)
        {
            _slots[i] = new PinnedBuffer<byte>(device, slotBytes);
            _free[i] = new CudaEvent(device);
        }
    }

    /// <summary>Copies host bytes to the device in stream order; returns when the host bytes may be changed.</summary>
    public void Upload(CudaStream stream, void* source, ulong destination, long bytes)
    {
        if (bytes == 0) return;
        lock (_gate)
        {
            RequireNoCapture(stream);
            for (long done = 0; done < bytes; done += _slotBytes)
            {
                int slot = Take();
                long part = Math.Min(_slotBytes, bytes - done);
                Buffer.MemoryCopy((byte*)source + done, _slots[slot].Pointer, _slotBytes, part);
                stream.Device.Bind();
                nvcuda.cuMemcpyHtoDAsync(new CUdeviceptr(destination + (ulong)done), _slots[slot].Pointer, (nuint)part, stream.Raw).Ok();
                _free[slot].Record(stream);
            }
        }
    }

    /// <summary>Copies device bytes to the host in stream order; returns when they are there.</summary>
    public void Download(CudaStream stream, ulong source, void* destination, long bytes)
    {
        if (bytes == 0) return;
        lock (_gate)
        {
            RequireNoCapture(stream);
            // All slots but one are on their way while the host empties the oldest.
            int ahead = _slots.Length - 1;
            long chunks = (bytes + _slotBytes - 1) / _slotBytes;
            int first = _next;
            for (long chunk = 0; chunk < chunks + ahead; chunk++)
            {
                if (chunk < chunks) Fetch(stream, source, chunk, bytes);
                if (chunk >= ahead) Empty((int)((first + chunk - ahead) % _slots.Length), destination, chunk - ahead, bytes);
            }
        }
    }

    public void Dispose()
    {
        foreach (CudaEvent mark in _free) mark.Dispose();
        foreach (PinnedBuffer<byte> slot in _slots) slot.Dispose();
    }

    private void Fetch(CudaStream stream, ulong source, long chunk, long bytes)
    {
        int slot = Take();
        long done = chunk * _slotBytes;
        stream.Device.Bind();
        nvcuda.cuMemcpyDtoHAsync(_slots[slot].Pointer, new CUdeviceptr(source + (ulong)done), (nuint)Math.Min(_slotBytes, bytes - done), stream.Raw).Ok();
        _free[slot].Record(stream);
    }

    private void Empty(int slot, void* destination, long chunk, long bytes)
    {
        _free[slot].Synchronize();
        long done = chunk * _slotBytes;
        if (done < bytes) Buffer.MemoryCopy(_slots[slot].Pointer, (byte*)destination + done, bytes - done, Math.Min(_slotBytes, bytes - done));
    }

    /// <summary>The next slot, once the device has let go of it.</summary>
    private int Take()
    {
        int slot = _next;
        _next = (_next + 1) % _slots.Length;
        _free[slot].Synchronize();
        return slot;
    }

    private static void RequireNoCapture(CudaStream stream)
    {
        if (stream.IsCapturing) throw new InvalidOperationException("Host memory cannot be copied while a graph is being captured: copy it before, or after.");
    }
}
