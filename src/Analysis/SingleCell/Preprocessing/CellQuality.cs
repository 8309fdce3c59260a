using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>What scanpy's <c>calculate_qc_metrics</c> counts. Shares are in per cent; those of a cell without counts are NaN.</summary>
public sealed record QualityMetrics
{
    /// <summary>[cells] variables that are not 0.</summary>
    public required int[] VariablesByCell { get; init; }

    /// <summary>[cells] sums of the counts.</summary>
    public required double[] Totals { get; init; }

    /// <summary>Per number of top variables: [cells] per cent of the counts that the largest ones hold.</summary>
    public required double[][] TopShares { get; init; }

    /// <summary>Per set of variables: [cells] sums of the counts in the set.</summary>
    public required double[][] SetTotals { get; init; }

    /// <summary>[variables] cells in which the variable is not 0.</summary>
    public required int[] CellsByVariable { get; init; }

    /// <summary>[variables] sums of the counts.</summary>
    public required double[] VariableTotals { get; init; }

    /// <summary>[cells] per cent of the counts that lie in a set.</summary>
    public double[] SetShares(int set) => [.. SetTotals[set].Zip(Totals, (own, all) => own / all * 100)];
}

/// <summary>Quality control of cells and genes, and the filters that go with it.</summary>
public static class CellQuality
{
    /// <param name="counts">Cells × genes.</param>
    /// <param name="sets">Sets of genes, as a flag per gene.</param>
    /// <param name="tops">Numbers of genes whose share of the counts is wanted, each from 1 to the number of genes.</param>
    /// <exception cref="UsageException">A number of top genes is out of range.</exception>
    public static QualityMetrics Measure(CellMatrix counts, IReadOnlyList<bool[]> sets, IReadOnlyList<int> tops, CancellationToken cancellation = default)
    {
        foreach (int top in tops)
            if (top < 1 || top > counts.Variables) throw new UsageException($"The share of the top {top} genes: there are {counts.Variables} genes.");
        int[] byCell = new int[counts.Cells];
        double[] totals = new double[counts.Cells];
        double[][] shares = [.. tops.Select(_ => new double[counts.Cells])], setTotals = [.. sets.Select(_ => new double[counts.Cells])];
        counts.ForEachCell(i =>
        {
            ReadOnlySpan<float> values = counts.Values(i);
            ReadOnlySpan<int> places = counts.Places(i);
            for (int k = 0; k < values.Length; k++)
            {
                if (values[k] == 0) continue;
                byCell[i]++;
                totals[i] += values[k];
                for (int s = 0; s < sets.Count; s++)
                    if (sets[s][places[k]]) setTotals[s][i] += values[k];
            }
            if (tops.Count > 0) Shares(values, totals[i], tops, shares, i);
        }, cancellation);
        double[] variableTotals = counts.SumByVariable((cell, sums) =>
        {
            ReadOnlySpan<float> values = counts.Values(cell);
            ReadOnlySpan<int> places = counts.Places(cell);
            for (int k = 0; k < values.Length; k++) sums[places[k]] += values[k];
        }, cancellation);
        return new QualityMetrics
        {
            VariablesByCell = byCell, Totals = totals, TopShares = shares, SetTotals = setTotals, CellsByVariable = CellsByVariable(counts, cancellation), VariableTotals = variableTotals,
        };
    }

    /// <summary>[variables] cells in which the variable is not 0.</summary>
    public static int[] CellsByVariable(CellMatrix counts, CancellationToken cancellation = default) => Array.ConvertAll(counts.SumByVariable((cell, sums) =>
    {
        ReadOnlySpan<float> values = counts.Values(cell);
        ReadOnlySpan<int> places = counts.Places(cell);
        for (int k = 0; k < values.Length; k++)
            if (values[k] != 0) sums[places[k]]++;
    }, cancellation), n => (int)n);

    /// <summary>Rows whose value lies between two bounds, both included; NaN never does.</summary>
    public static int[] Within(IReadOnlyList<double> values, double least, double most) => [.. Enumerable.Range(0, values.Count).Where(i => values[i] >= least && values[i] <= most)];

    private static void Shares(ReadOnlySpan<float> values, double total, IReadOnlyList<int> tops, double[][] shares, int cell)
    {
        float[] sorted = values.ToArray();
        Array.Sort(sorted);
        for (int t = 0; t < tops.Count; t++)
        {
            double sum = 0;
            for (int k = 0; k < Math.Min(tops[t], sorted.Length); k++) sum += Math.Max(sorted[^(k + 1)], 0);
            shares[t][cell] = sum / total * 100;
        }
    }
}
