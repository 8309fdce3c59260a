using System.Globalization;
using BioSup.Runtime.Interop;

namespace BioSup.Runtime;

/// <summary>
/// Device memory in stream order: a free makes a block available to the next allocation of the stream without waiting for the device.
/// Where a device has no memory pools, allocations and frees go to the driver one by one.
/// </summary>
public sealed unsafe class DevicePool
{
    private readonly CudaDevice _device;
    private readonly CUmemoryPool _pool;
    private readonly ulong _threshold;
    private long _bytesInUse;
    private long _cap;

    internal DevicePool(CudaDevice device, long? cap, long? releaseThreshold)
    {
        _device = device;
        Cap = cap ?? long.MaxValue;
        if (!device.Info.HasMemoryPools) return;
        // The driver's default of 0 would give everything back at each wait for the device.
        _threshold = releaseThreshold is { } bytes ? (ulong)bytes : ulong.MaxValue;
        device.Bind();
        CUmemoryPool pool;
        nvcuda.cuDeviceGetDefaultMemPool(&pool, device.Info.Device).Ok();
        _pool = pool;
        SetThreshold(_threshold);
    }

    /// <summary>Most bytes that the buffers of this device may hold together.</summary>
    public long Cap
    {
        get => Interlocked.Read(ref _cap);
        set
        {
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(value);
            Interlocked.Exchange(ref _cap, value);
        }
    }

    /// <summary>Bytes in the buffers of this device that are alive now.</summary>
    public long BytesInUse => Interlocked.Read(ref _bytesInUse);

    /// <summary>Bytes that the pool holds, in use or kept for later; equals <see cref="BytesInUse"/> on a device without pools.</summary>
    public long BytesReserved
    {
        get
        {
            if (_pool.Value == 0) return BytesInUse;
            _device.Bind();
            ulong bytes;
            nvcuda.cuMemPoolGetAttribute(_pool, CUmemPool_attribute.CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &bytes).Ok();
            return (long)bytes;
        }
    }

    /// <summary>Waits for the device and gives every byte back that no buffer holds.</summary>
    public void Trim()
    {
        if (_pool.Value == 0) return;
        _device.Bind();
        SetThreshold(0);
        nvcuda.cuCtxSynchronize().Ok();
        SetThreshold(_threshold);
    }

    internal CUdeviceptr Take(long bytes)
    {
        _device.Bind();
        if (_device.Stream.IsCapturing) throw new InvalidOperationException("A buffer cannot be made while a graph is being captured: make it before.");
        long inUse = Interlocked.Add(ref _bytesInUse, bytes);
        try
        {
            if (inUse > Cap) throw new DeviceException(CudaSentences.OverCap(Describe(), bytes, inUse - bytes, Cap));
            CUresult code = Allocate(bytes, out CUdeviceptr pointer);
            if (code == CUresult.CUDA_ERROR_OUT_OF_MEMORY)
            {
                // Blocks that are freed but kept, or whose free the device has not reached yet, may be enough.
                Trim();
                code = Allocate(bytes, out pointer);
            }
            if (code == CUresult.CUDA_ERROR_OUT_OF_MEMORY) throw OutOfMemory(bytes, inUse - bytes);
            code.Ok(_pool.Value != 0 ? "cuMemAllocAsync" : "cuMemAlloc_v2");
            return pointer;
        }
        catch
        {
            Interlocked.Add(ref _bytesInUse, -bytes);
            throw;
        }
    }

    internal CUresult GiveBack(CUdeviceptr pointer, long bytes, CUstream stream)
    {
        Interlocked.Add(ref _bytesInUse, -bytes);
        return _pool.Value != 0 ? nvcuda.cuMemFreeAsync(pointer, stream) : nvcuda.cuMemFree(pointer);
    }

    private CUresult Allocate(long bytes, out CUdeviceptr pointer)
    {
        CUdeviceptr made = default;
        nuint size = (nuint)Math.Max(bytes, 1); // The driver refuses to allocate nothing; empty matrices are ordinary.
        CUresult code = _pool.Value != 0 ? nvcuda.cuMemAllocAsync(&made, size, _device.Stream.Raw) : nvcuda.cuMemAlloc(&made, size);
        pointer = made;
        return code;
    }

    private void SetThreshold(ulong bytes) => nvcuda.cuMemPoolSetAttribute(_pool, CUmemPool_attribute.CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &bytes).Ok();

    private DeviceException OutOfMemory(long bytes, long inUse)
    {
        nuint free = 0, total = 0;
        nvcuda.cuMemGetInfo(&free, &total);
        return new DeviceException(CudaSentences.OutOfMemory(Describe(), bytes, inUse, (long)free, (long)total));
    }

    private string Describe() => string.Create(CultureInfo.InvariantCulture, $"{_device.Name} ({_device.Info.Name})");
}
