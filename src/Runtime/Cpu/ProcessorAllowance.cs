using System.Globalization;

namespace BioSup.Runtime;

/// <summary>How many processors this process may really use: the affinity mask and the control group's quota, whichever is smaller.</summary>
/// <param name="Usable">Threads to run.</param>
/// <param name="Affinity">Processors in the affinity mask; 0 when unknown.</param>
/// <param name="CgroupQuota">Processors' worth of time the control group grants; null when unlimited or unknown.</param>
public sealed record ProcessorAllowance(int Usable, int Affinity, double? CgroupQuota)
{
    public static ProcessorAllowance Current { get; } = Read("/proc/self/status", "/proc/self/cgroup", "/sys/fs/cgroup");

    internal static ProcessorAllowance Read(string statusFile, string cgroupFile, string cgroupRoot)
    {
        int affinity = ReadAffinity(statusFile);
        double? quota = ReadQuota(cgroupFile, cgroupRoot);
        // .NET's own count honours both on Linux, but is frozen by DOTNET_PROCESSOR_COUNT: never exceed it.
        int usable = Environment.ProcessorCount;
        if (affinity > 0) usable = Math.Min(usable, affinity);
        if (quota is { } q) usable = Math.Min(usable, (int)Math.Ceiling(q));
        return new ProcessorAllowance(Math.Max(1, usable), affinity, quota);
    }

    private static int ReadAffinity(string statusFile)
    {
        try
        {
            foreach (string line in File.ReadLines(statusFile))
            {
                if (!line.StartsWith("Cpus_allowed_list:", StringComparison.Ordinal)) continue;
                int count = 0;
                foreach (string range in line[(line.IndexOf(':') + 1)..].Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
                {
                    string[] ends = range.Split('-');
                    int first = int.Parse(ends[0], CultureInfo.InvariantCulture);
                    int last = ends.Length > 1 ? int.Parse(ends[1], CultureInfo.InvariantCulture) : first;
                    count += last - first + 1;
                }
                return count;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException or OverflowException)
        {
            // Not Linux, or /proc is hidden: the runtime's own count stands.
        }
        return 0;
    }

    private static double? ReadQuota(string cgroupFile, string cgroupRoot)
    {
        try
        {
            double? smallest = null;
            foreach (string line in File.ReadLines(cgroupFile))
            {
                // "0::/path" is version 2; "4:cpu,cpuacct:/path" is the processor controller of version 1.
                string[] fields = line.Split(':', 3);
                if (fields.Length < 3) continue;
                bool unified = fields[0] == "0" && fields[1].Length == 0;
                if (!unified && !fields[1].Split(',').Contains("cpu")) continue;
                string root = unified ? cgroupRoot : Path.Combine(cgroupRoot, fields[1]);
                if (!unified && !Directory.Exists(root)) root = Path.Combine(cgroupRoot, "cpu");
                // A limit may sit on any ancestor of our group. Inside a container the path may name a group that is not mounted: its ancestors are.
                for (string? group = Path.Combine(root, fields[2].Trim('/')); group is not null && group.Length >= root.Length; group = Path.GetDirectoryName(group))
                {
                    double? quota = unified ? ReadPair(Path.Combine(group, "cpu.max")) : ReadQuotaAndPeriod(group);
                    if (quota is { } q) smallest = smallest is { } s ? Math.Min(s, q) : q;
                }
            }
            return smallest;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            return null;
        }
    }

    /// <summary>Version 2: "quota period" or "max period", in microseconds.</summary>
    private static double? ReadPair(string file)
    {
        if (!File.Exists(file)) return null;
        string[] parts = File.ReadAllText(file).Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        return parts.Length < 2 || parts[0] == "max" ? null : Ratio(parts[0], parts[1]);
    }

    /// <summary>Version 1: two files, a quota of −1 meaning none.</summary>
    private static double? ReadQuotaAndPeriod(string group)
    {
        string quota = Path.Combine(group, "cpu.cfs_quota_us"), period = Path.Combine(group, "cpu.cfs_period_us");
        return File.Exists(quota) && File.Exists(period) ? Ratio(File.ReadAllText(quota).Trim(), File.ReadAllText(period).Trim()) : null;
    }

    private static double? Ratio(string quota, string period)
    {
        double share = double.Parse(quota, CultureInfo.InvariantCulture) / double.Parse(period, CultureInfo.InvariantCulture);
        return double.IsFinite(share) && share > 0 ? share : null;
    }
}
