using System.Runtime.CompilerServices;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Cli.Tests.Cuda;

/// <summary>The device of this assembly's tests.</summary>
internal static class TestDevice
{
    /// <summary>
    /// Tests that do not name a device run on the processor, whatever this machine or the emulator offers. The emulator is put in place before any test
    /// asks for a driver, which a process does once.
    /// </summary>
    [ModuleInitializer]
    internal static void Preset()
    {
        Environment.SetEnvironmentVariable(BiosupEnvironment.DeviceName, "cpu");
        try
        {
            _ = CudaEmulator.TryUse(out _);
        }
        catch (InvalidOperationException)
        {
            // An emulator that does not build is the failure of the tests that need it.
        }
    }

    /// <summary>From here on <c>--device cuda</c> is a GPU, or the emulated one, with its compiled kernels kept between test runs; without either the test is skipped.</summary>
    public static void RequireGpu()
    {
        Assert.SkipUnless(CudaEmulator.TryUse(out string reason), reason);
        Environment.SetEnvironmentVariable(BiosupEnvironment.CacheFolderName, CudaEmulator.KernelFolder);
    }
}
