using System.Runtime.InteropServices;
using BioSup.Runtime.Interop;

namespace BioSup.Runtime;

/// <summary>
/// A device's primary context, shared with every other user of the device in this process. Threads of .NET move between native threads,
/// so every public call makes it current first. Errors of a release, which may happen on the finalizer's thread, wait here for the next call.
/// </summary>
internal sealed unsafe class CudaContextHandle : SafeHandle
{
    private readonly CUdevice _device;
    private readonly Lock _gate = new();
    private readonly Queue<DeviceAllocation.Block> _waiting = new();
    private volatile CudaException? _deferred;
    private volatile bool _isDisposed;
    private int _captures;

    public CudaContextHandle(CUdevice device) : base(0, true)
    {
        _device = device;
        CUcontext context;
        nvcuda.cuDevicePrimaryCtxRetain(&context, device).Ok();
        SetHandle(context.Value);
    }

    public override bool IsInvalid => handle == 0;

    /// <summary>True once the device is disposed, although children may still keep the context.</summary>
    public bool IsDisposed => _isDisposed;

    /// <summary>Makes the context current on this thread, and reports what a release could not.</summary>
    public void Bind()
    {
        ObjectDisposedException.ThrowIf(_isDisposed, typeof(CudaDevice));
        nvcuda.cuCtxSetCurrent(new CUcontext(handle)).Ok();
        if (_deferred is not null) ThrowDeferred();
    }

    /// <summary>For releases: no exception, and allowed while the device itself is already disposed, since children keep the context.</summary>
    public CUresult BindForRelease() => nvcuda.cuCtxSetCurrent(new CUcontext(handle));

    /// <summary>Keeps the first failure of a release for the next call. A driver that is already going away at the end of the process is none.</summary>
    public void Record(CUresult code, string call)
    {
        if (code is CUresult.CUDA_SUCCESS or CUresult.CUDA_ERROR_DEINITIALIZED or CUresult.CUDA_ERROR_NOT_INITIALIZED) return;
        _deferred ??= CudaErrors.ToException(code, call);
    }

    /// <summary>From here to <see cref="EndCapture"/> nothing is freed on a stream: a finalizer's free would become part of the graph.</summary>
    public void BeginCapture()
    {
        lock (_gate) _captures++;
    }

    public void EndCapture()
    {
        lock (_gate)
        {
            if (--_captures > 0) return;
            while (_waiting.TryDequeue(out DeviceAllocation.Block block)) Record(block.Free(), "cuMemFreeAsync");
        }
    }

    /// <summary>Frees a block now, or after the capture in progress.</summary>
    public void Free(in DeviceAllocation.Block block)
    {
        lock (_gate)
        {
            if (_captures > 0) _waiting.Enqueue(block);
            else Record(block.Free(), "cuMemFreeAsync");
        }
    }

    protected override void Dispose(bool disposing)
    {
        _isDisposed = true;
        base.Dispose(disposing);
    }

    protected override bool ReleaseHandle()
    {
        // Nobody is left who could be told.
        nvcuda.cuDevicePrimaryCtxRelease(_device);
        return true;
    }

    private void ThrowDeferred()
    {
        CudaException? deferred = Interlocked.Exchange(ref _deferred, null);
        if (deferred is not null) throw deferred;
    }
}

/// <summary>A native object that lives in a context: it keeps its parent alive, whatever the order in which finalizers run.</summary>
internal abstract class CudaChildHandle : SafeHandle
{
    private readonly SafeHandle _parent;
    private volatile bool _isDisposed;

    protected CudaChildHandle(CudaContextHandle context, SafeHandle parent) : base(0, true)
    {
        Context = context;
        _parent = parent;
        bool added = false;
        parent.DangerousAddRef(ref added);
    }

    public CudaContextHandle Context { get; }

    public override bool IsInvalid => false;

    /// <summary>The native object; the caller keeps its owner alive until the call has returned.</summary>
    public nint Value
    {
        get
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            return handle;
        }
    }

    /// <summary>True once the owner is disposed, although children may still keep the object.</summary>
    public bool IsDisposed => _isDisposed;

    protected override void Dispose(bool disposing)
    {
        _isDisposed = true;
        base.Dispose(disposing);
    }

    protected sealed override bool ReleaseHandle()
    {
        // Where the constructor failed there is only the parent to let go.
        if (handle != 0) Context.Record(Context.BindForRelease() is var bound and not CUresult.CUDA_SUCCESS ? bound : Destroy(), GetType().Name);
        _parent.DangerousRelease();
        return true;
    }

    protected abstract CUresult Destroy();
}

internal sealed unsafe class StreamHandle : CudaChildHandle
{
    public StreamHandle(CudaContextHandle context, int priority) : base(context, context)
    {
        CUstream stream;
        nvcuda.cuStreamCreateWithPriority(&stream, CUstream_flags.CU_STREAM_NON_BLOCKING, priority).Ok();
        SetHandle(stream.Value);
    }

    protected override CUresult Destroy() => nvcuda.cuStreamDestroy(new CUstream(handle));
}

internal sealed unsafe class EventHandle : CudaChildHandle
{
    public EventHandle(CudaContextHandle context, CUevent_flags flags) : base(context, context)
    {
        CUevent created;
        nvcuda.cuEventCreate(&created, flags).Ok();
        SetHandle(created.Value);
    }

    protected override CUresult Destroy() => nvcuda.cuEventDestroy(new CUevent(handle));
}

internal sealed unsafe class ModuleHandle : CudaChildHandle
{
    public ModuleHandle(CudaContextHandle context, ReadOnlySpan<byte> image) : base(context, context)
    {
        CUmodule module;
        fixed (byte* bytes = image) nvcuda.cuModuleLoadData(&module, bytes).Ok();
        SetHandle(module.Value);
    }

    protected override CUresult Destroy() => nvcuda.cuModuleUnload(new CUmodule(handle));
}

internal sealed class GraphExecHandle : CudaChildHandle
{
    public GraphExecHandle(CudaContextHandle context, CUgraphExec exec) : base(context, context) => SetHandle(exec.Value);

    protected override CUresult Destroy() => nvcuda.cuGraphExecDestroy(new CUgraphExec(handle));
}

internal sealed unsafe class PinnedHandle : CudaChildHandle
{
    public PinnedHandle(CudaContextHandle context, long bytes) : base(context, context)
    {
        void* pointer;
        CUresult code = nvcuda.cuMemHostAlloc(&pointer, (nuint)bytes, CUmemhostalloc.CU_MEMHOSTALLOC_PORTABLE);
        if (code == CUresult.CUDA_ERROR_OUT_OF_MEMORY)
            throw new DeviceException($"Not enough page-locked host memory: {bytes / 1048576.0:F0} MiB were asked for; check the limit on locked memory (ulimit -l) and the job's memory.");
        code.Ok("cuMemHostAlloc");
        SetHandle((nint)pointer);
    }

    protected override CUresult Destroy() => nvcuda.cuMemFreeHost((void*)handle);
}
