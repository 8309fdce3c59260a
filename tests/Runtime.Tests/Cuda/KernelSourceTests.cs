namespace BioSup.Runtime.Tests.Cuda;

public sealed class KernelSourceTests
{
    private static readonly Dictionary<string, string> s_files = new()
    {
        ["cuda/kernels/add/add.cu"] = "#include <bs/a.cuh>\n#include <bs/b.cuh>\nextern \"C\" __global__ void bs_add() {}\n",
        ["cuda/include/bs/a.cuh"] = "#pragma once\n#include <bs/b.cuh> // shared\n",
        ["cuda/include/bs/b.cuh"] = "#pragma once\n",
        ["cuda/include/bs/unused.cuh"] = "#pragma once\n",
    };

    [Fact]
    public void Headers_are_collected_through_headers_once_each()
    {
        KernelSource source = new KernelSourceSet(s_files).Get("cuda/kernels/add/add.cu");
        Assert.Equal(["bs/a.cuh", "bs/b.cuh"], source.Headers.Select(h => h.IncludeName));
    }

    [Theory]
    [InlineData("cuda/kernels/add/add.cu", true)]
    [InlineData("cuda/include/bs/a.cuh", true)]
    [InlineData("cuda/include/bs/b.cuh", true)]
    [InlineData("cuda/include/bs/unused.cuh", false)]
    public void The_hash_follows_every_file_that_is_used_and_no_other(string changed, bool expected)
    {
        string before = new KernelSourceSet(s_files).Get("cuda/kernels/add/add.cu").Hash;
        Dictionary<string, string> files = new(s_files) { [changed] = s_files[changed] + " " };
        Assert.Equal(expected, before != new KernelSourceSet(files).Get("cuda/kernels/add/add.cu").Hash);
    }

    [Theory]
    [InlineData("#include \"bs/a.cuh\"")]
    [InlineData("#include <cuda_fp16.h>")]
    [InlineData("#include <bs/a.h>")]
    [InlineData("#include <bs/../a.cuh>")]
    [InlineData("# include <bs/a.cuh>")]
    [InlineData(" #include <bs/a.cuh>")]
    [InlineData("#include BS_HEADER")]
    [InlineData("#include_next <bs/a.cuh>")]
    [InlineData("#import <bs/a.cuh>")]
    [InlineData("#embed <bs/a.cuh>")]
    [InlineData("%:include <bs/a.cuh>")]
    [InlineData("/**/ int x;\n#inc\\\nlude <bs/a.cuh>")]
    [InlineData("#\\\ninclude <bs/a.cuh>")]
    [InlineData("#if __has_include(<bs/a.cuh>)")]
    public void Any_other_spelling_of_an_include_is_refused_with_file_and_line(string line)
    {
        DeviceException error = Assert.Throws<DeviceException>(() => IncludeScanner.Scan("cuda/kernels/x.cu", "int y;\n" + line));
        Assert.Contains("cuda/kernels/x.cu, line ", error.Message);
        Assert.Contains("#include <bs/name.cuh>", error.Message);
    }

    [Theory]
    [InlineData("// see the include list")]
    [InlineData("#define BS_INCLUDE 1")]
    [InlineData("#define BS_LONG(x) \\\n  (x)")]
    [InlineData("#if defined(BS_EMULATE)")]
    public void Ordinary_lines_are_no_includes(string line) => Assert.Empty(IncludeScanner.Scan("x.cu", line));

    [Fact]
    public void A_header_that_does_not_exist_is_named_with_the_file_that_wants_it()
    {
        Dictionary<string, string> files = new(s_files) { ["cuda/include/bs/b.cuh"] = "#include <bs/gone.cuh>\n" };
        DeviceException error = Assert.Throws<DeviceException>(() => new KernelSourceSet(files).Get("cuda/kernels/add/add.cu"));
        Assert.Contains("cuda/include/bs/b.cuh includes <bs/gone.cuh>", error.Message);
    }

    [Fact]
    public void A_kernel_is_built_ahead_with_every_set_of_constants_that_it_lists_and_for_its_own_architecture()
    {
        KernelSourceSet sources = new(new Dictionary<string, string>
        {
            ["cuda/kernels/a/a_any.cu"] = "// ptx-gate: BS_TILE=64 BS_STAGES=3\n// ptx-gate: BS_TILE=128\nint x;\n",
            ["cuda/kernels/a/a_sm90a.cu"] = "int y;\n",
        });
        Assert.Equal(["cuda/kernels/a/a_any.cu", "cuda/kernels/a/a_any.cu BS_TILE=64 BS_STAGES=3", "cuda/kernels/a/a_any.cu BS_TILE=128"],
            sources.Requests(JitTarget.Parse("sm_80")).Select(r => r.ToString()));
        Assert.Equal(4, sources.Requests(JitTarget.Parse("sm_90a")).Count);
    }

    [Fact]
    public void Only_kernels_are_listed() => Assert.Equal(["cuda/kernels/add/add.cu"], new KernelSourceSet(s_files).Paths);

    [Fact]
    public void A_compile_error_shows_options_log_and_the_lines_that_it_names()
    {
        KernelSource source = new KernelSourceSet(s_files).Get("cuda/kernels/add/add.cu");
        const string log = "cuda/kernels/add/add.cu(3): error: identifier \"x\" is undefined\nbs/a.cuh:2:1: error: expected ';'\n1 error detected";
        JitException error = new(source, ["--gpu-architecture=sm_90a", "-DBS_TILE=64"], log, null);
        Assert.Contains("cuda/kernels/add/add.cu does not compile", error.Message);
        Assert.Contains("--gpu-architecture=sm_90a -DBS_TILE=64", error.Message);
        Assert.Contains("identifier \"x\" is undefined", error.Message);
        Assert.Contains("    3 | extern \"C\" __global__ void bs_add() {}", error.Message);
        Assert.Contains("--- bs/a.cuh, line 2\n    1 | #pragma once\n    2 | #include <bs/b.cuh> // shared", error.Message);
        Assert.Contains("    1 | #include <bs/a.cuh>", error.NumberedSource);
        Assert.Equal(4, error.ExitCode);
    }
}
