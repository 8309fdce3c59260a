using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>False-discovery rates of a family of tests (Benjamini and Hochberg 1995): q_(i) = min over j ≥ i of p_(j) · tests / j, at most 1 (statsmodels' <c>fdr_bh</c>).</summary>
public static class BenjaminiHochberg
{
    /// <summary>Adjusted p-values.</summary>
    /// <param name="p">p-values from 0 to 1.</param>
    /// <param name="tests">Size of the family; those beyond <paramref name="p"/> are taken to have p = 1. Null for the number of <paramref name="p"/>.</param>
    /// <exception cref="UsageException">A p-value is outside [0, 1], or the family is smaller than its members.</exception>
    public static double[] Adjust(ReadOnlySpan<double> p, long? tests = null)
    {
        for (int i = 0; i < p.Length; i++)
            if (!(p[i] >= 0 && p[i] <= 1)) throw new UsageException($"The p-value {p[i]} at {i} does not lie between 0 and 1.");
        return StepUp(p, tests ?? p.Length, 1, (value, ratio) => value * ratio);
    }

    /// <summary>Decimal logarithms of the adjusted p-values, from decimal logarithms of p-values: finite where the p-values themselves are no doubles.</summary>
    /// <inheritdoc cref="Adjust"/>
    /// <param name="log10P">Decimal logarithms, 0 or less.</param>
    /// <param name="tests">As in <see cref="Adjust"/>.</param>
    public static double[] AdjustLog10(ReadOnlySpan<double> log10P, long? tests = null)
    {
        for (int i = 0; i < log10P.Length; i++)
            if (!(log10P[i] <= 0)) throw new UsageException($"The decimal logarithm {log10P[i]} at {i} belongs to no p-value: it is not 0 or less.");
        return StepUp(log10P, tests ?? log10P.Length, 0, (value, ratio) => value + Math.Log10(ratio));
    }

    /// <param name="values">What is adjusted.</param>
    /// <param name="family">Size of the family.</param>
    /// <param name="most">What stands for p = 1.</param>
    /// <param name="multiply">A value times tests / rank.</param>
    private static double[] StepUp(ReadOnlySpan<double> values, long family, double most, Func<double, double, double> multiply)
    {
        if (family < values.Length) throw new UsageException($"{values.Length} p-values cannot belong to a family of {family} tests.");
        double[] sorted = values.ToArray(), adjusted = new double[sorted.Length];
        int[] order = [.. Enumerable.Range(0, sorted.Length)];
        Array.Sort(sorted, order);
        for (int i = order.Length - 1; i >= 0; i--)
        {
            most = Math.Min(most, multiply(sorted[i], (double)family / (i + 1)));
            adjusted[order[i]] = most;
        }
        return adjusted;
    }
}
