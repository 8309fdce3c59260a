using System.Globalization;
using System.Runtime.InteropServices;
using BioSup.Runtime.Interop;

namespace BioSup.Runtime.Loading;

/// <summary>NVIDIA's run-time compiler as found on this machine. It needs no GPU: kernels can be compiled for another machine.</summary>
internal sealed unsafe class NvrtcLibrary
{
    private static readonly Lazy<NvrtcLibrary> s_instance = new(() => new NvrtcLibrary(), LazyThreadSafetyMode.ExecutionAndPublication);

    private NvrtcLibrary()
    {
        // Without a driver (a build node) any compiler will do; with one, what it cannot run is passed over.
        CudaVersion? driver = CudaDriver.Version;
        nint handle = NativeLibraries.Find(LibraryName.Nvrtc, driver?.Major ?? int.MaxValue);
        if (handle == 0) throw new DeviceException(CudaSentences.NvrtcMissing(driver) + NativeLibraries.Trace.Print(LibraryName.Nvrtc.Name));
        int major, minor;
        nvrtc.nvrtcVersion(&major, &minor).Ok();
        Version = new CudaVersion(major, minor);
        if (Check(Version, driver) is { } problem) throw new DeviceException(problem);
        Path = LoadedFile.Containing(NativeLibrary.GetExport(handle, "nvrtcVersion"));
        if (Path is not null) PreloadBuiltins(System.IO.Path.GetDirectoryName(Path)!);
        Architectures = ReadArchitectures();
    }

    /// <summary>Loads the compiler.</summary>
    /// <exception cref="DeviceException">It is missing, or of a version that cannot be used.</exception>
    public static NvrtcLibrary Require() => s_instance.Value;

    public CudaVersion Version { get; }

    /// <summary>The file that was loaded; null where the system does not tell.</summary>
    public string? Path { get; }

    /// <summary>Architectures that it compiles for, ascending: 80, 86, 90.</summary>
    public IReadOnlyList<int> Architectures { get; }

    /// <summary>Why this version cannot be used, or null. Within one major version the driver runs what a newer compiler makes.</summary>
    internal static string? Check(CudaVersion nvrtcVersion, CudaVersion? driver) =>
        nvrtcVersion.CompareTo(CudaDriver.Oldest) < 0 ? CudaSentences.NvrtcTooOld(nvrtcVersion)
        : driver is { } d && nvrtcVersion.Major > d.Major ? CudaSentences.NvrtcTooNew(nvrtcVersion, d)
        : null;

    /// <summary>
    /// NVRTC opens its built-in functions by bare name and looks in the system's folders only; already loaded, they are found wherever they lie.
    /// A failure is only noted: a compilation that needs them says so in its log.
    /// </summary>
    private void PreloadBuiltins(string folder)
    {
        string file = System.IO.Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"libnvrtc-builtins.so.{Version.Major}.{Version.Minor}"));
        bool loaded = NativeLibrary.TryLoad(file, out _);
        NativeLibraries.Trace.Add("nvrtc-builtins", file, loaded, loaded ? "loaded" : File.Exists(file) ? "cannot be loaded" : "no such file");
    }

    private static int[] ReadArchitectures()
    {
        int count;
        nvrtc.nvrtcGetNumSupportedArchs(&count).Ok();
        int[] found = new int[count];
        fixed (int* first = found) nvrtc.nvrtcGetSupportedArchs(first).Ok();
        Array.Sort(found);
        return found;
    }
}
