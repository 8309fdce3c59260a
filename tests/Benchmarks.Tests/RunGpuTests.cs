using System.Diagnostics;
using System.Formats.Tar;
using System.IO.Compression;
using BioSup.Benchmarks.Device;
using BioSup.Benchmarks.Device.Pack;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Benchmarks.Tests;

/// <summary>One pack for all tests of it.</summary>
public sealed class PackFixture : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-pack-").FullName;

    public PackFixture()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "the pack is for Linux");
        Pack = Path.Combine(_folder, "gpu");
        ExitCode = GpuPack.Run(Pack, null);
    }

    public string Pack { get; } = "";
    public int ExitCode { get; }

    /// <summary>Programs and compiled kernels that the runs share, as a user keeps them with --scratch.</summary>
    public string Scratch => Path.Combine(_folder, "scratch");

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}

/// <summary>The pack for GPU machines, and its script from beginning to end, without a GPU.</summary>
[Collection(nameof(DeviceTests))]
public sealed class RunGpuTests(PackFixture pack) : IClassFixture<PackFixture>, IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-run-gpu-").FullName;

    private string Output => Path.Combine(_folder, "out");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void The_pack_is_small_and_holds_what_the_script_needs()
    {
        Assert.Equal(0, pack.ExitCode);
        string[] files = [.. Directory.EnumerateFiles(pack.Pack, "*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(pack.Pack, f)).Order(StringComparer.Ordinal)];
        Assert.Equal(["gates.json", "pack.txt", "peers/cells_diffmap.py", "peers/cells_h5ad.py", "peers/cells_knn.py", "peers/cells_leiden.py", "peers/cells_umap.py", "peers/device_bench.py", "peers/numpy_phate.py",
            "peers/pot_gw.py", "peers/pot_gw_points.py", "peers/scipy_geodesics.py", "peers/scipy_mannwhitney.py", "peers/sklearn_distance.py", "peers/torch_cdist_topk.py", "peers/torch_gemm.py", "peers/torch_sae_best.py", "peers/torch_sae_step.py", "peers/torch_sinkhorn_gw.py", "programs.tar.gz", "run-gpu.sh"], files);
        using FileStream archive = File.OpenRead(pack.Pack + ".tar.gz");
        Assert.InRange(archive.Length, 10 << 20, GpuPack.Limit);
        using GZipStream zip = new(archive, CompressionMode.Decompress);
        using TarReader tar = new(zip);
        List<string> entries = [];
        while (tar.GetNextEntry() is { } entry)
        {
            entries.Add(entry.Name);
            if (entry.Name == "gpu/run-gpu.sh") Assert.True(entry.Mode.HasFlag(UnixFileMode.UserExecute));
        }
        Assert.Equal(files.Length, entries.Count);
        string facts = File.ReadAllText(Path.Combine(pack.Pack, "pack.txt"));
        Assert.Contains("commit: ", facts);
    }

    [Fact]
    public void A_folder_that_is_no_pack_is_not_emptied()
    {
        string mine = Path.Combine(_folder, "precious.txt");
        File.WriteAllText(mine, "data");
        Assert.Throws<UsageException>(() => GpuPack.Run(_folder, null));
        Assert.True(File.Exists(mine));
    }

    [Fact]
    public void Programs_that_were_built_at_different_times_are_not_packed_together()
    {
        string one = Directory.CreateDirectory(Path.Combine(_folder, "one")).FullName, other = Directory.CreateDirectory(Path.Combine(_folder, "other")).FullName;
        File.WriteAllText(Path.Combine(one, "A.dll"), "1");
        File.WriteAllText(Path.Combine(other, "A.dll"), "1");
        GpuPack.RequireOneBuild([one, other]);
        File.WriteAllText(Path.Combine(other, "A.dll"), "2");
        Assert.Contains("A.dll differs", Assert.Throws<UsageException>(() => GpuPack.RequireOneBuild([one, other])).Message);
    }

    [Fact]
    public void Without_a_driver_every_section_is_skipped_with_the_reason()
    {
        (int code, string output) = Run(new() { [BiosupEnvironment.LibcudaPathName] = "no/libcuda.so.1" }, "--tiny");
        Assert.True(code == 4, output);
        Dictionary<string, (string Outcome, string Detail)> checks = Checks();
        Assert.Equal(["environment", "tests", "sanitizer", "repeat", "bench", "ncu", "peers", "demo"], checks.Keys);
        Assert.All(checks.Values, c => Assert.Equal("skipped", c.Outcome));
        Assert.All(checks.Values, c => Assert.Contains("no/libcuda.so.1 cannot be loaded", c.Detail));
        Assert.Contains("No results were written: the run saw no device.", output);
        Assert.Contains("no/libcuda.so.1", File.ReadAllText(Path.Combine(Output, "doctor.txt")));
    }

    [Theory]
    [InlineData("sections")]
    [InlineData("--minutes")]
    public void Wrong_arguments_are_refused(string argument) => Assert.Equal(2, Run([], argument).Code);

    [Fact]
    public void On_the_emulated_device_the_script_runs_to_its_end()
    {
        TestDevice.Require();
        string calls = Tools(errors: 0);
        (int code, string output) = Run([], "--tiny", "--suites", "ceilings gemm sae", "--bundle", "tests", "sanitizer", "repeat", "bench", "ncu", "demo");
        Assert.True(code == 0, output);
        Dictionary<string, (string Outcome, string Detail)> checks = Checks();
        foreach (string passed in new[] { "environment", "GPU tests", "compute-sanitizer memcheck", "compute-sanitizer racecheck", "compute-sanitizer synccheck", "compute-sanitizer initcheck", "same bytes in ten runs",
            "benchmark ceilings", "benchmark gemm", "benchmark sae", "ncu gemm", "ncu knn" })
            Assert.True(checks[passed].Outcome == "passed", $"{passed}: {checks[passed]}\n{output}");
        Assert.Contains("Failed: 0", checks["GPU tests"].Detail);
        Assert.Contains("--tool memcheck --target-processes all --error-exitcode 99", File.ReadAllText(calls));
        Assert.Contains("--clock-control none --csv", File.ReadAllText(calls));

        // Three files in the output folder; figures are marked as what they are, and none becomes a result.
        Assert.Equal(["figures.jsonl", "results.tar.gz", "run.log"], Directory.EnumerateFileSystemEntries(Output).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        List<Figure> figures = Figure.ReadAll(Path.Combine(Output, "figures.jsonl"));
        Assert.Contains(figures, f => f is { Suite: "gemm", Status: FigureStatus.Measured });
        Assert.All(figures, f => Assert.True(f is { Emulated: true, Tiny: true }));
        Assert.Contains("BioSup emulated device is emulated", output);
        Assert.False(Directory.Exists(Path.Combine(_folder, "unpacked", "results")));
    }

    [Fact]
    public void An_error_that_a_sanitizer_finds_fails_the_run()
    {
        TestDevice.Require();
        _ = Tools(errors: 3);
        (int code, string output) = Run([], "--tiny", "sanitizer");
        Assert.True(code == 1, output);
        Assert.Equal(("failed", "3 errors, see sanitizer-memcheck.log"), Checks()["compute-sanitizer memcheck"]);
    }

    [Fact]
    public void The_compiler_of_a_python_wheel_is_found()
    {
        TestDevice.Require();
        Assert.SkipWhen(CudaEmulator.IsHardware, "the wheel is made of the emulated compiler");
        string packages = Path.Combine(_folder, "site-packages"), wheel = Directory.CreateDirectory(Path.Combine(packages, "nvidia", "cuda_nvrtc", "lib")).FullName;
        File.Copy(Path.Combine(CudaEmulator.Folder, "libnvrtc.so.12"), Path.Combine(wheel, "libnvrtc.so.12"));
        Directory.CreateDirectory(Path.Combine(_folder, "bin"));
        string python = Path.Combine(_folder, "bin", "python3");
        // Knows no module and one folder of packages.
        WriteProgram(python, $"[[ $2 == *sys.path* ]] || exit 1\necho '{packages}'\n");
        (int code, string output) = Run(new() { [BiosupEnvironment.NvrtcPathName] = null }, "--python", python, "environment");
        Assert.True(code == 0, output);
        Assert.Contains($"({Path.Combine(wheel, "libnvrtc.so.12")})", File.ReadAllLines(Path.Combine(Output, "environment.txt")).Single(l => l.StartsWith("NVRTC: ", StringComparison.Ordinal)));
    }

    [Fact]
    public void Peers_write_figures_in_the_same_format()
    {
        TestDevice.Require();
        string python = Environment.GetEnvironmentVariable("BIOSUP_PYTHON") ?? "/usr/bin/python3";
        Assert.SkipUnless(File.Exists(python) && Succeeds(python, "-c", "import torch"), $"{python} has no PyTorch: set BIOSUP_PYTHON to one that has");
        (int code, string output) = Run([], "--tiny", "--python", python, "peers");
        Assert.True(code == 0, output);
        Assert.All(Checks(), c => Assert.True(c.Value.Outcome == "passed", $"{c.Key}: {c.Value}\n{output}"));
        List<Figure> figures = Figure.ReadAll(Path.Combine(Output, "figures.jsonl"));
        Assert.All(figures, f => Assert.True(f.Tiny));
        Assert.All(figures, f => Assert.True(f.Status == FigureStatus.Measured ? f.Ms > 0 && f.MsLow <= f.Ms && f.Ms <= f.MsHigh : f.Reason!.Length > 0, f.Name));
        foreach (string contender in new[] { "torch", "torch.cdist + topk", "torch.cdist", "torch, as POT writes it", "torch eager bf16", "torch.compile bf16", "POT, torch backend" })
            Assert.Contains(figures, f => f.Contender == contender);
        Assert.Equal(["ceilings", "distance", "gw", "knn", "sae", "sinkhorn"], figures.Select(f => f.Suite).Distinct().Order(StringComparer.Ordinal));
    }

    /// <summary>Tools that note how they are called: the sanitizer finds what it is told to, the profiler one launch. The file with the calls.</summary>
    private string Tools(int errors)
    {
        string bin = Directory.CreateDirectory(Path.Combine(_folder, "bin")).FullName, calls = Path.Combine(_folder, "calls");
        WriteProgram(Path.Combine(bin, "compute-sanitizer"), $"echo \"$*\" >> '{calls}'\n[[ $1 != --version ]] || exit 0\necho '========= ERROR SUMMARY: {errors} errors'\nexit {(errors > 0 ? 99 : 0)}\n");
        WriteProgram(Path.Combine(bin, "ncu"), $"echo \"$*\" >> '{calls}'\n[[ $1 != --version ]] || exit 0\necho '\"ID\",\"Kernel Name\",\"Metric Name\",\"Metric Unit\",\"Metric Value\"'\necho '\"0\",\"k()\",\"time\",\"us\",\"1\"'\n");
        return calls;
    }

    private static void WriteProgram(string path, string body)
    {
        File.WriteAllText(path, "#!/bin/bash\n" + body);
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    private (int Code, string Output) Run(Dictionary<string, string?> variables, params string[] arguments)
    {
        ProcessStartInfo start = new("bash", [Path.Combine(pack.Pack, "run-gpu.sh"), "--out", Output, "--scratch", pack.Scratch, .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["PATH"] = Path.Combine(_folder, "bin") + ":" + Environment.GetEnvironmentVariable("PATH");
        start.Environment["BIOSUP_EMULATOR_CACHE"] = Path.Combine(CudaEmulator.Folder, "programs");
        // The pack has a runtime of its own and must not need another.
        start.Environment["DOTNET_ROOT"] = Path.Combine(_folder, "no-runtime-here");
        start.Environment.Remove(BiosupEnvironment.CacheFolderName);
        foreach ((string name, string? value) in variables) start.Environment[name] = value;
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + errors.Result);
    }

    private Dictionary<string, (string Outcome, string Detail)> Checks()
    {
        string file = Path.Combine(Output, "checks.txt");
        if (!File.Exists(file))
        {
            string unpacked = Directory.CreateDirectory(Path.Combine(_folder, "unpacked")).FullName;
            using FileStream archive = File.OpenRead(Path.Combine(Output, "results.tar.gz"));
            using GZipStream zip = new(archive, CompressionMode.Decompress);
            TarFile.ExtractToDirectory(zip, unpacked, overwriteFiles: true);
            file = Path.Combine(unpacked, "checks.txt");
        }
        return File.ReadLines(file).Select(l => l.Split('\t')).ToDictionary(p => p[0], p => (p[1], p[2]));
    }

    private static bool Succeeds(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0;
    }
}
