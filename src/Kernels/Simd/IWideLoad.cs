using System.Runtime.Intrinsics;

namespace BioSup.Kernels;

/// <summary>Reads elements of type T as a vector of doubles: sums over data are accumulated in double precision whatever the data's type.</summary>
internal unsafe interface IWideLoad<TVector, T>
    where TVector : struct
    where T : unmanaged
{
    /// <summary>As many elements as the vector of doubles has lanes.</summary>
    static abstract TVector Load(T* source);
}

internal readonly unsafe struct Wide512Single : IWideLoad<Vector512<double>, float>
{
    public static Vector512<double> Load(float* source) => Vector512.WidenLower(Vector256.Load(source).ToVector512Unsafe());
}

internal readonly unsafe struct Wide256Single : IWideLoad<Vector256<double>, float>
{
    public static Vector256<double> Load(float* source) => Vector256.WidenLower(Vector128.Load(source).ToVector256Unsafe());
}

internal readonly unsafe struct Wide128Single : IWideLoad<Vector128<double>, float>
{
    public static Vector128<double> Load(float* source) => Vector128.WidenLower(Vector64.Load(source).ToVector128Unsafe());
}

internal readonly unsafe struct Wide512Double : IWideLoad<Vector512<double>, double>
{
    public static Vector512<double> Load(double* source) => Vector512.Load(source);
}

internal readonly unsafe struct Wide256Double : IWideLoad<Vector256<double>, double>
{
    public static Vector256<double> Load(double* source) => Vector256.Load(source);
}

internal readonly unsafe struct Wide128Double : IWideLoad<Vector128<double>, double>
{
    public static Vector128<double> Load(double* source) => Vector128.Load(source);
}
