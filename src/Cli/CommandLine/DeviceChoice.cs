using System.Globalization;
using BioSup.Runtime;

namespace BioSup.Cli;

/// <summary>What --device asks for, read at once; the device itself is opened when it is first needed.</summary>
internal readonly record struct DeviceChoice(DeviceKind Kind, int Ordinal = 0)
{
    /// <summary>Reads --device; "auto" stands for what BIOSUP_DEVICE says.</summary>
    public static DeviceChoice Parse(string option)
    {
        if (Read(option) is not { } choice) throw new UsageException($"--device {option}: expected auto, cpu or cuda[:N].");
        if (choice.Kind != DeviceKind.Automatic || BiosupEnvironment.Device is not { } preset) return choice;
        return Read(preset) ?? throw new UsageException($"{BiosupEnvironment.DeviceName}={preset}: expected auto, cpu or cuda[:N].");
    }

    /// <summary>Opens the device. Automatic takes the first GPU that works with its driver and compiler, else the processor.</summary>
    /// <param name="host">The processor; it is the device itself where no GPU is used.</param>
    /// <param name="say">Receives one line where a GPU was there to choose.</param>
    /// <exception cref="DeviceException">A GPU was asked for by name and cannot be used.</exception>
    public ComputeDevice Open(CpuDevice host, Action<string> say)
    {
        CudaDeviceOptions options = new() { Host = host };
        if (Kind == DeviceKind.Cuda) return CudaDevice.Open(Ordinal, options);
        if (Kind == DeviceKind.Cpu || CudaDriver.Problem is not null) return host;
        try
        {
            JitCompiler.Require();
            CudaDevice device = CudaDevice.Open(0, options);
            say($"running on {device.Name}, {device.Info.Name} (--device cpu takes the processor)");
            return device;
        }
        catch (DeviceException e)
        {
            say($"running on the processor: {e.Message.Split('\n')[0]}");
            return host;
        }
    }

    private static DeviceChoice? Read(string text)
    {
        if (text == "auto") return new DeviceChoice(DeviceKind.Automatic);
        if (text == "cpu") return new DeviceChoice(DeviceKind.Cpu);
        if (text == "cuda") return new DeviceChoice(DeviceKind.Cuda);
        if (!text.StartsWith("cuda:", StringComparison.Ordinal) || !int.TryParse(text.AsSpan(5), NumberStyles.None, CultureInfo.InvariantCulture, out int ordinal)) return null;
        return new DeviceChoice(DeviceKind.Cuda, ordinal);
    }
}

/// <summary>Kinds of devices a person can ask for.</summary>
internal enum DeviceKind
{
    Automatic,
    Cpu,
    Cuda,
}
