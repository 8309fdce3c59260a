namespace BioSup.Analysis.SingleCell;

internal sealed partial class LeidenSearch
{
    /// <summary>
    /// Local moving (MoveNodesFast): every node goes to the community where it gains most, its neighbours elsewhere are looked at again, until the queue is empty.
    /// With w(v, C) the weight from v into C, the modularity gain times m of joining C is w(v, C) − γ k_v K_C / 2m.
    /// </summary>
    private bool MoveNodes(LeidenLevel level)
    {
        int n = level.Nodes, free = FillCommunities(level);
        int[] order = _order, community = _community;
        bool[] queued = _queued;
        LeidenOrder.Shuffle(order.AsSpan(0, n), ref _random);
        Array.Fill(queued, true, 0, n);
        bool moved = false;
        long looked = 0;
        for (int head = 0, waiting = n; waiting > 0; waiting--)
        {
            if (++looked % CancellationStride == 0) _cancel.ThrowIfCancellationRequested();
            int v = order[head];
            head = head + 1 == n ? 0 : head + 1;
            queued[v] = false;
            int own = community[v], best = BestCommunity(level, v, free);
            if (best == own) continue;
            moved = true;
            if (_size[best] == 0) free--;
            _size[best]++;
            _strength[best] += level.Strength[v];
            if (--_size[own] == 0)
            {
                _strength[own] = 0;
                _label[free++] = own;
            }
            community[v] = best;
            foreach (int u in level.Neighbours(v))
            {
                if (queued[u] || community[u] == best) continue;
                queued[u] = true;
                int tail = head + waiting - 1;
                order[tail >= n ? tail - n : tail] = u;
                waiting++;
            }
        }
        return moved;
    }

    /// <summary>Sizes and strengths of the communities; the empty ones are stacked in <see cref="_label"/>, the smallest number on top.</summary>
    private int FillCommunities(LeidenLevel level)
    {
        int n = level.Nodes, free = 0;
        Array.Clear(_size, 0, n);
        Array.Clear(_strength, 0, n);
        for (int v = 0; v < n; v++)
        {
            _size[_community[v]]++;
            _strength[_community[v]] += level.Strength[v];
        }
        for (int c = n - 1; c >= 0; c--) if (_size[c] == 0) _label[free++] = c;
        return free;
    }

    /// <summary>Where node v gains most, itself taken out of its community first (which it stays out of when it leaves).</summary>
    private int BestCommunity(LeidenLevel level, int v, int free)
    {
        double[] link = _link;
        int[] touched = _touched, community = _community;
        int own = community[v], reached = 0;
        double inside = 0;
        ReadOnlySpan<int> neighbours = level.Neighbours(v);
        ReadOnlySpan<double> weights = level.Weights(v);
        for (int e = 0; e < neighbours.Length && e < weights.Length; e++)
        {
            int c = community[neighbours[e]];
            if (c == own)
            {
                inside += weights[e];
                continue;
            }
            // Weights are positive, so zero means not reached yet.
            ref double sum = ref link[c];
            if (sum == 0) touched[reached++] = c;
            sum += weights[e];
        }
        double k = level.Strength[v], share = _penalty * k, most = inside - share * (_strength[own] - k) + _tolerance * k;
        int best = own;
        for (int i = 0; i < reached; i++)
        {
            int c = touched[i];
            double gain = link[c] - share * _strength[c];
            link[c] = 0;
            if (gain > most) (best, most) = (c, gain);
        }
        if (_size[own] > 1 && 0 > most) best = _label[free - 1];
        if (best != own) _strength[own] -= k;
        return best;
    }
}
