namespace BioSup.Shapes;

/// <summary>
/// The managed bytes that the calling thread allocates in code that should allocate none:
/// <c>WarmAllocation rounds = new(); while (rounds.Again()) { ... } Assert.Equal(0, rounds.Least);</c>
/// Code that allocates does so in every round. The runtime, on the same thread, does so now and then (the wait handle of a lock when it is first contended,
/// what compiling a method anew needs), on a busy machine in several rounds
/// one after the other, so that the least of many rounds counts, and the first round without any ends the measurement.
/// </summary>
public struct WarmAllocation()
{
    private const int Rounds = 20;
    private int _round;
    private long _start;

    /// <summary>The least number of bytes that a round allocated.</summary>
    public long Least { get; private set; } = long.MaxValue;

    /// <summary>Ends a round; true when another one is to follow.</summary>
    public bool Again()
    {
        if (_round > 0) Least = Math.Min(Least, GC.GetAllocatedBytesForCurrentThread() - _start);
        if (_round++ == Rounds || Least == 0) return false;
        _start = GC.GetAllocatedBytesForCurrentThread();
        return true;
    }
}
