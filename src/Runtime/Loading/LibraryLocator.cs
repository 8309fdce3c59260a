namespace BioSup.Runtime.Loading;

/// <summary>A native library: its name in bindings, the variable that overrides the search, and its file for each major version.</summary>
internal sealed record LibraryName(string Name, string Variable, Func<int, string> FileName, string SitePackage, bool Versioned)
{
    public static LibraryName Driver { get; } = new("nvcuda", BiosupEnvironment.LibcudaPathName, _ => "libcuda.so.1", "", false);
    public static LibraryName Nvrtc { get; } = new("nvrtc", BiosupEnvironment.NvrtcPathName, major => $"libnvrtc.so.{major}", "cuda_nvrtc", true);
    public static LibraryName CublasLt { get; } = new("cublasLt", BiosupEnvironment.CublasLtPathName, major => $"libcublasLt.so.{major}", "cublas", true);
    public static LibraryName Nvml { get; } = new("nvml", BiosupEnvironment.NvmlPathName, _ => "libnvidia-ml.so.1", "", false);
}

/// <summary>
/// Finds native libraries: a variable that names the file, then the system's loader (environment modules, LD_LIBRARY_PATH), then toolkits,
/// conda, Python wheels and the driver of WSL. Every place tried goes into the trace.
/// </summary>
internal sealed class LibraryLocator(LoaderSurroundings surroundings, LoadTrace trace)
{
    /// <summary>Majors of CUDA that the engine knows, best first.</summary>
    internal static readonly int[] Majors = [13, 12];

    /// <param name="library">The library to find.</param>
    /// <param name="highestMajor">Files of a later major version are passed over: this driver could not run what they make.</param>
    /// <returns>The library's handle, or 0 when it is nowhere.</returns>
    /// <exception cref="DeviceException">The variable names a file that cannot be loaded.</exception>
    public nint Locate(LibraryName library, int highestMajor = int.MaxValue)
    {
        if (surroundings.Variable(library.Variable) is { Length: > 0 } named) return LoadNamed(library, named);
        foreach (string candidate in Candidates(library, highestMajor))
        {
            bool isFile = candidate.Contains('/');
            if (isFile && !File.Exists(candidate))
            {
                trace.Add(library.Name, candidate, false, "no such file");
                continue;
            }
            (nint handle, string reason) = surroundings.Open(candidate);
            trace.Add(library.Name, candidate, handle != 0, handle != 0 ? "loaded" : isFile ? reason : "not known to the system's loader");
            if (handle != 0) return handle;
        }
        return 0;
    }

    private nint LoadNamed(LibraryName library, string path)
    {
        (nint handle, string reason) = File.Exists(path) ? surroundings.Open(path) : (0, "no such file");
        trace.Add(library.Name, $"{library.Variable}={path}", handle != 0, handle != 0 ? "loaded" : reason);
        return handle != 0 ? handle : throw new DeviceException($"{library.Variable}={path} cannot be loaded: {reason}.");
    }

    /// <summary>Names and files in the order in which they are tried.</summary>
    internal IEnumerable<string> Candidates(LibraryName library, int highestMajor)
    {
        string[] files = [.. Majors.Where(m => m <= highestMajor || !library.Versioned).Select(library.FileName).Distinct()];
        foreach (string file in files) yield return file;
        foreach (string folder in library.Versioned ? ToolkitFolders(library) : [])
            foreach (string file in files) yield return Path.Combine(folder, file);
        foreach (string file in files) yield return Path.Combine(surroundings.Root, "usr/lib/wsl/lib", file);
    }

    private IEnumerable<string> ToolkitFolders(LibraryName library)
    {
        foreach (string variable in new[] { "CUDA_HOME", "CUDA_PATH", "CUDA_ROOT" })
            if (surroundings.Variable(variable) is { Length: > 0 } toolkit)
                foreach (string folder in LibraryFolders(toolkit)) yield return folder;
        string local = Path.Combine(surroundings.Root, "usr/local");
        foreach (string toolkit in surroundings.Folders(local, "cuda-*").Prepend(Path.Combine(local, "cuda")))
            if (Directory.Exists(toolkit))
                foreach (string folder in LibraryFolders(toolkit)) yield return folder;
        if (surroundings.Variable("CONDA_PREFIX") is { Length: > 0 } conda)
            foreach (string folder in LibraryFolders(conda)) yield return folder;
        foreach (string packages in SitePackages())
        {
            yield return Path.Combine(packages, "nvidia/cu13/lib");
            yield return Path.Combine(packages, "nvidia", library.SitePackage, "lib");
        }
    }

    private IEnumerable<string> LibraryFolders(string toolkit)
    {
        foreach (string folder in new[] { Path.Combine(toolkit, "lib64"), Path.Combine(toolkit, "lib") })
            if (Directory.Exists(folder)) yield return folder;
        foreach (string target in surroundings.Folders(Path.Combine(toolkit, "targets"), "*")) yield return Path.Combine(target, "lib");
    }

    private IEnumerable<string> SitePackages()
    {
        if (surroundings.Variable(BiosupEnvironment.SitePackagesName) is { Length: > 0 } named) yield return named;
        if (surroundings.Variable("VIRTUAL_ENV") is { Length: > 0 } environment)
            foreach (string python in surroundings.Folders(Path.Combine(environment, "lib"), "python3*")) yield return Path.Combine(python, "site-packages");
    }
}
