using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests.Cuda;

/// <summary>One GPU, or the emulated one, for the tests of GPU kernels; without either they are skipped with the reason.</summary>
public sealed class CudaDeviceFixture : IDisposable
{
    private readonly CudaDevice? _device;
    private readonly string _reason;

    public CudaDeviceFixture() => _device = CudaEmulator.Open(out _reason);

    public CudaDevice Require()
    {
        Assert.SkipWhen(_device is null, _reason);
        return _device!;
    }

    public void Dispose() => _device?.Dispose();
}

/// <summary>Tests of GPU kernels share the device and run one class after another.</summary>
[CollectionDefinition(Name)]
public sealed class CudaDeviceCollection : ICollectionFixture<CudaDeviceFixture>
{
    public const string Name = "cuda";
}

/// <summary>Arrays between the host and the device.</summary>
internal static class CudaArrays
{
    public static Matrix<T> To<T>(this Matrix<T> host, CudaDevice device) where T : unmanaged => Matrix<T>.From(device, host.Rows, host.Columns, host.Buffer.View.Host[..(host.Rows * host.Columns)]);

    public static T[] ToHost<T>(this DeviceBuffer<T> buffer) where T : unmanaged
    {
        T[] values = new T[buffer.Length];
        buffer.CopyTo(values);
        return values;
    }

    public static T[] ToHost<T>(this Matrix<T> matrix) where T : unmanaged => matrix.Buffer.ToHost()[..(matrix.Rows * matrix.Columns)];
}
