using System.Numerics.Tensors;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// The cells of two domains grouped by label: a coupling restricted to equal labels is a block per label. A label's block carries the mean of its shares in the two domains, spread evenly over its
/// rows and over its columns (as the cells' masses stand to each other where these are given): with unequal shares no coupling of the masses keeps to equal labels.
/// </summary>
internal sealed class LabelBlocks
{
    private LabelBlocks(string[] labels, int[][] rows, int[][] columns, double[]? p, double[]? q)
    {
        (Labels, Rows, Columns, Masses) = (labels, rows, columns, new double[labels.Length]);
        (RowShares, ColumnShares) = (new double[labels.Length][], new double[labels.Length][]);
        for (int l = 0; l < labels.Length; l++)
        {
            (RowShares[l], double first) = Shares(rows[l], p, rows.Sum(r => r.Length));
            (ColumnShares[l], double second) = Shares(columns[l], q, columns.Sum(c => c.Length));
            Masses[l] = 0.5 * (first + second);
            EqualShares &= Math.Abs(first - second) <= 1e-12;
        }
    }

    /// <summary>Labels in ordinal order.</summary>
    public string[] Labels { get; }

    /// <summary>Cells of the first domain, per label, in their order.</summary>
    public int[][] Rows { get; }
    public int[][] Columns { get; }

    /// <summary>Mass of every block; they sum to 1.</summary>
    public double[] Masses { get; }
    public int Count => Labels.Length;

    /// <summary>Share of every row in the mass of its block, per label.</summary>
    public double[][] RowShares { get; }
    public double[][] ColumnShares { get; }

    /// <summary>Whether every label has the same share of both domains: then the blocks' couplings are couplings of the masses.</summary>
    public bool EqualShares { get; } = true;

    /// <exception cref="DataException">A label occurs in one domain only.</exception>
    public static LabelBlocks Of(IReadOnlyList<string> first, IReadOnlyList<string> second, double[]? p = null, double[]? q = null)
    {
        string[] labels = [.. first.Concat(second).Distinct().Order(StringComparer.Ordinal)];
        int[][] rows = Cells(first, labels), columns = Cells(second, labels);
        for (int l = 0; l < labels.Length; l++)
            if (rows[l].Length == 0 || columns[l].Length == 0)
                throw new DataException($"labels of the {(rows[l].Length == 0 ? "first" : "second")} domain", null,
                    $"'{labels[l]}' occurs in the {(rows[l].Length == 0 ? "second" : "first")} domain only; with couplings restricted to equal labels its cells have no partner.");
        return new LabelBlocks(labels, rows, columns, p, q);
    }

    /// <summary>Row masses [n]: what a coupling of these blocks has.</summary>
    public double[] RowMasses(int count) => Spread(Rows, RowShares, count);

    public double[] ColumnMasses(int count) => Spread(Columns, ColumnShares, count);

    private static (double[] Shares, double Mass) Shares(int[] cells, double[]? masses, int count)
    {
        double[] shares = [.. cells.Select(cell => masses is null ? 1.0 / count : masses[cell])];
        double total = masses is null ? cells.Length / (double)count : TensorPrimitives.Sum<double>(shares);
        for (int c = 0; c < shares.Length; c++) shares[c] = masses is null ? 1.0 / cells.Length : shares[c] / total;
        return (shares, total);
    }

    private double[] Spread(int[][] cells, double[][] shares, int count)
    {
        double[] masses = new double[count];
        for (int l = 0; l < Count; l++)
            for (int c = 0; c < cells[l].Length; c++) masses[cells[l][c]] = Masses[l] * shares[l][c];
        return masses;
    }

    private static int[][] Cells(IReadOnlyList<string> labels, string[] names)
    {
        List<int>[] cells = [.. names.Select(_ => new List<int>())];
        for (int i = 0; i < labels.Count; i++) cells[Array.BinarySearch(names, labels[i], StringComparer.Ordinal)].Add(i);
        return [.. cells.Select(c => c.ToArray())];
    }
}
