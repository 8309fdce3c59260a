using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Benchmarks.Tests;

/// <summary>The emulated device for programs that open a device by themselves, with compiled kernels in a folder of its own.</summary>
internal static class TestDevice
{
    private static readonly Lazy<string> s_problem = new(Prepare);

    public static void Require() => Assert.SkipUnless(s_problem.Value.Length == 0, s_problem.Value);

    private static string Prepare()
    {
        if (!CudaEmulator.TryUse(out string reason)) return reason;
        string folder = Path.Combine(CudaEmulator.Folder, "kernels-benchmarks");
        // What an earlier build of the emulator compiled would pass for machine code of this one.
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        Environment.SetEnvironmentVariable(BiosupEnvironment.CacheFolderName, folder);
        return "";
    }
}

/// <summary>Tests that use the device, or time nothing but take long: one after another.</summary>
[CollectionDefinition(nameof(DeviceTests), DisableParallelization = true)]
public sealed class DeviceTests;
