using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class Geodesics
{
    private static void CpuLengths(CompressedGraph graph, MatrixView<double> distances, KernelVariant variant, CancellationToken cancellation)
    {
        CpuDevice device = Cpu(graph);
        using NearbyGraph nearby = new(graph, device);
        switch (variant)
        {
            case KernelVariant.Avx512: Lengths<Simd512<double>, Vector512<double>>(nearby, distances, device, cancellation); break;
            case KernelVariant.Avx2: Lengths<Simd256<double>, Vector256<double>>(nearby, distances, device, cancellation); break;
            default: Lengths<Simd128<double>, Vector128<double>>(nearby, distances, device, cancellation); break;
        }
    }

    private static void Lengths<TLanes, TVector>(NearbyGraph graph, MatrixView<double> distances, CpuDevice device, CancellationToken cancellation)
        where TLanes : struct, ISimd<TVector, double> where TVector : struct
    {
        int sources = LengthJob<TLanes, TVector>.Sources, blocks = (graph.Count + sources - 1) / sources;
        using DeviceBuffer<double> scratch = device.Allocate<double>(device.Pool.Threads * LengthJob<TLanes, TVector>.ScratchPerWorker(graph.Count));
        LengthJob<TLanes, TVector> job = new(graph, distances, scratch.Pointer, cancellation);
        device.Pool.Run(blocks, ref job);
    }

    /// <summary>
    /// Dijkstra's algorithm from four vectors of sources at once, one to a lane. Vertices wait with the least of the labels that were lowered since they were last taken. That
    /// label is final when the vertex is taken, as in Dijkstra's algorithm, so no vertex is taken more often than there are sources; it is taken about once where the sources lie
    /// side by side, since their labels then become final together.
    /// </summary>
    /// <remarks>
    /// Rounded addition of a length that is not negative neither lowers a label nor changes the order of two labels, so the labels end as the least of the sums along all paths,
    /// each added from the source on: the very bits of Dijkstra's algorithm, whatever the order of the work.
    /// </remarks>
    private readonly struct LengthJob<TLanes, TVector>(NearbyGraph graph, MatrixView<double> distances, double* scratch, CancellationToken cancellation) : IBlockJob
        where TLanes : struct, ISimd<TVector, double> where TVector : struct
    {
        private readonly int* _start = graph.Start, _neighbour = graph.Neighbour, _vertex = graph.Vertex, _rank = graph.Rank;
        private readonly double* _length = graph.Length, _distances = distances.Pointer;
        private readonly long _stride = distances.Stride;
        private readonly int _count = graph.Count;

        public static int Sources => 4 * TLanes.Count;

        /// <summary>A label for every source and the queue's 16 bytes, for every vertex.</summary>
        public static long ScratchPerWorker(int vertices) => (Sources + 2L) * vertices;

        public void Execute(long block, int worker)
        {
            cancellation.ThrowIfCancellationRequested();
            int first = (int)block * Sources, sources = Math.Min(Sources, _count - first);
            double* labels = scratch + worker * ScratchPerWorker(_count);
            VertexQueue queue = new(labels + (long)Sources * _count, _count);
            new Span<double>(labels, Sources * _count).Fill(double.PositiveInfinity);
            for (int s = 0; s < sources; s++)
            {
                labels[(long)(first + s) * Sources + s] = 0;
                queue.Lower(first + s, 0);
            }
            while (queue.Count > 0) Relax(labels, queue.TakeFirst(), ref queue);
            for (int vertex = 0; vertex < _count; vertex++)
            {
                double* found = labels + (long)_rank[vertex] * Sources;
                for (int s = 0; s < sources; s++) _distances[_vertex[first + s] * _stride + vertex] = found[s];
            }
        }

        /// <summary>Offers the labels of a vertex, longer by the edge, to its neighbours.</summary>
        private void Relax(double* labels, int vertex, ref VertexQueue queue)
        {
            int w = TLanes.Count, every = (1 << w) - 1, end = _start[vertex + 1];
            double* from = labels + (long)vertex * Sources;
            TVector d0 = TLanes.Load(from), d1 = TLanes.Load(from + w), d2 = TLanes.Load(from + 2 * w), d3 = TLanes.Load(from + 3 * w), infinity = TLanes.Broadcast(double.PositiveInfinity);
            for (int e = _start[vertex]; e < end; e++)
            {
                TVector length = TLanes.Broadcast(_length[e]);
                double* to = labels + (long)_neighbour[e] * Sources;
                TVector old0 = TLanes.Load(to), old1 = TLanes.Load(to + w), old2 = TLanes.Load(to + 2 * w), old3 = TLanes.Load(to + 3 * w);
                TVector new0 = TLanes.Add(d0, length), new1 = TLanes.Add(d1, length), new2 = TLanes.Add(d2, length), new3 = TLanes.Add(d3, length);
                TVector kept0 = TLanes.LessOrEqual(old0, new0), kept1 = TLanes.LessOrEqual(old1, new1), kept2 = TLanes.LessOrEqual(old2, new2), kept3 = TLanes.LessOrEqual(old3, new3);
                if (TLanes.Bits(TLanes.And(TLanes.And(kept0, kept1), TLanes.And(kept2, kept3))) == every) continue;
                TLanes.Store(to, TLanes.MinOrSecond(new0, old0));
                TLanes.Store(to + w, TLanes.MinOrSecond(new1, old1));
                TLanes.Store(to + 2 * w, TLanes.MinOrSecond(new2, old2));
                TLanes.Store(to + 3 * w, TLanes.MinOrSecond(new3, old3));
                TVector lowered = TLanes.MinOrSecond(
                    TLanes.MinOrSecond(TLanes.Select(kept0, infinity, new0), TLanes.Select(kept1, infinity, new1)),
                    TLanes.MinOrSecond(TLanes.Select(kept2, infinity, new2), TLanes.Select(kept3, infinity, new3)));
                queue.Lower(_neighbour[e], -TLanes.MaxAcross(TLanes.Subtract(TLanes.Zero, lowered)));
            }
        }
    }
}
