using BioSup.Runtime.Interop;

namespace BioSup.Runtime;

/// <summary>How a device is opened. The defaults come from the environment (<see cref="BiosupEnvironment"/>).</summary>
public sealed record CudaDeviceOptions
{
    /// <summary>Most bytes that buffers of this device may hold together; null: all that is free.</summary>
    public long? MemoryCap { get; init; } = BiosupEnvironment.GpuMemoryLimit;

    /// <summary>Freed bytes that the pool keeps for the next allocation instead of giving them back; null: all of them.</summary>
    public long? ReleaseThreshold { get; init; }

    /// <summary>Bytes of one slot of the page-locked ring through which host arrays travel.</summary>
    public int StagingBytes { get; init; } = 4 << 20;

    /// <summary>Slots of that ring, at least 2.</summary>
    public int StagingSlots { get; init; } = 4;

    /// <summary>The processor that serves the device; null: one of its own, with every processor this process may use.</summary>
    public CpuDevice? Host { get; init; }

    /// <summary>Folder of compiled kernels; null: <see cref="CubinCache.DefaultFolder"/>.</summary>
    public string? CacheFolder { get; init; }

    /// <summary>Receives what a person should know although work goes on; default: standard error.</summary>
    public Action<string> Warn { get; init; } = message => Console.Error.WriteLine($"biosup: warning: {message}");
}

/// <summary>
/// One NVIDIA GPU. Buffers, copies and kernels of the operations are ordered on <see cref="Stream"/>; other streams are joined to it with events.
/// The calls may be made from any thread; objects made from a device are not for several threads at once.
/// </summary>
public sealed unsafe class CudaDevice : ComputeDevice
{
    private readonly CudaContextHandle _context;
    private readonly Lazy<PinnedRing> _staging;
    private readonly Lazy<CublasLt?> _cublasLt;
    private readonly CpuDevice? _lentHost;
    private readonly Lazy<CpuDevice> _ownHost;

    private CudaDevice(CudaDeviceInfo info, CudaDeviceOptions options)
    {
        Info = info;
        _lentHost = options.Host;
        _ownHost = new Lazy<CpuDevice>(() => new CpuDevice());
        _context = new CudaContextHandle(info.Device);
        try
        {
            Stream = new CudaStream(this);
            Pool = new DevicePool(this, options.MemoryCap, options.ReleaseThreshold);
            _staging = new Lazy<PinnedRing>(() => new PinnedRing(this, options.StagingBytes, options.StagingSlots));
            Workspace = new DeviceWorkspace(this);
            _cublasLt = new Lazy<CublasLt?>(() => Runtime.CublasLt.Find(this));
            Kernels = new KernelLibrary(this, new CubinCache(options.CacheFolder ?? CubinCache.DefaultFolder, options.Warn));
        }
        catch
        {
            Stream?.Dispose();
            _context.Dispose();
            throw;
        }
    }

    /// <summary>Opens a device by its number among those the driver shows.</summary>
    /// <exception cref="DeviceException">There is no driver, no such device, or the device is too old.</exception>
    public static CudaDevice Open(int ordinal = 0, CudaDeviceOptions? options = null)
    {
        CudaDriver.Require();
        if (ordinal < 0 || ordinal >= CudaDriver.DeviceCount) throw new DeviceException(CudaSentences.NoSuchDevice(ordinal, CudaDriver.DeviceCount));
        CudaDeviceInfo info = new(ordinal);
        if (info.Capability.CompareTo(CudaDeviceInfo.Oldest) < 0) throw new DeviceException(CudaSentences.DeviceTooOld(info.Name, info.Capability));
        return new CudaDevice(info, options ?? new CudaDeviceOptions());
    }

    public CudaDeviceInfo Info { get; }

    public override string Name => $"cuda:{Info.Ordinal}";

    public override bool IsHost => false;

    /// <inheritdoc/>
    public override CpuDevice Host => _lentHost ?? _ownHost.Value;

    /// <summary>The stream on which buffers are allocated, cleared and freed and on which operations launch.</summary>
    public CudaStream Stream { get; }

    /// <summary>Where buffers come from: the cap and the bytes in use.</summary>
    public DevicePool Pool { get; }

    /// <summary>Memory between the kernels of one operation.</summary>
    public DeviceWorkspace Workspace { get; }

    /// <summary>Compiled kernels of this device.</summary>
    public KernelLibrary Kernels { get; }

    /// <summary>NVIDIA's matrix products, or null where the library is not found or switched off.</summary>
    public CublasLt? CublasLt => _cublasLt.Value;

    /// <summary>Page-locked memory through which host arrays travel.</summary>
    internal PinnedRing Staging => _staging.Value;

    internal CudaContextHandle Context => _context;

    public override DeviceBuffer<T> Allocate<T>(long length) => new CudaBuffer<T>(this, length);

    public override TransferPipeline<T> CreateTransferPipeline<T>(long capacity) => new CudaTransferPipeline<T>(this, capacity);

    /// <inheritdoc/>
    public override void Upload<T>(ReadOnlySpan<T> source, DeviceSpan<T> destination)
    {
        if (source.Length > destination.Length) throw new ArgumentException("The source is longer than the destination.", nameof(source));
        fixed (T* first = source) Staging.Upload(Stream, first, destination.Address.Address, (long)source.Length * sizeof(T));
    }

    /// <inheritdoc/>
    public override void Download<T>(DeviceSpan<T> source, Span<T> destination)
    {
        if (destination.Length > source.Length) throw new ArgumentException("The destination is longer than the source.", nameof(destination));
        fixed (T* first = destination) Staging.Download(Stream, source.Address.Address, first, (long)destination.Length * sizeof(T));
    }

    /// <inheritdoc/>
    public override void Copy<T>(DeviceSpan<T> source, DeviceSpan<T> destination) => Stream.Copy(source, destination);

    /// <summary>Waits until all work on all streams of this device is done, and reports what went wrong in it.</summary>
    public override void Synchronize()
    {
        Bind();
        nvcuda.cuCtxSynchronize().Ok();
    }

    public override void Dispose()
    {
        if (_context.IsDisposed) return;
        if (_staging.IsValueCreated) _staging.Value.Dispose();
        if (_ownHost.IsValueCreated) _ownHost.Value.Dispose();
        if (_cublasLt.IsValueCreated) _cublasLt.Value?.Dispose();
        Kernels.Dispose();
        Workspace.Dispose();
        Stream.Dispose();
        _context.Dispose();
    }

    /// <summary>Makes the device current on this thread; the first line of every public call.</summary>
    internal void Bind() => _context.Bind();
}
