using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class Geodesics
{
    private const int CudaTile = 64, CudaTileThreads = 16;

    /// <summary>Words of 64 sources searched at a time: three arrays of them and the vertices are in memory.</summary>
    private const int MostWords = 512;
    private static readonly JitRequest s_cudaModule = new("cuda/kernels/geodesics/geodesics_any.cu");

    private static CudaKernel CudaEntry(CudaDevice gpu, string name) => DeviceKernels.Get(gpu, s_cudaModule, name);

    private static void CudaStart(CudaDevice gpu, CompressedGraph graph, MatrixView<double> distances, bool withLengths) =>
        CudaEntry(gpu, "bs_geodesics_start").Launch(gpu.Stream, new LaunchShape(graph.Count, 256), graph.Start.View.Address, graph.Neighbour.View.Address,
            withLengths ? graph.Length.View.Address : DevicePointer.Null, graph.Count, distances.Address, distances.Stride);

    private static void CudaHops(CudaDevice gpu, CompressedGraph graph, MatrixView<double> distances, CancellationToken cancellation)
    {
        int n = graph.Count, words = Math.Min(MostWords, (n + 63) / 64), threads = 32;
        while (threads < 128 && threads < words) threads *= 2;
        LaunchShape shape = new(n, threads);
        DeviceKernels.Report(gpu, nameof(Geodesics), $"hops, {words} words of 64 sources at a time, {shape.Grid} x {shape.Block} threads");
        CudaStart(gpu, graph, distances, withLengths: false);
        using DeviceBuffer<ulong> visited = gpu.Allocate<ulong>((long)n * words), one = gpu.Allocate<ulong>((long)n * words), other = gpu.Allocate<ulong>((long)n * words);
        using DeviceBuffer<int> grown = gpu.Allocate<int>(1);
        CudaKernel sources = CudaEntry(gpu, "bs_geodesics_sources"), level = CudaEntry(gpu, "bs_geodesics_level");
        for (int first = 0; first < n; first += 64 * words)
        {
            (DeviceBuffer<ulong> frontier, DeviceBuffer<ulong> next) = (one, other);
            sources.Launch(gpu.Stream, shape, first, words, visited.View.Address, frontier.View.Address);
            int any = 1;
            for (int hops = 1; any != 0; hops++)
            {
                cancellation.ThrowIfCancellationRequested();
                grown.Clear();
                level.Launch(gpu.Stream, shape, graph.Start.View.Address, graph.Neighbour.View.Address, first, words, hops, frontier.View.Address, next.View.Address, visited.View.Address,
                    distances.Address, distances.Stride, grown.View.Address);
                grown.CopyTo(new Span<int>(ref any));
                (frontier, next) = (next, frontier);
            }
        }
    }

    private static void CudaLengths(CudaDevice gpu, CompressedGraph graph, MatrixView<double> distances, CancellationToken cancellation)
    {
        int n = graph.Count, tiles = (n + CudaTile - 1) / CudaTile;
        Extent threads = new(CudaTileThreads, CudaTileThreads);
        DeviceKernels.Report(gpu, nameof(Geodesics), $"lengths, {tiles} steps of tiles {CudaTile}x{CudaTile}, {threads} threads");
        CudaStart(gpu, graph, distances, withLengths: true);
        CudaKernel diagonal = CudaEntry(gpu, "bs_geodesics_diagonal"), cross = CudaEntry(gpu, "bs_geodesics_cross"), rest = CudaEntry(gpu, "bs_geodesics_rest");
        for (int first = 0; first < n; first += CudaTile)
        {
            cancellation.ThrowIfCancellationRequested();
            diagonal.Launch(gpu.Stream, new LaunchShape(1, threads), distances.Address, distances.Stride, n, first);
            if (tiles == 1) return;
            cross.Launch(gpu.Stream, new LaunchShape(new Extent(tiles, 2), threads), distances.Address, distances.Stride, n, first);
            rest.Launch(gpu.Stream, new LaunchShape(new Extent(tiles, tiles), threads), distances.Address, distances.Stride, n, first);
        }
    }

    private static int CudaComponents(CudaDevice gpu, CompressedGraph graph)
    {
        int n = graph.Count;
        LaunchShape shape = LaunchShape.For(n, 256);
        using DeviceBuffer<int> labels = gpu.Allocate<int>(n), changed = gpu.Allocate<int>(1);
        CudaEntry(gpu, "bs_geodesics_own_labels").Launch(gpu.Stream, shape, n, labels.View.Address);
        CudaKernel lower = CudaEntry(gpu, "bs_geodesics_labels");
        for (int any = 1; any != 0;)
        {
            changed.Clear();
            lower.Launch(gpu.Stream, shape, graph.Start.View.Address, graph.Neighbour.View.Address, n, labels.View.Address, changed.View.Address);
            changed.CopyTo(new Span<int>(ref any));
        }
        int[] least = new int[n];
        labels.CopyTo(least);
        int components = 0;
        for (int v = 0; v < n; v++) components += least[v] == v ? 1 : 0;
        return components;
    }
}
