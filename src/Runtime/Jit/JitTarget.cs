using System.Globalization;

namespace BioSup.Runtime;

/// <summary>The architecture for which a kernel is compiled: machine code ("sm_90a"), or PTX ("compute_90") that the driver compiles once more.</summary>
public readonly record struct JitTarget
{
    private JitTarget(string name) => Name = name;

    /// <summary>NVIDIA's name of the architecture.</summary>
    public string Name { get; }

    /// <summary>True where this compiler has no machine code for the device and PTX is the way left.</summary>
    public bool IsPtx => Name.StartsWith("compute_", StringComparison.Ordinal);

    /// <summary>From the name of an architecture: "sm_80", "sm_90a".</summary>
    /// <exception cref="UsageException">It is not such a name, or too old.</exception>
    public static JitTarget Parse(string text)
    {
        string digits = text.StartsWith("sm_", StringComparison.Ordinal) ? text[3..].TrimEnd('a', 'f') : "";
        if (!int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out int number) || number < CudaDeviceInfo.Oldest.Number || number > 999)
            throw new UsageException($"'{text}' is not an architecture: expected sm_{CudaDeviceInfo.Oldest.Number} or newer, for example sm_80 or sm_90a.");
        return new JitTarget(text);
    }

    /// <summary>
    /// Best target for a device: its own architecture, with the instructions of that architecture alone from 9.0 on (wgmma needs the "a");
    /// else an older one of the same major version, whose machine code it runs unless that is one of the modules with a processor of their own
    /// (8.7, 10.1); else PTX of the newest that the compiler knows.
    /// </summary>
    /// <exception cref="DeviceException">The compiler knows nothing that the device can run.</exception>
    public static JitTarget For(ComputeCapability capability, IReadOnlyList<int> supported, CudaVersion nvrtc)
    {
        int own = capability.Number;
        if (supported.Contains(own)) return new JitTarget(own >= 90 ? $"sm_{own}a" : $"sm_{own}");
        int relative = supported.Where(a => a / 10 == capability.Major && a < own && a is not (87 or 101)).DefaultIfEmpty(0).Max();
        if (relative > 0) return new JitTarget($"sm_{relative}");
        int older = supported.Where(a => a >= CudaDeviceInfo.Oldest.Number && a < own).DefaultIfEmpty(0).Max();
        return older > 0 ? Virtual(older) : throw new DeviceException(CudaSentences.ArchitectureUnsupported(capability, nvrtc));
    }

    /// <summary>PTX for an architecture and all newer ones.</summary>
    internal static JitTarget Virtual(int number) => new($"compute_{number}");

    public override string ToString() => Name;
}
