using System.Runtime.CompilerServices;

namespace BioSup.Kernels;

/// <summary>
/// x to a fixed power in single precision, for any width: 2^(b log₂ x) by two polynomials. For x from 1e-30 to 1e10 and b from 0.1 to 3, |b log₂ x| below 126, the largest relative
/// error measured against double precision is 8e-6: that of rounding b log₂ x. Zero and what is too small give the smallest result there is, never 0; for layouts, whose forces
/// are random to a per mille, not for numbers that are reported.
/// </summary>
internal static class VectorPower
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Of<TSimd, TVector>(TVector x, TVector exponent)
        where TSimd : struct, ISimd<TVector, float>
        where TVector : struct
    {
        // x = 2^e m with m in [√½, √2): the bits of √½ are taken off before the exponent is cut out. log₂ m = f q(f), f = m − 1, with minimax q (Lawson iteration): 3e-7.
        TVector root = TSimd.Broadcast(0.70710677f);
        TVector shifted = TSimd.AddBits(x, TSimd.Broadcast(BitConverter.Int32BitsToSingle(0x3F800000 - 0x3F3504F3)));
        TVector whole = TSimd.MultiplyAdd(TSimd.CountToValue(TSimd.And(shifted, TSimd.Broadcast(float.PositiveInfinity))), TSimd.Broadcast(1f / (1 << 23)), TSimd.Broadcast(-127f));
        TVector f = TSimd.Subtract(TSimd.AddBits(TSimd.And(shifted, TSimd.Broadcast(BitConverter.Int32BitsToSingle(0x007FFFFF))), root), TSimd.Broadcast(1f));
        TVector q = TSimd.MultiplyAdd(f, TSimd.Broadcast(0.17063434f), TSimd.Broadcast(-0.2726979f));
        q = TSimd.MultiplyAdd(f, q, TSimd.Broadcast(0.29726261f));
        q = TSimd.MultiplyAdd(f, q, TSimd.Broadcast(-0.35896185f));
        q = TSimd.MultiplyAdd(f, q, TSimd.Broadcast(0.48046502f));
        q = TSimd.MultiplyAdd(f, q, TSimd.Broadcast(-0.72137588f));
        q = TSimd.MultiplyAdd(f, q, TSimd.Broadcast(1.44269967f));
        TVector y = TSimd.Multiply(exponent, TSimd.MultiplyAdd(f, q, whole));

        // 2^y = 2^n 2^r, |r| <= ½, with a minimax polynomial: 8e-8.
        y = TSimd.MinOrSecond(TSimd.Broadcast(126f), TSimd.MaxOrSecond(TSimd.Broadcast(-126f), y));
        TVector magic = TSimd.Broadcast(12582912f); // 1.5 * 2^23: adding it rounds to an integer that sits in the low bits
        TVector rounded = TSimd.Add(y, magic), r = TSimd.Subtract(y, TSimd.Subtract(rounded, magic));
        TVector p = TSimd.MultiplyAdd(r, TSimd.Broadcast(0.0013410004f), TSimd.Broadcast(0.009676036f));
        p = TSimd.MultiplyAdd(r, p, TSimd.Broadcast(0.055502973f));
        p = TSimd.MultiplyAdd(r, p, TSimd.Broadcast(0.24022107f));
        p = TSimd.MultiplyAdd(r, p, TSimd.Broadcast(0.69314724f));
        p = TSimd.MultiplyAdd(r, p, TSimd.Broadcast(1.0000001f));
        return TSimd.AddBits(TSimd.ShiftBitsLeft(rounded, 23), p);
    }
}
