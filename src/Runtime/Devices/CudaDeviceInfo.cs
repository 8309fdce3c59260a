using System.Runtime.InteropServices;
using BioSup.Runtime.Interop;

namespace BioSup.Runtime;

/// <summary>NVIDIA's version of a processor's abilities: 8.0 is an A100, 9.0 an H100.</summary>
public readonly record struct ComputeCapability(int Major, int Minor) : IComparable<ComputeCapability>
{
    /// <summary>As in the names of architectures: 90 for 9.0.</summary>
    public int Number => Major * 10 + Minor;

    public int CompareTo(ComputeCapability other) => Number.CompareTo(other.Number);

    public override string ToString() => $"{Major}.{Minor}";
}

/// <summary>What a device is and what it can hold.</summary>
public sealed unsafe class CudaDeviceInfo
{
    internal CudaDeviceInfo(int ordinal)
    {
        Ordinal = ordinal;
        CUdevice device;
        nvcuda.cuDeviceGet(&device, ordinal).Ok();
        Device = device;
        byte* name = stackalloc byte[256];
        nvcuda.cuDeviceGetName(name, 256, device).Ok();
        Name = Marshal.PtrToStringUTF8((nint)name) ?? "";
        CUuuid uuid;
        nvcuda.cuDeviceGetUuid(&uuid, device).Ok();
        Uuid = "GPU-" + new Guid(new ReadOnlySpan<byte>(uuid.bytes, 16), bigEndian: true);
        nuint bytes;
        nvcuda.cuDeviceTotalMem(&bytes, device).Ok();
        MemoryBytes = (long)bytes;
        Capability = new ComputeCapability(
            Attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR), Attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR));
        Multiprocessors = Attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
        SharedBytesPerBlock = Math.Max(
            Attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN), Attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK));
        ThreadsPerBlock = Attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
        CacheBytes = Attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
        HasMemoryPools = Attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED) != 0;
    }

    /// <summary>Oldest compute capability for which kernels are compiled.</summary>
    public static ComputeCapability Oldest { get; } = new(8, 0);

    public int Ordinal { get; }

    /// <summary>NVIDIA's name of the product.</summary>
    public string Name { get; }

    /// <summary>"GPU-…", as nvidia-smi prints it.</summary>
    public string Uuid { get; }

    public ComputeCapability Capability { get; }
    public long MemoryBytes { get; }
    public int Multiprocessors { get; }

    /// <summary>Shared memory that one block may have when it asks for it.</summary>
    public int SharedBytesPerBlock { get; }

    public int ThreadsPerBlock { get; }

    /// <summary>Second-level cache.</summary>
    public int CacheBytes { get; }

    /// <summary>Memory can be allocated and freed in stream order.</summary>
    public bool HasMemoryPools { get; }

    internal CUdevice Device { get; }

    /// <summary>Every device of this machine; none when there is no driver.</summary>
    public static IReadOnlyList<CudaDeviceInfo> All()
    {
        CudaDeviceInfo[] found = new CudaDeviceInfo[CudaDriver.DeviceCount];
        for (int i = 0; i < found.Length; i++) found[i] = new CudaDeviceInfo(i);
        return found;
    }

    private int Attribute(CUdevice_attribute attribute)
    {
        int value;
        nvcuda.cuDeviceGetAttribute(&value, attribute, Device).Ok();
        return value;
    }
}
