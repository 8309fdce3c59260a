using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace BioSup.Runtime;

/// <summary>What the JIT compiler will use on this processor.</summary>
public static class CpuFeatures
{
    /// <summary>Processor name as the operating system reports it.</summary>
    public static string ModelName { get; } = ReadModelName();

    /// <summary>512-bit vectors in hardware.</summary>
    public static bool HasAvx512 => Vector512.IsHardwareAccelerated && Avx512F.IsSupported && Avx512BW.IsSupported;

    /// <summary>256-bit vectors with fused multiply-add in hardware.</summary>
    public static bool HasAvx2 => Vector256.IsHardwareAccelerated && Avx2.IsSupported && Fma.IsSupported;

    /// <summary>Best kernel family: "avx512", "avx2" or "portable".</summary>
    public static string BestInstructionSet => HasAvx512 ? "avx512" : HasAvx2 ? "avx2" : "portable";

    /// <summary>The extensions found, for reports.</summary>
    public static IReadOnlyList<string> Extensions { get; } = FindExtensions();

    private static List<string> FindExtensions()
    {
        List<string> found = [];
        void Add(bool supported, string name) { if (supported) found.Add(name); }
        Add(Sse42.IsSupported, "sse4.2");
        Add(Avx.IsSupported, "avx");
        Add(Avx2.IsSupported, "avx2");
        Add(Fma.IsSupported, "fma");
        Add(Avx512F.IsSupported, "avx512f");
        Add(Avx512BW.IsSupported, "avx512bw");
        Add(Avx512DQ.IsSupported, "avx512dq");
        Add(Avx512Vbmi.IsSupported, "avx512vbmi");
        Add(AvxVnni.IsSupported, "avx-vnni");
        Add(System.Runtime.Intrinsics.Arm.AdvSimd.IsSupported, "neon");
        return found;
    }

    private static string ReadModelName()
    {
        try
        {
            foreach (string line in File.ReadLines("/proc/cpuinfo"))
                if (line.StartsWith("model name", StringComparison.Ordinal)) return line[(line.IndexOf(':') + 1)..].Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Not Linux.
        }
        return System.Runtime.InteropServices.RuntimeInformation.ProcessArchitecture.ToString();
    }
}
