using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>Which cells a coupling gives partners: partial and unbalanced couplings leave cells out, semi-relaxed ones cells of the second domain.</summary>
/// <param name="First">Cells of the first domain with a partner, ascending.</param>
/// <param name="Second">Cells of the second domain with a partner, ascending.</param>
/// <param name="Cells">Cells of both domains.</param>
/// <param name="ColumnsInUse">exp of the entropy of the column masses: how many cells of the second domain share the mass.</param>
public sealed record MatchedCells(int[] First, int[] Second, (int First, int Second) Cells, double ColumnsInUse)
{
    /// <summary>A cell that keeps less than this share of its mass has no partner.</summary>
    public const double LeastShare = 0.01;

    /// <summary>Cells of the first domain without a partner.</summary>
    public int LeftOutFirst => Cells.First - First.Length;

    /// <summary>Cells of the second domain without a partner.</summary>
    public int LeftOutSecond => Cells.Second - Second.Length;

    /// <param name="coupling">[n, m], in host memory, between uniform masses.</param>
    internal static MatchedCells Of(Matrix<double> coupling)
    {
        CouplingSums sums = CouplingSums.Of(coupling);
        double entropy = 0;
        foreach (double column in sums.Columns)
            if (column > 0 && sums.Mass > 0) entropy -= column / sums.Mass * Math.Log(column / sums.Mass);
        return new MatchedCells(Matched(sums.Rows), Matched(sums.Columns), (coupling.Rows, coupling.Columns), Math.Exp(entropy));
    }

    /// <summary>Every cell has a partner, as between balanced masses.</summary>
    internal static MatchedCells All(int first, int second) => new([.. Enumerable.Range(0, first)], [.. Enumerable.Range(0, second)], (first, second), second);

    /// <summary>The rows of the cells that have a partner: the matrix itself where all have one, else a copy of these.</summary>
    /// <param name="matrix">A row per cell of the first domain, in host memory.</param>
    internal PlacedRows Rows(Matrix<double> matrix) =>
        LeftOutFirst == 0 ? new PlacedRows(matrix, null) : new PlacedRows(null, CellStability.Part(matrix.Device.Host, matrix, First, [.. Enumerable.Range(0, matrix.Columns)]));

    /// <summary>The same for what is known of each cell.</summary>
    internal IReadOnlyList<string>? Labels(IReadOnlyList<string>? labels) => labels is null || LeftOutFirst == 0 ? labels : [.. First.Select(i => labels[i])];

    private static int[] Matched(double[] sums) => [.. Enumerable.Range(0, sums.Length).Where(i => sums[i] >= LeastShare / sums.Length)];
}

/// <summary>Rows of a matrix: all of them as they lie there, or a copy that goes with this object.</summary>
internal readonly struct PlacedRows(Matrix<double>? whole, Matrix<double>? part) : IDisposable
{
    public Matrix<double> Matrix => part ?? whole!;

    public void Dispose() => part?.Dispose();
}
