using System.Runtime.Intrinsics;

namespace BioSup.Kernels;

/// <summary>6 x 8 in single precision.</summary>
internal readonly unsafe struct PortableSingleTile : IGemmTile<float>
{
    public static int TileRows => 6;
    public static int TileColumns => 2 * Vector128<float>.Count;

    public static void Multiply(long depth, float* a, float* b, float* c, long strideC, float alpha, float beta) =>
        GemmTile6x2<Simd128<float>, Vector128<float>, float>.Multiply(depth, a, b, c, strideC, alpha, beta);
}

/// <summary>6 x 4 in double precision.</summary>
internal readonly unsafe struct PortableDoubleTile : IGemmTile<double>
{
    public static int TileRows => 6;
    public static int TileColumns => 2 * Vector128<double>.Count;

    public static void Multiply(long depth, double* a, double* b, double* c, long strideC, double alpha, double beta) =>
        GemmTile6x2<Simd128<double>, Vector128<double>, double>.Multiply(depth, a, b, c, strideC, alpha, beta);
}
