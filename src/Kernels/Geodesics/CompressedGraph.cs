using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>An undirected graph in compressed rows in the memory of a device: edges start[v] ... start[v + 1] - 1 belong to v, and every edge is named by both its ends.</summary>
public sealed class CompressedGraph : IDisposable
{
    /// <param name="device">Where the graph will be searched.</param>
    /// <param name="start">First edge of every vertex, and the number of edges: one more than there are vertices.</param>
    /// <param name="neighbour">The other end of every edge.</param>
    /// <param name="length">Length of every edge, not negative.</param>
    /// <exception cref="ArgumentException">The arrays do not fit together.</exception>
    public CompressedGraph(ComputeDevice device, ReadOnlySpan<int> start, ReadOnlySpan<int> neighbour, ReadOnlySpan<double> length)
    {
        if (start.Length == 0 || start[0] != 0 || start[^1] != neighbour.Length || length.Length != neighbour.Length)
            throw new ArgumentException($"{start.Length} row starts, {neighbour.Length} neighbours and {length.Length} lengths make no graph.", nameof(start));
        Device = device;
        Count = start.Length - 1;
        Start = device.Allocate<int>(start.Length);
        Neighbour = device.Allocate<int>(neighbour.Length);
        Length = device.Allocate<double>(length.Length);
        Start.CopyFrom(start);
        Neighbour.CopyFrom(neighbour);
        Length.CopyFrom(length);
    }

    public ComputeDevice Device { get; }

    /// <summary>Number of vertices.</summary>
    public int Count { get; }

    internal DeviceBuffer<int> Start { get; }
    internal DeviceBuffer<int> Neighbour { get; }
    internal DeviceBuffer<double> Length { get; }

    public void Dispose()
    {
        Start.Dispose();
        Neighbour.Dispose();
        Length.Dispose();
    }
}
