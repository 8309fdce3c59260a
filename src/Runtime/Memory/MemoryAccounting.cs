namespace BioSup.Runtime;

/// <summary>Counts the bytes held in native buffers, so that a plan can be checked against what a run really used.</summary>
public static class MemoryAccounting
{
    private static long s_current;
    private static long s_peak;

    /// <summary>Bytes of native buffers alive now.</summary>
    public static long CurrentBytes => Interlocked.Read(ref s_current);

    /// <summary>Highest value <see cref="CurrentBytes"/> has had since the process started or <see cref="ResetPeak"/>.</summary>
    public static long PeakBytes => Interlocked.Read(ref s_peak);

    /// <summary>Starts a new peak measurement from the bytes alive now.</summary>
    public static void ResetPeak() => Interlocked.Exchange(ref s_peak, CurrentBytes);

    internal static void Add(long bytes)
    {
        long now = Interlocked.Add(ref s_current, bytes);
        long peak = Interlocked.Read(ref s_peak);
        while (now > peak)
        {
            long seen = Interlocked.CompareExchange(ref s_peak, now, peak);
            if (seen == peak) break;
            peak = seen;
        }
    }
}
