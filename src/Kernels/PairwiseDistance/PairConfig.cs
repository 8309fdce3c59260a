using System.Runtime.InteropServices;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>The constants with which the tile of cuda/include/bs/pair_tile.cuh is compiled.</summary>
/// <param name="Term">What a coordinate adds: BS_TERM.</param>
/// <param name="Value">How the sum becomes a distance: BS_VALUE.</param>
/// <param name="Double">Rows and distances are in double precision: BS_ELEMENT.</param>
/// <param name="Product">Which units sum the products of the expanded form: BS_PRODUCT.</param>
/// <param name="Tile">Rows and columns of a block's square of pairs: BS_TILE.</param>
internal readonly record struct PairConfig(int Term, int Value, bool Double, int Product, int Tile)
{
    private const int TermProduct = 0, Squared = 1, Absolute = 2, Largest = 3, Mismatch = 4;
    private const int Raw = 0, Root = 1, Half = 2, Fraction = 3;
    private const int Ordinary = 0, TensorFloat3 = 1, BFloat16 = 2;

    /// <summary>Coordinates from which on three TF32 products err no more than single precision does. The choice may depend on the length of rows and on nothing else.</summary>
    private const int FewestCoordinatesOfTensor = 64;

    private const int Stages = 3, Slab = 16;

    public int Threads => Product == Ordinary ? 256 : 2 * Tile;

    /// <summary>Bytes of an element.</summary>
    public int ElementBytes => Double ? sizeof(double) : sizeof(float);

    /// <summary>Bytes of bs::PairShared: the slabs under way, and in their place the square of distances.</summary>
    public int SharedBytes
    {
        get
        {
            int distances = Tile * (Tile + 1) * ElementBytes, pitch = Slab + (Product == BFloat16 ? 8 : 4);
            return Product == Ordinary ? distances : Math.Max(distances, Stages * 2 * Tile * pitch * sizeof(float));
        }
    }

    /// <summary>Rows are scaled to unit length: the cosine distance is half their squared distance.</summary>
    public bool Unit => Value == Half;

    /// <summary>Scalar products and norms instead of differences.</summary>
    public bool Expanded => Term == TermProduct;

    /// <param name="metric">Which distance.</param>
    /// <param name="form">From products or from differences.</param>
    /// <param name="precision">How products are formed.</param>
    /// <param name="depth">Coordinates of a row.</param>
    public static PairConfig For<T>(DistanceMetric metric, DistanceForm form, GemmPrecision precision, int depth) where T : unmanaged
    {
        int squared = form == DistanceForm.Expanded ? TermProduct : Squared;
        (int term, int value) = metric switch
        {
            DistanceMetric.Euclidean => (squared, Root),
            DistanceMetric.SquaredEuclidean => (squared, Raw),
            DistanceMetric.Cosine or DistanceMetric.Correlation => (squared, Half),
            DistanceMetric.Cityblock => (Absolute, Raw),
            DistanceMetric.Chebyshev => (Largest, Raw),
            DistanceMetric.Hamming => (Mismatch, Fraction),
            _ => throw new ArgumentOutOfRangeException(nameof(metric)),
        };
        bool tensor = term == TermProduct && typeof(T) == typeof(float);
        int product = !tensor ? Ordinary
            : precision == GemmPrecision.BFloat16 ? BFloat16
            : precision == GemmPrecision.TensorFloat3 || depth >= FewestCoordinatesOfTensor ? TensorFloat3 : Ordinary;
        return new PairConfig(term, value, typeof(T) == typeof(double), product, 64);
    }

    /// <summary>The same with large squares, where there are enough of them and the device has room for them beside so many other bytes. The square changes speed, not results.</summary>
    public PairConfig Fit(CudaDeviceInfo device, long rows, long columns, Func<PairConfig, int>? sharedBytes = null)
    {
        PairConfig large = this with { Tile = 128 };
        bool enough = Product != Ordinary && ((rows + 127) / 128) * ((columns + 127) / 128) >= device.Multiprocessors;
        return enough && (sharedBytes?.Invoke(large) ?? large.SharedBytes) <= device.SharedBytesPerBlock ? large : this;
    }

    public int Tiles(int rows) => (int)(((long)rows + Tile - 1) / Tile);

    public JitRequest Request(string source, string more = "") => new(source, $"{Constants}{more}");

    /// <summary>The operand's kernel knows the type of the elements alone.</summary>
    public JitRequest OperandRequest() => new("cuda/kernels/pairwise_distance/pair_operand_any.cu", Double ? "BS_ELEMENT=double" : "");

    private string Constants => $"{(Double ? "BS_ELEMENT=double " : "")}{(Product == Ordinary ? "" : $"BS_PRODUCT={Product} BS_TILE={Tile} ")}BS_TERM={Term} BS_VALUE={Value}";

    public override string ToString() => $"square {Tile}x{Tile}, {Threads} threads, {Constants}";
}

