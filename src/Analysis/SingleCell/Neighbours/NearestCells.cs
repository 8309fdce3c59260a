using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>
/// The nearest other cells of every cell with their distances, nearest first, equal distances by number. As in scanpy's
/// <c>sc.pp.neighbors</c>, "k neighbours" counts the cell itself: k − 1 others are kept.
/// </summary>
public sealed class NearestCells
{
    private readonly int[] _indices;
    private readonly float[] _distances;

    private NearestCells(ComputeDevice device, int cells, int others, int[] indices, float[] distances)
    {
        (Device, Cells, Others) = (device, cells, others);
        (_indices, _distances) = (indices, distances);
    }

    /// <summary>Where the search was made; what follows on the host uses its threads.</summary>
    public ComputeDevice Device { get; }

    public int Cells { get; }

    /// <summary>k − 1.</summary>
    public int Others { get; }

    /// <summary>How much of the exact lists these hold; null when they are exact.</summary>
    public NeighbourRecall? Recall { get; private init; }

    /// <summary>The others of a cell, nearest first.</summary>
    public ReadOnlySpan<int> Of(int cell) => _indices.AsSpan(cell * Others, Others);

    /// <summary>Their distances, ascending.</summary>
    public ReadOnlySpan<float> Distances(int cell) => _distances.AsSpan(cell * Others, Others);

    /// <summary>Exact search among all pairs. Distances have the rounding of single precision: cells whose distances differ by less count as equally far, and the lower number comes first.</summary>
    /// <param name="x">[cells, coordinates], finite.</param>
    /// <param name="k">Neighbours of each cell, itself included; 2 … cells.</param>
    /// <param name="metric">Which distance.</param>
    /// <exception cref="UsageException">k is out of its range, or there are more than 2³¹ neighbours in all.</exception>
    public static NearestCells Find(Matrix<float> x, int k, DistanceMetric metric = DistanceMetric.Euclidean)
    {
        RequireRange(x.Rows, k);
        using Matrix<int> indices = x.Device.AllocateMatrix<int>(x.Rows, k - 1);
        using Matrix<float> distances = x.Device.AllocateMatrix<float>(x.Rows, k - 1);
        KNearestNeighbours.SearchSelf(metric, x.View, indices.View, distances.View);
        return new NearestCells(x.Device, x.Rows, k - 1, indices.ToArray(), distances.ToArray());
    }

    /// <summary>The same with distances computed in double precision, and rounded after they have been compared: half as fast.</summary>
    /// <inheritdoc cref="Find(Matrix{float}, int, DistanceMetric)"/>
    public static NearestCells Find(Matrix<double> x, int k, DistanceMetric metric = DistanceMetric.Euclidean)
    {
        RequireRange(x.Rows, k);
        using Matrix<int> indices = x.Device.AllocateMatrix<int>(x.Rows, k - 1);
        using Matrix<double> distances = x.Device.AllocateMatrix<double>(x.Rows, k - 1);
        KNearestNeighbours.SearchSelf(metric, x.View, indices.View, distances.View);
        return new NearestCells(x.Device, x.Rows, k - 1, indices.ToArray(), Array.ConvertAll(distances.ToArray(), d => (float)d));
    }

