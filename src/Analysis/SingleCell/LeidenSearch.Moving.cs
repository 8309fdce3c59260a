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
        for (int v = 0; v < n; v++) (_order[v], _queued[v]) = (v, true);
        _random.Shuffle(_order.AsSpan(0, n));
        bool moved = false;
        long looked = 0;
        for (int head = 0, waiting = n; waiting > 0; waiting--)
        {
            if (++looked % CancellationStride == 0) _cancel.ThrowIfCancellationRequested();
            int v = _order[head];
            head = head + 1 == n ? 0 : head + 1;
            _queued[v] = false;
            int own = _community[v], best = BestCommunity(level, v, free);
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
            _community[v] = best;
            for (int e = level.Start[v]; e < level.Start[v + 1]; e++)
            {
                int u = level.Neighbour[e];
                if (_queued[u] || _community[u] == best) continue;
                _queued[u] = true;
                int tail = head + waiting - 1;
                _order[tail >= n ? tail - n : tail] = u;
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
        int[] touched = _touched;
        int own = _community[v], reached = 0;
        for (int e = level.Start[v]; e < level.Start[v + 1]; e++)
        {
            int c = _community[level.Neighbour[e]];
            // Weights are positive, so zero means not reached yet.
            if (link[c] == 0) touched[reached++] = c;
            link[c] += level.Weight[e];
        }
        double k = level.Strength[v], share = _penalty * k;
        double stay = link[own] - share * (_strength[own] - k), most = stay + _tolerance * k;
        int best = own;
        for (int i = 0; i < reached; i++)
        {
            int c = touched[i];
            double gain = link[c] - share * _strength[c];
            link[c] = 0;
            if (c == own || !(gain > most)) continue;
            (best, most) = (c, gain);
        }
        if (_size[own] > 1 && 0 > most) best = _label[free - 1];
        if (best != own) _strength[own] -= k;
        return best;
    }
}
