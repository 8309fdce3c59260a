using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

internal sealed partial class LeidenSearch
{
    /// <summary>Logarithms below which a chance beside the best one is none: e^-40 is past what the draw resolves.</summary>
    private const double LeastChance = -40;

    /// <summary>
    /// Splits every community into connected parts (RefinePartition): starting from single nodes, a node that is well connected to its community joins a well
    /// connected part at random, with probability ∝ exp(gain / β) among those that do not lower the modularity, staying alone included.
    /// Communities know nothing of one another and have random numbers of their own, so that threads can share them out.
    /// </summary>
    /// <returns>Number of parts; <see cref="_refined"/> then holds each node's part and <see cref="_label"/> each part's community.</returns>
    private int Refine(LeidenLevel level, int communities, int depth)
    {
        int n = level.Nodes;
        SortByGroup(_community, n, communities);
        RefineJob job = new(this, level, depth);
        _pool.Run(communities, ref job);
        int parts = Compact(_refined, n);
        for (int v = 0; v < n; v++) _label[_refined[v]] = _community[v];
        return parts;
    }

    private void RefineCommunity(LeidenLevel level, int c, int depth)
    {
        _cancel.ThrowIfCancellationRequested();
        int begin = _begin[c], end = _begin[c + 1];
        Span<int> members = _order.AsSpan(begin..end);
        double whole = 0;
        foreach (int v in members)
        {
            ReadOnlySpan<int> neighbours = level.Neighbours(v);
            ReadOnlySpan<double> weights = level.Weights(v);
            double inside = 0, k = level.Strength[v];
            for (int e = 0; e < neighbours.Length && e < weights.Length; e++) if (_community[neighbours[e]] == c) inside += weights[e];
            whole += k;
            (_refined[v], _refinedStrength[v], _refinedSize[v], _inside[v], _outside[v]) = (v, k, 1, inside, inside);
        }
        CounterRandom random = new(_options.Seed, RefinementStream | ((ulong)_run << 28) | ((ulong)(uint)_passes << 8) | (uint)depth, (ulong)(uint)c << 32);
        random.Shuffle(members);
        foreach (int v in members) MergeNode(level, v, c, whole, _touched.AsSpan(begin..end), _chance.AsSpan(begin..end), ref random);
    }

    private void MergeNode(LeidenLevel level, int v, int community, double whole, Span<int> touched, Span<double> chance, ref CounterRandom random)
    {
        double k = level.Strength[v], share = _penalty * k;
        // Only a node that is still alone may join a part, and only if it belongs to its community: w(v, C − v) ≥ γ k_v (K_C − k_v) / 2m.
        if (_refined[v] != v || _refinedSize[v] != 1 || _inside[v] < share * (whole - k)) return;
        int reached = 0;
        double[] link = _link;
        ReadOnlySpan<int> neighbours = level.Neighbours(v);
        ReadOnlySpan<double> weights = level.Weights(v);
        for (int e = 0; e < neighbours.Length && e < weights.Length; e++)
        {
            int u = neighbours[e];
            if (_community[u] != community) continue;
            int part = _refined[u];
            ref double sum = ref link[part];
            if (sum == 0) touched[reached++] = part;
            sum += weights[e];
        }
        touched = touched[..reached];
        int target = ChoosePart(v, touched, chance, share, whole, ref random);
        double toTarget = link[target];
        foreach (int part in touched) link[part] = 0;
        if (target == v) return;
        _refined[v] = target;
        _refinedSize[v] = 0;
        _refinedSize[target]++;
        _refinedStrength[target] += k;
        _outside[target] += _inside[v] - 2 * toTarget;
    }

    /// <summary>The part that node v joins; itself for none.</summary>
    private int ChoosePart(int v, ReadOnlySpan<int> touched, Span<double> chance, double share, double whole, ref CounterRandom random)
    {
        double most = 0, total = 0;
        for (int i = 0; i < touched.Length; i++)
        {
            int part = touched[i];
            double strength = _refinedStrength[part];
            chance[i] = _outside[part] >= _penalty * strength * (whole - strength) ? _link[part] - share * strength : -1;
            most = Math.Max(most, chance[i]);
        }
        for (int i = 0; i < touched.Length; i++) total += chance[i] = Chance(chance[i], most);
        double draw = random.NextDouble() * (total + Chance(0, most));
        for (int i = 0; i < touched.Length; i++)
        {
            if (chance[i] > 0 && draw < chance[i]) return touched[i];
            draw -= chance[i];
        }
        return v;
    }

    private double Chance(double gain, double most)
    {
        double logarithm = (gain - most) / _temperature;
        return gain < 0 || logarithm < LeastChance ? 0 : Math.Exp(logarithm);
    }

    private readonly struct RefineJob(LeidenSearch search, LeidenLevel level, int depth) : IBlockJob
    {
        public void Execute(long block, int worker) => search.RefineCommunity(level, (int)block, depth);
    }
}
