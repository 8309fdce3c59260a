namespace BioSup.Analysis.SingleCell;

internal sealed partial class LeidenSearch
{
    /// <summary>
    /// Splits every community into connected parts (RefinePartition): starting from single nodes, a node that is well connected to its community joins a well
    /// connected part at random, with probability ∝ exp(gain / β) among those that do not lower the modularity, staying alone included.
    /// </summary>
    /// <returns>Number of parts; <see cref="_refined"/> then holds each node's part and <see cref="_label"/> each part's community.</returns>
    private int Refine(LeidenLevel level, int communities)
    {
        int n = level.Nodes;
        Array.Clear(_strength, 0, communities);
        for (int v = 0; v < n; v++)
        {
            _strength[_community[v]] += level.Strength[v];
            double inside = 0;
            for (int e = level.Start[v]; e < level.Start[v + 1]; e++)
                if (_community[level.Neighbour[e]] == _community[v]) inside += level.Weight[e];
            (_refined[v], _refinedStrength[v], _refinedSize[v], _inside[v], _outside[v], _order[v]) = (v, level.Strength[v], 1, inside, inside, v);
        }
        _random.Shuffle(_order.AsSpan(0, n));
        for (int i = 0; i < n; i++)
        {
            if (i % CancellationStride == 0) _cancel.ThrowIfCancellationRequested();
            MergeNode(level, _order[i]);
        }
        int parts = Compact(_refined, n);
        for (int v = 0; v < n; v++) _label[_refined[v]] = _community[v];
        return parts;
    }

    private void MergeNode(LeidenLevel level, int v)
    {
        double k = level.Strength[v], whole = _strength[_community[v]], share = _penalty * k;
        // Only a node that is still alone may join a part, and only if it belongs to its community: w(v, C − v) ≥ γ k_v (K_C − k_v) / 2m.
        if (_refined[v] != v || _refinedSize[v] != 1 || _inside[v] < share * (whole - k)) return;
        int reached = 0;
        for (int e = level.Start[v]; e < level.Start[v + 1]; e++)
        {
            int u = level.Neighbour[e];
            if (_community[u] != _community[v]) continue;
            int part = _refined[u];
            if (_link[part] == 0) _touched[reached++] = part;
            _link[part] += level.Weight[e];
        }
        int target = ChoosePart(v, reached, share, whole);
        double toTarget = _link[target];
        for (int i = 0; i < reached; i++) _link[_touched[i]] = 0;
        if (target == v) return;
        _refined[v] = target;
        _refinedSize[v] = 0;
        _refinedSize[target]++;
        _refinedStrength[target] += k;
        _outside[target] += _inside[v] - 2 * toTarget;
    }

    /// <summary>The part that node v joins; itself for none. Candidates' weights are computed twice rather than stored.</summary>
    private int ChoosePart(int v, int reached, double share, double whole)
    {
        double most = 0, total = 0;
        for (int i = 0; i < reached; i++) most = Math.Max(most, Gain(_touched[i]));
        for (int i = 0; i < reached; i++) total += Chance(Gain(_touched[i]));
        double draw = _random.NextDouble() * (total + Chance(0));
        for (int i = 0; i < reached; i++)
        {
            double chance = Chance(Gain(_touched[i]));
            if (chance > 0 && draw < chance) return _touched[i];
            draw -= chance;
        }
        return v;

        double Gain(int part)
        {
            double strength = _refinedStrength[part];
            return _outside[part] >= _penalty * strength * (whole - strength) ? _link[part] - share * strength : -1;
        }

        double Chance(double gain) => gain < 0 ? 0 : Math.Exp((gain - most) / _temperature);
    }

    /// <summary>The graph whose nodes are the refined parts.</summary>
    private void Aggregate(LeidenLevel level, int parts, LeidenLevel next)
    {
        int n = level.Nodes, between = 0;
        for (int v = 0; v < n; v++)
            for (int e = level.Start[v]; e < level.Start[v + 1]; e++)
                if (_refined[level.Neighbour[e]] != _refined[v]) between++;
        next.Reserve(parts, between);
        // Members of each part, by counting: _size marks where a part ends, _order holds the nodes part by part.
        Array.Clear(_size, 0, parts);
        for (int v = 0; v < n; v++) _size[_refined[v]]++;
        for (int p = 1; p < parts; p++) _size[p] += _size[p - 1];
        for (int v = n - 1; v >= 0; v--) _order[--_size[_refined[v]]] = v;
        int entries = 0;
        for (int p = 0; p < parts; p++)
        {
            int end = p + 1 < parts ? _size[p + 1] : n, reached = 0;
            double strength = 0;
            for (int i = _size[p]; i < end; i++)
            {
                int v = _order[i];
                strength += level.Strength[v];
                for (int e = level.Start[v]; e < level.Start[v + 1]; e++)
                {
                    int q = _refined[level.Neighbour[e]];
                    if (q == p) continue;
                    if (_link[q] == 0) _touched[reached++] = q;
                    _link[q] += level.Weight[e];
                }
            }
            next.Start[p] = entries;
            next.Strength[p] = strength;
            for (int i = 0; i < reached; i++)
            {
                (next.Neighbour[entries], next.Weight[entries]) = (_touched[i], _link[_touched[i]]);
                entries++;
                _link[_touched[i]] = 0;
            }
        }
        next.Start[parts] = entries;
    }
}
