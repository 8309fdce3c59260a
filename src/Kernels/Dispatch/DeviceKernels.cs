using System.Collections.Concurrent;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>The GPU kernels of the operations: their code, embedded in this assembly, and a view of the configurations that the operations choose.</summary>
public static class DeviceKernels
{
    /// <summary>Variable that, set to 1, prints every configuration once on standard error when it is first used.</summary>
    internal const string PrintConfigName = "BIOSUP_PRINT_CONFIG";

    private static readonly bool s_print = Environment.GetEnvironmentVariable(PrintConfigName) is { Length: > 0 } value && value != "0";
    private static readonly ConcurrentDictionary<string, bool> s_printed = new(StringComparer.Ordinal);

    /// <summary>Every kernel file under cuda/kernels with the headers under cuda/include.</summary>
    public static KernelSourceSet Sources { get; } = new(typeof(DeviceKernels).Assembly);

    /// <summary>A kernel, compiled on first use.</summary>
    internal static CudaKernel Get(CudaDevice device, in JitRequest request, string entry) => device.Kernels.Get(Sources, request, entry);

    /// <summary>Says which configuration an operation runs, where the environment asks for it.</summary>
    internal static void Report<TConfig>(CudaDevice device, string operation, TConfig config) where TConfig : notnull
    {
        if (!s_print) return;
        string line = $"biosup: {operation} on {device.Name}: {config}";
        if (s_printed.TryAdd(line, true)) Console.Error.WriteLine(line);
    }

    /// <summary>The same view where its elements are in single precision.</summary>
    /// <exception cref="DeviceException">They are not: the operation has no kernel for them.</exception>
    internal static unsafe MatrixView<float> Single<T>(MatrixView<T> view, string operation) where T : unmanaged => typeof(T) == typeof(float)
        ? new MatrixView<float>((float*)view.Pointer, view.Rows, view.Columns, view.Stride, view.Device)
        : throw new DeviceException($"{operation} runs on {view.Device.Name} in single precision only: pass float32 arrays, or use --device cpu for double precision.");
}
