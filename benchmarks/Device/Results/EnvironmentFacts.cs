using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Benchmarks.Device.Results;

/// <summary>What figures depend on, as lines "key: value" that the results carry.</summary>
internal static class EnvironmentFacts
{
    public const string Device = "device", Date = "date", Commit = "commit", Version = "version", Driver = "driver", Nvrtc = "NVRTC", CublasLt = "cuBLASLt";

    /// <returns>0, or 4 where there is no such device; the lines are printed in both cases.</returns>
    public static int Print(int ordinal)
    {
        CudaReport report = CudaReport.Create();
        foreach ((string key, string value) in Facts(report, ordinal)) Console.WriteLine($"{key}: {value}");
        return report.Devices.Any(d => d.Ordinal == ordinal) ? 0 : 4;
    }

    /// <summary>Lines of a file; what has no colon is left out.</summary>
    public static List<KeyValuePair<string, string>> Read(string path)
    {
        List<KeyValuePair<string, string>> facts = [];
        if (!File.Exists(path)) return facts;
        foreach (string line in File.ReadLines(path))
        {
            int colon = line.IndexOf(": ", StringComparison.Ordinal);
            if (colon > 0) facts.Add(new(line[..colon].Trim(), line[(colon + 2)..].Trim()));
        }
        return facts;
    }

    private static IEnumerable<(string Key, string Value)> Facts(CudaReport report, int ordinal)
    {
        yield return (Date, DateTime.UtcNow.ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture));
        yield return (Version, typeof(Gemm).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "unknown");
        if (report.Devices.FirstOrDefault(d => d.Ordinal == ordinal) is { } device)
        {
            yield return (Device, device.Name);
            yield return ("compute capability", device.Capability.ToString());
            yield return ("multiprocessors", device.Multiprocessors.ToString(CultureInfo.InvariantCulture));
            yield return ("device memory", string.Create(CultureInfo.InvariantCulture, $"{device.MemoryBytes / 1073741824.0:F1} GiB"));
            yield return ("second-level cache", string.Create(CultureInfo.InvariantCulture, $"{device.CacheBytes / 1048576.0:F0} MiB"));
        }
        else
        {
            yield return ("no device", OneLine(report.DriverProblem) ?? $"there is no device {ordinal}");
        }
        if (report.Driver is { } driver) yield return (Driver, $"CUDA {driver}{(report.DriverRelease is { } release ? $", release {release}" : "")}");
        yield return (Nvrtc, report.Compiler is { } compiler ? $"{compiler} ({report.CompilerPath ?? "file unknown"})" : $"missing: {OneLine(report.CompilerProblem)}");
        yield return (CublasLt, report.CublasLt ?? "not found");
        yield return (".NET", RuntimeInformation.FrameworkDescription);
        yield return ("processor", $"{CpuFeatures.ModelName}, {ProcessorAllowance.Current.Usable} threads, {CpuFeatures.BestInstructionSet}");
        yield return ("system", RuntimeInformation.OSDescription);
    }

    private static string? OneLine(string? text) => text?.Split('\n')[0].Trim();
}
