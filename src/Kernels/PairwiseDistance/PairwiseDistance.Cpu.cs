using System.Numerics;
using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static partial class PairwiseDistance
{
    /// <summary>
    /// The variants, best first: AVX-512 (twice the lanes), AVX2 with fused multiply-add, then 128-bit lanes for every other processor.
    /// All are the same code over another width; the reference is forced by tests only.
    /// </summary>
    private static void ComputeCpu<T>(CpuDevice device, DistanceMetric metric, MatrixView<T> x, MatrixView<T> y, MatrixView<T> distances, DistanceForm form, bool self)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        switch (KernelDispatch.Select(nameof(PairwiseDistance)))
        {
            case KernelVariant.Avx512:
                ComputeSimd<Simd512<T>, Vector512<T>, T>(device, metric, x, y, distances, form, self);
                break;
            case KernelVariant.Avx2:
                ComputeSimd<Simd256<T>, Vector256<T>, T>(device, metric, x, y, distances, form, self);
                break;
            case KernelVariant.Portable:
                ComputeSimd<Simd128<T>, Vector128<T>, T>(device, metric, x, y, distances, form, self);
                break;
            default:
                ComputeReference(metric, x, y, distances, self);
                break;
        }
    }

    private static unsafe void ComputeSimd<TSimd, TVector, T>(CpuDevice device, DistanceMetric metric, MatrixView<T> x, MatrixView<T> y, MatrixView<T> distances, DistanceForm form, bool self)
        where TSimd : struct, ISimd<TVector, T>
        where TVector : struct
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        bool expanded = form == DistanceForm.Expanded && PairSetup<TSimd, TVector, T>.HasExpandedForm(metric);
        using PairOperand<T> right = new(device, y, metric, expanded, PairTile.Vectors * TSimd.Count);
        using PairOperand<T>? left = self ? null : new(device, x, metric, expanded, panelWidth: 0);
        using AlignedBuffer<T> scratch = new(device, (long)device.Pool.Threads * PairBlocks.ScratchElements);
        PairBlockJob<TSimd, TVector, T, DistanceSink<TSimd, TVector, T>> job = new()
        {
            Problem = PairSetup<TSimd, TVector, T>.Create(metric, expanded, left ?? right, x.Rows, right, y.Rows, x.Columns, self),
            Sink = new(distances, metric is DistanceMetric.Cosine or DistanceMetric.Correlation && !expanded),
            Scratch = scratch.Pointer,
        };
        device.Pool.Run(PairBlocks.Count(x.Rows, y.Rows, self), ref job);
    }
}

/// <summary>Which tile kernels and which final step a metric needs.</summary>
internal static unsafe class PairSetup<TSimd, TVector, T>
    where TSimd : struct, ISimd<TVector, T>
    where TVector : struct
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    public static bool HasExpandedForm(DistanceMetric metric) =>
        metric is DistanceMetric.Euclidean or DistanceMetric.SquaredEuclidean or DistanceMetric.Cosine or DistanceMetric.Correlation;

    public static PairProblem<T> Create(DistanceMetric metric, bool expanded, PairOperand<T> left, int xRows, PairOperand<T> right, int yRows, int depth, bool self)
    {
        PairProblem<T> problem = new()
        {
            X = left.Rows, XStride = left.Stride, XRows = xRows, XNorms = left.Norms,
            Panels = right.Panels, PanelWidth = PairTile.Vectors * TSimd.Count, YRows = yRows, YNorms = right.Norms,
            Depth = depth, Self = self,
            Value = metric switch
            {
                DistanceMetric.Euclidean => PairValue.SquareRoot,
                DistanceMetric.Cosine or DistanceMetric.Correlation => PairValue.HalfOfUnit,
                DistanceMetric.Hamming => PairValue.Fraction,
                _ => PairValue.Raw,
            },
            DirectTile = &PairTile<TSimd, TVector, T, SquaredDifferenceTerm>.Run,
            DirectRow = &PairTile<TSimd, TVector, T, SquaredDifferenceTerm>.RunRow,
        };
        if (expanded) problem.Tile = &PairTile<TSimd, TVector, T, ProductTerm>.Run;
        else if (metric == DistanceMetric.Cityblock) problem.Tile = &PairTile<TSimd, TVector, T, AbsoluteDifferenceTerm>.Run;
        else if (metric == DistanceMetric.Chebyshev) problem.Tile = &PairTile<TSimd, TVector, T, LargestDifferenceTerm>.Run;
        else if (metric == DistanceMetric.Hamming) problem.Tile = &PairTile<TSimd, TVector, T, MismatchTerm>.Run;
        else problem.Tile = problem.DirectTile;
        return problem;
    }
}
