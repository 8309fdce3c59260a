namespace BioSup.Runtime.Interop;

/// <summary>What every NVML call answers. https://docs.nvidia.com/deploy/nvml-api/</summary>
internal enum nvmlReturn_t
{
    NVML_SUCCESS = 0,
}

internal enum nvmlClockType_t
{
    NVML_CLOCK_SM = 1,
    NVML_CLOCK_MEM = 2,
}

internal readonly record struct nvmlDevice_t(nint Value);
