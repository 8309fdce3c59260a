using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>A copy of a graph in host memory with its vertices in the order in which Prim's algorithm reaches them, so that vertices near each other have numbers near each other.</summary>
internal sealed unsafe class NearbyGraph : IDisposable
{
    private readonly DeviceBuffer<int> _start, _neighbour, _vertex, _rank;
    private readonly DeviceBuffer<double> _length;

    public NearbyGraph(CompressedGraph graph, CpuDevice device)
    {
        int n = Count = graph.Count;
        _vertex = device.Allocate<int>(n);
        _rank = device.Allocate<int>(n);
        _start = device.Allocate<int>(n + 1);
        _neighbour = device.Allocate<int>(graph.Neighbour.Length);
        _length = device.Allocate<double>(graph.Length.Length);
        SetOrder(graph, device);
        int edges = 0;
        for (int rank = 0; rank < n; rank++)
        {
            int vertex = Vertex[rank];
            Start[rank] = edges;
            for (int e = graph.Start.Pointer[vertex]; e < graph.Start.Pointer[vertex + 1]; e++, edges++)
            {
                Neighbour[edges] = Rank[graph.Neighbour.Pointer[e]];
                Length[edges] = graph.Length.Pointer[e];
            }
        }
        Start[n] = edges;
    }

    /// <summary>Number of vertices.</summary>
    public int Count { get; }

    /// <summary>The vertex of the graph behind every number of the copy, and the reverse.</summary>
    public int* Vertex => _vertex.Pointer;
    public int* Rank => _rank.Pointer;

    public int* Start => _start.Pointer;
    public int* Neighbour => _neighbour.Pointer;
    public double* Length => _length.Pointer;

    public void Dispose()
    {
        _start.Dispose();
        _neighbour.Dispose();
        _vertex.Dispose();
        _rank.Dispose();
        _length.Dispose();
    }

    /// <summary>Always the vertex with the shortest edge to those that have a number; where none has an edge to them, the first without a number.</summary>
    private void SetOrder(CompressedGraph graph, CpuDevice device)
    {
        int* start = graph.Start.Pointer, neighbour = graph.Neighbour.Pointer;
        double* length = graph.Length.Pointer;
        using DeviceBuffer<double> memory = device.Allocate<double>(2L * Count);
        VertexQueue queue = new(memory.Pointer, Count);
        new Span<int>(Rank, Count).Fill(-1);
        int taken = 0;
        for (int root = 0; root < Count; root++)
        {
            if (Rank[root] >= 0) continue;
            queue.Lower(root, 0);
            while (queue.Count > 0)
            {
                int vertex = queue.TakeFirst();
                Vertex[taken] = vertex;
                Rank[vertex] = taken++;
                for (int e = start[vertex]; e < start[vertex + 1]; e++)
                    if (Rank[neighbour[e]] < 0) queue.Lower(neighbour[e], length[e]);
            }
        }
    }
}
