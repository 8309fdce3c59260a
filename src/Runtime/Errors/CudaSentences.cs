using System.Globalization;
using BioSup.Runtime.Interop;
using BioSup.Runtime.Loading;

namespace BioSup.Runtime;

/// <summary>The sentences that a person reads when a GPU cannot be used: what is wrong, and what to do about it.</summary>
internal static class CudaSentences
{
    public static string NoDriver =>
        $"There is no NVIDIA driver: libcuda.so.1 was not found; use --device cpu, install the driver, or set {LibraryName.Driver.Variable} to the file. Looked for:";

    public static string NoDevice(CudaVersion driver) =>
        $"The NVIDIA driver (CUDA {driver}) finds no GPU: use --device cpu, or check that the job was given one and that CUDA_VISIBLE_DEVICES names it.";

    public static string DriverTooOld(CudaVersion driver) =>
        $"The NVIDIA driver is too old: it runs CUDA {driver} and {CudaDriver.Oldest} or newer is needed; update the driver or use --device cpu.";

    public static string DriverFailed(string call, CUresult code) => code switch
    {
        CUresult.CUDA_ERROR_STUB_LIBRARY => "The libcuda.so.1 found is a stub for linking, not a driver: take the folder 'stubs' out of LD_LIBRARY_PATH.",
        CUresult.CUDA_ERROR_SYSTEM_DRIVER_MISMATCH => "The NVIDIA kernel module and libcuda.so.1 are of different versions: restart the machine or reload the module.",
        _ => $"The NVIDIA driver cannot be started: {call} answered {(int)code} ({CudaErrors.NameOf(code)}).",
    };

    public static string NvrtcMissing(CudaVersion? driver) =>
        $"NVIDIA's run-time compiler is missing: no libnvrtc.so{(driver is { } d ? $" of CUDA {d.Major} or older" : "")} was found; "
        + $"install the cuda-nvrtc package of your CUDA version or set {LibraryName.Nvrtc.Variable} to the file. Looked for:";

    public static string NvrtcTooNew(CudaVersion nvrtc, CudaVersion driver) =>
        $"The NVIDIA driver is too old for this NVRTC: it runs CUDA {driver} and the compiler makes code for CUDA {nvrtc}; "
        + $"update the driver, or set {LibraryName.Nvrtc.Variable} to a libnvrtc.so.{driver.Major}.";

    public static string NvrtcTooOld(CudaVersion nvrtc) =>
        $"The run-time compiler found is NVRTC {nvrtc} and {CudaDriver.Oldest} or newer is needed: set {LibraryName.Nvrtc.Variable} to a newer one.";

    public static string BuiltinsMissing(string log) =>
        "NVRTC cannot find its library libnvrtc-builtins, which must lie beside libnvrtc and have the same version" + (log.Length > 0 ? $": {log}" : ".");

    public static string NoSuchDevice(int ordinal, int count) =>
        $"There is no device cuda:{ordinal}: the driver finds {count} ({(count == 1 ? "cuda:0" : $"cuda:0 to cuda:{count - 1}")}).";

    public static string DeviceTooOld(string name, ComputeCapability capability) =>
        $"{name} has compute capability {capability} and {CudaDeviceInfo.Oldest} or newer is needed: use another device or --device cpu.";

    public static string ArchitectureUnsupported(ComputeCapability capability, CudaVersion nvrtc) =>
        $"NVRTC {nvrtc} cannot compile for compute capability {capability}: set {LibraryName.Nvrtc.Variable} to a newer one.";

    public static string PtxTooNew(CudaVersion nvrtc, CudaVersion? driver) =>
        $"The NVIDIA driver cannot read what this NVRTC writes for its device: the driver runs CUDA {driver} and the compiler is NVRTC {nvrtc}; "
        + $"update the driver, or set {LibraryName.Nvrtc.Variable} to an NVRTC of the driver's version.";

    public static string OutOfMemory(string device, long bytes, long inUse, long free, long total) =>
        $"{device} is out of memory: {MiB(bytes)} MiB were asked for while {MiB(inUse)} MiB are in use here and {MiB(free)} of {MiB(total)} MiB are free; "
        + "use a smaller problem or batch, or --device cpu.";

    public static string OverCap(string device, long bytes, long inUse, long cap) =>
        $"{device} is at its memory limit: {MiB(bytes)} MiB were asked for while {MiB(inUse)} of {MiB(cap)} MiB are in use; "
        + $"use a smaller problem or raise {BiosupEnvironment.GpuMemoryLimitName}.";

    private static string MiB(long bytes) => (bytes / 1048576.0).ToString("F0", CultureInfo.InvariantCulture);
}
