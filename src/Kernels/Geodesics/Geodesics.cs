using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// All-pairs shortest paths on an undirected graph; pairs that no path joins are at +infinity. Any number of threads gives the same bytes.
/// </summary>
/// <remarks>
/// Hops are found by breadth-first search from 64 sources at a time, one bit each. Lengths are found on the host by Dijkstra's algorithm from several sources side by side, and are
/// the bits of Dijkstra's algorithm from each; on a GPU by Floyd and Warshall's recursion on tiles, the same but for the order in which the edges of a path are added.
/// </remarks>
public static unsafe partial class Geodesics
{
    /// <summary>Number of edges on the shortest path of every pair.</summary>
    /// <param name="graph">n vertices.</param>
    /// <param name="distances">[n, n], receives the counts.</param>
    /// <param name="cancellation">Stops the search.</param>
    public static void Hops(CompressedGraph graph, MatrixView<double> distances, CancellationToken cancellation = default)
    {
        Check(graph, distances);
        if (graph.Device is CudaDevice gpu) CudaHops(gpu, graph, distances, cancellation);
        else if (KernelDispatch.Select(nameof(Geodesics)) == KernelVariant.Reference) Reference(graph, distances, hops: true);
        else
        {
            HopJob job = new(graph, distances, cancellation);
            Cpu(graph).Pool.Run((graph.Count + 63) / 64, ref job);
        }
    }

    /// <summary>Length of the shortest path of every pair.</summary>
    /// <param name="graph">n vertices; no edge has a negative length.</param>
    /// <param name="distances">[n, n], receives the lengths.</param>
    /// <param name="cancellation">Stops the search.</param>
    public static void Lengths(CompressedGraph graph, MatrixView<double> distances, CancellationToken cancellation = default)
    {
        Check(graph, distances);
        if (graph.Device is CudaDevice gpu) CudaLengths(gpu, graph, distances, cancellation);
        else if (KernelDispatch.Select(nameof(Geodesics)) is not KernelVariant.Reference and KernelVariant variant) CpuLengths(graph, distances, variant, cancellation);
        else Reference(graph, distances, hops: false);
    }

    /// <summary>Number of connected components.</summary>
    public static int CountComponents(CompressedGraph graph) => graph.Device is CudaDevice gpu ? CudaComponents(gpu, graph) : CpuComponents(graph);

    private static void Check(CompressedGraph graph, MatrixView<double> distances)
    {
        if (distances.Rows != graph.Count || distances.Columns != graph.Count)
            throw new ArgumentException($"A graph of {graph.Count} vertices has no {distances.Rows} x {distances.Columns} distances.", nameof(distances));
        if (!ReferenceEquals(distances.Device, graph.Device)) throw new ArgumentException("The graph and the distances lie on different devices.", nameof(distances));
    }

    private static CpuDevice Cpu(CompressedGraph graph) =>
        graph.Device as CpuDevice ?? throw new DeviceException($"Shortest paths have no implementation for device '{graph.Device.Name}'.");
}
