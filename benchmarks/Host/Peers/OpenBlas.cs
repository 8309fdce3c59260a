using System.Runtime.InteropServices;
using BioSup.Runtime;

namespace BioSup.Benchmarks;

/// <summary>The system's OpenBLAS, as a baseline only: the engine itself never loads it.</summary>
public static unsafe partial class OpenBlas
{
    private const string Library = "libopenblas.so.0";
    private const int RowMajor = 101;
    private static readonly string[] s_modernCores = ["Haswell", "Zen", "SkylakeX", "Cooperlake", "Sapphirerapids"];

    /// <summary>Loads the library with the core type that fits this processor; its own detection fails on virtual machines and would flatter every ratio.</summary>
    /// <returns>Name of the kernels in use.</returns>
    /// <exception cref="DeviceException">No OpenBLAS, or it runs kernels that are not of this processor's generation.</exception>
    public static string Load(string? coreType = null)
    {
        coreType ??= Environment.GetEnvironmentVariable("OPENBLAS_CORETYPE") ?? (CpuFeatures.HasAvx512 ? "SkylakeX" : CpuFeatures.ModelName.Contains("AMD", StringComparison.Ordinal) ? "Zen" : "Haswell");
        // Environment.SetEnvironmentVariable does not reach native code on Unix.
        SetEnvironment("OPENBLAS_CORETYPE", coreType, 1);
        if (!NativeLibrary.TryLoad(Library, out _)) throw new DeviceException($"{Library} is not installed: nothing to compare with (Debian: libopenblas0).");
        string core = Marshal.PtrToStringUTF8((nint)CoreName()) ?? "";
        if (!s_modernCores.Contains(core)) throw new DeviceException($"OpenBLAS runs its '{core}' kernels, which are obsolete for this processor: a ratio would mean nothing. Set OPENBLAS_CORETYPE.");
        return core;
    }

    public static string Configuration => Marshal.PtrToStringUTF8((nint)Config()) ?? "";

    [LibraryImport(Library, EntryPoint = "openblas_set_num_threads")]
    public static partial void SetThreads(int threads);

    /// <summary>C = A op(B), row-major and contiguous.</summary>
    public static void Multiply(int m, int n, int k, float* a, bool transposeA, float* b, bool transposeB, float* c) =>
        Sgemm(RowMajor, transposeA ? 112 : 111, transposeB ? 112 : 111, m, n, k, 1, a, transposeA ? m : k, b, transposeB ? k : n, 0, c, n);

    /// <summary>C = A op(B), row-major and contiguous.</summary>
    public static void Multiply(int m, int n, int k, double* a, bool transposeA, double* b, bool transposeB, double* c) =>
        Dgemm(RowMajor, transposeA ? 112 : 111, transposeB ? 112 : 111, m, n, k, 1, a, transposeA ? m : k, b, transposeB ? k : n, 0, c, n);

    [LibraryImport(Library, EntryPoint = "openblas_get_corename")]
    private static partial byte* CoreName();

    [LibraryImport(Library, EntryPoint = "openblas_get_config")]
    private static partial byte* Config();

    [LibraryImport(Library, EntryPoint = "cblas_sgemm")]
    private static partial void Sgemm(int order, int transA, int transB, int m, int n, int k, float alpha, float* a, int lda, float* b, int ldb, float beta, float* c, int ldc);

    [LibraryImport(Library, EntryPoint = "cblas_dgemm")]
    private static partial void Dgemm(int order, int transA, int transB, int m, int n, int k, double alpha, double* a, int lda, double* b, int ldb, double beta, double* c, int ldc);

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetEnvironment(string name, string value, int overwrite);
}
