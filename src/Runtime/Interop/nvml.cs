using System.Runtime.InteropServices;

namespace BioSup.Runtime.Interop;

/// <summary>The management library: the driver's release and the clocks that belong to a timing. Optional.</summary>
internal static unsafe partial class nvml
{
    internal const string Library = "nvml";

    [LibraryImport(Library, EntryPoint = "nvmlInit_v2")]
    internal static partial nvmlReturn_t nvmlInit();

    [LibraryImport(Library)]
    internal static partial nvmlReturn_t nvmlShutdown();

    [LibraryImport(Library)]
    internal static partial nvmlReturn_t nvmlSystemGetDriverVersion(byte* version, uint length);

    [LibraryImport(Library)]
    internal static partial nvmlReturn_t nvmlDeviceGetHandleByUUID(byte* uuid, nvmlDevice_t* device);

    [LibraryImport(Library)]
    internal static partial nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, nvmlClockType_t type, uint* megahertz);
}
