using BioSup.Runtime.Interop;

namespace BioSup.Runtime;

/// <summary>A block of device memory, freed in the order of the stream on which it was allocated. Keeps that stream alive until then.</summary>
internal sealed class DeviceAllocation : CudaChildHandle
{
    private readonly Block _block;

    public DeviceAllocation(DevicePool pool, CudaStream stream, long bytes) : base(stream.Device.Context, stream.Handle)
    {
        CUdeviceptr pointer = pool.Take(bytes);
        _block = new Block(pool, pointer, bytes, stream.Raw);
        SetHandle((nint)pointer.Value);
    }

    protected override CUresult Destroy()
    {
        Context.Free(_block);
        return CUresult.CUDA_SUCCESS;
    }

    /// <summary>What is needed to free a block, also after a capture that was in progress when its owner went.</summary>
    internal readonly record struct Block(DevicePool Pool, CUdeviceptr Pointer, long Bytes, CUstream Stream)
    {
        public CUresult Free() => Pool.GiveBack(Pointer, Bytes, Stream);
    }
}
