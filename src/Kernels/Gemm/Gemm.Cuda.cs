using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class Gemm
{
    private const string CudaSource = "cuda/kernels/gemm/gemm_any.cu", TensorSource = "cuda/kernels/gemm/gemm_sm80.cu", WarpgroupSource = "cuda/kernels/gemm/gemm_sm90a.cu";
    private static readonly JitRequest[] s_ordinary = [.. Modules(CudaSource, "")];
    private static readonly JitRequest[] s_tensor = [.. Modules(TensorSource, "BS_FORM=0 "), .. Modules(TensorSource, "BS_FORM=1 ")];
    private static readonly JitRequest[] s_warpgroup = [.. WarpgroupModules(0), .. WarpgroupModules(1)];
    private static readonly JitRequest s_joinSingle = new("cuda/kernels/gemm/gemm_join_any.cu"), s_joinDouble = new("cuda/kernels/gemm/gemm_join_any.cu", "BS_ELEMENT=double");

    private static void Cuda<T>(CudaDevice gpu, in GemmProblem<T> p, Transpose transposeA, Transpose transposeB, GemmPrecision precision) where T : unmanaged
    {
        if (p.IsEmpty) return;
        GemmConfig config = GemmConfig.For(p.Rows, p.Columns, p.Depth, typeof(T) == typeof(float), precision);
        if (TryCublasLt(gpu, gpu.CublasLt, p, transposeA, transposeB, config.Form)) return;
        bool wide = (Wide(p.A, Stride(p.RowStrideA, p.DepthStrideA, transposeA)) & Wide(p.B, Stride(p.DepthStrideB, p.ColumnStrideB, transposeB))) != 0;
        Cuda(gpu, p, transposeA, transposeB, wide ? config.OnWarpgroups(gpu.Info.Capability, p.Rows, p.Columns, p.Depth) : config);
    }

    /// <summary>The product with a given configuration: parts of the depth leave their products in the workspace, and a second kernel adds them in order.</summary>
    internal static void Cuda<T>(CudaDevice gpu, in GemmProblem<T> p, Transpose transposeA, Transpose transposeB, GemmConfig config) where T : unmanaged
    {
        DeviceKernels.Report(gpu, nameof(Gemm), config);
        if (config.Parts == 1)
        {
            Launch(gpu, p, transposeA, transposeB, config);
            return;
        }
        GemmProblem<T> parts = p;
        parts.C = gpu.Workspace.Take<T>((long)config.Parts * p.Rows * p.Columns).Pointer;
        parts.StrideC = p.Columns;
        parts.Alpha = One<T>();
        parts.Beta = default;
        Launch(gpu, parts, transposeA, transposeB, config);
        DeviceKernels.Get(gpu, typeof(T) == typeof(float) ? s_joinSingle : s_joinDouble, "bs_gemm_join").Launch(gpu.Stream, LaunchShape.For((long)p.Rows * p.Columns, 256),
            config.Parts, p.Rows, p.Columns, p.Alpha, new DevicePointer((ulong)parts.C), p.Beta, new DevicePointer((ulong)p.C), p.StrideC);
    }

    private static void Launch<T>(CudaDevice gpu, in GemmProblem<T> p, Transpose transposeA, Transpose transposeB, GemmConfig config) where T : unmanaged
    {
        int module = (config.Tile == 128 ? 4 : 0) + (transposeA == Transpose.Yes ? 2 : 0) + (transposeB == Transpose.Yes ? 1 : 0);
        long strideA = Stride(p.RowStrideA, p.DepthStrideA, transposeA), strideB = Stride(p.DepthStrideB, p.ColumnStrideB, transposeB);
        Extent grid = new((int)GemmConfig.Tiles(p.Rows, config.Tile), (int)GemmConfig.Tiles(p.Columns, config.Tile), config.Parts);
        DevicePointer a = new((ulong)p.A), b = new((ulong)p.B), c = new((ulong)p.C);
        if (config.Form == GemmForm.Ordinary)
        {
            DeviceKernels.Get(gpu, s_ordinary[module], typeof(T) == typeof(float) ? "bs_gemm_f32" : "bs_gemm_f64").Launch(gpu.Stream, new LaunchShape(grid, new Extent(16, 16)),
                p.Rows, p.Columns, p.Depth, config.DepthOfPart, p.Alpha, a, strideA, b, strideB, p.Beta, c, p.StrideC);
            return;
        }
        if (config.Warpgroups)
        {
            bool deepA = transposeA == Transpose.No, deepB = transposeB == Transpose.Yes;
            TensorMap mapA = Map(gpu, p.A, deepA ? p.Rows : p.Depth, deepA ? p.Depth : p.Rows, strideA, deepA), mapB = Map(gpu, p.B, deepB ? p.Columns : p.Depth, deepB ? p.Depth : p.Columns, strideB, deepB);
            DeviceKernels.Get(gpu, s_warpgroup[(config.Form == GemmForm.BFloat16 ? 4 : 0) + module % 4], "bs_gemm_wgmma").Launch(gpu.Stream, new LaunchShape(grid, 288, config.WarpgroupSharedBytes),
                mapA, mapB, p.Rows, p.Columns, p.Depth, config.DepthOfPart, p.Alpha, a, strideA, b, strideB, p.Beta, c, p.StrideC);
            return;
        }
        int sharedBytes = config.SharedBytes(depthIsContiguousInA: transposeA == Transpose.No, depthIsContiguousInB: transposeB == Transpose.Yes);
        DeviceKernels.Get(gpu, s_tensor[(config.Form == GemmForm.BFloat16 ? 8 : 0) + module], "bs_gemm_tensor").Launch(gpu.Stream, new LaunchShape(grid, 2 * config.Tile, sharedBytes),
            p.Rows, p.Columns, p.Depth, config.DepthOfPart, p.Alpha, a, strideA, Wide(p.A, strideA), b, strideB, Wide(p.B, strideB), p.Beta, c, p.StrideC);
    }

    /// <summary>Boxes of 128 lines by 32 levels.</summary>
    private static TensorMap Map<T>(CudaDevice gpu, T* x, int rows, int columns, long stride, bool depthIsContiguous) where T : unmanaged
    {
        MatrixView<T> stored = new(x, rows, columns, stride, gpu);
        return depthIsContiguous ? TensorMap.Create(stored, TensorElement.Float32, 128, 32, TensorSwizzle.Bytes128) : TensorMap.Create(stored, TensorElement.Float32, 32, 128);
    }

    /// <summary>Elements between the rows of an operand as it is stored.</summary>
    private static long Stride(long asItIs, long transposed, Transpose transpose) => transpose == Transpose.Yes ? transposed : asItIs;

    /// <summary>1 where every row starts at a multiple of 16 bytes and is copied in such pieces.</summary>
    private static int Wide<T>(T* x, long stride) where T : unmanaged => (nuint)x % 16 == 0 && stride * sizeof(T) % 16 == 0 ? 1 : 0;

    private static T One<T>() where T : unmanaged
    {
        (float single, double wide) = (1f, 1d);
        return typeof(T) == typeof(float) ? *(T*)&single : *(T*)&wide;
    }

    private static IEnumerable<JitRequest> Modules(string source, string form)
    {
        foreach (int tile in new[] { 64, 128 })
            for (int a = 0; a < 2; a++)
                for (int b = 0; b < 2; b++) yield return new JitRequest(source, $"{form}BS_TILE={tile} BS_TRANSPOSE_A={a} BS_TRANSPOSE_B={b}");
    }

    private static IEnumerable<JitRequest> WarpgroupModules(int form)
    {
        for (int a = 0; a < 2; a++)
            for (int b = 0; b < 2; b++) yield return new JitRequest(WarpgroupSource, $"BS_FORM={form} BS_TRANSPOSE_A={a} BS_TRANSPOSE_B={b}");
    }
}
