using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>All-pairs shortest paths on a neighbour graph; unreachable pairs are +infinity. Sources are independent, so any number of threads gives the same bytes.</summary>
internal static unsafe class ShortestPaths
{
    /// <summary>Hop counts by breadth-first search from 64 sources at a time, one bit each.</summary>
    public static void Hops(NeighbourGraph graph, Matrix<double> distances, CancellationToken cancellation)
    {
        HopJob job = new(graph, distances, cancellation);
        Run((graph.Count + 63) / 64, distances.Device, ref job);
    }

    /// <summary>Sums of edge lengths by Dijkstra's algorithm, one source per block.</summary>
    public static void Weighted(NeighbourGraph graph, Matrix<double> distances, CancellationToken cancellation)
    {
        WeightedJob job = new(graph, distances, cancellation);
        Run(graph.Count, distances.Device, ref job);
    }

    private static void Run<TJob>(long blocks, ComputeDevice device, ref TJob job) where TJob : struct, IBlockJob
    {
        // Graph searches run on host threads; the costs they produce are then used by device operations.
        if (device is CpuDevice cpu)
        {
            cpu.Pool.Run(blocks, ref job);
            return;
        }
        throw new DeviceException($"Shortest paths have no implementation for device '{device.Name}'.");
    }

    private readonly struct HopJob(NeighbourGraph graph, Matrix<double> distances, CancellationToken cancellation) : IBlockJob
    {
        private readonly int[] _start = graph.Start, _neighbour = graph.Neighbour;
        private readonly double* _distances = distances.Buffer.Pointer;

        public void Execute(long block, int worker)
        {
            cancellation.ThrowIfCancellationRequested();
            int n = graph.Count, first = (int)block * 64, sources = Math.Min(64, n - first);
            ulong[] visited = new ulong[n], frontier = new ulong[n], next = new ulong[n];
            for (int s = 0; s < sources; s++)
            {
                new Span<double>(_distances + (long)(first + s) * n, n).Fill(double.PositiveInfinity);
                frontier[first + s] = visited[first + s] = 1UL << s;
                _distances[(long)(first + s) * n + first + s] = 0;
            }
            for (int hops = 1; ; hops++)
            {
                bool grown = false;
                for (int v = 0; v < n; v++)
                {
                    ulong reached = 0;
                    for (int e = _start[v]; e < _start[v + 1]; e++) reached |= frontier[_neighbour[e]];
                    reached &= ~visited[v];
                    next[v] = reached;
                    grown |= reached != 0;
                    for (; reached != 0; reached &= reached - 1)
                        _distances[(long)(first + BitOperations.TrailingZeroCount(reached)) * n + v] = hops;
                }
                if (!grown) return;
                for (int v = 0; v < n; v++) visited[v] |= next[v];
                (frontier, next) = (next, frontier);
            }
        }
    }

    private readonly struct WeightedJob(NeighbourGraph graph, Matrix<double> distances, CancellationToken cancellation) : IBlockJob
    {
        private readonly int[] _start = graph.Start, _neighbour = graph.Neighbour;
        private readonly double[] _length = graph.Length;
        private readonly double* _distances = distances.Buffer.Pointer;

        public void Execute(long block, int worker)
        {
            cancellation.ThrowIfCancellationRequested();
            int n = graph.Count;
            Span<double> distance = new(_distances + block * n, n);
            distance.Fill(double.PositiveInfinity);
            distance[(int)block] = 0;
            PriorityQueue<int, double> open = new(n);
            open.Enqueue((int)block, 0);
            while (open.TryDequeue(out int at, out double reached))
            {
                if (reached > distance[at]) continue;
                for (int e = _start[at]; e < _start[at + 1]; e++)
                {
                    double candidate = reached + _length[e];
                    int to = _neighbour[e];
                    if (candidate >= distance[to]) continue;
                    distance[to] = candidate;
                    open.Enqueue(to, candidate);
                }
            }
        }
    }
}
