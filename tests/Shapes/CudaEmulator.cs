using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using BioSup.Runtime;

namespace BioSup.Shapes;

/// <summary>
/// A device for tests of GPU code: the emulator of tests/CudaEmulator, built once into artifacts/emulator, or the machine's own GPU where
/// BIOSUP_TEST_GPU is 1, or whatever BIOSUP_LIBCUDA_PATH names. Libraries are loaded once per process, so a test assembly that
/// uses this must do so before anything else of it asks for a device.
/// </summary>
public static partial class CudaEmulator
{
    private static readonly Lazy<string?> s_problem = new(Prepare);

    /// <summary>Folder of the emulator's libraries.</summary>
    public static string Folder => Path.Combine(RepositoryRoot.Path, "artifacts", "emulator");

    /// <summary>True when tests run on a real GPU.</summary>
    public static bool IsHardware => Environment.GetEnvironmentVariable("BIOSUP_TEST_GPU") == "1";

    /// <summary>Whether there is a device, or the reason why not.</summary>
    public static bool TryUse(out string reason)
    {
        reason = s_problem.Value ?? "";
        return reason.Length == 0;
    }

    /// <summary>A new device whose compiled kernels are kept between test runs, or null with the reason.</summary>
    public static CudaDevice? Open(out string reason, CudaDeviceOptions? options = null) =>
        TryUse(out reason) ? CudaDevice.Open(0, (options ?? new CudaDeviceOptions()) with { CacheFolder = options?.CacheFolder ?? KernelFolder }) : null;

    private static string? Prepare()
    {
        if (!IsHardware && Environment.GetEnvironmentVariable(BiosupEnvironment.LibcudaPathName) is null)
        {
            if (Build() is { } missing) return missing;
            Environment.SetEnvironmentVariable(BiosupEnvironment.LibcudaPathName, Path.Combine(Folder, "libcuda.so.1"));
            Environment.SetEnvironmentVariable(BiosupEnvironment.NvrtcPathName, Path.Combine(Folder, "libnvrtc.so.12"));
            // The emulator is C++ and reads the variables of the process, which are not those that .NET sets.
            if (OperatingSystem.IsLinux()) _ = SetVariable("BIOSUP_EMULATOR_CACHE", Path.Combine(Folder, "programs"), 0);
        }
        return CudaDriver.Problem;
    }

    /// <summary>Builds the emulator where it is not up to date: null, or why it cannot be built here. A build that fails is an error.</summary>
    private static string? Build()
    {
        string script = Path.Combine(RepositoryRoot.Path, "tests", "CudaEmulator", "build.sh");
        if (!OperatingSystem.IsLinux()) return "the CUDA emulator runs on Linux only";
        if (!File.Exists(script)) return "tests/CudaEmulator is not part of this checkout";
        Directory.CreateDirectory(Folder);
        using FileStream turn = TakeTurn(Path.Combine(Folder, ".lock"));
        ProcessStartInfo start = new("bash", [script, Folder]) { RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        string errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode == 0) return null;
        if (errors.Contains("needs clang", StringComparison.Ordinal)) return "the CUDA emulator is built with clang, which is not installed";
        throw new InvalidOperationException($"The CUDA emulator does not build:\n{output.Result}{errors}");
    }

    /// <summary>Several test processes start at once and one builds.</summary>
    private static FileStream TakeTurn(string file)
    {
        Stopwatch clock = Stopwatch.StartNew();
        while (true)
        {
            try
            {
                return new FileStream(file, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException) when (clock.Elapsed < TimeSpan.FromMinutes(5))
            {
                Thread.Sleep(100);
            }
        }
    }

    /// <summary>Where compiled kernels are kept between test runs. The emulator's version number does not change with its sources, so what it compiled is kept apart by its build.</summary>
    public static string KernelFolder
    {
        get
        {
            string stamp = Path.Combine(Folder, "stamp");
            string build = IsHardware || !File.Exists(stamp) ? "device" : Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(File.ReadAllText(stamp))))[..12];
            return Path.Combine(Folder, $"kernels-{build}");
        }
    }

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetVariable(string name, string value, int overwrite);
}
