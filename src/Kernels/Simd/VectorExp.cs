using System.Runtime.CompilerServices;

namespace BioSup.Kernels;

/// <summary>
/// e to the power of each lane, for any width. Largest error measured against double precision (single: every few hundredth bit pattern; double: random
/// arguments, against the C library): 1 ulp. Infinities, NaN, zeros and subnormal numbers give what <see cref="Math.Exp"/> gives, except that a subnormal
/// result may be rounded twice.
/// </summary>
internal static class VectorExp
{
    // exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln 2 / 2. ln 2 is split so that n * high is exact without a fused multiply-add.
    // exp(r) = 1 + r + r^2 q(r) with minimax q (Lawson iteration): relative error 3.1e-9 in single, 3.6e-18 in double precision.
    // 2^n is applied as two factors, so that results up to the largest and down to the smallest subnormal number come out.

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Single<TSimd, TVector>(TVector x)
        where TSimd : struct, ISimd<TVector, float>
        where TVector : struct
    {
        x = TSimd.MinOrSecond(TSimd.Broadcast(89f), TSimd.MaxOrSecond(TSimd.Broadcast(-104f), x));
        TVector magic = TSimd.Broadcast(12582912f); // 1.5 * 2^23: adding it rounds to an integer that sits in the low bits
        TVector n = TSimd.Subtract(TSimd.MultiplyAdd(x, TSimd.Broadcast(1.44269504f), magic), magic);
        TVector r = TSimd.MultiplyAdd(n, TSimd.Broadcast(-0.693359375f), x);
        r = TSimd.MultiplyAdd(n, TSimd.Broadcast(2.12194440e-4f), r);
        TVector q = TSimd.MultiplyAdd(r, TSimd.Broadcast(0.0013814572f), TSimd.Broadcast(0.008368725f));
        q = TSimd.MultiplyAdd(r, q, TSimd.Broadcast(0.04166839f));
        q = TSimd.MultiplyAdd(r, q, TSimd.Broadcast(0.16666521f));
        q = TSimd.MultiplyAdd(r, q, TSimd.Broadcast(0.49999994f));
        TVector p = TSimd.Add(TSimd.MultiplyAdd(TSimd.Multiply(r, r), q, r), TSimd.Broadcast(1f));

        TVector halfMagic = TSimd.MultiplyAdd(n, TSimd.Broadcast(0.5f), magic);
        TVector half = TSimd.Subtract(halfMagic, magic);
        TVector restMagic = TSimd.Add(TSimd.Subtract(n, half), magic);
        TVector one = TSimd.Broadcast(1f);
        p = TSimd.Multiply(p, TSimd.AddBits(TSimd.ShiftBitsLeft(halfMagic, 23), one));
        return TSimd.Multiply(p, TSimd.AddBits(TSimd.ShiftBitsLeft(restMagic, 23), one));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Double<TSimd, TVector>(TVector x)
        where TSimd : struct, ISimd<TVector, double>
        where TVector : struct
    {
        x = TSimd.MinOrSecond(TSimd.Broadcast(710d), TSimd.MaxOrSecond(TSimd.Broadcast(-746d), x));
        TVector magic = TSimd.Broadcast(6755399441055744d); // 1.5 * 2^52
        TVector n = TSimd.Subtract(TSimd.MultiplyAdd(x, TSimd.Broadcast(1.4426950408889634), magic), magic);
        TVector r = TSimd.MultiplyAdd(n, TSimd.Broadcast(-6.93147180369123816490e-01), x);
        r = TSimd.MultiplyAdd(n, TSimd.Broadcast(-1.90821492927058770002e-10), r);
        // Two interleaved Horner chains (even and odd powers) halve the latency.
        TVector r2 = TSimd.Multiply(r, r);
        TVector even = TSimd.MultiplyAdd(r2, TSimd.Broadcast(2.7630265576250907e-07), TSimd.Broadcast(2.4801493053436978e-05));
        TVector odd = TSimd.MultiplyAdd(r2, TSimd.Broadcast(2.5000072966347115e-08), TSimd.Broadcast(2.7557586426837445e-06));
        even = TSimd.MultiplyAdd(r2, even, TSimd.Broadcast(0.0013888888943670995));
        odd = TSimd.MultiplyAdd(r2, odd, TSimd.Broadcast(0.00019841269506414876));
        even = TSimd.MultiplyAdd(r2, even, TSimd.Broadcast(0.04166666666653002));
        odd = TSimd.MultiplyAdd(r2, odd, TSimd.Broadcast(0.00833333333349459));
        even = TSimd.MultiplyAdd(r2, even, TSimd.Broadcast(0.5000000000000011));
        odd = TSimd.MultiplyAdd(r2, odd, TSimd.Broadcast(0.16666666666666413));
        TVector q = TSimd.MultiplyAdd(r, odd, even);
        TVector p = TSimd.Add(TSimd.MultiplyAdd(r2, q, r), TSimd.Broadcast(1d));

        TVector halfMagic = TSimd.MultiplyAdd(n, TSimd.Broadcast(0.5), magic);
        TVector half = TSimd.Subtract(halfMagic, magic);
        TVector restMagic = TSimd.Add(TSimd.Subtract(n, half), magic);
        TVector one = TSimd.Broadcast(1d);
        p = TSimd.Multiply(p, TSimd.AddBits(TSimd.ShiftBitsLeft(halfMagic, 52), one));
        return TSimd.Multiply(p, TSimd.AddBits(TSimd.ShiftBitsLeft(restMagic, 52), one));
    }
}
