using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using BioSup.Runtime.Interop;

namespace BioSup.Runtime.Loading;

/// <summary>The native libraries of this process: each is looked for once, on first use, and the trace says where.</summary>
internal static class NativeLibraries
{
    private static readonly Lock s_gate = new();
    private static readonly Dictionary<string, nint> s_handles = [];

    public static LoadTrace Trace { get; } = new();

    private static LibraryLocator Locator { get; } = new(new LoaderSurroundings(), Trace);

    /// <summary>The handle of a library, or 0 when it is nowhere.</summary>
    /// <exception cref="DeviceException">Its variable names a file that cannot be loaded.</exception>
    public static nint Find(LibraryName library, int highestMajor = int.MaxValue)
    {
        lock (s_gate)
        {
            if (s_handles.TryGetValue(library.Name, out nint known)) return known;
            nint handle = Locator.Locate(library, highestMajor);
            s_handles.Add(library.Name, handle);
            return handle;
        }
    }

    /// <summary>Loads a file where the search has found nothing.</summary>
    internal static void Use(LibraryName library, string path)
    {
        lock (s_gate)
            if (s_handles.GetValueOrDefault(library.Name) == 0) s_handles[library.Name] = NativeLibrary.Load(path);
    }

    // One resolver per assembly is all that the runtime allows, and it must be there before the first call: this room owns every binding.
#pragma warning disable CA2255
    [ModuleInitializer]
#pragma warning restore CA2255
    internal static void Register() => NativeLibrary.SetDllImportResolver(typeof(nvcuda).Assembly, Resolve);

    /// <summary>0 leaves a name to the runtime (libc).</summary>
    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? path)
    {
        lock (s_gate) return s_handles.GetValueOrDefault(name);
    }
}
