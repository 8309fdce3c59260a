using BioSup.Analysis.SingleCell;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.SingleCell;

/// <summary>
/// The Leiden algorithm (Traag, Waltman and van Eck 2019, algorithm A.2) as it is written down: every strength and every weight between sets is summed anew when it is asked for.
/// It draws the random numbers that <see cref="Leiden"/> draws, so that on graphs with whole weights, whose sums are exact, both must give the same partition.
/// </summary>
internal sealed class PlainLeiden
{
    private readonly LeidenGraph _graph;
    private readonly LeidenOptions _options;
    private readonly double _penalty, _temperature;
    private readonly int[] _flat;
    private CounterRandom _random;

    private PlainLeiden(LeidenGraph graph, LeidenOptions options)
    {
        (_graph, _options, _random, _flat) = (graph, options, new CounterRandom(options.Seed, stream: 0x1E1DE0000000000UL), [.. Enumerable.Range(0, graph.Nodes)]);
        _penalty = options.Resolution / (2 * graph.TotalWeight);
        _temperature = options.Randomness * graph.TotalWeight / graph.Edges;
    }

    /// <summary>How often no node was merged in a refinement.</summary>
    public int Unrefined { get; private set; }

    /// <param name="graph">A graph with edges and without self loops.</param>
    /// <param name="options">One run.</param>
    /// <param name="passes">Passes made.</param>
    /// <param name="search">The search, for its count.</param>
    /// <returns>Communities by falling size, equal ones by their first node.</returns>
    public static int[] Run(LeidenGraph graph, LeidenOptions options, out int passes, out PlainLeiden search)
    {
        search = new PlainLeiden(graph, options);
        passes = 0;
        for (bool changed = true; changed && (options.Iterations < 0 || passes < options.Iterations); passes++) changed = search.Pass((ulong)passes);
        int[] flat = search._flat;
        List<int> bySize = [.. flat.Distinct().OrderByDescending(c => flat.Count(x => x == c)).ThenBy(c => Array.IndexOf(flat, c))];
        return [.. flat.Select(c => bySize.IndexOf(c))];
    }

    private sealed record Level(double[] Strength, List<(int To, double Weight)>[] Edges)
    {
        public int Nodes => Strength.Length;

        public double Of(IEnumerable<int> nodes) => nodes.Sum(v => Strength[v]);

        public double Between(IEnumerable<int> one, Func<int, bool> other) => one.Sum(v => Edges[v].Where(e => other(e.To)).Sum(e => e.Weight));
    }

    private bool Pass(ulong pass)
    {
        Level level = new(_graph.Strength.ToArray(), [.. Enumerable.Range(0, _graph.Nodes).Select(v => _graph.Neighbours(v).ToArray().Zip(_graph.Weights(v).ToArray()).ToList())]);
        int[] nodeOf = [.. Enumerable.Range(0, _graph.Nodes)], community = (int[])_flat.Clone();
        bool changed = false;
        for (uint depth = 0; ; depth++)
        {
            changed |= Move(level, community);
            int communities = Renumber(community);
            for (int v = 0; v < _flat.Length; v++) _flat[v] = community[nodeOf[v]];
            if (communities == level.Nodes) break;
            int[] part = Refine(level, community, pass, depth);
            if (part.Distinct().Count() == level.Nodes)
            {
                Unrefined++;
                part = (int[])community.Clone();
            }
            int parts = Renumber(part);
            int[] of = [.. Enumerable.Range(0, parts).Select(p => community[Array.IndexOf(part, p)])];
            level = Aggregate(level, part, parts);
            nodeOf = [.. nodeOf.Select(v => part[v])];
            community = of;
        }
        return Pieces() || changed;
    }

    private bool Move(Level level, int[] community)
    {
        int n = level.Nodes;
        int[] order = [.. Enumerable.Range(0, n)];
        _random.Shuffle<int>(order);
        Queue<int> queue = new(order);
        Stack<int> empty = new(Enumerable.Range(0, n).Where(c => !community.Contains(c)).Reverse());
        bool moved = false;
        while (queue.TryDequeue(out int v))
        {
            int own = community[v], best = own;
            double k = level.Strength[v];
            int[] others = [.. Enumerable.Range(0, n).Where(u => u != v)];
            double Gain(int c) => level.Between([v], u => community[u] == c) - _penalty * k * level.Of(others.Where(u => community[u] == c));
            double most = Gain(own) + 1e-11 * (1 + _options.Resolution) * k;
            foreach (int c in level.Edges[v].Select(e => community[e.To]).Distinct())
                if (c != own && Gain(c) > most) (best, most) = (c, Gain(c));
            if (0 > most && others.Any(u => community[u] == own)) best = empty.Peek();
            if (best == own) continue;
            moved = true;
            if (!community.Contains(best)) empty.Pop();
            community[v] = best;
            if (!community.Contains(own)) empty.Push(own);
            foreach ((int u, _) in level.Edges[v])
                if (community[u] != best && !queue.Contains(u)) queue.Enqueue(u);
        }
        return moved;
    }

