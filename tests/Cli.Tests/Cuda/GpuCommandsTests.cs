using System.Diagnostics;
using System.Text.Json.Nodes;
using BioSup.Kernels;
using BioSup.Shapes;

namespace BioSup.Cli.Tests.Cuda;

/// <summary>The program itself, in a process of its own, with the emulator in the place of driver and compiler.</summary>
public sealed class GpuCommandsTests : IDisposable
{
    private readonly string _cache = Path.Combine(Path.GetTempPath(), $"biosup-gpu-{Guid.NewGuid():N}");

    public void Dispose()
    {
        if (Directory.Exists(_cache)) Directory.Delete(_cache, recursive: true);
    }

    [Fact]
    public void Doctor_shows_the_device_the_compiler_and_where_they_were_found()
    {
        (int code, string output) = Run("doctor", "--json", "--device", "cuda:0");
        Assert.Equal(0, code);
        JsonNode gpu = JsonNode.Parse(output)!["gpu"]!;
        Assert.Null((string?)gpu["driver_problem"]);
        JsonNode device = gpu["devices"]![0]!;
        Assert.Equal(0, (int)device["ordinal"]!);
        Assert.NotEmpty((string)device["name"]!);
        Assert.StartsWith("NVRTC ", (string)gpu["nvrtc"]!);
        Assert.Contains("libnvrtc.so", (string)gpu["nvrtc_path"]!);
        Assert.Equal(_cache, (string)gpu["kernel_cache"]!);
        Assert.Contains(gpu["trace"]!.AsArray(), a => (string)a!["library"]! == "nvcuda" && (bool)a["found"]!);
    }

    [Fact]
    public void Doctor_without_a_driver_still_answers_and_says_what_is_missing()
    {
        (int code, string output) = RunWith(new() { ["BIOSUP_LIBCUDA_PATH"] = "no/libcuda.so", ["BIOSUP_NVRTC_PATH"] = "no/libnvrtc.so" }, "doctor", "--json");
        Assert.Equal(0, code);
        JsonNode gpu = JsonNode.Parse(output)!["gpu"]!;
        Assert.Contains("BIOSUP_LIBCUDA_PATH=no/libcuda.so cannot be loaded", (string)gpu["driver_problem"]!);
        Assert.Contains("BIOSUP_NVRTC_PATH", (string)gpu["nvrtc_problem"]!);
        Assert.Empty(gpu["devices"]!.AsArray());
        Assert.Equal(4, RunWith(new() { ["BIOSUP_LIBCUDA_PATH"] = "no/libcuda.so" }, "doctor", "--json", "--device", "cuda").Code);
    }

    [Fact]
    public void Kernels_are_warmed_listed_explained_and_cleared()
    {
        // Two are enough: every kernel with all its constants takes a clang of its own on the emulated compiler.
        string[] sources = [.. DeviceKernels.Sources.Paths.Take(2)];
        Directory.CreateDirectory(_cache);
        string list = Path.Combine(_cache, "list.txt");
        File.WriteAllLines(list, sources);
        int kernels = sources.Length;
        Assert.Equal(kernels, (int)Json("cache", "warm", "--arch", "sm_80", "--list", list, "--json")["compiled"]!);
        Assert.Equal(0, (int)Json("cache", "warm", "--arch", "sm_80", "--list", list, "--json")["compiled"]!);
        JsonArray entries = Json("cache", "list", "--json")["entries"]!.AsArray();
        Assert.Equal(kernels, entries.Count);
        string entry = (string)entries[0]!["entry"]!;
        JsonNode explained = Json("cache", "explain", entry, "--json");
        Assert.Contains("--gpu-architecture=sm_80", (string)explained["key"]!["options"]!);
        Assert.StartsWith("cuda/kernels/", (string)explained["key"]!["source"]!);

        File.WriteAllText(list, $"# one kernel is enough here\n{entries[0]!["kernel"]}\n");
        Assert.Equal(1, (int)Json("cache", "warm", "--arch", "sm_90a", "--list", list, "--json")["compiled"]!);
        Assert.Equal(kernels + 1, (int)Json("cache", "clear", "--json")["removed"]!);
        Assert.Empty(Json("cache", "list", "--json")["entries"]!.AsArray());
    }

    [Theory]
    [InlineData("cache", "explain", "kernel.gone")]
    [InlineData("cache", "warm", "--arch", "sm_12")]
    [InlineData("cache", "warm", "--arch", "sm_90a", "--list", "no/such/list")]
    public void Wrong_requests_of_the_cache_are_usage_errors(params string[] arguments) =>
        Assert.Equal(2, RunWith(new() { ["BIOSUP_LIBCUDA_PATH"] = "no/libcuda.so" }, arguments).Code);

    private JsonNode Json(params string[] arguments)
    {
        (int code, string output) = Run(arguments);
        Assert.True(code == 0, output);
        return JsonNode.Parse(output)!;
    }

    private (int Code, string Output) Run(params string[] arguments)
    {
        Assert.SkipUnless(CudaEmulator.TryUse(out string reason), reason);
        return RunWith([], arguments);
    }

    private (int Code, string Output) RunWith(Dictionary<string, string> variables, params string[] arguments)
    {
        string program = Path.Combine(AppContext.BaseDirectory, "biosup");
        Assert.SkipUnless(File.Exists(program), $"{program} is not there");
        ProcessStartInfo start = new(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["BIOSUP_CACHE_DIR"] = _cache;
        foreach ((string name, string value) in variables) start.Environment[name] = value;
        using Process process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + error.Result);
    }
}
