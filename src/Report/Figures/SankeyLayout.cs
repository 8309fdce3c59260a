using BioSup.Report.Drawing;

namespace BioSup.Report.Figures;

/// <summary>Order and place of a Sankey diagram's nodes: fewer crossings by barycentres, straighter ribbons by relaxation, a slot for every label.</summary>
internal sealed class SankeyLayout
{
    private const int Sweeps = 24, Relaxations = 12;

    private readonly IReadOnlyList<double[,]> _flows;
    private readonly int _levels;

    /// <param name="flows">[level][from, to].</param>
    /// <param name="counts">Nodes per level.</param>
    public SankeyLayout(IReadOnlyList<double[,]> flows, int[] counts)
    {
        (_flows, _levels) = (flows, counts.Length);
        Values = [.. counts.Select((count, l) => Enumerable.Range(0, count).Select(i => Math.Max(In(l, i), Out(l, i))).ToArray())];
        Order = [.. counts.Select(count => Enumerable.Range(0, count).ToArray())];
        ReduceCrossings();
    }

    /// <summary>[level][node]: the larger of what flows in and out.</summary>
    public double[][] Values { get; }

    /// <summary>[level]: nodes from top to bottom.</summary>
    public int[][] Order { get; private set; }

    /// <summary>[level][node]: middle of each node, once placed.</summary>
    public float[][] Middle { get; private set; } = [];

    /// <summary>Weight of all crossings: the sum of v·w over pairs of flows of v and w that cross.</summary>
    public double Crossings(int[][] order)
    {
        double sum = 0;
        for (int l = 0; l + 1 < _levels; l++)
            for (int i = 0; i < order[l].Length; i++)
                for (int j = i + 1; j < order[l].Length; j++) sum += Between(l, order[l][i], order[l][j], l + 1, order[l + 1]);
        return sum;
    }

    /// <summary>Weight of the crossings between the flows of two nodes and a neighbouring level when the first node is the upper one.</summary>
    private double Between(int level, int upper, int lower, int otherLevel, int[] otherOrder)
    {
        double sum = 0, passed = 0;
        foreach (int other in otherOrder)
        {
            // What the lower node has sent further up crosses what the upper one sends here.
            sum += Flow(level, upper, otherLevel, other) * passed;
            passed += Flow(level, lower, otherLevel, other);
        }
        return sum;
    }

    private double Flow(int level, int node, int otherLevel, int other) => otherLevel > level ? _flows[level][node, other] : _flows[otherLevel][other, node];

    /// <summary>Places the nodes between two heights.</summary>
    /// <param name="scale">Pixels per unit of flow.</param>
    /// <param name="slot">Least height that a node's label needs.</param>
    /// <param name="gap">Least space between two slots.</param>
    /// <param name="top">Upper edge.</param>
    /// <param name="bottom">Lower edge; <see cref="Needed"/> says how much room there must be.</param>
    public void Place(double scale, float slot, float gap, float top, float bottom)
    {
        float[][] slots = [.. Values.Select(level => level.Select(v => Math.Max(slot, (float)(v * scale))).ToArray())];
        Middle = [.. Values.Select(level => new float[level.Length])];
        for (int l = 0; l < _levels; l++)
        {
            float room = bottom - top - slots[l].Sum() - gap * (Order[l].Length - 1), y = top + Math.Max(0, room) / 2;
            foreach (int node in Order[l])
            {
                Middle[l][node] = y + slots[l][node] / 2;
                y += slots[l][node] + gap;
            }
        }
        for (int step = 0; step < Relaxations; step++)
            for (int k = 0; k < _levels; k++)
            {
                int l = step % 2 == 0 ? k : _levels - 1 - k;
                float[] wanted = [.. Order[l].Select(node => (float)Barycentre(l, node, (m, other) => Middle[m][other], Middle[l][node], both: true))];
                float[] placed = LabelSpread.Place(wanted, [.. Order[l].Select(node => slots[l][node])], gap, top, bottom);
                for (int i = 0; i < placed.Length; i++) Middle[l][Order[l][i]] = placed[i];
            }
    }

