using System.Runtime.CompilerServices;

namespace BioSup.Kernels;

/// <summary>What one element adds to an accumulator, as vector and as scalar code, and how accumulators are joined.</summary>
internal interface ITerm
{
    static abstract double Start { get; }
    static abstract TVector Step<TSimd, TVector>(TVector accumulator, TVector x, TVector shift)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct;
    static abstract double Step(double accumulator, double x, double shift);
    static abstract double Join(double a, double b);

    /// <summary>Several accumulators joined lane by lane.</summary>
    static abstract TVector Join<TSimd, TVector>(TVector a, TVector b)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct;
}

/// <summary>x</summary>
internal readonly struct SumTerm : ITerm
{
    public static double Start => 0;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Step<TSimd, TVector>(TVector accumulator, TVector x, TVector shift)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct => TSimd.Add(accumulator, x);
    public static double Step(double accumulator, double x, double shift) => accumulator + x;
    public static double Join(double a, double b) => a + b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Join<TSimd, TVector>(TVector a, TVector b)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct => TSimd.Add(a, b);
}

/// <summary>|x|</summary>
internal readonly struct AbsoluteTerm : ITerm
{
    public static double Start => 0;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Step<TSimd, TVector>(TVector accumulator, TVector x, TVector shift)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct => TSimd.Add(accumulator, TSimd.Abs(x));
    public static double Step(double accumulator, double x, double shift) => accumulator + Math.Abs(x);
    public static double Join(double a, double b) => a + b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Join<TSimd, TVector>(TVector a, TVector b)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct => TSimd.Add(a, b);
}

/// <summary>x²</summary>
internal readonly struct SquareTerm : ITerm
{
    public static double Start => 0;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Step<TSimd, TVector>(TVector accumulator, TVector x, TVector shift)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct => TSimd.MultiplyAdd(x, x, accumulator);
    public static double Step(double accumulator, double x, double shift) => accumulator + x * x;
    public static double Join(double a, double b) => a + b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Join<TSimd, TVector>(TVector a, TVector b)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct => TSimd.Add(a, b);
}

/// <summary>(x − shift)², the shift being the mean of the row or column.</summary>
internal readonly struct CentredSquareTerm : ITerm
{
    public static double Start => 0;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Step<TSimd, TVector>(TVector accumulator, TVector x, TVector shift)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct
    {
        TVector centred = TSimd.Subtract(x, shift);
        return TSimd.MultiplyAdd(centred, centred, accumulator);
    }

    public static double Step(double accumulator, double x, double shift) => accumulator + (x - shift) * (x - shift);
    public static double Join(double a, double b) => a + b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Join<TSimd, TVector>(TVector a, TVector b)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct => TSimd.Add(a, b);
}

/// <summary>The larger one; NaN wins.</summary>
internal readonly struct MaximumTerm : ITerm
{
    public static double Start => double.NegativeInfinity;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Step<TSimd, TVector>(TVector accumulator, TVector x, TVector shift)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct => TSimd.Max(accumulator, x);
    public static double Step(double accumulator, double x, double shift) => Math.Max(accumulator, x);
    public static double Join(double a, double b) => Math.Max(a, b);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Join<TSimd, TVector>(TVector a, TVector b)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct => TSimd.Max(a, b);
}
