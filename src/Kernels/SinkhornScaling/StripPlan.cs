using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Which strips of the kernel are kept, how they are shared among blocks, and in which order rows and columns lie.</summary>
internal static unsafe class StripPlan
{
    private const int MaxGroups = 64;

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

    /// <summary>
    /// Groups rows and columns by the support of the plan just found, so that the next kernel has few, full strips. Plans between data with cell types
    /// are close to block-diagonal after this. Done after solves 1, 2, 4, 8, ...: plans of an outer iteration change less and less.
    /// </summary>
    public static void ReorderIfUseful<T>(SinkhornWorkspace<T> w, MatrixView<T> cost, double epsilon, double margin) where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (!BitOperations.IsPow2(++w.Solves)) return;
        SupportJob<T> job = new()
        {
            W = new SinkhornPointers<T>(w), Cost = cost.Pointer, CostStride = cost.Stride, F = w.BaseF, G = w.BaseG,
            InverseEpsilon = 1 / epsilon, Least = -margin, Support = w.Support, Words = w.SupportWords,
        };
        w.Device.Pool.Run(w.Rows, ref job);
        int groups = GroupRows(w);
        GroupColumns(w, groups);
        OrderByGroup(w.RowGroup, w.RowOrder, w.Rows, groups);
        OrderByGroup(w.ColumnGroup, w.ColumnOrder, w.Columns, groups);
    }

    private static int GroupRows<T>(SinkhornWorkspace<T> w) where T : unmanaged, IFloatingPointIeee754<T>
    {
        int words = w.SupportWords, groups = 0, left = w.Rows;
        new Span<int>(w.RowGroup, w.Rows).Fill(-1);
        while (left > 0)
        {
            int leader = -1, most = -1;
            for (int i = 0; i < w.Rows; i++)
            {
                if (w.RowGroup[i] >= 0) continue;
                int size = Overlap(w.Support + (long)i * words, w.Support + (long)i * words, words);
                if (size > most) (most, leader) = (size, i);
            }
            ulong* leading = w.Support + (long)leader * words;
            for (int i = 0; i < w.Rows; i++)
            {
                if (w.RowGroup[i] >= 0) continue;
                ulong* row = w.Support + (long)i * words;
                int size = Overlap(row, row, words);
                // Half of the row's own support shared with the leader makes it a member; the last group takes the rest.
                if (i == leader || groups == MaxGroups - 1 || 2 * Overlap(row, leading, words) > size)
                {
                    w.RowGroup[i] = groups;
                    left--;
                }
            }
            groups++;
        }
        return groups;
    }

    private static void GroupColumns<T>(SinkhornWorkspace<T> w, int groups) where T : unmanaged, IFloatingPointIeee754<T>
    {
        int* size = stackalloc int[MaxGroups];
        int* hits = stackalloc int[MaxGroups];
        new Span<int>(size, MaxGroups).Clear();
        for (int i = 0; i < w.Rows; i++) size[w.RowGroup[i]]++;
        for (int j = 0; j < w.Columns; j++)
        {
            new Span<int>(hits, MaxGroups).Clear();
            for (int i = 0; i < w.Rows; i++)
                if ((w.Support[(long)i * w.SupportWords + (j >> 6)] >> (j & 63) & 1) != 0) hits[w.RowGroup[i]]++;
            int best = 0;
            for (int group = 1; group < groups; group++)
                if ((long)hits[group] * size[best] > (long)hits[best] * size[group]) best = group;
            w.ColumnGroup[j] = best;
        }
    }

    private static void OrderByGroup(int* group, int* order, int count, int groups)
    {
        int next = 0;
        for (int g = 0; g < groups; g++)
            for (int i = 0; i < count; i++)
                if (group[i] == g) order[next++] = i;
    }

    private static int Overlap(ulong* x, ulong* y, int words)
    {
        int count = 0;
        for (int word = 0; word < words; word++) count += BitOperations.PopCount(x[word] & y[word]);
        return count;
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

    private struct SupportJob<T> : IBlockJob where T : unmanaged, IFloatingPointIeee754<T>
    {
        public SinkhornPointers<T> W;
        public T* Cost;
        public long CostStride;
        public double* F;
        public double* G;
        public double InverseEpsilon, Least;
        public ulong* Support;
        public int Words;

        public readonly void Execute(long block, int worker)
        {
            T* cost = Cost + block * CostStride;
            ulong* support = Support + block * Words;
            for (int word = 0; word < Words; word++)
            {
                ulong bits = 0;
                int first = word * 64, count = Math.Min(64, W.Columns - first);
                for (int c = 0; c < count; c++)
                    if ((F[block] + G[first + c] - double.CreateTruncating(cost[first + c])) * InverseEpsilon > Least) bits |= 1UL << c;
                support[word] = bits;
            }
        }
    }
}
