using BioSup.Runtime;

namespace BioSup.Analysis.Modules;

/// <summary>False-discovery rates of a family of tests (Benjamini and Hochberg 1995).</summary>
public static class BenjaminiHochberg
{
    /// <summary>Adjusted p-values: q_(i) = min over j ≥ i of p_(j) · tests / j, at most 1 (statsmodels' <c>fdr_bh</c>).</summary>
    /// <param name="p">p-values from 0 to 1.</param>
    /// <param name="tests">Size of the family; those beyond <paramref name="p"/> are taken to have p = 1. Null for the number of <paramref name="p"/>.</param>
    /// <exception cref="UsageException">A p-value is outside [0, 1], or the family is smaller than its members.</exception>
    public static double[] Adjust(ReadOnlySpan<double> p, long? tests = null)
    {
        long family = tests ?? p.Length;
        if (family < p.Length) throw new UsageException($"{p.Length} p-values cannot belong to a family of {family} tests.");
        double[] sorted = p.ToArray(), adjusted = new double[p.Length];
        int[] order = new int[p.Length];
        for (int i = 0; i < order.Length; i++)
        {
            order[i] = i;
            if (!(p[i] >= 0 && p[i] <= 1)) throw new UsageException($"The p-value {p[i]} at {i} does not lie between 0 and 1.");
        }
        Array.Sort(sorted, order);
        double least = 1;
        for (int i = order.Length - 1; i >= 0; i--)
        {
            least = Math.Min(least, sorted[i] * family / (i + 1));
            adjusted[order[i]] = least;
        }
        return adjusted;
    }
}
