using System.Runtime.InteropServices;

namespace BioSup.Runtime.Interop;

/// <summary>NVIDIA's run-time compiler, as nvrtc.h declares it. https://docs.nvidia.com/cuda/nvrtc/</summary>
internal static unsafe partial class nvrtc
{
    internal const string Library = "nvrtc";

    [LibraryImport(Library)]
    internal static partial nvrtcResult nvrtcVersion(int* major, int* minor);

    [LibraryImport(Library)]
    internal static partial byte* nvrtcGetErrorString(nvrtcResult result);

    [LibraryImport(Library)]
    internal static partial nvrtcResult nvrtcGetNumSupportedArchs(int* count);

    [LibraryImport(Library)]
    internal static partial nvrtcResult nvrtcGetSupportedArchs(int* architectures);

    [LibraryImport(Library)]
    internal static partial nvrtcResult nvrtcCreateProgram(nvrtcProgram* program, byte* source, byte* name, int headerCount, byte** headers, byte** includeNames);

    [LibraryImport(Library)]
    internal static partial nvrtcResult nvrtcDestroyProgram(nvrtcProgram* program);

    [LibraryImport(Library)]
    internal static partial nvrtcResult nvrtcCompileProgram(nvrtcProgram program, int optionCount, byte** options);

    [LibraryImport(Library)]
    internal static partial nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram program, nuint* size);

    [LibraryImport(Library)]
    internal static partial nvrtcResult nvrtcGetProgramLog(nvrtcProgram program, byte* log);

    [LibraryImport(Library)]
    internal static partial nvrtcResult nvrtcGetCUBINSize(nvrtcProgram program, nuint* size);

    [LibraryImport(Library)]
    internal static partial nvrtcResult nvrtcGetCUBIN(nvrtcProgram program, byte* cubin);

    [LibraryImport(Library)]
    internal static partial nvrtcResult nvrtcGetPTXSize(nvrtcProgram program, nuint* size);

    [LibraryImport(Library)]
    internal static partial nvrtcResult nvrtcGetPTX(nvrtcProgram program, byte* ptx);
}
