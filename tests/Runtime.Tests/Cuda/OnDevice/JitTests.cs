using BioSup.Shapes;

namespace BioSup.Runtime.Tests.Cuda.OnDevice;

[Collection(DeviceCollection.Name)]
public sealed class JitTests(DeviceFixture fixture) : IDisposable
{
    private readonly string _folder = Path.Combine(Path.GetTempPath(), $"biosup-jit-{Guid.NewGuid():N}");

    public void Dispose()
    {
        if (Directory.Exists(_folder)) Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void The_second_run_finds_what_the_first_compiled()
    {
        fixture.Require();
        using (CudaDevice first = Open()) Assert.Equal((1, 0), Use(first));
        using (CudaDevice second = Open()) Assert.Equal((0, 1), Use(second));
        using CudaDevice third = Open();
        TestKernels.Add(third);
        TestKernels.Increment(third);
        Assert.Equal((0, 1), (third.Kernels.Compiled, third.Kernels.FromCache));
        CubinManifest manifest = Assert.Single(third.Kernels.Cache.List()).Manifest!;
        Assert.Equal("cuda/kernels/test/vector.cu", manifest.Request.Source);
        Assert.StartsWith("NVRTC ", manifest.Ingredient("compiler"));
    }

    [Fact]
    public void A_damaged_entry_is_compiled_again_and_the_kernel_still_runs()
    {
        fixture.Require();
        using (CudaDevice first = Open()) Use(first);
        string image = Directory.GetFiles(_folder, "kernel.cubin", SearchOption.AllDirectories).Single();
        File.WriteAllBytes(image, [1, 2, 3]);
        List<string> warnings = [];
        using (CudaDevice second = CudaDevice.Open(0, new CudaDeviceOptions { CacheFolder = _folder, Warn = warnings.Add })) Assert.Equal((1, 0), Use(second));
        Assert.Single(warnings);
        using CudaDevice third = Open();
        Assert.Equal((0, 1), Use(third));
    }

    [Fact]
    public void Where_compiling_is_forbidden_a_miss_names_the_kernel_and_a_hit_is_used()
    {
        fixture.Require();
        Environment.SetEnvironmentVariable("BIOSUP_DISABLE_JIT", "1");
        try
        {
            using (CudaDevice device = Open())
            {
                DeviceException error = Assert.Throws<DeviceException>(() => TestKernels.Add(device));
                Assert.Contains("The kernel 'vector'", error.Message);
                Assert.Contains("BIOSUP_DISABLE_JIT", error.Message);
                Assert.Contains("biosup cache warm", error.Message);
            }
            Environment.SetEnvironmentVariable("BIOSUP_DISABLE_JIT", null);
            using (CudaDevice device = Open()) Use(device);
            Environment.SetEnvironmentVariable("BIOSUP_DISABLE_JIT", "1");
            using CudaDevice warmed = Open();
            Assert.Equal((0, 1), Use(warmed));
        }
        finally
        {
            Environment.SetEnvironmentVariable("BIOSUP_DISABLE_JIT", null);
        }
    }

    [Fact]
    public void A_kernel_with_an_error_shows_options_log_and_numbered_source_and_is_kept()
    {
        fixture.Require();
        using CudaDevice device = Open();
        JitException error = Assert.Throws<JitException>(() => device.Kernels.Get(TestKernels.Sources, new JitRequest("cuda/kernels/test/broken.cu", "BS_TILE=64"), "bs_broken"));
        Assert.Contains("cuda/kernels/test/broken.cu does not compile", error.Message);
        Assert.Contains("-DBS_TILE=64", error.Message);
        Assert.Contains("undefined_name", error.Log);
        Assert.Contains("    3 |     x[bs_index()] = undefined_name;", error.Message);
        Assert.True(File.Exists(error.KeptFile));
        Assert.Empty(device.Kernels.Cache.List());
    }

    [Fact]
    public void Warming_for_another_architecture_does_not_serve_this_one()
    {
        CudaDevice device = fixture.Require();
        CubinCache cache = new(_folder, _ => { });
        KernelBuilder builder = new(cache);
        string own = JitCompiler.TargetFor(device).Name;
        JitTarget other = JitTarget.Parse(own == "sm_80" ? "sm_90a" : "sm_80");
        Assert.False(builder.Build(TestKernels.Sources, TestKernels.Vector, other).FromCache);
        Assert.True(builder.Build(TestKernels.Sources, TestKernels.Vector, other).FromCache);
        using CudaDevice opened = Open();
        Assert.Equal((1, 0), Use(opened));
        Assert.Equal(2, cache.List().Count);
    }

    [Fact]
    public void A_device_that_is_not_there_is_named()
    {
        fixture.Require();
        Assert.Contains("There is no device cuda:99", Assert.Throws<DeviceException>(() => CudaDevice.Open(99)).Message);
    }

    private CudaDevice Open() => CudaDevice.Open(0, new CudaDeviceOptions { CacheFolder = _folder });

    private static (int Compiled, int FromCache) Use(CudaDevice device)
    {
        using DeviceBuffer<float> x = device.Allocate<float>(1);
        x.CopyFrom([2]);
        TestKernels.Add(device).Launch(device.Stream, LaunchShape.For(1, 32), x.View.Address, x.View.Address, x.View.Address, 1L);
        float[] read = new float[1];
        x.CopyTo(read);
        Assert.Equal(4, read[0]);
        return (device.Kernels.Compiled, device.Kernels.FromCache);
    }
}