    /// <summary>Height that the fullest level takes.</summary>
    public float Needed(double scale, float slot, float gap) =>
        Values.Select(level => level.Sum(v => Math.Max(slot, (float)(v * scale))) + gap * Math.Max(0, level.Length - 1)).DefaultIfEmpty(0).Max();

    /// <summary>The node of the first level that most of a node comes from, level by level; the node itself on the first level, −1 for none.</summary>
    public int Ancestor(int level, int node)
    {
        while (level > 0)
        {
            double[,] flow = _flows[level - 1];
            int best = -1;
            for (int i = 0; i < flow.GetLength(0); i++) if (flow[i, node] > 0 && (best < 0 || flow[i, node] > flow[best, node])) best = i;
            if (best < 0) return -1;
            (level, node) = (level - 1, best);
        }
        return node;
    }

    private void ReduceCrossings()
    {
        int[][] best = [.. Order.Select(o => o.ToArray())];
        double least = Crossings(Order);
        for (int sweep = 0; sweep < Sweeps && least > 0; sweep++)
        {
            for (int k = 1; k < _levels; k++)
            {
                int l = sweep % 2 == 0 ? k : _levels - 1 - k;
                int[] current = Places(Order[l]);
                int[][] places = [.. Order.Select(Places)];
                // Only the side that has just been ordered pulls; equal pulls keep their order.
                Order[l] = [.. Order[l].OrderBy(node => Barycentre(l, node, (m, other) => places[m][other], current[node], both: false, fromAbove: sweep % 2 == 0)).ThenBy(node => current[node])];
            }
            SwapNeighbours();
            double crossings = Crossings(Order);
            if (crossings >= least) continue;
            least = crossings;
            best = [.. Order.Select(o => o.ToArray())];
        }
        Order = best;
    }

    /// <summary>Exchanges neighbouring nodes for as long as that removes crossings; barycentres alone stop at ties.</summary>
    private void SwapNeighbours()
    {
        bool swapped = true;
        for (int round = 0; swapped && round < Sweeps; round++)
        {
            swapped = false;
            for (int l = 0; l < _levels; l++)
                for (int i = 0; i + 1 < Order[l].Length; i++)
                {
                    int a = Order[l][i], b = Order[l][i + 1];
                    double asIs = 0, exchanged = 0;
                    foreach (int m in new[] { l - 1, l + 1 })
                    {
                        if (m < 0 || m >= _levels) continue;
                        asIs += Between(l, a, b, m, Order[m]);
                        exchanged += Between(l, b, a, m, Order[m]);
                    }
                    if (exchanged >= asIs) continue;
                    (Order[l][i], Order[l][i + 1]) = (b, a);
                    swapped = true;
                }
        }
    }

    /// <summary>Mean place of a node's neighbours, weighted by flow; <paramref name="own"/> without any.</summary>
    private double Barycentre(int level, int node, Func<int, int, double> place, double own, bool both, bool fromAbove = true)
    {
        double sum = 0, weight = 0;
        if (level > 0 && (both || fromAbove))
            for (int i = 0; i < Values[level - 1].Length; i++) Add(level - 1, i, _flows[level - 1][i, node]);
        if (level + 1 < _levels && (both || !fromAbove))
            for (int j = 0; j < Values[level + 1].Length; j++) Add(level + 1, j, _flows[level][node, j]);
        return weight > 0 ? sum / weight : own;

        void Add(int otherLevel, int other, double flow)
        {
            if (flow <= 0) return;
            sum += flow * place(otherLevel, other);
            weight += flow;
        }
    }

    private double In(int level, int node) => level == 0 ? 0 : Enumerable.Range(0, _flows[level - 1].GetLength(0)).Sum(i => _flows[level - 1][i, node]);

    private double Out(int level, int node) => level + 1 == _levels ? 0 : Enumerable.Range(0, _flows[level].GetLength(1)).Sum(j => _flows[level][node, j]);

    private static int[] Places(int[] order)
    {
        int[] places = new int[order.Length];
        for (int i = 0; i < order.Length; i++) places[order[i]] = i;
        return places;
    }
}
