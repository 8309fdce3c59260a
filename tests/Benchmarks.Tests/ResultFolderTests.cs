using BioSup.Benchmarks.Device;
using BioSup.Benchmarks.Device.Results;

namespace BioSup.Benchmarks.Tests;

public sealed class ResultFolderTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-results-").FullName;

    private string Output => Path.Combine(_folder, "out");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private void Write(string device, params Figure[] figures)
    {
        File.WriteAllText(Path.Combine(_folder, "environment.txt"), $"date: 2026-12-01 10:00 UTC\nversion: 0.1.0\ndevice: {device}\ndriver: CUDA 13.0, release 580.1\nNVRTC: NVRTC 13.0 abc\ncuBLASLt: 13.0.2\ncommit: 1234abcd\nclocks: 1980 MHz\n");
        File.WriteAllLines(Path.Combine(_folder, "figures.jsonl"), figures.Select(f => f.ToJson()));
        File.WriteAllText(Path.Combine(_folder, "gates.json"), """[ { "gate": "a gate", "figure": "gemm/fp32 8x8x8", "field": "ms", "at_most": 2 } ]""");
    }

    private string Assemble() => ResultFolder.Read(_folder, Path.Combine(_folder, "gates.json")).Write(Output);

    private static Figure Product(double ms) => new()
    {
        Suite = "gemm", Name = "fp32 8x8x8", Ms = ms, MsLow = ms - 0.1, MsHigh = ms + 0.1, Repetitions = 20, Tflops = 51.25, GbPerS = 12, Roofline = "fp32 60 TFLOP/s", PercentOfRoofline = 85.4, TimesCublaslt = 0.93,
    };

    [Fact]
    public void Tables_carry_figures_ceilings_and_conditions()
    {
        Write("NVIDIA H100 80GB HBM3", Product(1.5), new Figure { Suite = "gemm", Name = "fp64 8x8x8", Status = FigureStatus.NotAvailable, Reason = "no kernel" });
        Assert.Contains("2 tables were written", Assemble());
        string page = File.ReadAllText(Path.Combine(Output, "nvidia-h100-80gb-hbm3", "gemm.md"));
        Assert.StartsWith("# Matrix products\n\nNVIDIA H100 80GB HBM3; driver CUDA 13.0, release 580.1; NVRTC 13.0 abc; cuBLASLt 13.0.2; BioSup.Native 0.1.0, commit 1234abcd; 2026-12-01 10:00 UTC.\nclocks: 1980 MHz.\n", page, StringComparison.Ordinal);
        Assert.Contains("| fp32 8x8x8 | BioSup.Native | 1.5 (1.4–1.6) | 20 | 51.25 | 12 | 85 of fp32 60 TFLOP/s | 0.93 | – |  |\n", page);
        Assert.Contains("* fp64 8x8x8 (BioSup.Native): no kernel\n", page);
        Assert.Contains("| a gate | ≤ 2 ms | 1.5 ms | met |\n", File.ReadAllText(Path.Combine(Output, "nvidia-h100-80gb-hbm3", "gates.md")));
    }

    [Fact]
    public void Figures_of_the_emulated_device_and_of_tiny_sizes_are_never_written()
    {
        Write("BioSup emulated device", Product(1.5));
        Assert.Contains("No results were written", Assemble());
        Assert.False(Directory.Exists(Output));

        Write("NVIDIA L4", Product(1.5) with { Emulated = true }, Product(1.5) with { Tiny = true });
        Assert.Contains("2 figures of tiny sizes or of an emulated device were left out", Assemble());
        Assert.Equal(["gates.md"], Directory.EnumerateFiles(Path.Combine(Output, "nvidia-l4")).Select(Path.GetFileName));
        Assert.Contains("| a gate | ≤ 2 ms | – | not measured: no such figure in this run |\n", File.ReadAllText(Path.Combine(Output, "nvidia-l4", "gates.md")));
    }

    [Fact]
    public void A_repeated_figure_replaces_the_earlier_one_and_a_line_cut_off_is_left_out()
    {
        Write("NVIDIA L4", Product(1.5), Product(1.2));
        File.AppendAllText(Path.Combine(_folder, "figures.jsonl"), "{\"suite\": \"gemm\", \"na");
        Assemble();
        string page = File.ReadAllText(Path.Combine(Output, "nvidia-l4", "gemm.md"));
        Assert.DoesNotContain("1.5 (", page);
        Assert.Contains("1.2 (1.1–1.3)", page);
    }

    [Fact]
    public void Checks_and_profiles_have_pages_of_their_own()
    {
        Write("NVIDIA L4");
        File.WriteAllText(Path.Combine(_folder, "checks.txt"), "GPU tests\tfailed\tfirst run\ncompute-sanitizer\tskipped\tnot on PATH\nGPU tests\tpassed\tTotal: 5\n");
        File.WriteAllText(Path.Combine(_folder, "ncu-gemm.csv"), """
            ==PROF== Connected to process 7
            "ID","Kernel Name","Metric Name","Metric Unit","Metric Value"
            "0","bs_gemm_f32(int, int)","gpu__time_duration.sum","us","1,234.5"
            "0","bs_gemm_f32(int, int)","launch__registers_per_thread","register/thread","128"
            """);
        Assemble();
        string checks = File.ReadAllText(Path.Combine(Output, "nvidia-l4", "checks.md")), profiles = File.ReadAllText(Path.Combine(Output, "nvidia-l4", "profiles.md"));
        Assert.Contains("| compute-sanitizer | skipped | not on PATH |\n| GPU tests | passed | Total: 5 |\n", checks);
        Assert.Contains("* driver: CUDA 13.0, release 580.1\n", checks);
        Assert.Contains("| kernel | gpu__time_duration.sum [us] | launch__registers_per_thread [register/thread] |\n| --- | ---: | ---: |\n| bs_gemm_f32 | 1,234.5 | 128 |\n", profiles);
    }

    [Fact]
    public void Without_a_device_nothing_is_written()
    {
        File.WriteAllText(Path.Combine(_folder, "environment.txt"), "no device: libcuda.so.1 was not found\n");
        File.WriteAllText(Path.Combine(_folder, "gates.json"), "[]");
        Assert.Contains("the run saw no device", Assemble());
    }

    [Theory]
    [InlineData("NVIDIA A100-SXM4-40GB", "nvidia-a100-sxm4-40gb")]
    [InlineData("NVIDIA GeForce RTX 4090 (x)", "nvidia-geforce-rtx-4090-x")]
    [InlineData("…", "unnamed-device")]
    public void The_folder_is_named_after_the_device(string device, string folder) => Assert.Equal(folder, ResultFolder.Slug(device));
}
