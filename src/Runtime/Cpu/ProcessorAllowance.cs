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
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException or IndexOutOfRangeException)
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
                if (!line.StartsWith("0::", StringComparison.Ordinal)) continue;
                string path = line[3..].Trim('/');
                // A limit may sit on any ancestor of our group.
                for (string? group = Path.Combine(cgroupRoot, path); group is not null && group.Length >= cgroupRoot.Length; group = Path.GetDirectoryName(group))
                {
                    string file = Path.Combine(group, "cpu.max");
                    if (!File.Exists(file)) continue;
                    string[] parts = File.ReadAllText(file).Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
                    if (parts.Length < 2 || parts[0] == "max") continue;
                    double quota = double.Parse(parts[0], CultureInfo.InvariantCulture) / double.Parse(parts[1], CultureInfo.InvariantCulture);
                    smallest = smallest is { } s ? Math.Min(s, quota) : quota;
                }
            }
            return smallest;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            return null;
        }
    }
}
