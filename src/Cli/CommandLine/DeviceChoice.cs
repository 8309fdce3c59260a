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
        if (device == "cuda") return CudaDevice.Open();
        if (device.StartsWith("cuda:", StringComparison.Ordinal) && int.TryParse(device[5..], NumberStyles.None, CultureInfo.InvariantCulture, out int ordinal))
            return CudaDevice.Open(ordinal);
        throw new UsageException($"--device {device}: expected auto, cpu or cuda[:N].");
    }
}
