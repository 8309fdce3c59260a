using System.Collections.Concurrent;
using System.Globalization;
using BioSup.Runtime.Interop;

namespace BioSup.Runtime;

/// <summary>The kernels of one device, each built and loaded on first use and kept until the device is disposed. May be called from any thread.</summary>
public sealed class KernelLibrary : IDisposable
{
    private readonly CudaDevice _device;
    private readonly KernelBuilder _builder;
    private readonly ConcurrentDictionary<(KernelSourceSet, JitRequest, string), CudaKernel> _kernels = new();
    private readonly Dictionary<(KernelSourceSet, JitRequest), ModuleHandle> _modules = [];
    private readonly Lock _gate = new();

    internal KernelLibrary(CudaDevice device, CubinCache cache)
    {
        _device = device;
        Cache = cache;
        _builder = new KernelBuilder(cache);
    }

    /// <summary>Where compiled kernels are kept between runs.</summary>
    public CubinCache Cache { get; }

    /// <summary>Modules that had to be compiled by this process.</summary>
    public int Compiled { get; private set; }

    /// <summary>Modules that the cache had.</summary>
    public int FromCache { get; private set; }

    /// <summary>A kernel by its entry point. Call it once before a graph is captured: loading a module is no work for a stream.</summary>
    /// <param name="sources">Where the source is.</param>
    /// <param name="request">Source file and constants.</param>
    /// <param name="entry">Name of the extern "C" __global__ function.</param>
    /// <exception cref="DeviceException">It does not compile, does not load, or has no such entry.</exception>
    public CudaKernel Get(KernelSourceSet sources, in JitRequest request, string entry)
    {
        if (_kernels.TryGetValue((sources, request, entry), out CudaKernel? known)) return known;
        lock (_gate)
        {
            if (_kernels.TryGetValue((sources, request, entry), out known)) return known;
            CudaKernel loaded = new(_device, Module(sources, request), entry);
            _kernels[(sources, request, entry)] = loaded;
            if (BiosupEnvironment.PrintConfig)
                Console.Error.WriteLine($"biosup: {_device.Name}: {entry}: {loaded.Registers} registers, {loaded.LocalBytes} bytes of local and {loaded.StaticSharedBytes} of shared memory");
            return loaded;
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            foreach (ModuleHandle module in _modules.Values) module.Dispose();
            _modules.Clear();
            _kernels.Clear();
        }
    }

    private ModuleHandle Module(KernelSourceSet sources, JitRequest request)
    {
        if (_modules.TryGetValue((sources, request), out ModuleHandle? known)) return known;
        KernelImage image = _builder.Build(sources, request, JitCompiler.TargetFor(_device));
        if (image.FromCache) FromCache++;
        else Compiled++;
        if (BiosupEnvironment.PrintConfig)
            Console.Error.WriteLine($"biosup: {_device.Name}: {request} ({(image.FromCache ? "from the cache" : $"compiled in {image.Compiled.TotalSeconds.ToString("F1", CultureInfo.InvariantCulture)} s")})");
        _device.Bind();
        try
        {
            ModuleHandle module = new(_device.Context, image.Bytes);
            _modules.Add((sources, request), module);
            return module;
        }
        catch (CudaException e) when (e.Code == (int)CUresult.CUDA_ERROR_UNSUPPORTED_PTX_VERSION && JitCompiler.TryGet(out JitCompiler? compiler, out _))
        {
            throw new DeviceException(CudaSentences.PtxTooNew(compiler.Version, CudaDriver.Version));
        }
    }
}
