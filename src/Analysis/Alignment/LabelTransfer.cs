using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>Counts of true (rows) against transferred (columns) classes.</summary>
/// <param name="Classes">Class names in ordinal order; the same order in both directions.</param>
/// <param name="Counts">Counts[true][transferred].</param>
public sealed record ConfusionMatrix(IReadOnlyList<string> Classes, int[][] Counts)
{
    public int Total => Counts.Sum(row => row.Sum());
    public double Accuracy => Enumerable.Range(0, Classes.Count).Sum(c => Counts[c][c]) / (double)Math.Max(1, Total);

    /// <summary>Mean over the classes that occur of the share transferred correctly: blind to class sizes.</summary>
    public double BalancedAccuracy => Counts.Select((row, c) => (row, c)).Where(x => x.row.Sum() > 0).Average(x => x.row[x.c] / (double)x.row.Sum());
}

/// <summary>What a coupling says about the labels of the first domain, given those of the second.</summary>
public sealed record LabelTransferResult
{
    /// <summary>Label of the cell with the largest mass in each row (the first of equals): GW-map's one-to-one accuracy.</summary>
    public required ConfusionMatrix OneToOne { get; init; }

    /// <summary>Label with the largest mass in each row: GW-map's barycentric accuracy (with two classes, mass above one half).</summary>
    public required ConfusionMatrix Barycentric { get; init; }

    /// <summary>Accuracy of drawing each label from the second domain's label frequencies.</summary>
    public required double Chance { get; init; }

    /// <summary>Accuracy of giving every cell the first domain's most frequent label; that of its block where the coupling is restricted to blocks.</summary>
    public required double Majority { get; init; }

    /// <summary>Barycentric accuracy under the renaming of the second domain's classes that suits the coupling best.</summary>
    public required double BestRenamedAccuracy { get; init; }

    /// <summary>That renaming: class c of the second domain is taken for class BestRenaming[c]. The identity when the classes lie where their names say.</summary>
    public required IReadOnlyList<int> BestRenaming { get; init; }

    /// <summary>Share of random renamings of the classes with a barycentric accuracy at least as high (ours counted): a null that keeps the coupling smooth.</summary>
    public required double RenamingP { get; init; }
}

/// <summary>Label transfer through a coupling.</summary>
public static class LabelTransfer
{
    private const int Renamings = 999;

    /// <param name="coupling">[n, m], in any memory.</param>
    /// <param name="first">Labels of the first domain [n].</param>
    /// <param name="second">Labels of the second domain [m].</param>
    /// <param name="seed">Seed of the random renamings.</param>
    public static LabelTransferResult Evaluate(Matrix<double> coupling, IReadOnlyList<string> first, IReadOnlyList<string> second, ulong seed = 0)
    {
        (string[] classes, int[] x, int[] y) = Classes(first, second, coupling.Rows, coupling.Columns);
        using PlacedMatrix<double> readable = coupling.OnHost();
        int k = classes.Length;
        int[][] hard = Empty(k), soft = Empty(k);
        double[] mass = new double[k];
        for (int i = 0; i < coupling.Rows; i++)
        {
            ReadOnlySpan<double> row = readable.Matrix.Row(i);
            Array.Clear(mass);
            int best = 0;
            for (int j = 0; j < row.Length; j++)
            {
                mass[y[j]] += row[j];
                if (row[j] > row[best]) best = j;
            }
            hard[x[i]][y[best]]++;
            soft[x[i]][Largest(mass)]++;
        }
        return Result(classes, x, y, hard, soft, seed);
    }

    /// <summary>The same through a coupling that is not stored: one pass for the best partners (of the rows that are looked at) and one for the masses of the classes.</summary>
    /// <inheritdoc cref="Evaluate(Matrix{double}, IReadOnlyList{string}, IReadOnlyList{string}, ulong)"/>
    public static LabelTransferResult Evaluate(IFactoredCoupling coupling, IReadOnlyList<string> first, IReadOnlyList<string> second, ulong seed = 0)
    {
        (string[] classes, int[] x, int[] y) = Classes(first, second, coupling.Rows, coupling.Columns);
        int k = classes.Length;
        int[][] hard = Empty(k);
        int[] best = coupling.BestColumns();
        for (int i = 0; i < best.Length; i++) hard[x[i * coupling.RowStep]][y[best[i]]]++;
        return Result(classes, x, y, hard, Soft(coupling, x, y, k), seed);
    }

    /// <summary>The label with the largest mass in each row alone: one pass.</summary>
    internal static ConfusionMatrix Barycentric(IFactoredCoupling coupling, IReadOnlyList<string> first, IReadOnlyList<string> second)
    {
        (string[] classes, int[] x, int[] y) = Classes(first, second, coupling.Rows, coupling.Columns);
        return new ConfusionMatrix(classes, Soft(coupling, x, y, classes.Length));
    }

