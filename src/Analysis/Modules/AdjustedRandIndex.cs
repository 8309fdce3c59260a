using System.Buffers;

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
        // Pairs of groups as one number each: in order, equal pairs and equal first groups stand together.
        long[] rented = ArrayPool<long>.Shared.Rent(first.Count);
        Span<long> keys = rented.AsSpan(0, first.Count);
        for (int i = 0; i < keys.Length; i++) keys[i] = ((long)first[i] << 32) | (uint)second[i];
        keys.Sort();
        double together = PairsOfEqual(keys, 0), one = PairsOfEqual(keys, 32);
        for (int i = 0; i < keys.Length; i++) keys[i] = second[i];
        keys.Sort();
        double other = PairsOfEqual(keys, 0);
        ArrayPool<long>.Shared.Return(rented);
        double all = Pairs(first.Count), expected = all > 0 ? one * other / all : 0, most = 0.5 * (one + other);
        return most == expected ? 1 : (together - expected) / (most - expected);
    }

    /// <summary>Pairs of equal numbers among sorted ones, their lowest bits aside.</summary>
    private static double PairsOfEqual(ReadOnlySpan<long> sorted, int ignoredBits)
    {
        double pairs = 0;
        int count = 0;
        for (int i = 0; i < sorted.Length; i++)
        {
            count++;
            if (i + 1 < sorted.Length && sorted[i + 1] >> ignoredBits == sorted[i] >> ignoredBits) continue;
            pairs += Pairs(count);
            count = 0;
        }
        return pairs;
    }

    private static double Pairs(int n) => 0.5 * n * (n - 1.0);
}
