using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>
/// Orders of a graph's nodes that the community search takes for the sake of the processor's caches: what a node looks at are its neighbours, and in the order
/// of a file these lie anywhere.
/// </summary>
internal static class LeidenOrder
{
    /// <summary>Graphs below this size stay in the caches in any order.</summary>
    public const int LeastNodes = 1 << 14;

    /// <summary>Nodes of a ball, and of a run of nodes that are moved one after the other.</summary>
    private const int BallSize = 256, RunSize = 64;

    /// <summary>Balls of the graph one after the other: nodes reached first from one node, then those from a node beside a former ball.</summary>
    public static int[] Balls(LeidenGraph graph)
    {
        int n = graph.Nodes, placed = 0, head = 0, tail = 0, ball = 0;
        int[] order = new int[n], beside = new int[n], reached = new int[n], queue = new int[n];
        bool[] taken = new bool[n], waiting = new bool[n];
        for (int next = 0; next < n; next++)
        {
            if (!taken[next]) Ball(next);
            while (head < tail)
            {
                int v = beside[head++];
                if (!taken[v]) Ball(v);
            }
        }
        return order;

        void Ball(int first)
        {
            int begin = 0, end = 0, full = placed + BallSize;
            ball++;
            (queue[end++], reached[first]) = (first, ball);
            while (begin < end && placed < full)
            {
                int v = queue[begin++];
                taken[v] = true;
                order[placed++] = v;
                foreach (int u in graph.Neighbours(v))
                {
                    if (taken[u] || reached[u] == ball) continue;
                    reached[u] = ball;
                    queue[end++] = u;
                }
            }
            for (; begin < end; begin++)
            {
                if (waiting[queue[begin]]) continue;
                waiting[queue[begin]] = true;
                beside[tail++] = queue[begin];
            }
        }
    }

    /// <summary>Numbers 0 … n − 1 at random; many of them as runs of neighbouring numbers, the runs and each within itself at random.</summary>
    public static void Shuffle(Span<int> order, ref CounterRandom random)
    {
        if (order.Length < LeastNodes)
        {
            for (int i = 0; i < order.Length; i++) order[i] = i;
            random.Shuffle(order);
            return;
        }
        int[] runs = new int[(order.Length + RunSize - 1) / RunSize];
        for (int r = 0; r < runs.Length; r++) runs[r] = r;
        random.Shuffle<int>(runs);
        int filled = 0;
        foreach (int run in runs)
        {
            Span<int> part = order.Slice(filled, Math.Min(RunSize, order.Length - run * RunSize));
            for (int i = 0; i < part.Length; i++) part[i] = run * RunSize + i;
            random.Shuffle(part);
            filled += part.Length;
        }
    }
}
