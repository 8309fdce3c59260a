using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Which strips of the kernel are kept, and how they are shared among blocks.</summary>
internal static unsafe class StripPlan
{
    /// <summary>Cuts the panels into blocks of about equal work and notes the range of columns each block touches.</summary>
    public static void Partition<T>(SinkhornWorkspace<T> w) where T : unmanaged, IFloatingPointIeee754<T>
    {
        long total = 0;
        for (int panel = 0; panel < w.Panels; panel++) total += w.StripCount[panel];
        w.Fill = total / ((double)w.Panels * w.Strips);
        long done = 0;
        int next = 0;
        for (int block = 0; block < w.Blocks; block++)
        {
            w.BlockStart[block] = next;
            long target = total * (block + 1) / w.Blocks;
            int first = int.MaxValue, last = -1;
            while (next < w.Panels && (done < target || block == w.Blocks - 1))
            {
                int count = w.StripCount[next];
                if (count > 0)
                {
                    first = Math.Min(first, w.StripIndex[(long)next * w.Strips]);
                    last = Math.Max(last, w.StripIndex[(long)next * w.Strips + count - 1]);
                }
                done += count;
                next++;
            }
            w.BlockFirstStrip[block] = last < 0 ? 0 : first;
            w.BlockLastStrip[block] = last;
        }
        w.BlockStart[w.Blocks] = w.Panels;
    }

    /// <summary>Drops the strips whose largest exponent lies below <paramref name="least"/>, moving the others together in place.</summary>
    public static void Prune<T>(SinkhornWorkspace<T> w, double least) where T : unmanaged, IFloatingPointIeee754<T>
    {
        PruneJob<T> job = new() { W = new SinkhornPointers<T>(w), Least = least };
        w.Device.Pool.Run(w.Panels, ref job);
    }

    private struct PruneJob<T> : IBlockJob where T : unmanaged, IFloatingPointIeee754<T>
    {
        public SinkhornPointers<T> W;
        public double Least;

        public readonly void Execute(long block, int worker)
        {
            int size = SinkhornWorkspace<T>.PanelRows * SinkhornWorkspace<T>.StripWidth;
            T* tiles = W.Tiles + block * W.Strips * size;
            int* index = W.StripIndex + block * W.Strips;
            float* largest = W.StripLargest + block * W.Strips;
            int kept = 0;
            for (int s = 0; s < W.StripCount[block]; s++)
            {
                if (!(largest[s] > Least)) continue;
                if (kept != s)
                {
                    new ReadOnlySpan<T>(tiles + (long)s * size, size).CopyTo(new Span<T>(tiles + (long)kept * size, size));
                    index[kept] = index[s];
                    largest[kept] = largest[s];
                }
                kept++;
            }
            W.StripCount[block] = kept;
        }
    }
}
