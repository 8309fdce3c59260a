using System.Runtime.Intrinsics;

namespace BioSup.Kernels;

/// <summary>12 x 32 in single precision.</summary>
internal readonly unsafe struct Avx512SingleTile : IGemmTile<float>
{
    public static int TileRows => 12;
    public static int TileColumns => 2 * Vector512<float>.Count;

    public static void Multiply(long depth, float* a, float* b, float* c, long strideC, float alpha, float beta) =>
        GemmTile12x2<Simd512<float>, Vector512<float>, float>.Multiply(depth, a, b, c, strideC, alpha, beta);
}

/// <summary>12 x 16 in double precision.</summary>
internal readonly unsafe struct Avx512DoubleTile : IGemmTile<double>
{
    public static int TileRows => 12;
    public static int TileColumns => 2 * Vector512<double>.Count;

    public static void Multiply(long depth, double* a, double* b, double* c, long strideC, double alpha, double beta) =>
        GemmTile12x2<Simd512<double>, Vector512<double>, double>.Multiply(depth, a, b, c, strideC, alpha, beta);
}