/// <summary>bs::PairProblem, as the kernels take it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct PairArguments
{
    public DevicePointer X, Y, XNorms, YNorms;
    public long XStride, YStride;
    public int XRows, YRows, Depth, Self;

    public static PairArguments Of<T>(CudaPairOperand<T> left, CudaPairOperand<T> right, int xRows, int yRows, int depth, bool self) where T : unmanaged => new()
    {
        X = left.Rows, Y = right.Rows, XNorms = left.Norms, YNorms = right.Norms, XStride = left.Stride, YStride = right.Stride,
        XRows = xRows, YRows = yRows, Depth = depth, Self = self ? 1 : 0,
    };

    /// <summary>Some rows of either side; all pairs of them unless <paramref name="self"/>.</summary>
    public readonly PairArguments Block(int firstX, int xRows, int firstY, int yRows, bool self, int elementBytes)
    {
        PairArguments block = this;
        block.X = Moved(X, firstX * XStride, elementBytes);
        block.Y = Moved(Y, firstY * YStride, elementBytes);
        block.XNorms = Moved(XNorms, firstX, elementBytes);
        block.YNorms = Moved(YNorms, firstY, elementBytes);
        (block.XRows, block.YRows, block.Self) = (xRows, yRows, self ? 1 : 0);
        return block;
    }

    private static DevicePointer Moved(DevicePointer pointer, long elements, int elementBytes) =>
        pointer == DevicePointer.Null ? pointer : new DevicePointer(pointer.Address + (ulong)(elements * elementBytes));
}

/// <summary>One matrix made ready for the tiles: unit rows where the metric asks for them, and squared norms.</summary>
internal sealed class CudaPairOperand<T> : IDisposable where T : unmanaged
{
    private const int WarpsPerBlock = 8;
    private readonly DeviceBuffer<T>? _unit;
    private readonly DeviceBuffer<T>? _norms;

    public CudaPairOperand(CudaDevice device, MatrixView<T> source, DistanceMetric metric, PairConfig config)
    {
        Rows = source.Address;
        Stride = source.Stride;
        if (!config.Unit && !config.Expanded) return;
        _norms = device.Allocate<T>(source.Rows);
        Norms = _norms.View.Address;
        if (config.Unit)
        {
            // Rows at multiples of 16 bytes, as the copies of the tensor cores' tile prefer them.
            Stride = ((long)source.Columns + 3) / 4 * 4;
            _unit = device.Allocate<T>(Math.Max(1, source.Rows * Stride));
            Rows = _unit.View.Address;
        }
        CudaKernel kernel = DeviceKernels.Get(device, config.OperandRequest(), "bs_pair_operand");
        kernel.Launch(device.Stream, new LaunchShape((source.Rows + WarpsPerBlock - 1) / WarpsPerBlock, WarpsPerBlock * 32), source.Address, source.Stride, source.Rows, source.Columns,
            metric == DistanceMetric.Correlation ? 1 : 0, config.Unit ? Rows : DevicePointer.Null, Stride, Norms);
    }

    /// <summary>The rows themselves, or the unit rows made from them.</summary>
    public DevicePointer Rows { get; }

    public long Stride { get; }

    /// <summary>Squared norms; for unit rows 1, and 0 for a row without a direction. Null where the term needs none.</summary>
    public DevicePointer Norms { get; }

    public void Dispose()
    {
        _unit?.Dispose();
        _norms?.Dispose();
    }
}
