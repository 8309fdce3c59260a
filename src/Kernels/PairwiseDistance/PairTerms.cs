using System.Runtime.CompilerServices;

namespace BioSup.Kernels;

/// <summary>What one coordinate of two rows adds to the raw value of their pair.</summary>
internal interface IPairTerm
{
    /// <summary>The sum (or maximum, or count) with one more coordinate.</summary>
    static abstract TVector Accumulate<TLanes, TVector, T>(TVector sum, TVector x, TVector y)
        where TLanes : IDistanceLanes<TVector, T> where TVector : struct where T : unmanaged;

    /// <summary>The value of a chunk of coordinates.</summary>
    static abstract TVector ChunkValue<TLanes, TVector, T>(TVector sum)
        where TLanes : IDistanceLanes<TVector, T> where TVector : struct where T : unmanaged;

    /// <summary>The value of all chunks so far and the next one.</summary>
    static abstract TVector Join<TLanes, TVector, T>(TVector total, TVector chunk)
        where TLanes : IDistanceLanes<TVector, T> where TVector : struct where T : unmanaged;
}

/// <summary>x·y.</summary>
internal readonly struct ProductTerm : IPairTerm
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Accumulate<TLanes, TVector, T>(TVector sum, TVector x, TVector y)
        where TLanes : IDistanceLanes<TVector, T> where TVector : struct where T : unmanaged => TLanes.MultiplyAdd(x, y, sum);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector ChunkValue<TLanes, TVector, T>(TVector sum)
        where TLanes : IDistanceLanes<TVector, T> where TVector : struct where T : unmanaged => sum;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Join<TLanes, TVector, T>(TVector total, TVector chunk)
        where TLanes : IDistanceLanes<TVector, T> where TVector : struct where T : unmanaged => TLanes.Add(total, chunk);
}

/// <summary>(x − y)².</summary>
internal readonly struct SquaredDifferenceTerm : IPairTerm
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Accumulate<TLanes, TVector, T>(TVector sum, TVector x, TVector y)
        where TLanes : IDistanceLanes<TVector, T> where TVector : struct where T : unmanaged
    {
        TVector difference = TLanes.Subtract(x, y);
        return TLanes.MultiplyAdd(difference, difference, sum);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector ChunkValue<TLanes, TVector, T>(TVector sum)
        where TLanes : IDistanceLanes<TVector, T> where TVector : struct where T : unmanaged => sum;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Join<TLanes, TVector, T>(TVector total, TVector chunk)
        where TLanes : IDistanceLanes<TVector, T> where TVector : struct where T : unmanaged => TLanes.Add(total, chunk);
}

/// <summary>|x − y|, summed.</summary>
internal readonly struct AbsoluteDifferenceTerm : IPairTerm
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Accumulate<TLanes, TVector, T>(TVector sum, TVector x, TVector y)
        where TLanes : IDistanceLanes<TVector, T> where TVector : struct where T : unmanaged => TLanes.Add(sum, TLanes.Abs(TLanes.Subtract(x, y)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector ChunkValue<TLanes, TVector, T>(TVector sum)
        where TLanes : IDistanceLanes<TVector, T> where TVector : struct where T : unmanaged => sum;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Join<TLanes, TVector, T>(TVector total, TVector chunk)
        where TLanes : IDistanceLanes<TVector, T> where TVector : struct where T : unmanaged => TLanes.Add(total, chunk);
}

/// <summary>|x − y|, the largest.</summary>
internal readonly struct LargestDifferenceTerm : IPairTerm
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Accumulate<TLanes, TVector, T>(TVector sum, TVector x, TVector y)
        where TLanes : IDistanceLanes<TVector, T> where TVector : struct where T : unmanaged => TLanes.Max(sum, TLanes.Abs(TLanes.Subtract(x, y)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector ChunkValue<TLanes, TVector, T>(TVector sum)
        where TLanes : IDistanceLanes<TVector, T> where TVector : struct where T : unmanaged => sum;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Join<TLanes, TVector, T>(TVector total, TVector chunk)
        where TLanes : IDistanceLanes<TVector, T> where TVector : struct where T : unmanaged => TLanes.Max(total, chunk);
}

/// <summary>1 where x ≠ y.</summary>
internal readonly struct MismatchTerm : IPairTerm
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Accumulate<TLanes, TVector, T>(TVector sum, TVector x, TVector y)
        where TLanes : IDistanceLanes<TVector, T> where TVector : struct where T : unmanaged => TLanes.CountWhereDifferent(sum, x, y);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector ChunkValue<TLanes, TVector, T>(TVector sum)
        where TLanes : IDistanceLanes<TVector, T> where TVector : struct where T : unmanaged => TLanes.CountToValue(sum);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Join<TLanes, TVector, T>(TVector total, TVector chunk)
        where TLanes : IDistanceLanes<TVector, T> where TVector : struct where T : unmanaged => TLanes.Add(total, chunk);
}