    /// <summary>
    /// Approximate search for very many cells: see <see cref="Recall"/> for how much of the exact lists it found. On the host; the same bytes on any number of threads.
    /// Memory: 4 bytes for each coordinate of a cell and about 20 for each of its neighbours, beside <paramref name="x"/> (0.5 GB for a million cells of 50 coordinates with 15 neighbours).
    /// </summary>
    /// <param name="x">[cells, coordinates], finite.</param>
    /// <param name="k">Neighbours of each cell, itself included; 2 … cells.</param>
    /// <param name="metric">Euclidean, cosine or correlation.</param>
    /// <param name="recall">The search goes on until it has found this share of the true neighbours of a sample of cells, or until going on brings almost nothing.</param>
    /// <param name="seed">Decides where the search begins, and the sample.</param>
    /// <param name="progress">Hears how far the search is.</param>
    /// <param name="cancel">Ends the search.</param>
    /// <exception cref="UsageException">k is out of its range, there are more than 2³¹ neighbours in all, the metric is another, or a cell has no direction.</exception>
    public static NearestCells FindApproximate(Matrix<float> x, int k, DistanceMetric metric = DistanceMetric.Euclidean, double recall = 0.99, ulong seed = 0, IProgressReporter? progress = null, CancellationToken cancel = default)
    {
        RequireRange(x.Rows, k);
        if (metric is not (DistanceMetric.Euclidean or DistanceMetric.Cosine or DistanceMetric.Correlation))
            throw new UsageException($"The approximate search knows the metrics euclidean, cosine and correlation, not {DistanceMetrics.NameOf(metric)}: take mode=exact.");
        bool unit = metric != DistanceMetric.Euclidean;
        using Matrix<float>? copy = unit || !x.Device.IsHost ? x.CopyAt(x.Device.Host) : null;
        if (unit) Normalise(copy!, centred: metric == DistanceMetric.Correlation);
        (int[] indices, float[] distances, NeighbourRecall found) = ApproximateNeighbours.Find(copy ?? x, k, recall, seed, progress ?? SilentProgress.Instance, cancel);
        // Between unit rows, half the squared distance is 1 minus the cosine.
        if (unit) for (int i = 0; i < distances.Length; i++) distances[i] = 0.5f * distances[i] * distances[i];
        return new NearestCells(x.Device, x.Rows, k - 1, indices, distances) { Recall = found };
    }

    private static void Normalise(Matrix<float> rows, bool centred)
    {
        for (int i = 0; i < rows.Rows; i++)
        {
            Span<float> row = rows.Row(i);
            double mean = 0, square = 0;
            if (centred)
            {
                foreach (float v in row) mean += v;
                mean /= row.Length;
            }
            foreach (float v in row) square += (v - mean) * (v - mean);
            if (square == 0) throw new UsageException($"Cell {i} {(centred ? "has the same value everywhere" : "is 0 everywhere")} and so no direction: leave it out, or take mode=exact, which puts it at distance 1 from all others.");
            double scale = 1 / Math.Sqrt(square);
            for (int j = 0; j < row.Length; j++) row[j] = (float)((row[j] - mean) * scale);
        }
    }

    /// <summary>The first neighbours of each cell: what a search for fewer would have found.</summary>
    public NearestCells Take(int k)
    {
        RequireRange(Cells, k);
        if (k - 1 > Others) throw new UsageException($"{k} neighbours were asked of lists that hold {Others + 1}, the cell itself included.");
        int[] indices = new int[Cells * (k - 1)];
        float[] distances = new float[indices.Length];
        for (int i = 0; i < Cells; i++)
        {
            Of(i)[..(k - 1)].CopyTo(indices.AsSpan(i * (k - 1)));
            Distances(i)[..(k - 1)].CopyTo(distances.AsSpan(i * (k - 1)));
        }
        return new NearestCells(Device, Cells, k - 1, indices, distances) { Recall = Recall };
    }

    /// <summary>Row i holds <paramref name="values"/> of its neighbours; by default their distances, as in <c>obsp['distances']</c>.</summary>
    /// <param name="values">[cells × others], in the order of the lists; null for the distances.</param>
    internal CellGraph ToGraph(float[]? values = null)
    {
        int[] start = [.. Enumerable.Range(0, Cells + 1).Select(i => i * Others)];
        int[] columns = [.. _indices];
        float[] entries = [.. values ?? _distances];
        for (int i = 0; i < Cells; i++) columns.AsSpan(i * Others, Others).Sort(entries.AsSpan(i * Others, Others));
        return new CellGraph(start, columns, entries);
    }

    /// <summary><c>obsp['distances']</c>: k − 1 entries in each row, those at distance 0 among them.</summary>
    public CellGraph ToGraph() => ToGraph(null);

    private static void RequireRange(int cells, int k)
    {
        if (k < 2) throw new UsageException($"{k} neighbours were asked for; they count the cell itself, so 2 are the fewest.");
        if (k > cells) throw new UsageException($"{k} neighbours (the cell itself included) need as many cells; there are {cells}.");
        if ((long)cells * (k - 1) > Array.MaxLength) throw new UsageException($"{cells} cells with {k - 1} neighbours each have {(long)cells * (k - 1)} in all; at most {Array.MaxLength} fit. Take fewer neighbours.");
    }
}
