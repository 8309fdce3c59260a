using System.Numerics;

namespace BioSup.Kernels;

/// <summary>The lanes of a vector added one after the other, lane 0 first, as a plain loop over the elements would.</summary>
internal static unsafe class SumInOrder<TSimd, TVector, T>
    where TSimd : struct, ISimd<TVector, T>
    where TVector : struct
    where T : unmanaged, INumberBase<T>
{
    public static T Of(TVector a)
    {
        T* lanes = stackalloc T[TSimd.Count];
        TSimd.Store(lanes, a);
        T sum = lanes[0];
        for (int i = 1; i < TSimd.Count; i++) sum += lanes[i];
        return sum;
    }
}
