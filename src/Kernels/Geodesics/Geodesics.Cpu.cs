using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class Geodesics
{
    private static int CpuComponents(CompressedGraph graph)
    {
        ReadOnlySpan<int> start = graph.Start.View.Host, neighbour = graph.Neighbour.View.Host;
        bool[] seen = new bool[graph.Count];
        Stack<int> open = new();
        int components = 0;
        for (int i = 0; i < graph.Count; i++)
        {
            if (seen[i]) continue;
            components++;
            seen[i] = true;
            open.Push(i);
            while (open.TryPop(out int at))
                for (int e = start[at]; e < start[at + 1]; e++)
                    if (!seen[neighbour[e]])
                    {
                        seen[neighbour[e]] = true;
                        open.Push(neighbour[e]);
                    }
        }
        return components;
    }

    private readonly struct HopJob(CompressedGraph graph, MatrixView<double> distances, CancellationToken cancellation) : IBlockJob
    {
        private readonly int* _start = graph.Start.Pointer, _neighbour = graph.Neighbour.Pointer;
        private readonly double* _distances = distances.Pointer;
        private readonly long _stride = distances.Stride;
        private readonly int _count = graph.Count;
        private readonly CancellationToken _cancellation = cancellation;

        public void Execute(long block, int worker)
        {
            _cancellation.ThrowIfCancellationRequested();
            int n = _count, first = (int)block * 64, sources = Math.Min(64, n - first);
            ulong[] visited = new ulong[n], frontier = new ulong[n], next = new ulong[n];
            for (int s = 0; s < sources; s++)
            {
                new Span<double>(_distances + (first + s) * _stride, n).Fill(double.PositiveInfinity);
                frontier[first + s] = visited[first + s] = 1UL << s;
                _distances[(first + s) * _stride + first + s] = 0;
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
                        _distances[(first + BitOperations.TrailingZeroCount(reached)) * _stride + v] = hops;
                }
                if (!grown) return;
                for (int v = 0; v < n; v++) visited[v] |= next[v];
                (frontier, next) = (next, frontier);
            }
        }
    }
}
