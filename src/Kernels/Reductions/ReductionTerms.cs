using System.Runtime.CompilerServices;

namespace BioSup.Kernels;

/// <summary>What one element adds to an accumulator, as vector and as scalar code, and how accumulators are joined: a sum unless a term says otherwise.</summary>
internal interface ITerm
{
    /// <summary>As it stands in the names of the device's entry points.</summary>
    static abstract string Name { get; }
    static virtual double Start => 0;
    static abstract TVector Step<TSimd, TVector>(TVector accumulator, TVector x, TVector shift)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct;
    static abstract double Step(double accumulator, double x, double shift);
    static virtual double Join(double a, double b) => a + b;

    /// <summary>Several accumulators joined lane by lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static virtual TVector Join<TSimd, TVector>(TVector a, TVector b)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct => TSimd.Add(a, b);
}

/// <summary>x</summary>
internal readonly struct SumTerm : ITerm
{
    public static string Name => "sum";
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Step<TSimd, TVector>(TVector accumulator, TVector x, TVector shift)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct => TSimd.Add(accumulator, x);
    public static double Step(double accumulator, double x, double shift) => accumulator + x;
}

/// <summary>|x|</summary>
internal readonly struct AbsoluteTerm : ITerm
{
    public static string Name => "absolute";
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Step<TSimd, TVector>(TVector accumulator, TVector x, TVector shift)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct => TSimd.Add(accumulator, TSimd.Abs(x));
    public static double Step(double accumulator, double x, double shift) => accumulator + Math.Abs(x);
}

/// <summary>x²</summary>
internal readonly struct SquareTerm : ITerm
{
    public static string Name => "square";
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Step<TSimd, TVector>(TVector accumulator, TVector x, TVector shift)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct => TSimd.MultiplyAdd(x, x, accumulator);
    public static double Step(double accumulator, double x, double shift) => accumulator + x * x;
}

/// <summary>(x − shift)², the shift being the mean of the row or column.</summary>
internal readonly struct CentredSquareTerm : ITerm
{
    public static string Name => "centred";
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Step<TSimd, TVector>(TVector accumulator, TVector x, TVector shift)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct
    {
        TVector centred = TSimd.Subtract(x, shift);
        return TSimd.MultiplyAdd(centred, centred, accumulator);
    }

    public static double Step(double accumulator, double x, double shift) => accumulator + (x - shift) * (x - shift);
}

/// <summary>The larger one; NaN wins.</summary>
internal readonly struct MaximumTerm : ITerm
{
    public static string Name => "maximum";
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

/// <summary>The larger absolute value; NaN wins.</summary>
internal readonly struct AbsoluteMaximumTerm : ITerm
{
    public static string Name => "absolute_maximum";
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Step<TSimd, TVector>(TVector accumulator, TVector x, TVector shift)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct => TSimd.Max(accumulator, TSimd.Abs(x));
    public static double Step(double accumulator, double x, double shift) => Math.Max(accumulator, Math.Abs(x));
    public static double Join(double a, double b) => Math.Max(a, b);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Join<TSimd, TVector>(TVector a, TVector b)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct => TSimd.Max(a, b);
}
