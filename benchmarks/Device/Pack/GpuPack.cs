using System.Diagnostics;
using System.Formats.Tar;
using System.Globalization;
using System.IO.Compression;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Benchmarks.Device.Pack;

/// <summary>
/// Packs what a machine with a GPU needs and nothing that it has: the tests of GPU kernels, these benchmarks, the command line, the scripts of the peers, and
/// the .NET runtime for all of them in one folder. The programs are the ones that were built and tested, not built anew; beside them lie only the assemblies that
/// they can reach. Readers of pictures and the encoder's runtime, which no GPU test uses, stay out: their libraries are larger than all the rest.
/// </summary>
internal static class GpuPack
{
    /// <summary>Most bytes of the folder and of the archive made of it.</summary>
    public const long Limit = 64L << 20;

    private const string Marker = "pack.txt", Archive = "programs.tar.gz";

    /// <summary>Projects and the names of their programs.</summary>
    private static readonly (string Project, string Program)[] s_programs =
        [("BioSup.Native.Cli", "biosup"), ("BioSup.Native.Kernels.Tests", "BioSup.Native.Kernels.Tests"), ("BioSup.Native.Benchmarks.Device", "BioSup.Native.Benchmarks.Device")];

    /// <summary>What figures of the report need; the others are for pictures and the encoder.</summary>
    private static readonly string[] s_nativeLibraries = ["libSkiaSharp.so", "libHarfBuzzSharp.so"];

    /// <summary>Of the runtime: for debuggers, tracing and another collector.</summary>
    private static readonly string[] s_unneeded = ["libmscordaccore.so", "libmscordbi.so", "libclrgc.so", "libclrgcexp.so", "libcoreclrtraceptprovider.so"];

