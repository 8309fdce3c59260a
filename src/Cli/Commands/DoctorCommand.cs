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
    public static Command Create() => new Command("doctor", "What this machine offers: processor, instruction set, threads, memory, devices.").Runs(Run);

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
        context.Say("GPU              this version runs on the CPU only");
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
            ["gpu"] = null,
        };
    }
}
