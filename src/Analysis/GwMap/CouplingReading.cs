using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.GwMap;

/// <summary>What a coupling says besides its argmax: the one-to-one assignment, class probabilities, entropy, neighbourhoods.</summary>
public sealed record CouplingReading
{
    /// <summary>Most rows for which the assignment is solved: it needs a second matrix of the coupling's size, and time that grows with its cube.</summary>
    public const int LargestAssignment = 6000;

    /// <summary>Labels of the cells that the assignment of largest total mass gives the images, each cell once; null above <see cref="LargestAssignment"/> rows or where there are more images than cells.</summary>
    public required ConfusionMatrix? Assignment { get; init; }

    /// <summary>Cell of every image in that assignment.</summary>
    public required int[]? AssignedCell { get; init; }

    /// <summary>Cell with the largest mass of every image, the first of equals.</summary>
    public required int[] LikeliestCell { get; init; }

    /// <summary>Names of the classes below, in ordinal order.</summary>
    public required IReadOnlyList<string> Classes { get; init; }

    /// <summary>[true class][class]: mean over the images of a class of the share of their mass on the cells of a class.</summary>
    public required double[][] MeanProbability { get; init; }

    /// <summary>Entropy of the coupling in nats, −Σ T log T at total mass 1.</summary>
    public required double Entropy { get; init; }

    /// <summary>Mean entropy of a row over that of spreading its mass evenly: 0 for one partner each, 1 for a coupling that knows nothing.</summary>
    public required double RelativeRowEntropy { get; init; }

    /// <summary>Share of an image's nearest images whose likeliest cells are among the nearest cells of its own likeliest cell.</summary>
    public required double NeighbourConsistency { get; init; }

    /// <summary>What a random matching would reach there.</summary>
    public required double NeighbourChance { get; init; }

    /// <param name="coupling">[images, cells] in host memory.</param>
    /// <param name="imageLabels">A label per image.</param>
    /// <param name="cellLabels">A label per cell.</param>
    /// <param name="images">The space in which images were compared.</param>
    /// <param name="cells">The space in which cells were compared.</param>
    /// <param name="neighbours">Neighbours of the consistency.</param>
    /// <param name="cancellation">Stops between rows.</param>
    public static CouplingReading Of(Matrix<double> coupling, IReadOnlyList<string> imageLabels, IReadOnlyList<string> cellLabels, Matrix<double> images, Matrix<double> cells,
        int neighbours = 10, CancellationToken cancellation = default)
    {
        string[] classes = [.. imageLabels.Concat(cellLabels).Distinct().Order(StringComparer.Ordinal)];
        int[] x = Encode(imageLabels, classes), y = Encode(cellLabels, classes);
        int[] likeliest = new int[coupling.Rows];
        double[][] probability = [.. classes.Select(_ => new double[classes.Length])];
        int[] counts = new int[classes.Length];
        double entropy = 0, rowEntropy = 0, total = 0;
        double[] mass = new double[classes.Length];
        for (int i = 0; i < coupling.Rows; i++)
        {
            ReadOnlySpan<double> row = coupling.Row(i);
            Array.Clear(mass);
            double sum = 0, plogp = 0;
            for (int j = 0; j < row.Length; j++)
            {
                mass[y[j]] += row[j];
                sum += row[j];
                if (row[j] > 0) plogp += row[j] * Math.Log(row[j]);
                if (row[j] > row[likeliest[i]]) likeliest[i] = j;
            }
            total += sum;
            entropy -= plogp;
            if (sum > 0) rowEntropy += Math.Log(sum) - plogp / sum;
            counts[x[i]]++;
            for (int c = 0; c < classes.Length; c++) probability[x[i]][c] += mass[c] / Math.Max(sum, GeneSoftTargets.EmptyRow);
        }
        for (int c = 0; c < classes.Length; c++)
            for (int d = 0; d < classes.Length; d++) probability[c][d] = counts[c] > 0 ? probability[c][d] / counts[c] : double.NaN;
        int[]? assigned = coupling.Rows <= Math.Min(coupling.Columns, LargestAssignment) ? Assign(coupling, cancellation) : null;
        (double consistency, double chance) = Neighbours(images, cells, likeliest, neighbours);
        return new CouplingReading
        {
            Assignment = assigned is null ? null : Confusion(classes, x, y, assigned),
            AssignedCell = assigned,
            LikeliestCell = likeliest,
            Classes = classes,
            MeanProbability = probability,
            Entropy = total > 0 ? entropy / total + Math.Log(total) : 0,
            RelativeRowEntropy = coupling.Columns > 1 ? rowEntropy / coupling.Rows / Math.Log(coupling.Columns) : 0,
            NeighbourConsistency = consistency,
            NeighbourChance = chance,
        };
    }

    /// <summary>The block of a coupling between some images and some cells; its rows are divided by their sums where soft targets are made of it.</summary>
    public static Matrix<double> Block(Matrix<double> coupling, int[] images, int[] cells)
    {
        using Matrix<double> rows = Gather.Rows(coupling, images);
        return Gather.Columns(rows, cells);
    }

    private static int[] Assign(Matrix<double> coupling, CancellationToken cancellation)
    {
        double[] costs = new double[(long)coupling.Rows * coupling.Columns];
        for (int i = 0; i < coupling.Rows; i++)
        {
            ReadOnlySpan<double> row = coupling.Row(i);
            Span<double> cost = costs.AsSpan(i * coupling.Columns, coupling.Columns);
            for (int j = 0; j < row.Length; j++) cost[j] = -row[j];
        }
        return LinearAssignment.Minimise<double>(costs, coupling.Rows, coupling.Columns, cancellation);
    }

    private static ConfusionMatrix Confusion(string[] classes, int[] x, int[] y, int[] partner)
    {
        int[][] counts = [.. classes.Select(_ => new int[classes.Length])];
        for (int i = 0; i < x.Length; i++) counts[x[i]][y[partner[i]]]++;
        return new ConfusionMatrix(classes, counts);
    }

    private static (double Share, double Chance) Neighbours(Matrix<double> images, Matrix<double> cells, int[] partner, int neighbours)
    {
        int k = Math.Min(neighbours, Math.Min(images.Rows, cells.Rows) - 1);
        if (k < 1) return (double.NaN, double.NaN);
        int[][] near = Nearest(images, k), nearCells = Nearest(cells, k);
        long found = 0;
        for (int i = 0; i < images.Rows; i++)
            foreach (int other in near[i])
                if (partner[other] == partner[i] || nearCells[partner[i]].Contains(partner[other])) found++;
        return (found / ((double)images.Rows * k), Math.Min(1, (k + 1.0) / cells.Rows));
    }

    private static int[][] Nearest(Matrix<double> points, int k)
    {
        using Matrix<int> indices = points.Device.AllocateMatrix<int>(points.Rows, k);
        using Matrix<double> distances = points.Device.AllocateMatrix<double>(points.Rows, k);
        KNearestNeighbours.SearchSelf(DistanceMetric.Euclidean, points.View, indices.View, distances.View);
        using PlacedMatrix<int> found = indices.OnHost();
        return [.. Enumerable.Range(0, points.Rows).Select(i => found.Matrix.Row(i).ToArray())];
    }

    private static int[] Encode(IReadOnlyList<string> labels, string[] classes) => [.. labels.Select(l => Array.BinarySearch(classes, l, StringComparer.Ordinal))];
}
