using BioSup.Runtime;

namespace BioSup.Kernels;

public static partial class KNearestNeighbours
{
    private const string CudaSource = "cuda/kernels/k_nearest_neighbours/k_nearest_neighbours_any.cu";

    /// <summary>More neighbours than a list has places are found in passes: each takes the pairs behind the last of the pass before.</summary>
    private static void SearchCuda<T>(CudaDevice device, DistanceMetric metric, MatrixView<T> queries, MatrixView<T> points, MatrixView<int> indices, MatrixView<T> distances, GemmPrecision precision, bool self)
        where T : unmanaged
    {
        int places = NeighbourConfig.PlacesFor(Math.Min(indices.Columns, NeighbourConfig.MaxPlaces));
        PairConfig pairs = PairConfig.For<T>(metric, DistanceForm.Expanded, precision, queries.Columns)
            .Fit(device.Info, queries.Rows, points.Rows, large => NeighbourConfig.SharedBytes(large, places));
        using CudaPairOperand<T> right = new(device, points, metric, pairs);
        using CudaPairOperand<T>? left = self ? null : new(device, queries, metric, pairs);
        PairArguments problem = PairArguments.Of(left ?? right, right, queries.Rows, points.Rows, queries.Columns, self);
        NeighbourTuning.Class shapes = NeighbourTuning.Class.Of(device, pairs, places, problem);
        NeighbourVariant variant = NeighbourTuning.Find(device, shapes, problem) ?? Tune(device, shapes, problem, distances, indices);
        for (int first = 0; first < indices.Columns; first += NeighbourConfig.MaxPlaces)
        {
            int count = Math.Min(NeighbourConfig.MaxPlaces, indices.Columns - first);
            NeighbourPass pass = new()
            {
                Count = count, Places = NeighbourConfig.PlacesFor(count), Pairs = pairs, Problem = problem,
                AfterDistances = first == 0 ? DevicePointer.Null : distances.ColumnBlock(first - 1, 1).Address, AfterStride = distances.Stride,
                AfterIndices = first == 0 ? DevicePointer.Null : indices.ColumnBlock(first - 1, 1).Address, AfterIndexStride = indices.Stride,
            };
            Run(device, variant, pass, distances.ColumnBlock(first, count), indices.ColumnBlock(first, count));
        }
    }

    /// <summary>Times both variants on the first queries, whose answers are overwritten by the same ones afterwards.</summary>
    private static NeighbourVariant Tune<T>(CudaDevice device, NeighbourTuning.Class shapes, PairArguments problem, MatrixView<T> distances, MatrixView<int> indices) where T : unmanaged
    {
        int rows = Math.Min(problem.XRows, NeighbourTuning.SampleRows), count = Math.Min(indices.Columns, shapes.Places);
        problem.XRows = rows;
        // Every pair of the sample is computed, where the split form of a whole set computes each once: its time here is not flattered.
        NeighbourPass pass = new() { Count = count, Places = shapes.Places, Pairs = shapes.Pairs, Problem = problem };
        MatrixView<T> someDistances = distances.RowBlock(0, rows).ColumnBlock(0, count);
        MatrixView<int> someIndices = indices.RowBlock(0, rows).ColumnBlock(0, count);
        using CudaEvent start = new(device, timing: true), end = new(device, timing: true);
        Span<double> times = stackalloc double[2];
        foreach (NeighbourVariant variant in (ReadOnlySpan<NeighbourVariant>)[NeighbourVariant.Fused, NeighbourVariant.Split])
        {
            Run(device, variant, pass, someDistances, someIndices);
            start.Record(device.Stream);
            Run(device, variant, pass, someDistances, someIndices);
            end.Record(device.Stream);
            end.Synchronize();
            times[(int)variant] = end.MillisecondsSince(start);
        }
        return NeighbourTuning.Remember(device, shapes, times[0], times[1]);
    }

    private static void Run<T>(CudaDevice device, NeighbourVariant variant, in NeighbourPass pass, MatrixView<T> distances, MatrixView<int> indices) where T : unmanaged
    {
        if (variant == NeighbourVariant.Fused) Fused(device, pass, distances, indices);
        else Split(device, pass, distances, indices);
    }

