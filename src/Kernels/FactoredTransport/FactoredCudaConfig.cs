using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>How the launches over a plan of one shape are cut. It follows from the shape and the type alone, and with it the order of every sum.</summary>
/// <param name="PaddedRows">Rows with those of the last tile.</param>
/// <param name="PaddedColumns">Columns likewise.</param>
/// <param name="Rows">The pass that owns rows: blocks of rows by parts of the columns.</param>
/// <param name="RowTiles">Tiles of 64 columns in a part.</param>
/// <param name="Columns">The pass that owns columns.</param>
/// <param name="ColumnTiles">Tiles of 64 rows in a part.</param>
/// <param name="TileBytes">Shared memory of a pass that forms one tile at a time.</param>
/// <param name="ApplyBytes">Shared memory of the product with features.</param>
/// <param name="TensorBytes">Shared memory of the passes on the tensor cores, 0 where they cannot form the scores.</param>
internal readonly record struct FactoredCudaConfig(long PaddedRows, long PaddedColumns, LaunchShape Rows, int RowTiles, LaunchShape Columns, int ColumnTiles, int TileBytes, int ApplyBytes, int TensorBytes)
{
    /// <summary>Features that one block multiplies the plan with.</summary>
    public const int FeaturesOfBlock = 32;

    /// <summary>Most factors of scores from the tensor cores: what a block owns stays in shared memory as a whole.</summary>
    public const int MostTensorLevels = 64;

    /// <summary>Fewest for which they are chosen: with fewer their slabs of 16 are half empty.</summary>
    public const int LeastTensorLevels = 16;
    private const int TensorSlab = 16;
    private const int Threads = 256, Other = 64, Alignment = 128, MostParts = 32;

    /// <summary>Blocks that run at once: two on each multiprocessor of an H100. A constant, so that the sums are the same on every device.</summary>
    private const int BlocksAtOnce = 264;

    public int RowParts => Rows.Grid.Y;
    public int ColumnParts => Columns.Grid.Y;

    public static FactoredCudaConfig For(int rows, int columns, int rank, int elementBytes)
    {
        // As in cuda/include/bs/factored.cuh.
        int own = elementBytes == 4 ? 128 : 64, depth = elementBytes == 4 ? 32 : 16;
        long n = Padded(rows), m = Padded(columns);
        int levels = Math.Min(rank, depth), slabs = (rank + depth - 1) / depth;
        int pass = elementBytes * (levels * ((slabs > 1 ? 2 : 1) * own + 2 * Other) + 4 * Other), tile = elementBytes * depth * (own + Other);
        (LaunchShape byRows, int rowTiles) = Cut(n / own, m / Other, pass);
        (LaunchShape byColumns, int columnTiles) = Cut(m / own, n / Other, pass);
        // Lines of a slab lie eight elements further apart than there are lines.
        int tensor = elementBytes == 4 && rank <= MostTensorLevels ? 4 * (TensorSlab * ((rank + TensorSlab - 1) / TensorSlab * (own + 8) + 2 * (Other + 8)) + 4 * Other) : 0;
        return new FactoredCudaConfig(n, m, byRows, rowTiles, byColumns, columnTiles, tile, tile + elementBytes * Other * (own + 4 + FeaturesOfBlock), tensor);
    }

    /// <summary>The form that was chosen.</summary>
    public bool Tensor { get; init; }

    public override string ToString() =>
        $"{(Tensor ? "scores of three TF32 products" : "ordinary scores")}, rows {Rows.Grid} x {Rows.Block} threads in parts of {RowTiles} tiles, columns {Columns.Grid} x {Columns.Block} threads in parts of {ColumnTiles} tiles ({(Tensor ? TensorBytes : Rows.SharedBytes)} bytes of shared memory)";

    /// <summary>As many parts as leave the multiprocessors least idle: the time is that of the waves of blocks, each as long as a part and what every part costs besides.</summary>
    private static (LaunchShape Shape, int Tiles) Cut(long blocks, long tiles, int sharedBytes)
    {
        long best = long.MaxValue, chosen = tiles;
        for (long parts = 1; parts <= Math.Min(tiles, MostParts); parts++)
        {
            long each = (tiles + parts - 1) / parts, time = (blocks * parts + BlocksAtOnce - 1) / BlocksAtOnce * (each + 1);
            if (time >= best) continue;
            (best, chosen) = (time, each);
        }
        return (new LaunchShape(new Extent((int)blocks, (int)((tiles + chosen - 1) / chosen)), Threads, sharedBytes), (int)chosen);
    }

    private static long Padded(int count) => (count + Alignment - 1L) / Alignment * Alignment;
}

