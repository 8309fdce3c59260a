using BioSup.Runtime;

namespace BioSup.Kernels;

public static partial class PairwiseDistance
{
    private const string CudaSource = "cuda/kernels/pairwise_distance/pairwise_distance_any.cu";

    private static void ComputeCuda<T>(CudaDevice device, DistanceMetric metric, MatrixView<T> x, MatrixView<T> y, MatrixView<T> distances, DistanceForm form, GemmPrecision precision, bool self)
        where T : unmanaged
    {
        PairConfig config = PairConfig.For<T>(metric, form, precision, x.Columns).Fit(device.Info, x.Rows, y.Rows);
        DeviceKernels.Report(device, nameof(PairwiseDistance), config);
        using CudaPairOperand<T> right = new(device, y, metric, config);
        using CudaPairOperand<T>? left = self ? null : new(device, x, metric, config);
        Launch(device, config, PairArguments.Of(left ?? right, right, x.Rows, y.Rows, x.Columns, self), distances.Address, distances.Stride, self ? distances.Address : DevicePointer.Null, distances.Stride);
    }

    /// <summary>The distances of all pairs, and unless <paramref name="mirror"/> is null their transpose.</summary>
    internal static void Launch(CudaDevice device, PairConfig config, PairArguments pairs, DevicePointer distances, long stride, DevicePointer mirror, long mirrorStride)
    {
        long tiles = (long)config.Tiles(pairs.XRows) * config.Tiles(pairs.YRows);
        DeviceKernels.Get(device, config.Request(CudaSource), "bs_pairwise_distance").Launch(
            device.Stream, new LaunchShape(checked((int)tiles), config.Threads, config.SharedBytes), pairs, distances, stride, mirror, mirrorStride);
    }
}
