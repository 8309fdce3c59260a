using BioSup.Runtime.Interop;
using BioSup.Runtime.Loading;

namespace BioSup.Runtime;

/// <summary>Version of a CUDA library, as "12.4".</summary>
public readonly record struct CudaVersion(int Major, int Minor) : IComparable<CudaVersion>
{
    /// <summary>From NVIDIA's packed form: 12040 is 12.4.</summary>
    public static CudaVersion FromPacked(int packed) => new(packed / 1000, packed % 1000 / 10);

    public int CompareTo(CudaVersion other) => (Major, Minor).CompareTo((other.Major, other.Minor));

    public override string ToString() => $"{Major}.{Minor}";
}

/// <summary>The NVIDIA driver of this machine: whether it is there, what it can run, and the sentence for each way in which it can be missing.</summary>
public static unsafe class CudaDriver
{
    private static readonly Lazy<State> s_state = new(Open);

    /// <summary>Oldest CUDA version whose driver interface the engine speaks.</summary>
    public static CudaVersion Oldest { get; } = new(12, 0);

    /// <summary>Where the native libraries of this process were looked for.</summary>
    public static LoadTrace Trace => NativeLibraries.Trace;

    /// <summary>Why no device can be used, or null when there is at least one.</summary>
    public static string? Problem => s_state.Value.Problem;

    /// <summary>Newest CUDA version that the driver can run; null when there is no driver.</summary>
    public static CudaVersion? Version => s_state.Value.Version;

    /// <summary>Number of devices; 0 when there is a problem.</summary>
    public static int DeviceCount => s_state.Value.Devices;

    /// <summary>Loads and starts the driver.</summary>
    /// <exception cref="DeviceException">There is no driver, it is too old, or it has no device.</exception>
    public static void Require()
    {
        if (Problem is { } problem) throw new DeviceException(problem);
    }

    private static State Open()
    {
        try
        {
            return NativeLibraries.Find(LibraryName.Driver) == 0
                ? new State(CudaSentences.NoDriver + NativeLibraries.Trace.Print(LibraryName.Driver.Name), null, 0)
                : Start();
        }
        catch (DeviceException e)
        {
            return new State(e.Message, null, 0);
        }
        catch (EntryPointNotFoundException e)
        {
            return new State($"The library found as libcuda.so.1 is not a CUDA {Oldest} driver: {e.Message}", null, 0);
        }
    }

    private static State Start()
    {
        int packed, count;
        CUresult code = nvcuda.cuDriverGetVersion(&packed);
        if (code != CUresult.CUDA_SUCCESS) return new State(CudaSentences.DriverFailed("cuDriverGetVersion", code), null, 0);
        CudaVersion version = CudaVersion.FromPacked(packed);
        if (version.CompareTo(Oldest) < 0) return new State(CudaSentences.DriverTooOld(version), version, 0);
        code = nvcuda.cuInit(0);
        if (code == CUresult.CUDA_ERROR_NO_DEVICE) return new State(CudaSentences.NoDevice(version), version, 0);
        if (code != CUresult.CUDA_SUCCESS) return new State(CudaSentences.DriverFailed("cuInit", code), version, 0);
        code = nvcuda.cuDeviceGetCount(&count);
        if (code != CUresult.CUDA_SUCCESS) return new State(CudaSentences.DriverFailed("cuDeviceGetCount", code), version, 0);
        return count == 0 ? new State(CudaSentences.NoDevice(version), version, 0) : new State(null, version, count);
    }

    private sealed record State(string? Problem, CudaVersion? Version, int Devices);
}
