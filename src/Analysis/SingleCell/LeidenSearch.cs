using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>The memory and the passes of one community search; the steps of a pass are in the other parts of the class.</summary>
internal sealed partial class LeidenSearch
{
    private const int CancellationStride = 1 << 16;
    private const ulong RefinementStream = 0x4C52UL << 48;

    private readonly LeidenGraph _graph;
    private readonly LeidenLevel _bottom;
    private readonly LeidenLevel[] _above = [new(), new()];
    private readonly LeidenOptions _options;
    private readonly IProgressReporter _progress;
    private readonly CancellationToken _cancel;
    private readonly WorkerPool _pool;
    private readonly double _penalty, _temperature, _tolerance;

    /// <summary>The node of the graph that is node i of the search; null where both are one.</summary>
    private readonly int[]? _nodes;
    private CounterRandom _random;
    private int _run, _passes;

    /// <summary>Per node of the graph: its node at the present level, and its community after the last level.</summary>
    private readonly int[] _nodeOf, _flat;

    /// <summary>Per node of the present level. Communities have numbers below the number of nodes.</summary>
    private readonly int[] _community, _refined, _order;
    private readonly double[] _inside;
    private readonly int[] _begin;

    /// <summary>Per community or refined community.</summary>
    private readonly double[] _strength, _refinedStrength, _outside;
    private readonly int[] _size, _refinedSize;

    /// <summary>Scratch: <see cref="_link"/> and those of the workers are all zero between uses, the others carry nothing over.</summary>
    private readonly double[] _link, _chance;
    private readonly double[]?[] _workerLinks;
    private readonly int[] _touched, _label;
    private readonly bool[] _queued;

    public LeidenSearch(LeidenGraph graph, LeidenOptions options, WorkerPool pool, IProgressReporter progress, CancellationToken cancel)
    {
        (_graph, _options, _pool, _progress, _cancel) = (graph, options, pool, progress, cancel);
        int n = graph.Nodes;
        _nodes = n < LeidenOrder.LeastNodes ? null : LeidenOrder.Balls(graph);
        _bottom = _nodes is null ? LeidenLevel.Of(graph) : LeidenLevel.Of(graph, _nodes);
        double m = graph.TotalWeight;
        _penalty = m > 0 ? options.Resolution / (2 * m) : 0;
        _temperature = graph.Edges > 0 ? options.Randomness * graph.WeightArray.Sum() / graph.WeightArray.Length : 1;
        // Gains below the rounding of their own terms could be taken back and forth forever; a node of strength k gains (1 + γ) k at most.
        _tolerance = 1e-11 * (1 + options.Resolution);
        (_nodeOf, _flat, _community, _refined, _order) = (new int[n], new int[n], new int[n], new int[n], new int[n]);
        (_size, _refinedSize, _touched, _label) = (new int[n], new int[n], new int[n], new int[n]);
        (_inside, _strength, _refinedStrength, _outside, _link, _chance) = (new double[n], new double[n], new double[n], new double[n], new double[n], new double[n]);
        (_queued, _begin, _workerLinks) = (new bool[n], new int[n + 1], new double[]?[pool.Threads]);
    }

    public LeidenResult Run(int run)
    {
        _random = new CounterRandom(_options.Seed, stream: 0x1E1DE0000000000UL + (ulong)run);
        (_run, _passes) = (run, 0);
        for (int v = 0; v < _flat.Length; v++) _flat[v] = v;
        bool converged = _graph.Edges == 0;
        while (!converged && (_options.Iterations < 0 || _passes < _options.Iterations))
        {
            converged = !Pass();
            _passes++;
            _progress.Report("finding communities", _passes, Math.Max(0, _options.Iterations), run > 0 ? $"run {run + 1}" : null);
        }
        (int[] community, int[] sizes) = BySize();
        return new LeidenResult(community, sizes, Leiden.Modularity(_graph, community, _options.Resolution), _passes, converged);
    }

