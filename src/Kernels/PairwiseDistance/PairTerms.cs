using System.Runtime.CompilerServices;

namespace BioSup.Kernels;

/// <summary>What one coordinate of two rows adds to the raw value of their pair.</summary>
internal interface IPairTerm
{
    /// <summary>The sum (or maximum, or count) with one more coordinate.</summary>
    static abstract TVector Accumulate<TSimd, TVector, T>(TVector sum, TVector x, TVector y)
        where TSimd : struct, ISimd<TVector, T> where TVector : struct where T : unmanaged;

    /// <summary>The value of a chunk of coordinates.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static virtual TVector ChunkValue<TSimd, TVector, T>(TVector sum)
        where TSimd : struct, ISimd<TVector, T> where TVector : struct where T : unmanaged => sum;

    /// <summary>The value of all chunks so far and the next one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static virtual TVector Join<TSimd, TVector, T>(TVector total, TVector chunk)
        where TSimd : struct, ISimd<TVector, T> where TVector : struct where T : unmanaged => TSimd.Add(total, chunk);
}

/// <summary>x·y.</summary>
internal readonly struct ProductTerm : IPairTerm
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Accumulate<TSimd, TVector, T>(TVector sum, TVector x, TVector y)
        where TSimd : struct, ISimd<TVector, T> where TVector : struct where T : unmanaged => TSimd.MultiplyAdd(x, y, sum);
}

/// <summary>(x − y)².</summary>
internal readonly struct SquaredDifferenceTerm : IPairTerm
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Accumulate<TSimd, TVector, T>(TVector sum, TVector x, TVector y)
        where TSimd : struct, ISimd<TVector, T> where TVector : struct where T : unmanaged
    {
        TVector difference = TSimd.Subtract(x, y);
        return TSimd.MultiplyAdd(difference, difference, sum);
    }
}

/// <summary>|x − y|, summed.</summary>
internal readonly struct AbsoluteDifferenceTerm : IPairTerm
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Accumulate<TSimd, TVector, T>(TVector sum, TVector x, TVector y)
        where TSimd : struct, ISimd<TVector, T> where TVector : struct where T : unmanaged => TSimd.Add(sum, TSimd.Abs(TSimd.Subtract(x, y)));
}

/// <summary>|x − y|, the largest.</summary>
internal readonly struct LargestDifferenceTerm : IPairTerm
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Accumulate<TSimd, TVector, T>(TVector sum, TVector x, TVector y)
        where TSimd : struct, ISimd<TVector, T> where TVector : struct where T : unmanaged => TSimd.MaxOrSecond(sum, TSimd.Abs(TSimd.Subtract(x, y)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Join<TSimd, TVector, T>(TVector total, TVector chunk)
        where TSimd : struct, ISimd<TVector, T> where TVector : struct where T : unmanaged => TSimd.MaxOrSecond(total, chunk);
}

/// <summary>1 where x ≠ y.</summary>
internal readonly struct MismatchTerm : IPairTerm
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Accumulate<TSimd, TVector, T>(TVector sum, TVector x, TVector y)
        where TSimd : struct, ISimd<TVector, T> where TVector : struct where T : unmanaged => TSimd.CountWhereDifferent(sum, x, y);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector ChunkValue<TSimd, TVector, T>(TVector sum)
        where TSimd : struct, ISimd<TVector, T> where TVector : struct where T : unmanaged => TSimd.CountToValue(sum);
}
