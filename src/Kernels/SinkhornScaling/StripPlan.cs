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
    public static void Prune<T, TStore>(SinkhornWorkspace<T> w, double least) where T : unmanaged, IFloatingPointIeee754<T> where TStore : unmanaged
    {
        PruneJob<T, TStore> job = new() { W = new SinkhornPointers<T>(w), Least = least };
        w.Device.Pool.Run(w.Panels, ref job);
    }

    /// <summary>Stores the strips in single precision, in place, and corrects the masses for what that loses.</summary>
    /// <remarks>
    /// A sum over stored elements lacks sum_j lost_j v_j. For v that varies little over the row's support that is the share lost at v = 1, so
    /// multiplying the mass by the kept share replaces raising every sum, and costs nothing per iteration.
    /// </remarks>
    public static void Compact<T>(SinkhornWorkspace<T> w) where T : unmanaged, IFloatingPointIeee754<T>
    {
        CompactJob<T> job = new() { W = new SinkhornPointers<T>(w) };
        w.Device.Pool.Run(w.Blocks, ref job);
        int padded = w.Strips * SinkhornWorkspace<T>.StripWidth;
        for (int i = 0; i < w.Rows; i++)
            if (w.PreviousU[i] > T.Zero) w.RowMass[i] *= w.PreviousU[i] / (w.PreviousU[i] + w.RowLoss[i]);
        for (int j = 0; j < w.Columns; j++)
        {
            T lost = T.Zero, kept = T.Zero;
            for (int block = 0; block < w.Blocks; block++)
            {
                lost += w.Partials[2L * block * padded + j];
                kept += w.Partials[(2L * block + 1) * padded + j];
            }
            if (kept > T.Zero) w.ColumnMass[j] *= kept / (kept + lost);
        }
    }

    private struct PruneJob<T, TStore> : IBlockJob where T : unmanaged, IFloatingPointIeee754<T> where TStore : unmanaged
    {
        public SinkhornPointers<T> W;
        public double Least;

        public readonly void Execute(long block, int worker)
        {
            int size = SinkhornWorkspace<T>.PanelRows * SinkhornWorkspace<T>.StripWidth;
            TStore* tiles = (TStore*)(W.Tiles + block * W.Strips * size);
            int* index = W.StripIndex + block * W.Strips;
            float* largest = W.StripLargest + block * W.Strips;
            int kept = 0;
            for (int s = 0; s < W.StripCount[block]; s++)
            {
                if (!(largest[s] > Least)) continue;
                if (kept != s)
                {
                    new ReadOnlySpan<TStore>(tiles + (long)s * size, size).CopyTo(new Span<TStore>(tiles + (long)kept * size, size));
                    index[kept] = index[s];
                    largest[kept] = largest[s];
                }
                kept++;
            }
            W.StripCount[block] = kept;
        }
    }

    private struct CompactJob<T> : IBlockJob where T : unmanaged, IFloatingPointIeee754<T>
    {
        public SinkhornPointers<T> W;

        public readonly void Execute(long block, int worker)
        {
            int width = SinkhornWorkspace<T>.StripWidth, padded = W.Strips * width;
            const int panelRows = SinkhornWorkspace<T>.PanelRows;
            T* columnLoss = W.Partials + 2 * block * padded;
            T* columnKept = columnLoss + padded;
            new Span<T>(columnLoss, 2 * padded).Clear();
            for (int panel = (int)(W.Panels * block / W.Blocks); panel < (int)(W.Panels * (block + 1) / W.Blocks); panel++)
            {
                T* from = W.Tiles + (long)panel * panelRows * padded;
                float* to = (float*)(W.Tiles + (long)panel * panelRows * padded);
                new Span<T>(W.RowLoss + panel * panelRows, panelRows).Clear();
                new Span<T>(W.RowKept + panel * panelRows, panelRows).Clear();
                for (int s = 0; s < W.StripCount[panel]; s++)
                {
                    int column = W.StripIndex[(long)panel * W.Strips + s] * width;
                    for (int r = 0; r < panelRows; r++)
                        for (int c = 0; c < width; c++)
                        {
                            T value = *from++;
                            float stored = float.CreateTruncating(value);
                            // Subnormals would slow every pass down and cannot be seen in any sum.
                            if (stored < 1e-37f) stored = 0;
                            T kept = T.CreateTruncating(stored), lost = value - kept;
                            *to++ = stored;
                            W.RowLoss[panel * panelRows + r] += lost;
                            W.RowKept[panel * panelRows + r] += kept;
                            columnLoss[column + c] += lost;
                            columnKept[column + c] += kept;
                        }
                }
            }
        }
    }
}
