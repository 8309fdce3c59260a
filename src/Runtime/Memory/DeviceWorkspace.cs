namespace BioSup.Runtime;

/// <summary>
/// Memory for what one operation needs between two of its kernels on the device's own stream: the next operation may overwrite it. A block that
/// became too small stays until the device goes, since captured graphs may hold its address.
/// </summary>
public sealed unsafe class DeviceWorkspace : IDisposable
{
    private readonly CudaDevice _device;
    private readonly List<DeviceBuffer<byte>> _blocks = [];

    internal DeviceWorkspace(CudaDevice device) => _device = device;

    /// <summary>Room for elements with arbitrary content, valid until the next call. A first call, and one for more than before, cannot be captured into a graph.</summary>
    public DeviceSpan<T> Take<T>(long length) where T : unmanaged
    {
        long bytes = checked(length * sizeof(T));
        if (_blocks.Count == 0 || _blocks[^1].Length < bytes)
            _blocks.Add(_device.Allocate<byte>(Math.Max(bytes, _blocks.Count == 0 ? 0 : 2 * _blocks[^1].Length)));
        return new DeviceSpan<T>((T*)_blocks[^1].Pointer, length, _device);
    }

    public void Dispose()
    {
        foreach (DeviceBuffer<byte> block in _blocks) block.Dispose();
        _blocks.Clear();
    }
}
