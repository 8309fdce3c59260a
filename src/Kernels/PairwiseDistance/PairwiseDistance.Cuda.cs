using System.Runtime.InteropServices;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static partial class PairwiseDistance
{
    private static void ComputeCuda(CudaDevice device, DistanceMetric metric, MatrixView<float> x, MatrixView<float> y, MatrixView<float> distances, DistanceForm form, bool self)
    {
        PairConfig config = PairConfig.For(metric, form);
        DeviceKernels.Report(device, nameof(PairwiseDistance), config);
        using CudaPairOperand right = new(device, y, metric, config);
        using CudaPairOperand? left = self ? null : new(device, x, metric, config);
        long tiles = (long)PairConfig.Tiles(x.Rows) * PairConfig.Tiles(y.Rows);
        CudaKernel kernel = DeviceKernels.Get(device, config.Request("cuda/kernels/pairwise_distance/pairwise_distance_any.cu"), "bs_pairwise_distance_f32_any");
        kernel.Launch(device.Stream, new LaunchShape(checked((int)tiles), PairConfig.Threads), PairArguments.Of(left ?? right, right, x.Rows, y.Rows, x.Columns, self),
            distances.Address, distances.Stride);
    }
}

/// <summary>The constants with which the tile of cuda/include/bs/pair_tile.cuh is compiled.</summary>
/// <param name="Term">What a coordinate adds: BS_TERM.</param>
/// <param name="Value">How the sum becomes a distance: BS_VALUE.</param>
internal readonly record struct PairConfig(int Term, int Value)
{
    /// <summary>Rows and columns of a tile, and the threads that compute it.</summary>
    public const int Tile = 64, Threads = 256;

    /// <summary>Bytes of bs::PairShared.</summary>
    public const int SharedBytes = 25344;

    private const int Product = 0, Squared = 1, Absolute = 2, Largest = 3, Mismatch = 4;
    private const int Raw = 0, Root = 1, Half = 2, Fraction = 3;

    /// <summary>Rows are scaled to unit length: the cosine distance is half their squared distance.</summary>
    public bool Unit => Value == Half;

    /// <summary>Scalar products and norms instead of differences.</summary>
    public bool Expanded => Term == Product;

    public static PairConfig For(DistanceMetric metric, DistanceForm form)
    {
        int squared = form == DistanceForm.Expanded ? Product : Squared;
        return metric switch
        {
            DistanceMetric.Euclidean => new(squared, Root),
            DistanceMetric.SquaredEuclidean => new(squared, Raw),
            DistanceMetric.Cosine or DistanceMetric.Correlation => new(squared, Half),
            DistanceMetric.Cityblock => new(Absolute, Raw),
            DistanceMetric.Chebyshev => new(Largest, Raw),
            DistanceMetric.Hamming => new(Mismatch, Fraction),
            _ => throw new ArgumentOutOfRangeException(nameof(metric)),
        };
    }

    public static int Tiles(int rows) => (int)(((long)rows + Tile - 1) / Tile);

    public JitRequest Request(string source, string more = "") => new(source, $"BS_TERM={Term} BS_VALUE={Value}{more}");

    public override string ToString() => $"tile {Tile}x{Tile}, {Threads} threads, BS_TERM={Term} BS_VALUE={Value}";
}

/// <summary>bs::PairProblem, as the kernels take it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct PairArguments
{
    public DevicePointer X, Y, XNorms, YNorms;
    public long XStride, YStride;
    public int XRows, YRows, Depth, Self;

    public static PairArguments Of(CudaPairOperand left, CudaPairOperand right, int xRows, int yRows, int depth, bool self) => new()
    {
        X = left.Rows, Y = right.Rows, XNorms = left.Norms, YNorms = right.Norms, XStride = left.Stride, YStride = right.Stride,
        XRows = xRows, YRows = yRows, Depth = depth, Self = self ? 1 : 0,
    };
}

/// <summary>One matrix made ready for the tiles: unit rows where the metric asks for them, and squared norms.</summary>
internal sealed class CudaPairOperand : IDisposable
{
    private const int WarpsPerBlock = 8;
    private readonly DeviceBuffer<float>? _unit;
    private readonly DeviceBuffer<float>? _norms;

    public CudaPairOperand(CudaDevice device, MatrixView<float> source, DistanceMetric metric, PairConfig config)
    {
        Rows = source.Address;
        Stride = source.Stride;
        if (!config.Unit && !config.Expanded) return;
        _norms = device.Allocate<float>(source.Rows);
        Norms = _norms.View.Address;
        if (config.Unit)
        {
            _unit = device.Allocate<float>(Math.Max(1, (long)source.Rows * source.Columns));
            Rows = _unit.View.Address;
            Stride = source.Columns;
        }
        CudaKernel kernel = DeviceKernels.Get(device, new JitRequest("cuda/kernels/pairwise_distance/pair_operand_any.cu"), "bs_pair_operand_f32_any");
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
