namespace BioSup.Runtime;

/// <summary>
/// Brings host data to a device tile by tile, so that the host fills one tile and it travels while the device works on the one before.
/// For each tile: fill <see cref="Next"/>, <see cref="Send"/> it, give the device work that reads what Send returned, then <see cref="Release"/>.
/// On the host itself nothing travels and the same calls cost nothing. Not for several threads at once.
/// </summary>
public abstract class TransferPipeline<T>(long capacity) : IDisposable where T : unmanaged
{
    /// <summary>Most elements of one tile.</summary>
    public long Capacity { get; } = capacity;

    /// <summary>Host memory for the next tile; waits until its previous content has left.</summary>
    public abstract Span<T> Next();

    /// <summary>Sends the first <paramref name="length"/> elements of the tile. The view may be used by work given to the device until <see cref="Release"/>.</summary>
    public abstract DeviceSpan<T> Send(long length);

    /// <summary>Says that all work which reads the tile has been given to the device.</summary>
    public abstract void Release();

    public abstract void Dispose();
}

/// <summary>On the host a tile is read where it was written.</summary>
internal sealed class HostTransferPipeline<T>(ComputeDevice device, long capacity) : TransferPipeline<T>(capacity) where T : unmanaged
{
    private readonly DeviceBuffer<T> _tile = device.Allocate<T>(capacity);

    public override Span<T> Next() => _tile.View.Host;

    public override DeviceSpan<T> Send(long length) => _tile.View.Slice(0, length);

    public override void Release() { }

    public override void Dispose() => _tile.Dispose();
}

/// <summary>Two slots, each with page-locked memory on the host and a buffer on the device, and a stream of its own for the copies.</summary>
internal sealed class CudaTransferPipeline<T> : TransferPipeline<T> where T : unmanaged
{
    private readonly CudaStream _copies;
    private readonly CudaDevice _device;
    private readonly Slot[] _slots = new Slot[2];
    private int _current;

    public CudaTransferPipeline(CudaDevice device, long capacity) : base(capacity)
    {
        _device = device;
        _copies = new CudaStream(device);
        for (int i = 0; i < _slots.Length; i++) _slots[i] = new Slot(device, checked((int)capacity));
        // The buffers were cleared in the device's stream: the first copies come after that.
        foreach (Slot slot in _slots) slot.Released.Record(device.Stream);
    }

    public override Span<T> Next()
    {
        _slots[_current].Copied.Synchronize();
        return _slots[_current].Host.Span;
    }

    public override DeviceSpan<T> Send(long length)
    {
        Slot slot = _slots[_current];
        _copies.Wait(slot.Released);
        _copies.Upload(slot.Host.Span[..checked((int)length)], slot.Device.View);
        slot.Copied.Record(_copies);
        _device.Stream.Wait(slot.Copied);
        return slot.Device.View.Slice(0, length);
    }

    public override void Release()
    {
        _slots[_current].Released.Record(_device.Stream);
        _current = (_current + 1) % _slots.Length;
    }

    public override void Dispose()
    {
        // Page-locked memory must not go while a copy still reads it.
        _copies.Synchronize();
        foreach (Slot slot in _slots) slot.Dispose();
        _copies.Dispose();
    }

    private sealed class Slot(CudaDevice device, int capacity) : IDisposable
    {
        public PinnedBuffer<T> Host { get; } = new(device, capacity);
        public DeviceBuffer<T> Device { get; } = device.Allocate<T>(capacity);
        public CudaEvent Copied { get; } = new(device);
        public CudaEvent Released { get; } = new(device);

        public void Dispose()
        {
            Copied.Dispose();
            Released.Dispose();
            Device.Dispose();
            Host.Dispose();
        }
    }
}
