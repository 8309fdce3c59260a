using BioSup.Runtime;

namespace BioSup.Kernels;

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

/// <summary>How a product is computed and cut up. It follows from shape, alignment and architecture, so that the same product has the same bits on every device of one kind.</summary>
/// <param name="Form">The units and their number format.</param>
/// <param name="Tile">Rows and columns of C that a block computes.</param>
/// <param name="Parts">Parts of the depth that are summed apart and then joined in order.</param>
/// <param name="DepthOfPart">Levels of a part, a whole number of slabs.</param>
/// <param name="Warpgroups">Whether the kernel is that of compute capability 9.0, with wgmma and the copy engine.</param>
internal readonly record struct GemmConfig(GemmForm Form, int Tile, int Parts, int DepthOfPart, bool Warpgroups = false)
{
    /// <summary>Multiprocessors of a large device: work is cut until each has a block.</summary>
    private const int Processors = 128;

    /// <summary>Levels of a slab (one that all kernels' parts are whole numbers of), the slabs under way, and the levels below which a part is not worth a second kernel.</summary>
    private const int Slab = 16, WarpgroupSlab = 64, Stages = 4, FewestLevels = 512;

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

    /// <summary>The same on the kernel of compute capability 9.0, where it pays: matrices of large tiles whose rows the copy engine can fetch.</summary>
    public GemmConfig OnWarpgroups(ComputeCapability capability, int rows, int columns, int depth) =>
        capability == new ComputeCapability(9, 0) && Form != GemmForm.Ordinary && Tile == 128 && Math.Min(rows, columns) >= 128 && depth >= WarpgroupSlab
            ? this with { Warpgroups = true } : this;

    /// <summary>The same with at most so many parts.</summary>
    public GemmConfig Cut(int depth, int parts)
    {
        int slab = parts > 1 && depth > WarpgroupSlab ? WarpgroupSlab : Slab;
        int slabs = (int)Tiles(depth, slab), slabsOfPart = Math.Max(1, (slabs + parts - 1) / parts);
        return this with { Parts = Math.Max(1, (slabs + slabsOfPart - 1) / slabsOfPart), DepthOfPart = slabsOfPart * slab };
    }

    /// <summary>Shared memory of a block of the kernel for 8.0: the slabs of bs/tensor_tile.cuh.</summary>
    public int SharedBytes(bool depthIsContiguousInA, bool depthIsContiguousInB) => Stages * sizeof(float) * (Floats(depthIsContiguousInA) + Floats(depthIsContiguousInB));

    /// <summary>Shared memory of a block of the kernel for 9.0: a ring of slabs, two sets of operands, and the barriers of the ring.</summary>
    public int WarpgroupSharedBytes => Form == GemmForm.BFloat16 ? (2 * 64 << 10) + (2 * 32 << 10) + 2 * 2 * sizeof(long) : (3 * 32 << 10) + (2 * 64 << 10) + 2 * 3 * sizeof(long);

    public static long Tiles(int length, int tile) => ((long)length + tile - 1) / tile;

    private int Floats(bool depthIsContiguous) => depthIsContiguous ? Tile * (Slab + (Form == GemmForm.BFloat16 ? 8 : 4)) : Slab * (Tile + (Form == GemmForm.BFloat16 ? 4 : 8));
}
