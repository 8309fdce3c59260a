using BioSup.Runtime;

namespace BioSup.Kernels;

public static partial class KNearestNeighbours
{
    private const string CudaSource = "cuda/kernels/k_nearest_neighbours/k_nearest_neighbours_any.cu";

    /// <summary>More neighbours than a list has places are found in passes: each takes the pairs behind the last of the pass before.</summary>
    private static void SearchCuda<T>(CudaDevice device, DistanceMetric metric, MatrixView<T> queries, MatrixView<T> points, MatrixView<int> indices, MatrixView<T> distances, bool self)
        where T : unmanaged
    {
        PairConfig pairs = PairConfig.For<T>(metric, DistanceForm.Expanded);
        using CudaPairOperand<T> right = new(device, points, metric, pairs);
        using CudaPairOperand<T>? left = self ? null : new(device, queries, metric, pairs);
        PairArguments arguments = PairArguments.Of(left ?? right, right, queries.Rows, points.Rows, queries.Columns, self);
        for (int first = 0; first < indices.Columns; first += NeighbourConfig.MaxPlaces)
        {
            int count = Math.Min(NeighbourConfig.MaxPlaces, indices.Columns - first);
            DevicePointer afterDistances = first == 0 ? DevicePointer.Null : distances.ColumnBlock(first - 1, 1).Address;
            DevicePointer afterIndices = first == 0 ? DevicePointer.Null : indices.ColumnBlock(first - 1, 1).Address;
            Pass(device, pairs, arguments, afterDistances, distances.Stride, afterIndices, indices.Stride, distances.ColumnBlock(first, count), indices.ColumnBlock(first, count));
        }
    }

    private static void Pass<T>(CudaDevice device, PairConfig pairs, PairArguments arguments, DevicePointer afterDistances, long afterStride, DevicePointer afterIndices, long afterIndexStride,
        MatrixView<T> distances, MatrixView<int> indices)
        where T : unmanaged
    {
        int count = indices.Columns, places = NeighbourConfig.PlacesFor(count);
        JitRequest request = pairs.Request(CudaSource, $" BS_K={places}");
        CudaKernel search = DeviceKernels.Get(device, request, "bs_k_nearest_neighbours");
        int sharedBytes = NeighbourConfig.SharedBytes(pairs, places);
        int wave = device.Info.Multiprocessors * Math.Max(1, search.BlocksPerMultiprocessor(PairConfig.Threads, sharedBytes));
        NeighbourConfig config = NeighbourConfig.For(arguments.XRows, arguments.YRows, places, wave);
        DeviceKernels.Report(device, nameof(KNearestNeighbours), (pairs, config));
        LaunchShape shape = new(new Extent(PairConfig.Tiles(arguments.XRows), config.Parts), PairConfig.Threads, sharedBytes);
        if (config.Parts == 1)
        {
            search.Launch(device.Stream, shape, arguments, config.TilesPerPart, count, afterDistances, afterStride, afterIndices, afterIndexStride,
                distances.Address, distances.Stride, indices.Address, indices.Stride);
            return;
        }
        long pairsOfAllParts = (long)config.Parts * arguments.XRows * count;
        using DeviceBuffer<T> partDistances = device.Allocate<T>(pairsOfAllParts);
        using DeviceBuffer<int> partIndices = device.Allocate<int>(pairsOfAllParts);
        search.Launch(device.Stream, shape, arguments, config.TilesPerPart, count, afterDistances, afterStride, afterIndices, afterIndexStride,
            partDistances.View.Address, (long)count, partIndices.View.Address, (long)count);
        DeviceKernels.Get(device, request, "bs_k_nearest_neighbours_merge").Launch(device.Stream, LaunchShape.For(32L * arguments.XRows, 256), arguments.XRows, config.Parts, count,
            partDistances.View.Address, partIndices.View.Address, distances.Address, distances.Stride, indices.Address, indices.Stride);
    }
}

/// <summary>How a neighbour search is cut up. Its result does not depend on this.</summary>
/// <param name="Places">Places of a list in shared memory.</param>
/// <param name="Parts">Blocks that share the points of one tile of queries.</param>
/// <param name="TilesPerPart">Tiles of points that a block passes over.</param>
internal readonly record struct NeighbourConfig(int Places, int Parts, int TilesPerPart)
{
    public const int MaxPlaces = 64;

    /// <summary>A list fills with the first points it meets: parts of fewer tiles would mostly insert.</summary>
    private const int FewestTiles = 8;

    public static int PlacesFor(int count) => count <= 16 ? 16 : count <= 32 ? 32 : MaxPlaces;

    public static int SharedBytes(PairConfig pairs, int places) => pairs.SharedBytes + PairConfig.Tile * places * (pairs.ElementBytes + sizeof(int));

    /// <param name="queries">Rows that look for neighbours.</param>
    /// <param name="points">Rows that may be neighbours.</param>
    /// <param name="places">Places of a list.</param>
    /// <param name="wave">Blocks that the device holds at a time.</param>
    public static NeighbourConfig For(int queries, int points, int places, int wave)
    {
        int down = PairConfig.Tiles(queries), across = PairConfig.Tiles(points);
        int parts = Math.Clamp(wave / down, 1, Math.Max(1, across / FewestTiles));
        int tilesPerPart = (across + parts - 1) / parts;
        return new(places, (across + tilesPerPart - 1) / tilesPerPart, tilesPerPart);
    }
}
