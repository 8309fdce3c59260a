using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace BioSup.Kernels;

/// <summary>
/// Elementary functions on vectors of any width, written once over <see cref="ISimd{TVector, T}"/>. Largest errors measured against double precision
/// (single: every few hundredth bit pattern; double: random arguments, against the C library): Exp 1 ulp, Log 1 ulp. Infinities, NaN, zeros and subnormal
/// numbers give what <see cref="Math.Exp"/> and <see cref="Math.Log(double)"/> give, except that a subnormal result may be rounded twice.
/// </summary>
public static partial class VectorMath
{
    /// <summary>e to the power of each lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Exp(Vector128<float> x) => ExpSingle<Simd128<float>, Vector128<float>>(x);

    /// <summary>e to the power of each lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Exp(Vector256<float> x) => ExpSingle<Simd256<float>, Vector256<float>>(x);

    /// <summary>e to the power of each lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Exp(Vector512<float> x) => ExpSingle<Simd512<float>, Vector512<float>>(x);

    /// <summary>e to the power of each lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<double> Exp(Vector128<double> x) => ExpDouble<Simd128<double>, Vector128<double>>(x);

    /// <summary>e to the power of each lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<double> Exp(Vector256<double> x) => ExpDouble<Simd256<double>, Vector256<double>>(x);

    /// <summary>e to the power of each lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<double> Exp(Vector512<double> x) => ExpDouble<Simd512<double>, Vector512<double>>(x);

    /// <summary>Natural logarithm of each lane; −∞ for zero, NaN for negative numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Log(Vector128<float> x) => LogSingle<Simd128<float>, Vector128<float>>(x);

    /// <summary>Natural logarithm of each lane; −∞ for zero, NaN for negative numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Log(Vector256<float> x) => LogSingle<Simd256<float>, Vector256<float>>(x);

    /// <summary>Natural logarithm of each lane; −∞ for zero, NaN for negative numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Log(Vector512<float> x) => LogSingle<Simd512<float>, Vector512<float>>(x);

    /// <summary>Natural logarithm of each lane; −∞ for zero, NaN for negative numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<double> Log(Vector128<double> x) => LogDouble<Simd128<double>, Vector128<double>>(x);

    /// <summary>Natural logarithm of each lane; −∞ for zero, NaN for negative numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<double> Log(Vector256<double> x) => LogDouble<Simd256<double>, Vector256<double>>(x);

    /// <summary>Natural logarithm of each lane; −∞ for zero, NaN for negative numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<double> Log(Vector512<double> x) => LogDouble<Simd512<double>, Vector512<double>>(x);
}