    private int[] Refine(Level level, int[] community, ulong pass, uint depth)
    {
        int[] part = [.. Enumerable.Range(0, level.Nodes)];
        for (int c = 0; c <= community.Max(); c++)
        {
            int[] members = [.. Enumerable.Range(0, level.Nodes).Where(v => community[v] == c)];
            CounterRandom random = new(_options.Seed, (0x4C52UL << 48) | (pass << 8) | depth, (ulong)c << 32);
            random.Shuffle<int>(members);
            foreach (int v in members) part[v] = Choose(level, members, part, v, ref random);
        }
        return part;
    }

    private int Choose(Level level, int[] members, int[] part, int v, ref CounterRandom random)
    {
        double k = level.Strength[v], whole = level.Of(members);
        if (part.Count(p => p == part[v]) != 1 || level.Between([v], members.Contains) < _penalty * k * (whole - k)) return part[v];
        (int Part, double Gain)[] candidates = [.. level.Edges[v].Where(e => members.Contains(e.To)).Select(e => part[e.To]).Distinct().Select(p => (p, Gain(p)))];
        double most = candidates.Select(c => c.Gain).Append(0).Max(), total = candidates.Sum(c => Chance(c.Gain)), draw = random.NextDouble() * (total + Chance(0));
        foreach ((int p, double gain) in candidates)
        {
            if (Chance(gain) > 0 && draw < Chance(gain)) return p;
            draw -= Chance(gain);
        }
        return part[v];

        double Gain(int p)
        {
            double strength = level.Of(members.Where(u => part[u] == p));
            bool connected = level.Between(members.Where(u => part[u] == p), u => members.Contains(u) && part[u] != p) >= _penalty * strength * (whole - strength);
            return connected ? level.Between([v], u => part[u] == p) - _penalty * k * strength : -1;
        }

        double Chance(double gain) => gain < 0 || (gain - most) / _temperature < -40 ? 0 : Math.Exp((gain - most) / _temperature);
    }

    private static Level Aggregate(Level level, int[] part, int parts)
    {
        List<(int To, double Weight)>[] edges = [.. Enumerable.Range(0, parts).Select(_ => new List<(int, double)>())];
        for (int p = 0; p < parts; p++)
        {
            int[] members = [.. Enumerable.Range(0, part.Length).Where(v => part[v] == p)];
            foreach (int q in members.SelectMany(v => level.Edges[v]).Select(e => part[e.To]).Where(q => q != p).Distinct()) edges[p].Add((q, level.Between(members, u => part[u] == q)));
        }
        return new Level([.. Enumerable.Range(0, parts).Select(p => level.Of(Enumerable.Range(0, part.Length).Where(v => part[v] == p)))], edges);
    }

    private bool Pieces()
    {
        int[] piece = [.. Enumerable.Repeat(-1, _flat.Length)];
        int pieces = 0;
        for (int first = 0; first < piece.Length; first++)
        {
            if (piece[first] >= 0) continue;
            Stack<int> open = new([first]);
            while (open.TryPop(out int v))
            {
                piece[v] = pieces;
                foreach (int u in _graph.Neighbours(v)) if (piece[u] < 0 && _flat[u] == _flat[v]) open.Push(u);
            }
            pieces++;
        }
        if (pieces == _flat.Distinct().Count()) return false;
        piece.CopyTo(_flat, 0);
        return true;
    }

    /// <summary>0, 1, … in order of first appearance.</summary>
    private static int Renumber(int[] numbers)
    {
        int[] seen = [.. numbers.Distinct()];
        for (int v = 0; v < numbers.Length; v++) numbers[v] = Array.IndexOf(seen, numbers[v]);
        return seen.Length;
    }
}
