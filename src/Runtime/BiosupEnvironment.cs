using System.Globalization;

namespace BioSup.Runtime;

/// <summary>Every environment variable the engine reads, in one place. docs/commands.md holds the same table for users.</summary>
public static class BiosupEnvironment
{
    public const string LibcudaPathName = "BIOSUP_LIBCUDA_PATH";
    public const string NvrtcPathName = "BIOSUP_NVRTC_PATH";
    public const string CublasLtPathName = "BIOSUP_CUBLASLT_PATH";
    public const string CublasLtName = "BIOSUP_CUBLASLT";
    public const string NvmlPathName = "BIOSUP_NVML_PATH";
    public const string SitePackagesName = "BIOSUP_SITE_PACKAGES";
    public const string CacheFolderName = "BIOSUP_CACHE_DIR";
    public const string DisableJitName = "BIOSUP_DISABLE_JIT";
    public const string LineInfoName = "BIOSUP_LINEINFO";
    public const string GpuMemoryLimitName = "BIOSUP_GPU_MEMORY_LIMIT";

    public const string DeviceName = "BIOSUP_DEVICE";

    /// <summary>What the device "auto" stands for: "auto", "cpu" or "cuda[:N]"; null for "auto".</summary>
    public static string? Device => Environment.GetEnvironmentVariable(DeviceName) is { Length: > 0 } name ? name : null;

    /// <summary>Forces a kernel variant: "avx512", "avx2", "portable" or "reference", or "Operation:variant", comma-separated.</summary>
    public static string? ForceKernel => Environment.GetEnvironmentVariable("BIOSUP_FORCE_KERNEL");

    /// <summary>Folder with real data sets for tests and benchmarks; default: shared/data beside the checkout.</summary>
    public static string? DataFolder => Environment.GetEnvironmentVariable("BIOSUP_DATA");

    /// <summary>Folder of compiled GPU kernels; default: biosup/kernels in the user's cache folder.</summary>
    public static string? CacheFolder => Environment.GetEnvironmentVariable(CacheFolderName);

    /// <summary>True when a GPU kernel that is not in the cache is an error instead of a compilation.</summary>
    public static bool DisableJit => IsOn(DisableJitName);

    /// <summary>False when the variable says 0: cuBLASLt is not used although it is there.</summary>
    public static bool UseCublasLt => Environment.GetEnvironmentVariable(CublasLtName) != "0";

    /// <summary>True when kernels carry line numbers for profilers.</summary>
    public static bool LineInfo => IsOn(LineInfoName);

    /// <summary>True when each kernel module is named once on standard error, with its constants, when it is first used.</summary>
    public static bool PrintConfig => IsOn("BIOSUP_PRINT_CONFIG");

    /// <summary>Most bytes of device memory that this process may hold, or null; written as "4096M", "32G" or plain bytes.</summary>
    /// <exception cref="UsageException">The variable is not such a number.</exception>
    public static long? GpuMemoryLimit => Environment.GetEnvironmentVariable(GpuMemoryLimitName) is { Length: > 0 } text ? ParseBytes(text) : null;

    private static bool IsOn(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value && value != "0";

    internal static long ParseBytes(string text)
    {
        int shift = char.ToUpperInvariant(text[^1]) switch { 'K' => 10, 'M' => 20, 'G' => 30, 'T' => 40, _ => 0 };
        if (long.TryParse(shift > 0 ? text[..^1] : text, NumberStyles.None, CultureInfo.InvariantCulture, out long value) && value > 0 && value <= long.MaxValue >> shift)
            return value << shift;
        throw new UsageException($"{GpuMemoryLimitName}={text}: expected a number of bytes such as 34359738368, 4096M or 32G.");
    }
}