    /// <summary>Local moving, refinement and aggregation until every node of a level is a community. Says whether anything changed for the better.</summary>
    private bool Pass()
    {
        int n = _graph.Nodes;
        LeidenLevel level = _bottom;
        for (int v = 0; v < n; v++) (_nodeOf[v], _community[v]) = (v, _flat[v]);
        bool changed = false, whole = true;
        for (int depth = 0; ; depth++)
        {
            changed |= MoveNodes(level);
            int communities = Compact(_community, level.Nodes);
            for (int v = 0; v < n; v++) _flat[v] = _community[_nodeOf[v]];
            if (communities == level.Nodes) break;
            int refined = Refine(level, communities, depth);
            if (refined == level.Nodes)
            {
                // Nothing could be merged with confidence. Going on with the communities themselves, as igraph does, keeps the levels shrinking.
                whole = false;
                Array.Copy(_community, _refined, level.Nodes);
                for (int c = 0; c < communities; c++) _label[c] = c;
                refined = communities;
            }
            LeidenLevel next = _above[depth & 1];
            Aggregate(level, refined, next);
            for (int v = 0; v < n; v++) _nodeOf[v] = _refined[_nodeOf[v]];
            for (int r = 0; r < refined; r++) _community[r] = _label[r];
            level = next;
        }
        // A pass that ends with refined parts as communities leaves none in pieces.
        return (!whole && SplitDisconnected()) || changed;
    }

    /// <summary>Renumbers 0, 1, … in order of first appearance.</summary>
    private int Compact(int[] numbers, int count)
    {
        Array.Fill(_label, -1, 0, count);
        int used = 0;
        for (int v = 0; v < count; v++)
        {
            ref int label = ref _label[numbers[v]];
            if (label < 0) label = used++;
            numbers[v] = label;
        }
        return used;
    }

    /// <summary>
    /// Gives every connected piece of a community a number of its own, after a level at which nothing could be refined: the promise of connected communities has
    /// no exceptions. Parting two pieces never lowers the modularity.
    /// </summary>
    private bool SplitDisconnected()
    {
        int n = _graph.Nodes, communities = 0, pieces = 0;
        Array.Fill(_label, -1, 0, n);
        for (int v = 0; v < n; v++) communities = Math.Max(communities, _flat[v] + 1);
        for (int first = 0; first < n; first++)
        {
            if (_label[first] >= 0) continue;
            int head = 0, tail = 0;
            _touched[tail++] = first;
            _label[first] = pieces;
            while (head < tail)
            {
                int v = _touched[head++];
                foreach (int u in _bottom.Neighbours(v))
                {
                    if (_label[u] >= 0 || _flat[u] != _flat[v]) continue;
                    _label[u] = pieces;
                    _touched[tail++] = u;
                }
            }
            pieces++;
        }
        if (pieces == communities) return false;
        Array.Copy(_label, _flat, n);
        return true;
    }

    private (int[] Community, int[] Sizes) BySize()
    {
        int n = _graph.Nodes;
        for (int v = 0; v < n; v++) _community[_nodes is null ? v : _nodes[v]] = _flat[v];
        // Numbers in order of first appearance: among equals the smaller number has the earlier first member.
        int communities = Compact(_community, n);
        int[] sizes = new int[communities], order = new int[communities], rank = new int[communities], result = new int[n];
        for (int v = 0; v < n; v++) sizes[_community[v]]++;
        for (int c = 0; c < communities; c++) order[c] = c;
        Array.Sort(order, (a, b) => sizes[a] != sizes[b] ? sizes[b].CompareTo(sizes[a]) : a.CompareTo(b));
        for (int place = 0; place < communities; place++) rank[order[place]] = place;
        for (int v = 0; v < n; v++) result[v] = rank[_community[v]];
        return (result, Array.ConvertAll(order, c => sizes[c]));
    }
}
