using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>A whole pass over the kept strips: every block, then the sum of the blocks' columns.</summary>
internal static unsafe class ScalingPass<TLanes, TVector, T, TStore>
    where TLanes : struct, ISimd<TVector, T> where TVector : unmanaged where T : unmanaged, IFloatingPointIeee754<T> where TStore : unmanaged
{
    private const int ReduceColumns = 2048;

    /// <summary>u from the workspace's v as the mode says, then ColumnSums = K^T u.</summary>
    public static void Run(SinkhornWorkspace<T> w, T* u, PassMode mode)
    {
        SinkhornPointers<T> pointers = new(w);
        int threads = Math.Min(w.Device.Pool.Threads, w.Blocks);
        w.Pass++;
        IterateJob<TLanes, TVector, T, TStore> job = new()
        {
            W = pointers, U = u, V = w.V, Mode = mode, Pass = w.Pass, Threads = w.Device.Pool.Threads, Backward = (w.Pass - w.FirstPass & 1) != 0,
        };
        w.Device.Pool.Run(threads, ref job);
        ReduceJob reduce = new() { W = pointers, ColumnSums = w.ColumnSums, Blocks = w.Blocks };
        int columns = w.Strips * SinkhornWorkspace<T>.StripWidth;
        w.Device.Pool.Run((columns + ReduceColumns - 1) / ReduceColumns, ref reduce);
    }

    /// <summary>Adds the blocks' column sums in block order.</summary>
    private struct ReduceJob : IBlockJob
    {
        public SinkhornPointers<T> W;
        public T* ColumnSums;
        public int Blocks;

        public readonly void Execute(long block, int worker)
        {
            int width = SinkhornWorkspace<T>.StripWidth, columns = W.Strips * width;
            int start = (int)block * ReduceColumns, end = Math.Min(start + ReduceColumns, columns);
            new Span<T>(ColumnSums + start, end - start).Clear();
            for (int b = 0; b < Blocks; b++)
            {
                T* partial = W.Partials + (long)b * columns;
                int from = Math.Max(start, W.BlockFirstStrip[b] * width), to = Math.Min(end, (W.BlockLastStrip[b] + 1) * width);
                for (int j = from; j < to; j += TLanes.Count)
                    TLanes.Store(ColumnSums + j, TLanes.Add(TLanes.Load(ColumnSums + j), TLanes.Load(partial + j)));
            }
        }
    }
}