    /// <returns>0, or 1 where the pack is larger than <see cref="Limit"/>.</returns>
    /// <exception cref="UsageException">The pack cannot be made here, something is not built, or the folder holds something else.</exception>
    public static int Run(string output, string? configuration)
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64) throw new UsageException("The pack is made of programs for Linux on x64: make it there.");
        string root = Root(), folder = Path.GetFullPath(output);
        configuration ??= Path.GetFileName(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory));
        Empty(folder);
        string stage = Path.Combine(folder, "programs");
        Stage(root, configuration, stage);
        Zip(stage, Path.Combine(folder, Archive), CompressionLevel.SmallestSize, prefix: "");
        long unpacked = Size(stage);
        Directory.Delete(stage, recursive: true);

        string benchmarks = Path.Combine(root, "benchmarks");
        CopyTree(Path.Combine(benchmarks, "peers"), Path.Combine(folder, "peers"), "*.py");
        File.Copy(Path.Combine(benchmarks, "Device", "gates.json"), Path.Combine(folder, "gates.json"));
        File.Copy(Path.Combine(benchmarks, "Device", "run-gpu.sh"), Path.Combine(folder, "run-gpu.sh"));
        File.SetUnixFileMode(Path.Combine(folder, "run-gpu.sh"), Executable);
        File.WriteAllText(Path.Combine(folder, Marker), Describe(root, unpacked));

        string archive = Path.TrimEndingDirectorySeparator(folder) + ".tar.gz";
        Zip(folder, archive, CompressionLevel.NoCompression, Path.GetFileName(Path.TrimEndingDirectorySeparator(folder)) + "/");
        long size = Size(folder), archived = new FileInfo(archive).Length;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{folder}: {size / 1048576.0:F1} MiB, {archive}: {archived / 1048576.0:F1} MiB, unpacked programs {unpacked / 1048576.0:F1} MiB"));
        if (Math.Max(size, archived) <= Limit) return 0;
        Console.Error.WriteLine($"The pack is larger than {Limit >> 20} MiB.");
        return 1;
    }

    private const UnixFileMode Executable = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    private static string Root()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "BioSup.Native.sln")) && Directory.Exists(Path.Combine(folder.FullName, "benchmarks"))) return folder.FullName;
        throw new UsageException("The pack is made from a checkout of the repository: this program lies outside one.");
    }

    /// <summary>A folder that is not one of our packs is never emptied.</summary>
    private static void Empty(string folder)
    {
        if (Directory.Exists(folder))
        {
            if (!File.Exists(Path.Combine(folder, Marker)) && Directory.EnumerateFileSystemEntries(folder).Any()) throw new UsageException($"{folder} is there and is no pack: choose another folder.");
            Directory.Delete(folder, recursive: true);
        }
        Directory.CreateDirectory(folder);
    }

    private static void Stage(string root, string configuration, string stage)
    {
        string bin = Directory.CreateDirectory(Path.Combine(stage, "bin")).FullName;
        string runtime = Path.GetDirectoryName(typeof(object).Assembly.Location)!;
        List<string> folders = [];
        foreach ((string project, string program) in s_programs)
        {
            string built = Path.Combine(root, "artifacts", "bin", project, configuration);
            if (!File.Exists(Path.Combine(built, program))) throw new UsageException($"{project} is not built: {Path.Combine(built, program)} is missing.");
            folders.Add(built);
            File.Copy(Path.Combine(built, program), Path.Combine(bin, program));
            File.WriteAllText(Path.Combine(bin, program + ".runtimeconfig.json"), SelfContained(File.ReadAllText(Path.Combine(built, program + ".runtimeconfig.json"))));
        }
        RequireOneBuild(folders);
        foreach (string file in AssemblyClosure.Find(s_programs.Select(p => p.Program), [.. folders, runtime]).Values)
        {
            File.Copy(file, Path.Combine(bin, Path.GetFileName(file)));
            string symbols = Path.ChangeExtension(file, ".pdb");
            if (File.Exists(symbols)) File.Copy(symbols, Path.Combine(bin, Path.GetFileName(symbols)));
        }
        foreach (string file in Directory.EnumerateFiles(runtime, "lib*.so"))
            if (!s_unneeded.Contains(Path.GetFileName(file))) File.Copy(file, Path.Combine(bin, Path.GetFileName(file)));
        File.Copy(HostResolver(runtime), Path.Combine(bin, "libhostfxr.so"));
        foreach (string name in s_nativeLibraries) File.Copy(Path.Combine(folders[0], "runtimes", "linux-x64", "native", name), Path.Combine(bin, name));

        // Without a list of its files beside it a program asks the present folder what it is, and goes wrong in a folder that holds a program of the same name.
        string dependencies = Dependencies(Directory.EnumerateFiles(bin).Select(f => Path.GetFileName(f)));
        foreach ((string _, string program) in s_programs) File.WriteAllText(Path.Combine(bin, program + ".deps.json"), dependencies);

        // Tests look for the repository above themselves, and read the headers of the kernels there.
        File.Copy(Path.Combine(root, "BioSup.Native.sln"), Path.Combine(stage, "BioSup.Native.sln"));
        CopyTree(Path.Combine(root, "cuda", "include"), Path.Combine(stage, "cuda", "include"), "*.cuh");
        CopyTree(Path.Combine(root, "tests", "golden"), Path.Combine(stage, "tests", "golden"), "*");
    }

    /// <summary>The programs share a folder, so an assembly must be the same in all of them: one that was built earlier than the others would mix two states of the source.</summary>
    internal static void RequireOneBuild(IReadOnlyList<string> folders)
    {
        Dictionary<string, string> known = new(StringComparer.Ordinal);
        foreach (string file in folders.SelectMany(f => Directory.EnumerateFiles(f, "*.dll")))
        {
            string name = Path.GetFileName(file);
            if (known.TryAdd(name, file) || File.ReadAllBytes(file).AsSpan().SequenceEqual(File.ReadAllBytes(known[name]))) continue;
            throw new UsageException($"{name} differs between {Path.GetDirectoryName(known[name])} and {Path.GetDirectoryName(file)}: build all programs of the pack first.");
        }
    }

    /// <summary>Beside the shared frameworks of an installation: host/fxr/VERSION/libhostfxr.so.</summary>
    private static string HostResolver(string runtime)
    {
        string version = Path.GetFileName(runtime), installation = Path.GetFullPath(Path.Combine(runtime, "..", "..", ".."));
        string exact = Path.Combine(installation, "host", "fxr", version, "libhostfxr.so");
        if (File.Exists(exact)) return exact;
        string folder = Path.Combine(installation, "host", "fxr");
        return (Directory.Exists(folder) ? Directory.EnumerateFiles(folder, "libhostfxr.so", SearchOption.AllDirectories).Order(StringComparer.Ordinal).LastOrDefault() : null)
            ?? throw new UsageException($"The runtime in {runtime} has no host/fxr beside it: make the pack with an installed .NET SDK.");
    }

    /// <summary>The same configuration for a program that has its runtime beside it.</summary>
    internal static string SelfContained(string runtimeConfig)
    {
        JsonObject root = JsonNode.Parse(runtimeConfig)!.AsObject();
        JsonObject options = root["runtimeOptions"]!.AsObject();
        options.Remove("framework");
        options["includedFrameworks"] = new JsonArray(new JsonObject { ["name"] = "Microsoft.NETCore.App", ["version"] = Environment.Version.ToString() });
        return root.ToJsonString(new JsonSerializerOptions { WriteIndented = true });
    }

    /// <summary>The list that the host of .NET reads: every assembly and native library of the folder.</summary>
    internal static string Dependencies(IEnumerable<string> files)
    {
        const string target = ".NETCoreApp,Version=v10.0/linux-x64", library = "BioSup.Native.Pack/1.0.0";
        JsonObject managed = [], native = [];
        foreach (string file in files.Order(StringComparer.Ordinal))
        {
            if (file.EndsWith(".dll", StringComparison.Ordinal)) managed[file] = new JsonObject();
            else if (file.EndsWith(".so", StringComparison.Ordinal)) native[file] = new JsonObject();
        }
        JsonObject root = new()
        {
            ["runtimeTarget"] = new JsonObject { ["name"] = target, ["signature"] = "" },
            ["targets"] = new JsonObject { [target] = new JsonObject { [library] = new JsonObject { ["runtime"] = managed, ["native"] = native } } },
            ["libraries"] = new JsonObject { [library] = new JsonObject { ["type"] = "project", ["serviceable"] = false, ["sha512"] = "" } },
        };
        return root.ToJsonString(new JsonSerializerOptions { WriteIndented = true });
    }

    private static string Describe(string root, long unpacked)
    {
        string version = typeof(Gemm).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "unknown";
        string commit = Git(root, "rev-parse", "HEAD") is { Length: > 0 } head ? head + (Git(root, "status", "--porcelain", "--untracked-files=no") is { Length: > 0 } ? " with local changes" : "") : "unknown";
        return $"version: {version}\ncommit: {commit}\npacked: {DateTime.UtcNow.ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture)}\nruntime: {RuntimeInformation.FrameworkDescription}\nunpacked bytes: {unpacked}\n";
    }

    private static string? Git(string root, params string[] arguments)
    {
        try
        {
            using Process? process = Process.Start(new ProcessStartInfo("git", arguments) { WorkingDirectory = root, RedirectStandardOutput = true, RedirectStandardError = true });
            if (process is null) return null;
            Task<string> errors = process.StandardError.ReadToEndAsync();
            string output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            _ = errors.Result;
            return process.ExitCode == 0 ? output.Trim() : null;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return null; // No git: the commit is unknown.
        }
    }

    /// <summary>Entries in order of their names, so that two packs of the same files differ in times alone.</summary>
    private static void Zip(string folder, string archive, CompressionLevel level, string prefix)
    {
        using FileStream file = File.Create(archive);
        using GZipStream zip = new(file, level);
        using TarWriter tar = new(zip, TarEntryFormat.Pax);
        foreach (string path in Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Where(p => p != archive).Order(StringComparer.Ordinal))
            tar.WriteEntry(path, prefix + Path.GetRelativePath(folder, path));
    }

    private static void CopyTree(string from, string to, string pattern)
    {
        foreach (string file in Directory.EnumerateFiles(from, pattern, SearchOption.AllDirectories))
        {
            string target = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
        }
    }

    private static long Size(string folder) => Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Sum(f => new FileInfo(f).Length);
}
