using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

internal sealed partial class LeidenSearch
{
    private const int PartsPerBlock = 256;

    /// <summary>The graph whose nodes are the refined parts. Threads share them out; each has the sums of a part's edges to itself.</summary>
    private void Aggregate(LeidenLevel level, int parts, LeidenLevel next)
    {
        int n = level.Nodes, entries = 0;
        SortByGroup(_refined, n, parts);
        next.Reserve(parts, 0);
        for (int p = 0; p < parts; p++)
        {
            // No row is longer than those of its members together.
            next.Start[p] = entries;
            for (int i = _begin[p]; i < _begin[p + 1]; i++) entries += level.End[_order[i]] - level.Start[_order[i]];
        }
        next.Reserve(parts, entries);
        AggregateJob job = new(this, level, next);
        _pool.Run((parts + PartsPerBlock - 1) / PartsPerBlock, ref job);
    }

    private void AggregatePart(LeidenLevel level, LeidenLevel next, int p, double[] link)
    {
        int entries = next.Start[p];
        double strength = 0;
        for (int i = _begin[p]; i < _begin[p + 1]; i++)
        {
            int v = _order[i];
            strength += level.Strength[v];
            ReadOnlySpan<int> neighbours = level.Neighbours(v);
            ReadOnlySpan<double> weights = level.Weights(v);
            for (int e = 0; e < neighbours.Length && e < weights.Length; e++)
            {
                int q = _refined[neighbours[e]];
                if (q == p) continue;
                ref double sum = ref link[q];
                if (sum == 0) next.Neighbour[entries++] = q;
                sum += weights[e];
            }
        }
        next.End[p] = entries;
        next.Strength[p] = strength;
        for (int e = next.Start[p]; e < entries; e++)
        {
            ref double sum = ref link[next.Neighbour[e]];
            next.Weight[e] = sum;
            sum = 0;
        }
    }

    /// <summary>Nodes group by group, ascending in each, in <see cref="_order"/>; <see cref="_begin"/> says where a group begins.</summary>
    private void SortByGroup(int[] group, int n, int groups)
    {
        Array.Clear(_begin, 0, groups + 1);
        for (int v = 0; v < n; v++) _begin[group[v] + 1]++;
        for (int g = 0; g < groups; g++) _begin[g + 1] += _begin[g];
        for (int v = 0; v < n; v++) _order[_begin[group[v]]++] = v;
        for (int g = groups; g > 0; g--) _begin[g] = _begin[g - 1];
        _begin[0] = 0;
    }

    private readonly struct AggregateJob(LeidenSearch search, LeidenLevel level, LeidenLevel next) : IBlockJob
    {
        public void Execute(long block, int worker)
        {
            search._cancel.ThrowIfCancellationRequested();
            // Worker 0 is the thread of the search itself, whose own sums are idle.
            double[] link = worker == 0 ? search._link : search._workerLinks[worker] ??= new double[search._graph.Nodes];
            for (int p = (int)block * PartsPerBlock, end = Math.Min(p + PartsPerBlock, next.Nodes); p < end; p++) search.AggregatePart(level, next, p, link);
        }
    }
}
