using System.Runtime.CompilerServices;

namespace BioSup.Kernels;

public static partial class VectorMath
{
    // log(x) = k ln 2 + log(1 + f), x = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2); with s = f / (2 + f), log(1 + f) = f - f^2/2 + s (f^2/2 + R(s^2)).
    // Scheme and polynomials are those of FreeBSD's e_logf.c and e_log.c.

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector LogSingle<TSimd, TVector>(TVector x)
        where TSimd : struct, ISimd<TVector, float>
        where TVector : struct
    {
        TVector one = TSimd.Broadcast(1f), zero = TSimd.Zero;
        TVector tiny = TSimd.LessThan(x, TSimd.Broadcast(1.17549435e-38f));
        TVector scaled = TSimd.Select(tiny, TSimd.Multiply(x, TSimd.Broadcast(33554432f)), x);
        TVector bits = TSimd.AddBits(scaled, TSimd.Broadcast(BitConverter.UInt32BitsToSingle(0x3f800000u - 0x3f3504f3u)));
        // The biased exponent as a number: put it into the low bits of 2^23, then subtract.
        TVector k = TSimd.Or(TSimd.ShiftBitsRight(bits, 23), TSimd.Broadcast(8388608f));
        k = TSimd.Subtract(k, TSimd.Select(tiny, TSimd.Broadcast(8388608f + 127 + 25), TSimd.Broadcast(8388608f + 127)));
        TVector mantissa = TSimd.And(bits, TSimd.Broadcast(BitConverter.UInt32BitsToSingle(0x007fffff)));
        TVector f = TSimd.Subtract(TSimd.AddBits(mantissa, TSimd.Broadcast(BitConverter.UInt32BitsToSingle(0x3f3504f3))), one);

        TVector s = TSimd.Divide(f, TSimd.Add(f, TSimd.Broadcast(2f))), z = TSimd.Multiply(s, s), w = TSimd.Multiply(z, z);
        TVector odd = TSimd.Multiply(w, TSimd.MultiplyAdd(w, TSimd.Broadcast(0.24279078841f), TSimd.Broadcast(0.40000972152f)));
        TVector even = TSimd.Multiply(z, TSimd.MultiplyAdd(w, TSimd.Broadcast(0.28498786688f), TSimd.Broadcast(0.66666662693f)));
        TVector halfSquare = TSimd.Multiply(TSimd.Broadcast(0.5f), TSimd.Multiply(f, f));
        TVector correction = TSimd.MultiplyAdd(s, TSimd.Add(halfSquare, TSimd.Add(odd, even)), TSimd.Multiply(k, TSimd.Broadcast(9.0580006145e-06f)));
        TVector result = TSimd.MultiplyAdd(k, TSimd.Broadcast(6.9313812256e-01f), TSimd.Subtract(f, TSimd.Subtract(halfSquare, correction)));
        return SpecialLogs<TSimd, TVector, float>(x, result, zero, TSimd.Broadcast(float.PositiveInfinity), TSimd.Broadcast(float.NegativeInfinity), TSimd.Broadcast(float.NaN));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector LogDouble<TSimd, TVector>(TVector x)
        where TSimd : struct, ISimd<TVector, double>
        where TVector : struct
    {
        TVector one = TSimd.Broadcast(1d), zero = TSimd.Zero;
        TVector tiny = TSimd.LessThan(x, TSimd.Broadcast(2.2250738585072014e-308));
        TVector scaled = TSimd.Select(tiny, TSimd.Multiply(x, TSimd.Broadcast(18014398509481984d)), x);
        TVector bits = TSimd.AddBits(scaled, TSimd.Broadcast(BitConverter.UInt64BitsToDouble((0x3ff00000ul - 0x3fe6a09eul) << 32)));
        TVector k = TSimd.Or(TSimd.ShiftBitsRight(bits, 52), TSimd.Broadcast(4503599627370496d));
        k = TSimd.Subtract(k, TSimd.Select(tiny, TSimd.Broadcast(4503599627370496d + 1023 + 54), TSimd.Broadcast(4503599627370496d + 1023)));
        TVector mantissa = TSimd.And(bits, TSimd.Broadcast(BitConverter.UInt64BitsToDouble(0x000f_ffff_ffff_fffful)));
        TVector f = TSimd.Subtract(TSimd.AddBits(mantissa, TSimd.Broadcast(BitConverter.UInt64BitsToDouble(0x3fe6a09eul << 32))), one);

        TVector s = TSimd.Divide(f, TSimd.Add(f, TSimd.Broadcast(2d))), z = TSimd.Multiply(s, s), w = TSimd.Multiply(z, z);
        TVector odd = TSimd.MultiplyAdd(w, TSimd.Broadcast(1.531383769920937332e-01), TSimd.Broadcast(2.222219843214978396e-01));
        odd = TSimd.Multiply(w, TSimd.MultiplyAdd(w, odd, TSimd.Broadcast(3.999999999940941908e-01)));
        TVector even = TSimd.MultiplyAdd(w, TSimd.Broadcast(1.479819860511658591e-01), TSimd.Broadcast(1.818357216161805012e-01));
        even = TSimd.MultiplyAdd(w, even, TSimd.Broadcast(2.857142874366239149e-01));
        even = TSimd.Multiply(z, TSimd.MultiplyAdd(w, even, TSimd.Broadcast(6.666666666666735130e-01)));
        TVector halfSquare = TSimd.Multiply(TSimd.Broadcast(0.5), TSimd.Multiply(f, f));
        TVector correction = TSimd.MultiplyAdd(s, TSimd.Add(halfSquare, TSimd.Add(odd, even)), TSimd.Multiply(k, TSimd.Broadcast(1.90821492927058770002e-10)));
        TVector result = TSimd.MultiplyAdd(k, TSimd.Broadcast(6.93147180369123816490e-01), TSimd.Subtract(f, TSimd.Subtract(halfSquare, correction)));
        return SpecialLogs<TSimd, TVector, double>(x, result, zero, TSimd.Broadcast(double.PositiveInfinity), TSimd.Broadcast(double.NegativeInfinity), TSimd.Broadcast(double.NaN));
    }

    /// <summary>log 0 = −∞, log ∞ = ∞, log of a negative number or of NaN is NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector SpecialLogs<TSimd, TVector, T>(TVector x, TVector result, TVector zero, TVector infinity, TVector minusInfinity, TVector nan)
        where TSimd : struct, ISimd<TVector, T>
        where TVector : struct
        where T : unmanaged
    {
        // Comparisons with NaN are false, so NaN falls through to the last choice.
        TVector ordinary = TSimd.And(TSimd.GreaterThan(x, zero), TSimd.LessThan(x, infinity));
        TVector special = TSimd.Select(TSimd.GreaterThan(x, zero), infinity, nan);
        special = TSimd.Select(TSimd.Equal(x, zero), minusInfinity, special);
        return TSimd.Select(ordinary, result, special);
    }
}
