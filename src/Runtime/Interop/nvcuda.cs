using System.Runtime.InteropServices;

namespace BioSup.Runtime.Interop;

/// <summary>
/// The CUDA driver, as cuda.h declares it. The header renames many functions by macro; the export meant here is spelled out wherever it
/// carries a suffix, because the bare name is an older interface. All of them exist since CUDA 12.0 and still do in 13.
/// </summary>
/// <remarks>https://docs.nvidia.com/cuda/cuda-driver-api/</remarks>
internal static unsafe partial class nvcuda
{
    internal const string Library = "nvcuda";

    [LibraryImport(Library)]
    internal static partial CUresult cuInit(uint flags);

    [LibraryImport(Library)]
    internal static partial CUresult cuDriverGetVersion(int* driverVersion);

    [LibraryImport(Library)]
    internal static partial CUresult cuGetErrorName(CUresult error, byte** name);

    [LibraryImport(Library)]
    internal static partial CUresult cuGetErrorString(CUresult error, byte** text);

    // Devices and their primary contexts

    [LibraryImport(Library)]
    internal static partial CUresult cuDeviceGetCount(int* count);

    [LibraryImport(Library)]
    internal static partial CUresult cuDeviceGet(CUdevice* device, int ordinal);

    [LibraryImport(Library)]
    internal static partial CUresult cuDeviceGetName(byte* name, int length, CUdevice device);

    [LibraryImport(Library, EntryPoint = "cuDeviceGetUuid_v2")]
    internal static partial CUresult cuDeviceGetUuid(CUuuid* uuid, CUdevice device);

    [LibraryImport(Library, EntryPoint = "cuDeviceTotalMem_v2")]
    internal static partial CUresult cuDeviceTotalMem(nuint* bytes, CUdevice device);

