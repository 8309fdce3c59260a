namespace BioSup.Runtime;

/// <summary>Every environment variable the engine reads, in one place. docs/commands.md holds the same table for users.</summary>
public static class BiosupEnvironment
{
    /// <summary>Forces a kernel variant: "avx512", "avx2", "portable" or "reference", or "Operation:variant", comma-separated.</summary>
    public static string? ForceKernel => Environment.GetEnvironmentVariable("BIOSUP_FORCE_KERNEL");

    /// <summary>Folder with real data sets for tests and benchmarks; default: shared/data beside the checkout.</summary>
    public static string? DataFolder => Environment.GetEnvironmentVariable("BIOSUP_DATA");
}
