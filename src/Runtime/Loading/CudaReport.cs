using System.Text;
using BioSup.Runtime.Interop;
using BioSup.Runtime.Loading;

namespace BioSup.Runtime;

/// <summary>What this machine offers for GPU work, for people and manifests. Nothing here throws: what is missing is a sentence.</summary>
public sealed record CudaReport
{
    private CudaReport() { }

    /// <summary>Why no GPU can be used, or null.</summary>
    public string? DriverProblem { get; private init; }

    /// <summary>Newest CUDA version that the driver runs.</summary>
    public CudaVersion? Driver { get; private init; }

    /// <summary>The driver's release as nvidia-smi prints it, where NVML is there.</summary>
    public string? DriverRelease { get; private init; }

    public IReadOnlyList<CudaDeviceInfo> Devices { get; private init; } = [];

    /// <summary>Why nothing can be compiled, or null.</summary>
    public string? CompilerProblem { get; private init; }

    /// <summary>Version and fingerprint of NVRTC.</summary>
    public string? Compiler { get; private init; }

    public string? CompilerPath { get; private init; }

    /// <summary>Version of cuBLASLt, or null: the engine's own products are used.</summary>
    public string? CublasLt { get; private init; }

    /// <summary>Every place where a library was looked for.</summary>
    public LoadTrace Trace { get; private init; } = CudaDriver.Trace;

    /// <summary>Looks for everything, the optional libraries too.</summary>
    public static CudaReport Create()
    {
        string? compilerProblem = null, compiler = null, path = null;
        try
        {
            JitCompiler found = JitCompiler.Require();
            (compiler, path) = (found.Identity, found.LibraryPath);
        }
        catch (DeviceException e)
        {
            compilerProblem = e.Message;
        }
        return new CudaReport
        {
            DriverProblem = CudaDriver.Problem,
            Driver = CudaDriver.Version,
            DriverRelease = Optional(ReadDriverRelease),
            Devices = CudaDeviceInfo.All(),
            CompilerProblem = compilerProblem,
            Compiler = compiler,
            CompilerPath = path,
            CublasLt = Optional(ReadCublasLt),
        };
    }

    private static string? Optional(Func<string?> read)
    {
        try
        {
            return read();
        }
        catch (Exception e) when (e is DeviceException or EntryPointNotFoundException)
        {
            return null;
        }
    }

    private static unsafe string? ReadDriverRelease()
    {
        if (CudaDriver.Version is null || NativeLibraries.Find(LibraryName.Nvml) == 0 || nvml.nvmlInit() != nvmlReturn_t.NVML_SUCCESS) return null;
        byte* text = stackalloc byte[96];
        nvmlReturn_t code = nvml.nvmlSystemGetDriverVersion(text, 96);
        nvml.nvmlShutdown();
        return code == nvmlReturn_t.NVML_SUCCESS ? Encoding.UTF8.GetString(System.Runtime.InteropServices.MemoryMarshal.CreateReadOnlySpanFromNullTerminated(text)) : null;
    }

    private static string? ReadCublasLt()
    {
        if (NativeLibraries.Find(LibraryName.CublasLt, CudaDriver.Version?.Major ?? int.MaxValue) == 0) return null;
        // 120402 is 12.4.2 and 130000 is 13.0.0.
        long packed = (long)cublasLt.cublasLtGetVersion();
        return $"{packed / 10000}.{packed % 10000 / 100}.{packed % 100}";
    }
}
