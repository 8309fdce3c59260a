using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>Settings of a UMAP layout.</summary>
public sealed record UmapOptions
{
    /// <summary>Coordinates of the layout.</summary>
    public int Dimensions { get; init; } = 2;

    /// <summary>How near joined cells may come; 0.5 is scanpy's, 0.1 umap-learn's.</summary>
    public double MinDist { get; init; } = 0.5;

    /// <summary>Scale of the layout.</summary>
    public double Spread { get; init; } = 1;

    /// <summary>Passes; null takes 500 for up to 10,000 cells and 200 for more, as umap-learn does.</summary>
    public int? Epochs { get; init; }

    /// <summary>Random cells that an edge pushes away each time it pulls.</summary>
    public int NegativeSamples { get; init; } = 5;

    /// <summary>Length of the first steps; they shrink linearly to nothing.</summary>
    public double LearningRate { get; init; } = 1;

    /// <summary>Weight of pushing against pulling.</summary>
    public double Repulsion { get; init; } = 1;

    /// <summary>Decides every random choice.</summary>
    public ulong Seed { get; init; }
}

/// <summary>
/// UMAP's layout of a graph (McInnes, Healy and Melville 2018): joined cells pull each other as often as their edge is heavy, random cells push, from the spectral layout on.
/// The objective, its gradients, schedules, limits and start are umap-learn's. Its moves one after the other are not reproducible on several threads; here all cells move at once, each by the sum of what
/// acts on it where all were before the pass, with steps of Adam (β 0.5 and 0.9, as in uwot's <c>batch</c> mode), which such sums need. The same bytes on any number of threads.
/// </summary>
public sealed class Umap
{
    private const int CellsPerBlock = 128;
    private const float FirstDecay = 0.5f, SecondDecay = 0.9f, Tiny = 1e-7f, Limit = 4, Softening = 0.001f;
    private const double Width = 10, Jitter = 1e-4;

    private readonly UmapOptions _options;
    private readonly int _cells, _dimensions, _epochs;
    private readonly int[] _start, _columns;
    private readonly float[] _period, _next, _nextNegative, _first, _second;
    private readonly float _a, _b;
    private float[] _position, _moved;

    private Umap(CellGraph graph, UmapOptions options, double[] start)
    {
        (_options, _cells, _dimensions) = (options, graph.Cells, options.Dimensions);
        _epochs = options.Epochs ?? (graph.Cells <= 10_000 ? 500 : 200);
        float heaviest = 0;
        for (int i = 0; i < _cells; i++) foreach (float weight in graph.Values(i)) heaviest = Math.Max(heaviest, weight);
        _start = new int[_cells + 1];
        List<int> columns = new(graph.Entries);
        List<float> periods = new(graph.Entries);
        for (int i = 0; i < _cells; i++)
        {
            ReadOnlySpan<int> neighbours = graph.Neighbours(i);
            ReadOnlySpan<float> weights = graph.Values(i);
            for (int e = 0; e < weights.Length; e++)
            {
                // An edge this light is never due.
                if (weights[e] < heaviest / _epochs || weights[e] == 0) continue;
                columns.Add(neighbours[e]);
                periods.Add(heaviest / weights[e]);
            }
            _start[i + 1] = columns.Count;
        }
        (_columns, _period) = ([.. columns], [.. periods]);
        _next = [.. _period];
        _nextNegative = options.NegativeSamples > 0 ? Array.ConvertAll(_period, p => p / options.NegativeSamples) : [];
        UmapCurve curve = UmapCurve.Fit(options.MinDist, options.Spread);
        (_a, _b) = ((float)curve.A, (float)curve.B);
        (_position, _moved) = (Array.ConvertAll(start, v => (float)v), new float[start.Length]);
        (_first, _second) = (new float[start.Length], new float[start.Length]);
    }

    /// <param name="device">Whose host threads do the work.</param>
    /// <param name="connectivities">Symmetric weights, not negative (<see cref="Connectivities.Umap"/>).</param>
    /// <param name="options">Settings.</param>
    /// <param name="progress">Hears of every pass.</param>
    /// <param name="cancel">Ends the layout.</param>
    /// <returns>[cells, dimensions] coordinates, in host memory.</returns>
    /// <exception cref="UsageException">A setting is out of its range, or the graph is no such graph.</exception>
    public static Matrix<float> Run(ComputeDevice device, CellGraph connectivities, UmapOptions options, IProgressReporter? progress = null, CancellationToken cancel = default)
    {
        Check(connectivities, options);
        double[] start = SpectralLayout.Compute(device.Host, connectivities, options.Dimensions, options.Seed, cancel);
        Spread(start, options);
        Umap layout = new(connectivities, options, start);
        for (int epoch = 0; epoch < layout._epochs; epoch++)
        {
            cancel.ThrowIfCancellationRequested();
            Job job = new(layout, epoch);
            device.Host.Pool.Run((layout._cells + CellsPerBlock - 1) / CellsPerBlock, ref job);
            (layout._position, layout._moved) = (layout._moved, layout._position);
            progress?.Report("laying out cells (UMAP)", epoch + 1, layout._epochs);
        }
        return Matrix<float>.From(device.Host, layout._cells, options.Dimensions, layout._position);
    }