    private static int[][] Soft(IFactoredCoupling coupling, int[] x, int[] y, int classes)
    {
        int[][] counts = Empty(classes);
        using Matrix<double> masses = coupling.LabelSums(y, classes);
        for (int i = 0; i < x.Length; i++) counts[x[i]][Largest(masses.Row(i))]++;
        return counts;
    }

    private static (string[] Classes, int[] First, int[] Second) Classes(IReadOnlyList<string> first, IReadOnlyList<string> second, int rows, int columns)
    {
        if (first.Count != rows) throw new DataException("labels of the first domain", null, $"{first.Count} labels were given for {rows} rows of the coupling.");
        if (second.Count != columns) throw new DataException("labels of the second domain", null, $"{second.Count} labels were given for {columns} columns of the coupling.");
        string[] classes = [.. first.Concat(second).Distinct().Order(StringComparer.Ordinal)];
        return (classes, Encode(first, classes), Encode(second, classes));
    }

    private static LabelTransferResult Result(string[] classes, int[] x, int[] y, int[][] hard, int[][] soft, ulong seed)
    {
        int k = classes.Length;
        ConfusionMatrix barycentric = new(classes, soft);
        int[] renaming = ClassAssignment.Best(soft);
        return new LabelTransferResult
        {
            OneToOne = new ConfusionMatrix(classes, hard),
            Barycentric = barycentric,
            Chance = Enumerable.Range(0, k).Sum(c => x.Count(l => l == c) / (double)x.Length * y.Count(l => l == c) / y.Length),
            Majority = Enumerable.Range(0, k).Max(c => x.Count(l => l == c)) / (double)x.Length,
            BestRenamedAccuracy = Renamed(soft, renaming) / (double)barycentric.Total,
            BestRenaming = renaming,
            RenamingP = RenamingNull(soft, seed),
        };
    }

    /// <summary>
    /// SCOT's label transfer: a k-nearest-neighbour vote (Euclidean) over the second domain at the barycentric projections of the first;
    /// of equally frequent labels the first in ordinal order, as scikit-learn's KNeighborsClassifier.
    /// </summary>
    public static ConfusionMatrix ByNeighbours(Matrix<double> projected, IReadOnlyList<string> first, Matrix<double> target, IReadOnlyList<string> second, int neighbours = 5)
    {
        string[] classes = [.. first.Concat(second).Distinct().Order(StringComparer.Ordinal)];
        int[] x = Encode(first, classes), y = Encode(second, classes);
        int[][] counts = Empty(classes.Length);
        neighbours = Math.Min(neighbours, target.Rows);
        using Matrix<int> indices = target.Device.AllocateMatrix<int>(projected.Rows, neighbours);
        using Matrix<double> distances = target.Device.AllocateMatrix<double>(projected.Rows, neighbours);
        KNearestNeighbours.Search(DistanceMetric.Euclidean, projected.View, target.View, indices.View, distances.View);
        using PlacedMatrix<int> found = indices.OnHost();
        double[] votes = new double[classes.Length];
        for (int i = 0; i < projected.Rows; i++)
        {
            Array.Clear(votes);
            foreach (int j in found.Matrix.Row(i)) votes[y[j]]++;
            counts[x[i]][Largest(votes)]++;
        }
        return new ConfusionMatrix(classes, counts);
    }

    /// <summary>Renames the second domain's classes at random. The coupling and its smoothness stay; only which class is called what is lost.</summary>
    private static double RenamingNull(int[][] counts, ulong seed)
    {
        int k = counts.Length, asGood = 1;
        int[] renaming = [.. Enumerable.Range(0, k)];
        int observed = Renamed(counts, renaming);
        CounterRandom random = new(seed, stream: 0x6C61626C);
        for (int draw = 0; draw < Renamings; draw++)
        {
            random.Shuffle<int>(renaming);
            if (Renamed(counts, renaming) >= observed) asGood++;
        }
        return asGood / (double)(Renamings + 1);
    }

    private static int Renamed(int[][] counts, int[] renaming) => Enumerable.Range(0, renaming.Length).Sum(c => counts[renaming[c]][c]);

    private static int[] Encode(IReadOnlyList<string> labels, string[] classes) => [.. labels.Select(l => Array.BinarySearch(classes, l, StringComparer.Ordinal))];

    private static int[][] Empty(int k) => [.. Enumerable.Range(0, k).Select(_ => new int[k])];

    private static int Largest(ReadOnlySpan<double> values)
    {
        int best = 0;
        for (int c = 1; c < values.Length; c++) if (values[c] > values[best]) best = c;
        return best;
    }
}
