using BioSup.Kernels;
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

    /// <summary>[cells × dimensions] where the layout begins; null for the spectral layout. Every coordinate is stretched over [0, 10].</summary>
    public float[]? Start { get; init; }

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
/// The objective, its gradients, schedules, limits and start are umap-learn's. Its moves one after the other are not reproducible on several threads; here all cells move at once
/// (<see cref="UmapLayout"/>). The same bytes on any number of threads; a GPU's bytes are its own, and the same every time.
/// </summary>
public static class Umap
{
    private const int SmallGraph = 10_000;
    private const double Width = 10, Jitter = 1e-4;

    /// <param name="device">Where the passes run; start and edges are made by the threads of its host.</param>
    /// <param name="connectivities">Symmetric weights, not negative (<see cref="Connectivities.Umap"/>).</param>
    /// <param name="options">Settings.</param>
    /// <param name="progress">Hears of every pass.</param>
    /// <param name="cancel">Ends the layout.</param>
    /// <returns>[cells, dimensions] coordinates, in host memory.</returns>
    /// <exception cref="UsageException">A setting is out of its range, or the graph is no such graph.</exception>
    public static Matrix<float> Run(ComputeDevice device, CellGraph connectivities, UmapOptions options, IProgressReporter? progress = null, CancellationToken cancel = default)
    {
        Check(connectivities, options);
        double[] start = options.Start is { } given ? Array.ConvertAll(given, v => (double)v)
            : SpectralLayout.Compute(device.Host, connectivities, options.Dimensions, options.Seed, cancel);
        Spread(start, options);
        UmapCurve curve = UmapCurve.Fit(options.MinDist, options.Spread);
        int epochs = EpochsFor(connectivities.Cells, options);
        UmapForces forces = new((float)curve.A, (float)curve.B, options.NegativeSamples, (float)options.Repulsion, (float)options.LearningRate, epochs, options.Seed);
        (int[] rows, int[] columns, float[] rates) = Edges(connectivities, epochs);
        using UmapLayout layout = new(device, rows, columns, rates, Array.ConvertAll(start, v => (float)v), forces);
        for (int epoch = 0; epoch < epochs; epoch++)
        {
            cancel.ThrowIfCancellationRequested();
            layout.Step();
            progress?.Report("laying out cells (UMAP)", epoch + 1, epochs);
        }
        Matrix<float> positions = device.Host.AllocateMatrix<float>(connectivities.Cells, options.Dimensions);
        layout.CopyPositions(positions.Buffer.View.Host);
        return positions;
    }

    /// <summary>The passes that <see cref="Run"/> makes.</summary>
    public static int EpochsFor(int cells, UmapOptions options) => options.Epochs ?? (cells <= SmallGraph ? 500 : 200);

    /// <summary>The edges in units of the heaviest; those that are never due are left out.</summary>
    private static (int[] Rows, int[] Columns, float[] Rates) Edges(CellGraph graph, int epochs)
    {
        float heaviest = 0;
        for (int i = 0; i < graph.Cells; i++) foreach (float weight in graph.Values(i)) heaviest = Math.Max(heaviest, weight);
        int[] rows = new int[graph.Cells + 1], columns = new int[graph.Entries];
        float[] rates = new float[graph.Entries];
        int kept = 0;
        for (int i = 0; i < graph.Cells; i++)
        {
            ReadOnlySpan<int> neighbours = graph.Neighbours(i);
            ReadOnlySpan<float> weights = graph.Values(i);
            for (int e = 0; e < weights.Length; e++)
            {
                if (weights[e] < heaviest / epochs || weights[e] == 0) continue;
                (columns[kept], rates[kept++]) = (neighbours[e], weights[e] / heaviest);
            }
            rows[i + 1] = kept;
        }
        return (rows, columns[..kept], rates[..kept]);
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

    private static void Check(CellGraph graph, UmapOptions options)
    {
        if (options.Dimensions is < 1 or > 100) throw new UsageException($"A UMAP layout of {options.Dimensions} dimensions was asked for; 1 to 100 were expected.");
        if (graph.Cells <= options.Dimensions + 1) throw new UsageException($"A UMAP layout in {options.Dimensions} dimensions needs more than {options.Dimensions + 1} cells; there are {graph.Cells}.");
        if (options.Start is { } start && start.Length != (long)graph.Cells * options.Dimensions)
            throw new UsageException($"The start of a UMAP layout has {start.Length} coordinates; {graph.Cells} cells in {options.Dimensions} dimensions need {(long)graph.Cells * options.Dimensions}.");
        if (options.Start is { } places && places.Any(v => !float.IsFinite(v))) throw new UsageException("The start of a UMAP layout holds a value that is not finite.");
        if (options.Epochs is < 1) throw new UsageException($"UMAP cannot make {options.Epochs} passes; at least 1.");
        if (options.NegativeSamples < 0) throw new UsageException($"UMAP cannot draw {options.NegativeSamples} negative samples.");
        if (!(options.LearningRate > 0) || !double.IsFinite(options.LearningRate)) throw new UsageException($"UMAP's learning rate is {options.LearningRate}; a finite number above 0 was expected.");
        if (!(options.Repulsion >= 0) || !double.IsFinite(options.Repulsion)) throw new UsageException($"UMAP's repulsion is {options.Repulsion}; a finite number from 0 was expected.");
    }
}