    [LibraryImport(Library)]
    internal static partial CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device);

    [LibraryImport(Library)]
    internal static partial CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device);

    [LibraryImport(Library, EntryPoint = "cuDevicePrimaryCtxRelease_v2")]
    internal static partial CUresult cuDevicePrimaryCtxRelease(CUdevice device);

    [LibraryImport(Library)]
    internal static partial CUresult cuCtxSetCurrent(CUcontext context);

    [LibraryImport(Library)]
    internal static partial CUresult cuCtxGetCurrent(CUcontext* context);

    [LibraryImport(Library)]
    internal static partial CUresult cuCtxSynchronize();

    [LibraryImport(Library, EntryPoint = "cuMemGetInfo_v2")]
    internal static partial CUresult cuMemGetInfo(nuint* free, nuint* total);

    // Modules and functions

    [LibraryImport(Library)]
    internal static partial CUresult cuModuleLoadData(CUmodule* module, void* image);

    [LibraryImport(Library)]
    internal static partial CUresult cuModuleUnload(CUmodule module);

    [LibraryImport(Library)]
    internal static partial CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, byte* name);

    /// <summary>Since CUDA 12.4.</summary>
    [LibraryImport(Library)]
    internal static partial CUresult cuFuncGetParamInfo(CUfunction function, nuint index, nuint* offset, nuint* bytes);

    [LibraryImport(Library)]
    internal static partial CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction function);

    [LibraryImport(Library)]
    internal static partial CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value);

    [LibraryImport(Library)]
    internal static partial CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction function, int blockSize, nuint dynamicSharedBytes);

    [LibraryImport(Library)]
    internal static partial CUresult cuLaunchKernel(CUfunction function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ,
        uint sharedBytes, CUstream stream, void** parameters, void** extra);

    [LibraryImport(Library)]
    internal static partial CUresult cuLaunchKernelEx(CUlaunchConfig* config, CUfunction function, void** parameters, void** extra);

    [LibraryImport(Library)]
    internal static partial CUresult cuTensorMapEncodeTiled(void* map, CUtensorMapDataType type, uint rank, void* address, ulong* dimensions, ulong* strides,
        uint* box, uint* elementStrides, int interleave, int swizzle, int promotion, int fill);

    // Memory

    [LibraryImport(Library, EntryPoint = "cuMemAlloc_v2")]
    internal static partial CUresult cuMemAlloc(CUdeviceptr* pointer, nuint bytes);

    [LibraryImport(Library, EntryPoint = "cuMemFree_v2")]
    internal static partial CUresult cuMemFree(CUdeviceptr pointer);

    [LibraryImport(Library)]
    internal static partial CUresult cuMemAllocAsync(CUdeviceptr* pointer, nuint bytes, CUstream stream);

    [LibraryImport(Library)]
    internal static partial CUresult cuMemFreeAsync(CUdeviceptr pointer, CUstream stream);

    [LibraryImport(Library)]
    internal static partial CUresult cuDeviceGetDefaultMemPool(CUmemoryPool* pool, CUdevice device);

    [LibraryImport(Library)]
    internal static partial CUresult cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attribute, void* value);

    [LibraryImport(Library)]
    internal static partial CUresult cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attribute, void* value);

    [LibraryImport(Library)]
    internal static partial CUresult cuMemHostAlloc(void** pointer, nuint bytes, CUmemhostalloc flags);

    [LibraryImport(Library)]
    internal static partial CUresult cuMemFreeHost(void* pointer);

    [LibraryImport(Library, EntryPoint = "cuMemHostRegister_v2")]
    internal static partial CUresult cuMemHostRegister(void* pointer, nuint bytes, uint flags);

    [LibraryImport(Library)]
    internal static partial CUresult cuMemHostUnregister(void* pointer);

    [LibraryImport(Library, EntryPoint = "cuMemcpyHtoDAsync_v2")]
    internal static partial CUresult cuMemcpyHtoDAsync(CUdeviceptr destination, void* source, nuint bytes, CUstream stream);

    [LibraryImport(Library, EntryPoint = "cuMemcpyDtoHAsync_v2")]
    internal static partial CUresult cuMemcpyDtoHAsync(void* destination, CUdeviceptr source, nuint bytes, CUstream stream);

    [LibraryImport(Library, EntryPoint = "cuMemcpyDtoDAsync_v2")]
    internal static partial CUresult cuMemcpyDtoDAsync(CUdeviceptr destination, CUdeviceptr source, nuint bytes, CUstream stream);

    [LibraryImport(Library)]
    internal static partial CUresult cuMemsetD8Async(CUdeviceptr destination, byte value, nuint count, CUstream stream);

    [LibraryImport(Library)]
    internal static partial CUresult cuMemsetD32Async(CUdeviceptr destination, uint value, nuint count, CUstream stream);

    // Streams and events

    [LibraryImport(Library)]
    internal static partial CUresult cuStreamCreateWithPriority(CUstream* stream, CUstream_flags flags, int priority);

    [LibraryImport(Library, EntryPoint = "cuStreamDestroy_v2")]
    internal static partial CUresult cuStreamDestroy(CUstream stream);

    [LibraryImport(Library)]
    internal static partial CUresult cuStreamSynchronize(CUstream stream);

    [LibraryImport(Library)]
    internal static partial CUresult cuStreamQuery(CUstream stream);

    [LibraryImport(Library)]
    internal static partial CUresult cuStreamWaitEvent(CUstream stream, CUevent @event, uint flags);

    [LibraryImport(Library)]
    internal static partial CUresult cuEventCreate(CUevent* @event, CUevent_flags flags);

    [LibraryImport(Library, EntryPoint = "cuEventDestroy_v2")]
    internal static partial CUresult cuEventDestroy(CUevent @event);

    [LibraryImport(Library)]
    internal static partial CUresult cuEventRecord(CUevent @event, CUstream stream);

    [LibraryImport(Library)]
    internal static partial CUresult cuEventSynchronize(CUevent @event);

    [LibraryImport(Library)]
    internal static partial CUresult cuEventQuery(CUevent @event);

    [LibraryImport(Library)]
    internal static partial CUresult cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end);

    // Graphs

    [LibraryImport(Library, EntryPoint = "cuStreamBeginCapture_v2")]
    internal static partial CUresult cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode mode);

    [LibraryImport(Library)]
    internal static partial CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph);

    [LibraryImport(Library)]
    internal static partial CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus* status);

    [LibraryImport(Library)]
    internal static partial CUresult cuGraphInstantiateWithFlags(CUgraphExec* exec, CUgraph graph, ulong flags);

    [LibraryImport(Library)]
    internal static partial CUresult cuGraphUpload(CUgraphExec exec, CUstream stream);

    [LibraryImport(Library)]
    internal static partial CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream);

    [LibraryImport(Library, EntryPoint = "cuGraphExecUpdate_v2")]
    internal static partial CUresult cuGraphExecUpdate(CUgraphExec exec, CUgraph graph, CUgraphExecUpdateResultInfo* info);

    [LibraryImport(Library)]
    internal static partial CUresult cuGraphExecDestroy(CUgraphExec exec);

    [LibraryImport(Library)]
    internal static partial CUresult cuGraphDestroy(CUgraph graph);
}
