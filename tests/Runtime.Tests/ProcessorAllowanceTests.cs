namespace BioSup.Runtime.Tests;

/// <summary>Reads the processor limits from made-up /proc and control group files.</summary>
public sealed class ProcessorAllowanceTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-allowance-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string Put(string path, string content)
    {
        string file = Path.Combine(_folder, path);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllText(file, content);
        return file;
    }

    private ProcessorAllowance Read(string affinity, string groups) =>
        ProcessorAllowance.Read(Put("status", "Name:\tx\nCpus_allowed_list:\t" + affinity + "\n"), Put("cgroup", groups), Path.Combine(_folder, "fs"));

    [Theory]
    [InlineData("0", 1)]
    [InlineData("0-1", 2)]
    [InlineData("0-3,8-11,20", 9)]
    public void The_affinity_mask_is_counted(string list, int expected)
    {
        ProcessorAllowance allowance = Read(list, "0::/\n");
        Assert.Equal(expected, allowance.Affinity);
        Assert.Null(allowance.CgroupQuota);
        Assert.Equal(Math.Min(expected, Environment.ProcessorCount), allowance.Usable);
    }

    [Theory]
    [InlineData("150000 100000", 1.5)]
    [InlineData("50000 100000\n", 0.5)]
    [InlineData("max 100000", null)]
    public void A_version_2_quota_is_read(string content, double? expected)
    {
        Put("fs/job/cpu.max", content);
        ProcessorAllowance allowance = Read("0-63", "0::/job\n");
        Assert.Equal(expected, allowance.CgroupQuota);
        Assert.Equal(Math.Min(Environment.ProcessorCount, expected is { } q ? (int)Math.Ceiling(q) : 64), allowance.Usable);
    }

    [Fact]
    public void The_tightest_ancestor_counts()
    {
        Put("fs/batch/cpu.max", "200000 100000");
        Put("fs/batch/job/cpu.max", "400000 100000");
        Put("fs/batch/job/step/cpu.max", "max 100000");
        Assert.Equal(2, Read("0-63", "0::/batch/job/step\n").CgroupQuota);
    }

    [Fact]
    public void A_group_that_is_not_mounted_here_falls_back_to_the_root()
    {
        Put("fs/cpu.max", "300000 100000");
        Assert.Equal(3, Read("0-63", "0::/host/only/path\n").CgroupQuota);
    }

    [Fact]
    public void A_version_1_quota_is_read()
    {
        Put("fs/cpu,cpuacct/job/cpu.cfs_quota_us", "250000\n");
        Put("fs/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
        Assert.Equal(2.5, Read("0-63", "9:memory:/job\n4:cpu,cpuacct:/job\n").CgroupQuota);
        Put("fs/cpu,cpuacct/job/cpu.cfs_quota_us", "-1\n");
        Assert.Null(Read("0-63", "4:cpu,cpuacct:/job\n").CgroupQuota);
    }

    [Fact]
    public void Nonsense_and_missing_files_leave_the_runtime_count()
    {
        Assert.Equal(Environment.ProcessorCount, Read("zero-one", "not a group line\n").Usable);
        Put("fs/job/cpu.max", "lots of 0");
        Assert.Equal(Environment.ProcessorCount, Read("99999999999999999999", "0::/job\n").Usable);
        ProcessorAllowance none = ProcessorAllowance.Read(Path.Combine(_folder, "no"), Path.Combine(_folder, "no"), _folder);
        Assert.Equal(new ProcessorAllowance(Environment.ProcessorCount, 0, null), none);
    }

    [Fact]
    public void The_device_takes_what_is_allowed()
    {
        using CpuDevice device = new();
        Assert.Equal(ProcessorAllowance.Current.Usable, device.Pool.Threads);
        Assert.InRange(device.Pool.Threads, 1, Environment.ProcessorCount);
    }
}
