using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class Gemm
{
    private const string CudaSource = "cuda/kernels/gemm/gemm_any.cu", TensorSource = "cuda/kernels/gemm/gemm_sm80.cu";
    private static readonly JitRequest[] s_ordinary = [.. Modules(CudaSource, "")];
    private static readonly JitRequest[] s_tensor = [.. Modules(TensorSource, "BS_FORM=0 "), .. Modules(TensorSource, "BS_FORM=1 ")];
    private static readonly JitRequest s_joinSingle = new("cuda/kernels/gemm/gemm_join_any.cu"), s_joinDouble = new("cuda/kernels/gemm/gemm_join_any.cu", "BS_ELEMENT=double");

    private static void Cuda<T>(CudaDevice gpu, in GemmProblem<T> p, Transpose transposeA, Transpose transposeB, GemmPrecision precision) where T : unmanaged
    {
        if (p.IsEmpty) return;
        Cuda(gpu, p, transposeA, transposeB, GemmConfig.For(p.Rows, p.Columns, p.Depth, typeof(T) == typeof(float), precision));
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
        long strideA = transposeA == Transpose.Yes ? p.DepthStrideA : p.RowStrideA, strideB = transposeB == Transpose.Yes ? p.ColumnStrideB : p.DepthStrideB;
        Extent grid = new((int)GemmConfig.Tiles(p.Rows, config.Tile), (int)GemmConfig.Tiles(p.Columns, config.Tile), config.Parts);
        DevicePointer a = new((ulong)p.A), b = new((ulong)p.B), c = new((ulong)p.C);
        if (config.Form == GemmForm.Ordinary)
        {
            DeviceKernels.Get(gpu, s_ordinary[module], typeof(T) == typeof(float) ? "bs_gemm_f32" : "bs_gemm_f64").Launch(gpu.Stream, new LaunchShape(grid, new Extent(16, 16)),
                p.Rows, p.Columns, p.Depth, config.DepthOfPart, p.Alpha, a, strideA, b, strideB, p.Beta, c, p.StrideC);
            return;
        }
        int sharedBytes = config.SharedBytes(depthIsContiguousInA: transposeA == Transpose.No, depthIsContiguousInB: transposeB == Transpose.Yes);
        DeviceKernels.Get(gpu, s_tensor[(config.Form == GemmForm.BFloat16 ? 8 : 0) + module], "bs_gemm_tensor").Launch(gpu.Stream, new LaunchShape(grid, 2 * config.Tile, sharedBytes),
            p.Rows, p.Columns, p.Depth, config.DepthOfPart, p.Alpha, a, strideA, Wide(p.A, strideA), b, strideB, Wide(p.B, strideB), p.Beta, c, p.StrideC);
    }

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
}

/// <summary>Which units of a GPU form a product.</summary>
internal enum GemmForm
{
    /// <summary>Fused multiply-adds in the type of the matrices.</summary>
    Ordinary,

    /// <summary>Three TF32 products on the tensor cores.</summary>
    TensorFloat3,

    /// <summary>One bf16 product on the tensor cores.</summary>
    BFloat16,
}

/// <summary>How a product is computed and cut up. It follows from the shape alone, so that the same product has the same bits on every device.</summary>
/// <param name="Form">The units and their number format.</param>
/// <param name="Tile">Rows and columns of C that a block computes.</param>
/// <param name="Parts">Parts of the depth that are summed apart and then joined in order.</param>
/// <param name="DepthOfPart">Levels of a part, a whole number of slabs.</param>
internal readonly record struct GemmConfig(GemmForm Form, int Tile, int Parts, int DepthOfPart)
{
    /// <summary>Multiprocessors of a large device: work is cut until each has a block.</summary>
    private const int Processors = 128;

    /// <summary>Levels of a slab, the slabs under way, and the levels below which a part is not worth a second kernel.</summary>
    private const int Slab = 16, Stages = 4, FewestLevels = 512;

    /// <summary>Below these a product is over before the tensor cores are filled, or its few terms show the bits that three products leave out.</summary>
    private const int FewestLines = 32, FewestLevelsOfTensor = 64;

    public static GemmConfig For(int rows, int columns, int depth, bool single, GemmPrecision precision)
    {
        bool large = Math.Min(rows, columns) >= FewestLines && depth >= FewestLevelsOfTensor;
        GemmForm form = !single || depth == 0 ? GemmForm.Ordinary
            : precision == GemmPrecision.BFloat16 ? GemmForm.BFloat16
            : precision == GemmPrecision.TensorFloat3 || large ? GemmForm.TensorFloat3 : GemmForm.Ordinary;
        int mostParts = Math.Max(1, depth / FewestLevels);
        int tile = single && Math.Min(rows, columns) > 64 && Tiles(rows, 128) * Tiles(columns, 128) * mostParts >= Processors ? 128 : 64;
        int parts = (int)Math.Clamp(Processors / Math.Max(1, Tiles(rows, tile) * Tiles(columns, tile)), 1, mostParts);
        return new GemmConfig(form, tile, 1, Math.Max(Slab, depth)).Cut(depth, parts);
    }

    /// <summary>The same with at most so many parts.</summary>
    public GemmConfig Cut(int depth, int parts)
    {
        int slabs = (int)Tiles(depth, Slab), slabsOfPart = Math.Max(1, (slabs + parts - 1) / parts);
        return this with { Parts = Math.Max(1, (slabs + slabsOfPart - 1) / slabsOfPart), DepthOfPart = slabsOfPart * Slab };
    }

    /// <summary>Shared memory of a block on the tensor cores: the slabs of bs/tensor_tile.cuh.</summary>
    public int SharedBytes(bool depthIsContiguousInA, bool depthIsContiguousInB) => Stages * sizeof(float) * (Floats(depthIsContiguousInA) + Floats(depthIsContiguousInB));

    public static long Tiles(int length, int tile) => ((long)length + tile - 1) / tile;

    private int Floats(bool depthIsContiguous) => depthIsContiguous ? Tile * (Slab + (Form == GemmForm.BFloat16 ? 8 : 4)) : Slab * (Tile + (Form == GemmForm.BFloat16 ? 4 : 8));
}
