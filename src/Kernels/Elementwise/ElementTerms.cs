using System.Runtime.CompilerServices;

namespace BioSup.Kernels;

/// <summary>
/// What becomes of one element, as vector and as scalar code. Arithmetic is in double precision; every step is rounded as IEEE says, so that vectors, scalars
/// and the device give the same bits.
/// </summary>
internal interface IElementTerm
{
    /// <summary>As it stands in the names of the device's entry points.</summary>
    static abstract string Name { get; }

    /// <summary>False where there is scalar code only.</summary>
    static virtual bool HasVectors => true;

    /// <summary>Whether the element's old value is looked at.</summary>
    static virtual bool ReadsTarget => false;

    /// <param name="x">The element.</param>
    /// <param name="shift">Of its column.</param>
    /// <param name="divisor">Of its column.</param>
    /// <param name="value">Of its row, or of the whole matrix.</param>
    /// <param name="target">What stands where the result goes.</param>
    static abstract double Of(double x, double shift, double divisor, double value, double target);

    static abstract TVector Of<TSimd, TVector>(TVector x, TVector shift, TVector divisor, TVector value, TVector target)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct;
}

/// <summary>x</summary>
internal readonly struct CopyElement : IElementTerm
{
    public static string Name => "copy";
    public static double Of(double x, double shift, double divisor, double value, double target) => x;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Of<TSimd, TVector>(TVector x, TVector shift, TVector divisor, TVector value, TVector target)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct => x;
}

/// <summary>(x - shift) / divisor, 0 where the divisor is.</summary>
internal readonly struct StandardiseElement : IElementTerm
{
    public static string Name => "standardise";
    public static double Of(double x, double shift, double divisor, double value, double target) => divisor == 0 ? 0 : (x - shift) / divisor;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Of<TSimd, TVector>(TVector x, TVector shift, TVector divisor, TVector value, TVector target)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct =>
        TSimd.Select(TSimd.LessOrEqual(TSimd.Abs(divisor), TSimd.Zero), TSimd.Zero, TSimd.Divide(TSimd.Subtract(x, shift), divisor));
}

/// <summary>x / value, 0 where the value is.</summary>
internal readonly struct DivideElement : IElementTerm
{
    public static string Name => "divide";
    public static double Of(double x, double shift, double divisor, double value, double target) => value == 0 ? 0 : x / value;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Of<TSimd, TVector>(TVector x, TVector shift, TVector divisor, TVector value, TVector target)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct =>
        TSimd.Select(TSimd.LessOrEqual(TSimd.Abs(value), TSimd.Zero), TSimd.Zero, TSimd.Divide(x, value));
}

/// <summary>x²</summary>
internal readonly struct SquareElement : IElementTerm
{
    public static string Name => "square";
    public static double Of(double x, double shift, double divisor, double value, double target) => x * x;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Of<TSimd, TVector>(TVector x, TVector shift, TVector divisor, TVector value, TVector target)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct => TSimd.Multiply(x, x);
}

/// <summary>target + value x, rounded once.</summary>
internal readonly struct AddScaledElement : IElementTerm
{
    public static string Name => "add_scaled";
    public static bool ReadsTarget => true;
    public static double Of(double x, double shift, double divisor, double value, double target) => Math.FusedMultiplyAdd(value, x, target);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Of<TSimd, TVector>(TVector x, TVector shift, TVector divisor, TVector value, TVector target)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct => TSimd.MultiplyAdd(value, x, target);
}

/// <summary>ln(1 + max(x, 0)).</summary>
internal readonly struct LogOnePlusElement : IElementTerm
{
    public static string Name => "log_one_plus";
    public static bool HasVectors => false;
    public static double Of(double x, double shift, double divisor, double value, double target)
    {
        if (x <= 0) return 0;
        // .NET's LogP1 is ln(x + 1), which loses the digits of small x that the sum rounds away. Here they are put back: ln(1 + x) = ln(u) + ln(1 + (x - (u - 1)) / u).
        double u = 1 + x;
        return double.IsFinite(u) ? Math.Log(u) + (x - (u - 1)) / u : x;
    }

    public static TVector Of<TSimd, TVector>(TVector x, TVector shift, TVector divisor, TVector value, TVector target)
        where TSimd : struct, ISimd<TVector, double> where TVector : struct => throw new NotSupportedException();
}
