using BioSup.Runtime.Loading;

namespace BioSup.Runtime.Tests.Cuda;

/// <summary>The search for libraries over folders that look like the machines people have.</summary>
public sealed class LibraryLocatorTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("biosup-loader-").FullName;
    private readonly Dictionary<string, string> _variables = [];
    private readonly LoadTrace _trace = new();

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public void The_system_s_loader_is_asked_before_any_folder()
    {
        Add("usr/local/cuda/lib64/libnvrtc.so.12");
        Assert.Equal(7, Locator(known: "libnvrtc.so.12").Locate(LibraryName.Nvrtc));
        Assert.Equal(["libnvrtc.so.13", "libnvrtc.so.12"], _trace.Attempts.Select(a => a.Candidate));
        Assert.Equal([false, true], _trace.Attempts.Select(a => a.Found));
    }

    [Theory]
    [InlineData("usr/local/cuda/lib64/libnvrtc.so.12", null, null)]
    [InlineData("usr/local/cuda-12.4/targets/x86_64-linux/lib/libnvrtc.so.12", null, null)]
    [InlineData("apps/cuda/12.2/lib64/libnvrtc.so.12", "CUDA_HOME", "apps/cuda/12.2")]
    [InlineData("apps/cuda/12.2/targets/sbsa-linux/lib/libnvrtc.so.12", "CUDA_PATH", "apps/cuda/12.2")]
    [InlineData("envs/bio/lib/libnvrtc.so.13", "CONDA_PREFIX", "envs/bio")]
    [InlineData("envs/bio/targets/x86_64-linux/lib/libnvrtc.so.12", "CONDA_PREFIX", "envs/bio")]
    [InlineData("venv/lib/python3.12/site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12", "VIRTUAL_ENV", "venv")]
    [InlineData("venv/lib/python3.12/site-packages/nvidia/cu13/lib/libnvrtc.so.13", "VIRTUAL_ENV", "venv")]
    [InlineData("packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12", "BIOSUP_SITE_PACKAGES", "packages")]
    public void A_library_is_found_where_toolkits_conda_and_wheels_put_it(string file, string? variable, string? value)
    {
        string expected = Add(file);
        if (variable is not null) _variables[variable] = Path.Combine(_root, value!);
        Assert.NotEqual(0, Locator().Locate(LibraryName.Nvrtc));
        LoadAttempt last = _trace.Attempts[^1];
        Assert.True(last.Found);
        Assert.Equal(expected, last.Candidate);
    }

    [Fact]
    public void The_newest_toolkit_wins_and_ten_is_newer_than_nine()
    {
        Add("usr/local/cuda-12.9/lib64/libnvrtc.so.12");
        string newest = Add("usr/local/cuda-12.10/lib64/libnvrtc.so.12");
        Locator().Locate(LibraryName.Nvrtc);
        Assert.Equal(newest, _trace.Attempts[^1].Candidate);
    }

    [Fact]
    public void What_the_driver_could_not_run_is_passed_over()
    {
        Add("usr/local/cuda/lib64/libnvrtc.so.13");
        string usable = Add("usr/local/cuda/lib64/libnvrtc.so.12");
        Locator(known: "libnvrtc.so.13").Locate(LibraryName.Nvrtc, highestMajor: 12);
        Assert.Equal(usable, _trace.Attempts[^1].Candidate);
        Assert.DoesNotContain(_trace.Attempts, a => a.Candidate.Contains(".13", StringComparison.Ordinal));
    }

    [Fact]
    public void The_variable_that_names_a_file_is_final()
    {
        Add("usr/local/cuda/lib64/libnvrtc.so.12");
        _variables["BIOSUP_NVRTC_PATH"] = Path.Combine(_root, "missing.so");
        DeviceException error = Assert.Throws<DeviceException>(() => Locator().Locate(LibraryName.Nvrtc));
        Assert.Contains("BIOSUP_NVRTC_PATH", error.Message);
        Assert.Contains("no such file", error.Message);
        Assert.Single(_trace.Attempts);
    }

    [Fact]
    public void A_file_that_is_no_library_is_named_with_the_loader_s_reason_and_the_search_goes_on()
    {
        string bad = Add("usr/local/cuda/lib64/libnvrtc.so.13");
        string good = Add("usr/local/cuda/lib64/libnvrtc.so.12");
        LibraryLocator locator = new(Surroundings(path => path == good ? (7, "") : (0, path == bad ? "invalid ELF header" : "not found")), _trace);
        Assert.Equal(7, locator.Locate(LibraryName.Nvrtc));
        Assert.Contains(_trace.Attempts, a => a.Candidate == bad && a.Outcome == "invalid ELF header");
    }

    [Fact]
    public void Nothing_found_leaves_a_trace_of_every_place()
    {
        Assert.Equal(0, Locator().Locate(LibraryName.Driver));
        string printed = _trace.Print();
        Assert.Contains("nvcuda: libcuda.so.1: not known to the system's loader", printed);
        Assert.Contains("usr/lib/wsl/lib/libcuda.so.1: no such file", printed);
        Assert.Empty(_trace.Print("nvrtc"));
    }

    private LibraryLocator Locator(string? known = null) => new(Surroundings(path => path == known || File.Exists(path) ? (7, "") : (0, "not found")), _trace);

    private LoaderSurroundings Surroundings(Func<string, (nint, string)> open) => new() { Root = _root, Variable = name => _variables.GetValueOrDefault(name), Open = open };

    private string Add(string file)
    {
        string path = Path.Combine(_root, file);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, "");
        return path;
    }
}
