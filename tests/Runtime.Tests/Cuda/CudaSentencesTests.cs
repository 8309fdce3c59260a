using BioSup.Runtime.Loading;

namespace BioSup.Runtime.Tests.Cuda;

public sealed class CudaSentencesTests
{
    [Theory]
    [InlineData(10, 3, "sm_100")]
    [InlineData(12, 1, "sm_120")]
    [InlineData(10, 1, "sm_101a")]
    public void Machine_code_of_modules_is_for_them_alone(int major, int minor, string expected) =>
        Assert.Equal(expected, JitTarget.For(new ComputeCapability(major, minor), [80, 86, 87, 89, 90, 100, 101, 120], new CudaVersion(12, 8)).Name);

    [Fact]
    public void A_compiler_newer_than_the_driver_is_refused_by_major_version_alone()
    {
        Assert.Null(NvrtcLibrary.Check(new CudaVersion(12, 9), new CudaVersion(12, 2)));
        Assert.Null(NvrtcLibrary.Check(new CudaVersion(12, 0), new CudaVersion(13, 0)));
        Assert.Null(NvrtcLibrary.Check(new CudaVersion(13, 0), null));
        string problem = NvrtcLibrary.Check(new CudaVersion(13, 0), new CudaVersion(12, 4))!;
        Assert.Contains("driver is too old for this NVRTC", problem);
        Assert.Contains("libnvrtc.so.12", problem);
        Assert.Contains("BIOSUP_NVRTC_PATH", problem);
        Assert.Contains("NVRTC 11.8", NvrtcLibrary.Check(new CudaVersion(11, 8), new CudaVersion(12, 4)));
    }

    [Fact]
    public void Keops_409_and_geomloss_66_a_missing_compiler_is_one_sentence_that_says_what_to_install_or_set()
    {
        string sentence = CudaSentences.NvrtcMissing(new CudaVersion(12, 4));
        Assert.Contains("libnvrtc.so of CUDA 12 or older", sentence);
        Assert.Contains("install the cuda-nvrtc package", sentence);
        Assert.Contains("BIOSUP_NVRTC_PATH", sentence);
        Assert.DoesNotContain('\n', sentence);
    }

    [Fact]
    public void Every_sentence_says_what_to_do()
    {
        Assert.Contains("BIOSUP_LIBCUDA_PATH", CudaSentences.NoDriver);
        Assert.Contains("CUDA_VISIBLE_DEVICES", CudaSentences.NoDevice(new CudaVersion(12, 4)));
        Assert.Contains("12.0 or newer", CudaSentences.DriverTooOld(new CudaVersion(11, 4)));
        Assert.Contains("BIOSUP_NVRTC_PATH", CudaSentences.NvrtcMissing(new CudaVersion(12, 4)));
        Assert.Contains("cuda:0 to cuda:3", CudaSentences.NoSuchDevice(7, 4));
        Assert.Contains("7.5", CudaSentences.DeviceTooOld("Tesla T4", new ComputeCapability(7, 5)));
        Assert.Contains("1024 MiB were asked for while 512 MiB are in use", CudaSentences.OutOfMemory("cuda:0", 1L << 30, 512L << 20, 1L << 20, 2L << 30));
        Assert.Contains("BIOSUP_GPU_MEMORY_LIMIT", CudaSentences.OverCap("cuda:0", 1, 2, 3));
        Assert.Contains("the driver runs CUDA 12.4 and the compiler is NVRTC 12.8", CudaSentences.PtxTooNew(new CudaVersion(12, 8), new CudaVersion(12, 4)));
    }

    [Theory]
    [InlineData(9, 0, "sm_90a")]
    [InlineData(8, 0, "sm_80")]
    [InlineData(8, 9, "sm_89")]
    [InlineData(8, 7, "sm_86")]
    [InlineData(10, 0, "compute_90")]
    [InlineData(12, 0, "compute_90")]
    public void A_device_gets_its_own_architecture_or_the_nearest_that_it_can_run(int major, int minor, string expected)
    {
        JitTarget target = JitTarget.For(new ComputeCapability(major, minor), [52, 75, 80, 86, 89, 90], new CudaVersion(12, 4));
        Assert.Equal(expected, target.Name);
        Assert.Equal(expected.StartsWith("compute", StringComparison.Ordinal), target.IsPtx);
    }

    [Fact]
    public void A_device_older_than_all_that_the_compiler_knows_is_refused()
    {
        DeviceException error = Assert.Throws<DeviceException>(() => JitTarget.For(new ComputeCapability(8, 0), [90, 100], new CudaVersion(13, 0)));
        Assert.Contains("compute capability 8.0", error.Message);
    }

    [Theory]
    [InlineData("sm_80", true)]
    [InlineData("sm_90a", true)]
    [InlineData("sm_100f", true)]
    [InlineData("sm_75", false)]
    [InlineData("compute_90", false)]
    [InlineData("90", false)]
    [InlineData("sm_", false)]
    [InlineData("", false)]
    public void An_architecture_is_read_as_it_is_named(string text, bool valid)
    {
        if (valid) Assert.Equal(text, JitTarget.Parse(text).Name);
        else Assert.Throws<UsageException>(() => JitTarget.Parse(text));
    }

    [Theory]
    [InlineData("1000", 1000L)]
    [InlineData("4096M", 4096L << 20)]
    [InlineData("32g", 32L << 30)]
    [InlineData("-1", null)]
    [InlineData("0", null)]
    [InlineData("lots", null)]
    [InlineData("9999999999T", null)]
    public void A_memory_limit_is_a_number_of_bytes(string text, long? expected)
    {
        if (expected is { } bytes) Assert.Equal(bytes, BiosupEnvironment.ParseBytes(text));
        else Assert.Throws<UsageException>(() => BiosupEnvironment.ParseBytes(text));
    }

    [Fact]
    public void Versions_are_read_from_the_driver_s_number() => Assert.Equal(new CudaVersion(12, 4), CudaVersion.FromPacked(12040));
}
