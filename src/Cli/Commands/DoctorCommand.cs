using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Cli.Commands;

/// <summary>`biosup doctor`: what this machine offers.</summary>
internal static class DoctorCommand
{
    public static Command Create() => new Command("doctor", "What this machine offers: processor, instruction set, threads, memory, GPUs, driver, compiler, and where their libraries were looked for.").Runs(Run);

    private static JsonObject Run(ParseResult parsed, CommandContext context)
    {
        ProcessorAllowance allowance = ProcessorAllowance.Current;
        long memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        KernelVariant variant = KernelDispatch.Select("");
        context.Say($"biosup           {ProductVersion.Text} on {RuntimeInformation.FrameworkDescription}, {RuntimeInformation.OSDescription}");
        context.Say($"processor        {CpuFeatures.ModelName}");
        context.Say($"extensions       {string.Join(' ', CpuFeatures.Extensions)}");
        context.Say($"kernel variant   {variant.ToString().ToLowerInvariant()}{(BiosupEnvironment.ForceKernel is { } forced ? $"  (BIOSUP_FORCE_KERNEL={forced})" : "")}");
        context.Say($"threads          {allowance.Usable}  (affinity {allowance.Affinity}, cgroup quota {allowance.CgroupQuota?.ToString("F1", CultureInfo.InvariantCulture) ?? "none"})");
        context.Say($"memory           {memory / 1073741824.0:F1} GiB available to this process");
        JsonObject gpu = DescribeGpu(context);
        return new JsonObject
        {
            ["version"] = ProductVersion.Text,
            ["runtime"] = RuntimeInformation.FrameworkDescription,
            ["os"] = RuntimeInformation.OSDescription,
            ["processor"] = CpuFeatures.ModelName,
            ["extensions"] = JsonText.Strings(CpuFeatures.Extensions),
            ["instruction_set"] = CpuFeatures.BestInstructionSet,
            ["kernel_variant"] = variant.ToString().ToLowerInvariant(),
            ["threads"] = allowance.Usable,
            ["affinity"] = allowance.Affinity,
            ["cgroup_quota"] = allowance.CgroupQuota,
            ["memory_bytes"] = memory,
            ["gpu"] = gpu,
        };
    }

    private static string DescribeCublasLt(string? version) =>
        version is null ? $"not found: the engine's own products are used (set {BiosupEnvironment.CublasLtPathName} to name it)"
        : BiosupEnvironment.UseCublasLt ? $"{version}, for products in double precision and bf16 and shallow ones in single precision"
        : $"{version}, switched off by {BiosupEnvironment.CublasLtName}=0";

    private static JsonObject DescribeGpu(CommandContext context)
    {
        CudaReport report = CudaReport.Create();
        context.Say($"driver           {(report.Driver is { } driver ? $"CUDA {driver}{(report.DriverRelease is { } release ? $", release {release}" : "")}" : "none")}");
        if (report.DriverProblem is { } problem) context.Say($"                 {FirstLine(problem)}");
        foreach (CudaDeviceInfo device in report.Devices)
            context.Say(string.Create(CultureInfo.InvariantCulture,
                $"cuda:{device.Ordinal}           {device.Name}, compute capability {device.Capability}, {device.MemoryBytes / 1073741824.0:F0} GiB, {device.Multiprocessors} multiprocessors, {device.Uuid}"));
        context.Say($"NVRTC            {(report.Compiler is { } compiler ? $"{compiler} ({report.CompilerPath ?? "file unknown"})" : FirstLine(report.CompilerProblem!))}");
        context.Say($"cuBLASLt         {DescribeCublasLt(report.CublasLt)}");
        context.Say($"kernel cache     {CubinCache.DefaultFolder ?? $"none: set {BiosupEnvironment.CacheFolderName}"}{(BiosupEnvironment.DisableJit ? $"  ({BiosupEnvironment.DisableJitName} is set: nothing is compiled)" : "")}");
        context.Say($"looked for{report.Trace.Print()}");
        return new JsonObject
        {
            ["driver"] = report.Driver?.ToString(),
            ["driver_release"] = report.DriverRelease,
            ["driver_problem"] = report.DriverProblem is { } text ? FirstLine(text) : null,
            ["devices"] = new JsonArray([.. report.Devices.Select(d => (JsonNode)Describe(d))]),
            ["nvrtc"] = report.Compiler,
            ["nvrtc_path"] = report.CompilerPath,
            ["nvrtc_problem"] = report.CompilerProblem is { } reason ? FirstLine(reason) : null,
            ["cublaslt"] = report.CublasLt,
            ["kernel_cache"] = CubinCache.DefaultFolder,
            ["trace"] = new JsonArray([.. report.Trace.Attempts.Select(a => (JsonNode)new JsonObject { ["library"] = a.Library, ["candidate"] = a.Candidate, ["found"] = a.Found, ["outcome"] = a.Outcome })]),
        };
    }

    private static JsonObject Describe(CudaDeviceInfo device) => new()
    {
        ["ordinal"] = device.Ordinal,
        ["name"] = device.Name,
        ["uuid"] = device.Uuid,
        ["compute_capability"] = device.Capability.ToString(),
        ["memory_bytes"] = device.MemoryBytes,
        ["multiprocessors"] = device.Multiprocessors,
        ["shared_bytes_per_block"] = device.SharedBytesPerBlock,
        ["l2_bytes"] = device.CacheBytes,
    };

    /// <summary>The sentence without the trace, which doctor prints once for all libraries.</summary>
    private static string FirstLine(string text) => text.Split('\n')[0].Replace(" Looked for:", "", StringComparison.Ordinal);
}