/// <summary>The kernels over plans of one type on one device; those that a solve does not need are compiled when they are asked for.</summary>
internal sealed class FactoredCudaKernels(CudaDevice device, int elementBytes)
{
    private const string Folder = "cuda/kernels/factored_transport/", Double = "BS_ELEMENT=double";
    private static readonly JitRequest s_pass = new(Folder + "factored_pass_any.cu"), s_passDouble = new(Folder + "factored_pass_any.cu", Double);
    private static readonly JitRequest s_vectors = new(Folder + "factored_vectors_any.cu"), s_vectorsDouble = new(Folder + "factored_vectors_any.cu", Double);
    private static readonly JitRequest s_products = new(Folder + "factored_products_any.cu"), s_productsDouble = new(Folder + "factored_products_any.cu", Double);
    private static readonly JitRequest s_tensor = new(Folder + "factored_tensor_sm80.cu"), s_mixing = new("cuda/kernels/sinkhorn_scaling/sinkhorn_mixing_any.cu");
    private readonly CudaDevice _device = device;
    private readonly bool _wide = elementBytes == sizeof(double);
    private CudaKernel? _best, _bestColumns, _apply, _change, _entries, _record, _mix, _rowShifts, _rowsTensor, _columnsTensor;

    public CudaKernel Rows { get; } = DeviceKernels.Get(device, elementBytes == sizeof(double) ? s_passDouble : s_pass, "bs_factored_rows");
    public CudaKernel Columns { get; } = DeviceKernels.Get(device, elementBytes == sizeof(double) ? s_passDouble : s_pass, "bs_factored_columns");
    public CudaKernel Pack { get; } = DeviceKernels.Get(device, elementBytes == sizeof(double) ? s_vectorsDouble : s_vectors, "bs_factored_pack");
    public CudaKernel Base { get; } = DeviceKernels.Get(device, elementBytes == sizeof(double) ? s_vectorsDouble : s_vectors, "bs_factored_base");
    public CudaKernel RowPotentials { get; } = DeviceKernels.Get(device, elementBytes == sizeof(double) ? s_vectorsDouble : s_vectors, "bs_factored_row_potentials");
    public CudaKernel ColumnPotentials { get; } = DeviceKernels.Get(device, elementBytes == sizeof(double) ? s_vectorsDouble : s_vectors, "bs_factored_column_potentials");
    public CudaKernel RowsTensor => _rowsTensor ??= DeviceKernels.Get(_device, s_tensor, "bs_factored_rows_tensor");
    public CudaKernel ColumnsTensor => _columnsTensor ??= DeviceKernels.Get(_device, s_tensor, "bs_factored_columns_tensor");
    public CudaKernel RowShifts => _rowShifts ??= DeviceKernels.Get(_device, _wide ? s_vectorsDouble : s_vectors, "bs_factored_row_shifts");
    public CudaKernel Record => _record ??= DeviceKernels.Get(_device, _wide ? s_vectorsDouble : s_vectors, "bs_factored_record");
    public CudaKernel Mix => _mix ??= DeviceKernels.Get(_device, s_mixing, "bs_sinkhorn_mix");
    public CudaKernel Best => _best ??= DeviceKernels.Get(_device, _wide ? s_passDouble : s_pass, "bs_factored_best");
    public CudaKernel BestColumns => _bestColumns ??= DeviceKernels.Get(_device, _wide ? s_vectorsDouble : s_vectors, "bs_factored_best_columns");
    public CudaKernel Apply => _apply ??= DeviceKernels.Get(_device, _wide ? s_productsDouble : s_products, "bs_factored_apply");
    public CudaKernel Change => _change ??= DeviceKernels.Get(_device, _wide ? s_productsDouble : s_products, "bs_factored_change");
    public CudaKernel Entries => _entries ??= DeviceKernels.Get(_device, _wide ? s_productsDouble : s_products, "bs_factored_entries");
}
