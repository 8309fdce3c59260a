using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>The implementations an operation has on the CPU. Reference is the double-precision oracle: never chosen, only forced.</summary>
public enum KernelVariant
{
    Avx512,
    Avx2,
    Portable,
    Reference,
}

/// <summary>
/// Chooses the variant of an operation: a variant forced by a test, else BIOSUP_FORCE_KERNEL, else the best this processor has.
/// Avx512 is written with Vector512, which .NET emulates elsewhere: slow, but testable on any machine.
/// </summary>
public static class KernelDispatch
{
    private static readonly Dictionary<string, KernelVariant> s_environment = ParseEnvironment(BiosupEnvironment.ForceKernel);
    private static readonly KernelVariant s_best =
        CpuFeatures.HasAvx512 ? KernelVariant.Avx512 : CpuFeatures.HasAvx2 ? KernelVariant.Avx2 : KernelVariant.Portable;
    [ThreadStatic] private static KernelVariant? t_forced;

    /// <summary>The variants every operation has, best first.</summary>
    public static IReadOnlyList<KernelVariant> All { get; } =
        [KernelVariant.Avx512, KernelVariant.Avx2, KernelVariant.Portable, KernelVariant.Reference];

    /// <param name="operation">Name of the operation, for example "Gemm".</param>
    public static KernelVariant Select(string operation)
    {
        if (t_forced is { } forced) return forced;
        if (s_environment.Count == 0) return s_best;
        return s_environment.TryGetValue(operation, out KernelVariant named) ? named
            : s_environment.TryGetValue("", out KernelVariant any) ? any : s_best;
    }

    /// <summary>Forces a variant for calls made from this thread until the result is disposed.</summary>
    public static ForcedVariant Force(KernelVariant variant)
    {
        ForcedVariant scope = new(t_forced);
        t_forced = variant;
        return scope;
    }

    internal static Dictionary<string, KernelVariant> ParseEnvironment(string? text)
    {
        Dictionary<string, KernelVariant> forced = new(StringComparer.OrdinalIgnoreCase);
        foreach (string item in (text ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            int colon = item.IndexOf(':');
            string name = colon < 0 ? item : item[(colon + 1)..];
            if (!Enum.TryParse(name, ignoreCase: true, out KernelVariant variant) || char.IsDigit(name[0]))
                throw new UsageException($"BIOSUP_FORCE_KERNEL: '{item}' is not a kernel variant; expected avx512, avx2, portable or reference, or Operation:variant.");
            forced[colon < 0 ? "" : item[..colon]] = variant;
        }
        return forced;
    }

    /// <summary>Ends a forced choice.</summary>
    public readonly struct ForcedVariant : IDisposable
    {
        private readonly KernelVariant? _previous;
        internal ForcedVariant(KernelVariant? previous) => _previous = previous;
        public void Dispose() => t_forced = _previous;
    }
}