    private static void Fused<T>(CudaDevice device, in NeighbourPass pass, MatrixView<T> distances, MatrixView<int> indices) where T : unmanaged
    {
        PairArguments problem = pass.Problem;
        JitRequest request = pass.Request;
        CudaKernel search = DeviceKernels.Get(device, request, "bs_k_nearest_neighbours");
        int sharedBytes = NeighbourConfig.SharedBytes(pass.Pairs, pass.Places);
        int wave = device.Info.Multiprocessors * Math.Max(1, search.BlocksPerMultiprocessor(pass.Pairs.Threads, sharedBytes));
        NeighbourConfig config = NeighbourConfig.For(pass.Pairs, problem.XRows, problem.YRows, pass.Places, wave);
        DeviceKernels.Report(device, nameof(KNearestNeighbours), (NeighbourVariant.Fused, pass.Pairs, config));
        LaunchShape shape = new(new Extent(pass.Pairs.Tiles(problem.XRows), config.Parts), pass.Pairs.Threads, sharedBytes);
        if (config.Parts == 1)
        {
            search.Launch(device.Stream, shape, problem, config.TilesPerPart, pass.Count, pass.AfterDistances, pass.AfterStride, pass.AfterIndices, pass.AfterIndexStride,
                distances.Address, distances.Stride, indices.Address, indices.Stride);
            return;
        }
        long pairsOfAllParts = (long)config.Parts * problem.XRows * pass.Count;
        using DeviceBuffer<T> partDistances = device.Allocate<T>(pairsOfAllParts);
        using DeviceBuffer<int> partIndices = device.Allocate<int>(pairsOfAllParts);
        search.Launch(device.Stream, shape, problem, config.TilesPerPart, pass.Count, pass.AfterDistances, pass.AfterStride, pass.AfterIndices, pass.AfterIndexStride,
            partDistances.View.Address, (long)pass.Count, partIndices.View.Address, (long)pass.Count);
        DeviceKernels.Get(device, request, "bs_k_nearest_neighbours_merge").Launch(device.Stream, LaunchShape.For(32L * problem.XRows, 256), problem.XRows, config.Parts, pass.Count,
            partDistances.View.Address, partIndices.View.Address, distances.Address, distances.Stride, indices.Address, indices.Stride);
    }

    /// <summary>
    /// Blocks of distances, one after the other in the same memory. Within one set a block above the diagonal serves its columns too, through its transpose.
    /// The lists go on from block to block in the result.
    /// </summary>
    private static void Split<T>(CudaDevice device, in NeighbourPass pass, MatrixView<T> distances, MatrixView<int> indices) where T : unmanaged
    {
        PairArguments problem = pass.Problem;
        // A sample of the queries has no block below the diagonal to leave out.
        bool self = problem.Self != 0, half = self && problem.XRows == problem.YRows;
        (int blockQueries, int blockPoints) = NeighbourTuning.Block;
        int rows = Math.Min(problem.XRows, blockQueries), columns = half ? rows : Math.Min(problem.YRows, blockPoints);
        DeviceKernels.Report(device, nameof(KNearestNeighbours), (NeighbourVariant.Split, pass.Pairs, pass.Places, $"blocks of {rows}x{columns}"));
        using DeviceBuffer<T> block = device.Allocate<T>((long)rows * columns);
        using DeviceBuffer<T>? transposed = half && rows < problem.XRows ? device.Allocate<T>((long)rows * columns) : null;
        CudaKernel select = DeviceKernels.Get(device, pass.Request, "bs_k_nearest_neighbours_select");
        for (int i = 0; i < problem.XRows; i += rows)
            for (int j = half ? i : 0; j < problem.YRows; j += columns)
            {
                int down = Math.Min(rows, problem.XRows - i), across = Math.Min(columns, problem.YRows - j);
                bool diagonal = half && i == j;
                DevicePointer mirror = diagonal ? block.View.Address : half ? transposed!.View.Address : DevicePointer.Null;
                PairwiseDistance.Launch(device, pass.Pairs, problem.Block(i, down, j, across, diagonal, pass.Pairs.ElementBytes), block.View.Address, columns, mirror, diagonal ? columns : rows);
                Select(select, device, pass, block, columns, down, across, i, j, fresh: j == 0, distances, indices);
                if (half && !diagonal) Select(select, device, pass, transposed!, rows, across, down, j, i, fresh: i == 0, distances, indices);
            }
    }

    private static void Select<T>(CudaKernel kernel, CudaDevice device, in NeighbourPass pass, DeviceBuffer<T> block, long stride, int rows, int columns, int firstQuery, int firstPoint, bool fresh,
        MatrixView<T> distances, MatrixView<int> indices)
        where T : unmanaged =>
        kernel.Launch(device.Stream, LaunchShape.For(32L * rows, 256), block.View.Address, stride, new SelectedBlock(rows, columns, firstQuery, firstPoint, pass.Problem.Self, fresh ? 1 : 0), pass.Count,
            pass.AfterDistances, pass.AfterStride, pass.AfterIndices, pass.AfterIndexStride, distances.Address, distances.Stride, indices.Address, indices.Stride);

    /// <summary>bs::SelectedBlock, as the kernel takes it.</summary>
    private readonly record struct SelectedBlock(int Rows, int Columns, int FirstQuery, int FirstPoint, int Self, int Fresh);

    /// <summary>What both variants need for up to 64 neighbours.</summary>
    private readonly struct NeighbourPass
    {
        public required PairConfig Pairs { get; init; }
        public required PairArguments Problem { get; init; }
        public required int Count { get; init; }
        public required int Places { get; init; }
        public DevicePointer AfterDistances { get; init; }
        public long AfterStride { get; init; }
        public DevicePointer AfterIndices { get; init; }
        public long AfterIndexStride { get; init; }

        public JitRequest Request => Pairs.Request(CudaSource, $" BS_K={Places}");
    }
}
