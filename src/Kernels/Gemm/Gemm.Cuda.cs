using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class Gemm
{
    private const string CudaSource = "cuda/kernels/gemm/gemm_any.cu";
    private static readonly JitRequest[] s_cudaModules = [.. Modules(64), .. Modules(128)];

    /// <summary>A large tile reads less memory per product, a small one leaves fewer multiprocessors without work. The tile does not change the result.</summary>
    private static void Cuda<T>(CudaDevice gpu, in GemmProblem<T> p, Transpose transposeA, Transpose transposeB) where T : unmanaged
    {
        bool single = typeof(T) == typeof(float);
        int tile = single && Tiles(p.Rows, 128) * Tiles(p.Columns, 128) >= gpu.Info.Multiprocessors ? 128 : 64;
        JitRequest module = s_cudaModules[(tile == 128 ? 4 : 0) + (transposeA == Transpose.Yes ? 2 : 0) + (transposeB == Transpose.Yes ? 1 : 0)];
        gpu.Kernels.Get(KernelCode.Sources, module, single ? "bs_gemm_f32" : "bs_gemm_f64").Launch(
            gpu.Stream, new LaunchShape(new Extent((int)Tiles(p.Rows, tile), (int)Tiles(p.Columns, tile)), new Extent(16, 16)),
            p.Rows, p.Columns, p.Depth, p.Alpha,
            new DevicePointer((ulong)p.A), transposeA == Transpose.Yes ? p.DepthStrideA : p.RowStrideA,
            new DevicePointer((ulong)p.B), transposeB == Transpose.Yes ? p.ColumnStrideB : p.DepthStrideB,
            p.Beta, new DevicePointer((ulong)p.C), p.StrideC);
    }

    private static long Tiles(int length, int tile) => ((long)length + tile - 1) / tile;

    private static IEnumerable<JitRequest> Modules(int tile)
    {
        for (int a = 0; a < 2; a++)
            for (int b = 0; b < 2; b++) yield return new JitRequest(CudaSource, $"BS_TILE={tile} BS_TRANSPOSE_A={a} BS_TRANSPOSE_B={b}");
    }
}
