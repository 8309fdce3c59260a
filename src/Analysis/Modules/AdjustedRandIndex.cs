namespace BioSup.Analysis.Modules;

/// <summary>Agreement of two groupings of the same things, corrected for chance (Hubert and Arabie 1985; scikit-learn's <c>adjusted_rand_score</c>).</summary>
public static class AdjustedRandIndex
{
    /// <param name="first">Group of every thing.</param>
    /// <param name="second">Group of every thing in the other grouping.</param>
    /// <returns>1 for equal groupings, about 0 for unrelated ones; 1 where neither groups anything or both put everything together.</returns>
    public static double Of(IReadOnlyList<int> first, IReadOnlyList<int> second)
    {
        if (first.Count != second.Count) throw new ArgumentException($"{first.Count} things are in one grouping and {second.Count} in the other.", nameof(second));
        double together = Enumerable.Range(0, first.Count).GroupBy(i => (first[i], second[i])).Sum(g => Pairs(g.Count()));
        double one = first.GroupBy(g => g).Sum(g => Pairs(g.Count())), other = second.GroupBy(g => g).Sum(g => Pairs(g.Count()));
        double all = Pairs(first.Count), expected = all > 0 ? one * other / all : 0, most = 0.5 * (one + other);
        return most == expected ? 1 : (together - expected) / (most - expected);
    }

    private static double Pairs(int n) => 0.5 * n * (n - 1.0);
}
