using System.Numerics;
using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class KNearestNeighbours
{
    /// <summary>The variants, best first, are those of <see cref="PairwiseDistance"/>: the same tiles with another end.</summary>
    private static void SearchCpu<T>(CpuDevice device, DistanceMetric metric, MatrixView<T> queries, MatrixView<T> points, MatrixView<int> indices, MatrixView<T> distances, bool self)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        switch (KernelDispatch.Select(nameof(KNearestNeighbours)))
        {
            case KernelVariant.Avx512:
                SearchSimd<Simd512<T>, Vector512<T>, T>(device, metric, queries, points, indices, distances, self);
                break;
            case KernelVariant.Avx2:
                SearchSimd<Simd256<T>, Vector256<T>, T>(device, metric, queries, points, indices, distances, self);
                break;
            case KernelVariant.Portable:
                SearchSimd<Simd128<T>, Vector128<T>, T>(device, metric, queries, points, indices, distances, self);
                break;
            default:
                SearchReference(metric, queries, points, indices, distances, self);
                break;
        }
    }

    private static void SearchSimd<TSimd, TVector, T>(CpuDevice device, DistanceMetric metric, MatrixView<T> queries, MatrixView<T> points, MatrixView<int> indices, MatrixView<T> distances, bool self)
        where TSimd : struct, ISimd<TVector, T>
        where TVector : struct
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        bool expanded = PairSetup<TSimd, TVector, T>.HasExpandedForm(metric);
        using PairOperand<T> right = new(device, points, metric, expanded, PairTile.Vectors * TSimd.Count);
        using PairOperand<T>? left = self ? null : new(device, queries, metric, expanded, panelWidth: 0);
        PairProblem<T> problem = PairSetup<TSimd, TVector, T>.Create(metric, expanded, left ?? right, queries.Rows, right, points.Rows, points.Columns, self);
        int paddedQueries = Padded(queries.Rows), paddedPoints = Padded(points.Rows), count = indices.Columns;
        using AlignedBuffer<T> scratch = new(device, (long)device.Pool.Threads * PairBlocks.ScratchElements);
        using AlignedBuffer<T> limits = new(device, paddedQueries), xLower = new(device, paddedQueries), yLower = new(device, self ? 0 : paddedPoints);
        using AlignedBuffer<int> locks = new(device, queries.Rows);

        Span<T> limit = limits.Span;
        limit[..queries.Rows].Fill(T.PositiveInfinity);
        limit[queries.Rows..].Fill(T.NegativeInfinity);
        if (expanded)
        {
            Lower(problem.XNorms, queries.Rows, problem.ErrorBound, xLower.Span);
            if (!self) Lower(problem.YNorms, points.Rows, problem.ErrorBound, yLower.Span);
        }
        for (int i = 0; i < queries.Rows; i++) NeighbourHeap<T>.Clear(distances.Pointer + i * distances.Stride, indices.Pointer + i * indices.Stride, count);

        PairBlockJob<TSimd, TVector, T, NeighbourSink<TSimd, TVector, T>> search = new()
        {
            Problem = problem,
            Scratch = scratch.Pointer,
            Sink = new()
            {
                Distances = distances.Pointer, DistancesStride = distances.Stride, Indices = indices.Pointer, IndicesStride = indices.Stride, Count = count,
                Limits = limits.Pointer, XLower = xLower.Pointer, YLower = self ? xLower.Pointer : yLower.Pointer, Locks = locks.Pointer,
                Slack = T.CreateChecked(1 + 4 * problem.ErrorBound), Underflow = T.Epsilon * T.CreateChecked(2L * problem.Depth + 16),
            },
        };
        device.Pool.Run(PairBlocks.Count(queries.Rows, points.Rows, self), ref search);

        NeighbourSortJob<T> sort = new()
        {
            Distances = distances.Pointer, DistancesStride = distances.Stride, Indices = indices.Pointer, IndicesStride = indices.Stride, Rows = queries.Rows, Count = count,
        };
        device.Pool.Run((queries.Rows + NeighbourSortJob<T>.BlockRows - 1) / NeighbourSortJob<T>.BlockRows, ref sort);
    }

    private static int Padded(int rows) => checked((rows + PairBlocks.Size - 1) / PairBlocks.Size * PairBlocks.Size);

    private static void Lower<T>(T* norms, int rows, double errorBound, Span<T> lower) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T factor = T.CreateChecked(1 - errorBound);
        for (int i = 0; i < rows; i++) lower[i] = norms[i] * factor;
        lower[rows..].Fill(T.PositiveInfinity);
    }
}