    /// <summary>A little noise, then every coordinate over [0, 10].</summary>
    private static void Spread(double[] layout, UmapOptions options)
    {
        CounterRandom random = new(options.Seed, stream: 0x4A697474UL);
        for (int i = 0; i < layout.Length; i++) layout[i] += Jitter * random.NextNormal();
        for (int d = 0; d < options.Dimensions; d++)
        {
            double low = double.PositiveInfinity, high = double.NegativeInfinity;
            for (int i = d; i < layout.Length; i += options.Dimensions) (low, high) = (Math.Min(low, layout[i]), Math.Max(high, layout[i]));
            for (int i = d; i < layout.Length; i += options.Dimensions) layout[i] = high > low ? Width * (layout[i] - low) / (high - low) : 0;
        }
    }

    /// <summary>One pass for a cell: what acts on it where all cells were, and its step.</summary>
    private void Move(int cell, int epoch)
    {
        Span<float> force = stackalloc float[_dimensions];
        force.Clear();
        ReadOnlySpan<float> here = At(cell);
        CounterRandom random = new(_options.Seed, stream: (ulong)epoch + 1, position: (ulong)(uint)cell << 32);
        for (int e = _start[cell]; e < _start[cell + 1]; e++)
        {
            if (_next[e] > epoch) continue;
            Pull(here, At(_columns[e]), force);
            _next[e] += _period[e];
            if (_nextNegative.Length == 0) continue;
            float period = _period[e] / _options.NegativeSamples;
            int samples = (int)((epoch - _nextNegative[e]) / period);
            for (int s = 0; s < samples; s++)
            {
                int other = random.NextInt32(_cells);
                if (other != cell) Push(here, At(other), force);
            }
            _nextNegative[e] += samples * period;
        }
        Step(cell, epoch, force);
    }

    /// <summary>Twice: the same edge is in the other cell's row, and moves both of its ends from there too.</summary>
    private void Pull(ReadOnlySpan<float> here, ReadOnlySpan<float> there, Span<float> force)
    {
        float square = SquaredDistance(here, there);
        if (square <= 0) return;
        float power = MathF.Pow(square, _b), factor = -2 * _a * _b * power / (square * (1 + _a * power));
        for (int d = 0; d < force.Length; d++) force[d] += 2 * Math.Clamp(factor * (here[d] - there[d]), -Limit, Limit);
    }

    private void Push(ReadOnlySpan<float> here, ReadOnlySpan<float> there, Span<float> force)
    {
        float square = SquaredDistance(here, there);
        if (square <= 0) return;
        float factor = 2 * (float)_options.Repulsion * _b / ((Softening + square) * (1 + _a * MathF.Pow(square, _b)));
        for (int d = 0; d < force.Length; d++) force[d] += Math.Clamp(factor * (here[d] - there[d]), -Limit, Limit);
    }

    private void Step(int cell, int epoch, ReadOnlySpan<float> force)
    {
        float rate = (float)(_options.LearningRate * (1 - epoch / (double)_epochs));
        float firstScale = 1 - MathF.Pow(FirstDecay, epoch + 1), secondScale = 1 - MathF.Pow(SecondDecay, epoch + 1);
        for (int d = 0; d < force.Length; d++)
        {
            int at = cell * _dimensions + d;
            _first[at] = FirstDecay * _first[at] + (1 - FirstDecay) * force[d];
            _second[at] = SecondDecay * _second[at] + (1 - SecondDecay) * force[d] * force[d];
            _moved[at] = _position[at] + rate * (_first[at] / firstScale) / (MathF.Sqrt(_second[at] / secondScale) + Tiny);
        }
    }

    private ReadOnlySpan<float> At(int cell) => _position.AsSpan(cell * _dimensions, _dimensions);

    private static float SquaredDistance(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        float sum = 0;
        for (int d = 0; d < a.Length; d++) sum += (a[d] - b[d]) * (a[d] - b[d]);
        return sum;
    }

    private static void Check(CellGraph graph, UmapOptions options)
    {
        if (options.Dimensions is < 1 or > 100) throw new UsageException($"A UMAP layout of {options.Dimensions} dimensions was asked for; 1 to 100 were expected.");
        if (graph.Cells <= options.Dimensions + 1) throw new UsageException($"A UMAP layout in {options.Dimensions} dimensions needs more than {options.Dimensions + 1} cells; there are {graph.Cells}.");
        if (options.Epochs is < 1) throw new UsageException($"UMAP cannot make {options.Epochs} passes; at least 1.");
        if (options.NegativeSamples < 0) throw new UsageException($"UMAP cannot draw {options.NegativeSamples} negative samples.");
        if (!(options.LearningRate > 0) || !double.IsFinite(options.LearningRate)) throw new UsageException($"UMAP's learning rate is {options.LearningRate}; a finite number above 0 was expected.");
        if (!(options.Repulsion >= 0) || !double.IsFinite(options.Repulsion)) throw new UsageException($"UMAP's repulsion is {options.Repulsion}; a finite number from 0 was expected.");
    }

    private readonly struct Job(Umap layout, int epoch) : IBlockJob
    {
        public void Execute(long block, int worker)
        {
            for (int i = (int)block * CellsPerBlock, end = Math.Min(i + CellsPerBlock, layout._cells); i < end; i++) layout.Move(i, epoch);
        }
    }
}
