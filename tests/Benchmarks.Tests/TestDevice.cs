using System.Diagnostics;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Benchmarks.Tests;

/// <summary>The emulated device for programs that open a device by themselves, with compiled kernels in a folder of its own.</summary>
internal static class TestDevice
{
    private static readonly Lazy<string> s_problem = new(Prepare);

    public static void Require() => Assert.SkipUnless(s_problem.Value.Length == 0, s_problem.Value);

    /// <summary>The device, and the stand-in for cuBLASLt or the library itself.</summary>
    public static void RequireCublasLt()
    {
        Require();
        Assert.SkipUnless(Environment.GetEnvironmentVariable(BiosupEnvironment.CublasLtPathName) is not null, "the stand-in for cuBLASLt is built with a C compiler, which is not there");
    }

    private static string Prepare()
    {
        if (!CudaEmulator.TryUse(out string reason)) return reason;
        string folder = Path.Combine(CudaEmulator.Folder, "kernels-benchmarks");
        // What an earlier build of the emulator compiled would pass for machine code of this one.
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        Environment.SetEnvironmentVariable(BiosupEnvironment.CacheFolderName, folder);
        if (!CudaEmulator.IsHardware && BuildCublasLt() is { } library) Environment.SetEnvironmentVariable(BiosupEnvironment.CublasLtPathName, library);
        return "";
    }

    /// <summary>The stand-in for cuBLASLt, or null where no clang builds it: whoever looks for the library then finds none.</summary>
    private static string? BuildCublasLt()
    {
        string source = Path.Combine(RepositoryRoot.Path, "tests", "Benchmarks.Tests", "StandIns", "cublasLt.c"), library = Path.Combine(Directory.CreateDirectory(Path.Combine(CudaEmulator.Folder, "stand-ins")).FullName, "libcublasLt.so.12");
        if (File.Exists(library) && File.GetLastWriteTimeUtc(library) > File.GetLastWriteTimeUtc(source)) return library;
        foreach (string clang in new[] { "clang-19", "clang", "cc" })
        {
            try
            {
                using Process? process = Process.Start(new ProcessStartInfo(clang, ["-shared", "-fPIC", "-fvisibility=hidden", "-O1", "-o", library, source]));
                process?.WaitForExit();
                if (process?.ExitCode == 0) return library;
            }
            catch (System.ComponentModel.Win32Exception)
            {
                // The next one.
            }
        }
        return null;
    }
}

/// <summary>Tests that use the device, or time nothing but take long: one after another.</summary>
[CollectionDefinition(nameof(DeviceTests), DisableParallelization = true)]
public sealed class DeviceTests;
