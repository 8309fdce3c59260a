using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace BioSup.Runtime.Tests;

public sealed class CpuFeaturesTests
{
    [Fact]
    public void The_report_agrees_with_itself_and_with_the_compiler()
    {
        Assert.False(string.IsNullOrWhiteSpace(CpuFeatures.ModelName));
        Assert.Equal(Avx2.IsSupported && Fma.IsSupported && Vector256.IsHardwareAccelerated, CpuFeatures.HasAvx2);
        Assert.Equal(Avx2.IsSupported, CpuFeatures.Extensions.Contains("avx2"));
        Assert.Equal(Avx512F.IsSupported, CpuFeatures.Extensions.Contains("avx512f"));
        Assert.Equal(CpuFeatures.HasAvx512 ? "avx512" : CpuFeatures.HasAvx2 ? "avx2" : "portable", CpuFeatures.BestInstructionSet);
        if (CpuFeatures.HasAvx512) Assert.True(CpuFeatures.HasAvx2);
        Assert.Equal(CpuFeatures.Extensions.Count, CpuFeatures.Extensions.Distinct().Count());
    }

    [Fact]
    public void The_report_agrees_with_the_operating_system()
    {
        Assert.SkipUnless(File.Exists("/proc/cpuinfo"), "no /proc/cpuinfo on this system");
        string? flags = File.ReadLines("/proc/cpuinfo").FirstOrDefault(l => l.StartsWith("flags", StringComparison.Ordinal));
        Assert.SkipUnless(flags is not null, "this processor's /proc/cpuinfo lists no flags");
        string[] words = flags.Split(' ');
        // The compiler may be told not to use an extension, but never finds one that is not there.
        foreach (string extension in (string[])["avx", "avx2", "fma", "avx512f", "avx512bw"])
            if (CpuFeatures.Extensions.Contains(extension)) Assert.Contains(extension, words);
    }
}
