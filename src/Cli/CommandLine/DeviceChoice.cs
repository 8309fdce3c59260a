using System.Globalization;
using BioSup.Runtime;

namespace BioSup.Cli;

/// <summary>Opens the device that --device and --threads name.</summary>
internal static class DeviceChoice
{
    public static ComputeDevice Open(string device, int threads)
    {
        if (threads is < 0 or > 4096) throw new UsageException($"--threads {threads}: expected 1 to 4096, or 0 for all processors this process may use.");
        if (device is "auto" or "cpu") return new CpuDevice(threads);
        if (device == "cuda" || (device.StartsWith("cuda:", StringComparison.Ordinal) && int.TryParse(device[5..], NumberStyles.None, CultureInfo.InvariantCulture, out _)))
            throw new DeviceException($"--device {device}: this version runs on the CPU only; use --device cpu or auto.");
        throw new UsageException($"--device {device}: expected auto, cpu or cuda[:N].");
    }
}
