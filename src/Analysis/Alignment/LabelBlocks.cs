using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// The cells of two domains grouped by label: a coupling restricted to equal labels is a block per label. A label's block carries the mean of its shares in the two domains, spread evenly over its
/// rows and over its columns: with unequal shares no coupling of uniform masses keeps to equal labels.
/// </summary>
internal sealed class LabelBlocks
{
    private LabelBlocks(string[] labels, int[][] rows, int[][] columns, double[] masses) => (Labels, Rows, Columns, Masses) = (labels, rows, columns, masses);

    /// <summary>Labels in ordinal order.</summary>
    public string[] Labels { get; }

    /// <summary>Cells of the first domain, per label, in their order.</summary>
    public int[][] Rows { get; }
    public int[][] Columns { get; }

    /// <summary>Mass of every block; they sum to 1.</summary>
    public double[] Masses { get; }
    public int Count => Labels.Length;

    /// <exception cref="DataException">A label occurs in one domain only.</exception>
    public static LabelBlocks Of(IReadOnlyList<string> first, IReadOnlyList<string> second)
    {
        string[] labels = [.. first.Concat(second).Distinct().Order(StringComparer.Ordinal)];
        int[][] rows = Cells(first, labels), columns = Cells(second, labels);
        double[] masses = new double[labels.Length];
        for (int l = 0; l < labels.Length; l++)
        {
            if (rows[l].Length == 0 || columns[l].Length == 0)
                throw new DataException($"labels of the {(rows[l].Length == 0 ? "first" : "second")} domain", null,
                    $"'{labels[l]}' occurs in the {(rows[l].Length == 0 ? "second" : "first")} domain only; with couplings restricted to equal labels its cells have no partner.");
            masses[l] = 0.5 * (rows[l].Length / (double)first.Count + columns[l].Length / (double)second.Count);
        }
        return new LabelBlocks(labels, rows, columns, masses);
    }

    /// <summary>Row masses [n]: what a coupling of these blocks has.</summary>
    public double[] RowMasses(int count) => Spread(Rows, count);

    public double[] ColumnMasses(int count) => Spread(Columns, count);

    private double[] Spread(int[][] cells, int count)
    {
        double[] masses = new double[count];
        for (int l = 0; l < Count; l++)
            foreach (int cell in cells[l]) masses[cell] = Masses[l] / cells[l].Length;
        return masses;
    }

    private static int[][] Cells(IReadOnlyList<string> labels, string[] names)
    {
        List<int>[] cells = [.. names.Select(_ => new List<int>())];
        for (int i = 0; i < labels.Count; i++) cells[Array.BinarySearch(names, labels[i], StringComparer.Ordinal)].Add(i);
        return [.. cells.Select(c => c.ToArray())];
    }
}
