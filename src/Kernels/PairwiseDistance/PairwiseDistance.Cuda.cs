using System.Runtime.InteropServices;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static partial class PairwiseDistance
{
    private static void ComputeCuda<T>(CudaDevice device, DistanceMetric metric, MatrixView<T> x, MatrixView<T> y, MatrixView<T> distances, DistanceForm form, bool self)
        where T : unmanaged
    {
        PairConfig config = PairConfig.For<T>(metric, form);
        DeviceKernels.Report(device, nameof(PairwiseDistance), config);
        using CudaPairOperand<T> right = new(device, y, metric, config);
        using CudaPairOperand<T>? left = self ? null : new(device, x, metric, config);
        long tiles = (long)PairConfig.Tiles(x.Rows) * PairConfig.Tiles(y.Rows);
        CudaKernel kernel = DeviceKernels.Get(device, config.Request("cuda/kernels/pairwise_distance/pairwise_distance_any.cu"), "bs_pairwise_distance");
        kernel.Launch(device.Stream, new LaunchShape(checked((int)tiles), PairConfig.Threads), PairArguments.Of(left ?? right, right, x.Rows, y.Rows, x.Columns, self),
            distances.Address, distances.Stride);
    }
}

/// <summary>The constants with which the tile of cuda/include/bs/pair_tile.cuh is compiled.</summary>
/// <param name="Term">What a coordinate adds: BS_TERM.</param>
/// <param name="Value">How the sum becomes a distance: BS_VALUE.</param>
/// <param name="Double">Rows and distances are in double precision: BS_ELEMENT.</param>
internal readonly record struct PairConfig(int Term, int Value, bool Double)
{
    /// <summary>Rows and columns of a tile, and the threads that compute it.</summary>
    public const int Tile = 64, Threads = 256;

    private const int Product = 0, Squared = 1, Absolute = 2, Largest = 3, Mismatch = 4;
    private const int Raw = 0, Root = 1, Half = 2, Fraction = 3;

    /// <summary>Bytes of an element.</summary>
    public int ElementBytes => Double ? sizeof(double) : sizeof(float);

    /// <summary>Bytes of bs::PairShared.</summary>
    public int SharedBytes => Tile * (Tile + 1) * ElementBytes;

    /// <summary>Rows are scaled to unit length: the cosine distance is half their squared distance.</summary>
    public bool Unit => Value == Half;

    /// <summary>Scalar products and norms instead of differences.</summary>
    public bool Expanded => Term == Product;

    public static PairConfig For<T>(DistanceMetric metric, DistanceForm form) where T : unmanaged
    {
        bool wide = typeof(T) == typeof(double);
        int squared = form == DistanceForm.Expanded ? Product : Squared;
        return metric switch
        {
            DistanceMetric.Euclidean => new(squared, Root, wide),
            DistanceMetric.SquaredEuclidean => new(squared, Raw, wide),
            DistanceMetric.Cosine or DistanceMetric.Correlation => new(squared, Half, wide),
            DistanceMetric.Cityblock => new(Absolute, Raw, wide),
            DistanceMetric.Chebyshev => new(Largest, Raw, wide),
            DistanceMetric.Hamming => new(Mismatch, Fraction, wide),
            _ => throw new ArgumentOutOfRangeException(nameof(metric)),
        };
    }

    public static int Tiles(int rows) => (int)(((long)rows + Tile - 1) / Tile);

    public JitRequest Request(string source, string more = "") => new(source, $"{Constants}{more}");

    /// <summary>The operand's kernel knows the type of the elements alone.</summary>
    public JitRequest OperandRequest() => new("cuda/kernels/pairwise_distance/pair_operand_any.cu", Element.TrimEnd());

    private string Element => Double ? "BS_ELEMENT=double " : "";

    private string Constants => $"{Element}BS_TERM={Term} BS_VALUE={Value}";

    public override string ToString() => $"tile {Tile}x{Tile}, {Threads} threads, {Constants}";
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
            _unit = device.Allocate<T>(Math.Max(1, (long)source.Rows * source.Columns));
            Rows = _unit.View.Address;
            Stride = source.Columns;
        }
        CudaKernel kernel = DeviceKernels.Get(device, config.OperandRequest(), "bs_pair_operand");
        kernel.Launch(device.Stream, new LaunchShape((source.Rows + WarpsPerBlock - 1) / WarpsPerBlock, WarpsPerBlock * 32), source.Address, source.Stride, source.Rows, source.Columns,
            metric == DistanceMetric.Correlation ? 1 : 0, config.Unit ? Rows : DevicePointer.Null, Norms);
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
