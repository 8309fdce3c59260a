using BioSup.Analysis.Geometry;

namespace BioSup.Analysis.SingleCell;

/// <summary>At most so many rows of every class, drawn as the paper draws them with NumPy's <c>RandomState</c>: the same rows for the same seed.</summary>
public static class ClassSample
{
    /// <summary>
    /// Classes take their turn in ordinal order with one generator. The rows of a class stand in the order: those with a known value, then the others. Of the first
    /// max(number to take, number with a known value) that many are drawn without replacement.
    /// </summary>
    /// <param name="labels">Class of every row.</param>
    /// <param name="values">A value for every row, NaN where it is unknown; null when there is none at all.</param>
    /// <param name="perClass">Most rows of a class, at least 1.</param>
    /// <param name="seed">Seed of the generator.</param>
    /// <returns>Rows that were drawn, ascending.</returns>
    public static int[] Draw(IReadOnlyList<string> labels, IReadOnlyList<double>? values, int perClass, uint seed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(perClass, 1);
        if (values is not null && values.Count != labels.Count) throw new ArgumentException($"There are {values.Count} values for {labels.Count} labels.", nameof(values));
        NumpyRandomState random = new(seed);
        List<int> drawn = [];
        foreach (IGrouping<string, int> rows in Enumerable.Range(0, labels.Count).GroupBy(i => labels[i]).OrderBy(g => g.Key, StringComparer.Ordinal))
        {
            int[] known = [.. rows.Where(i => values is not null && double.IsFinite(values[i]))], all = [.. known, .. rows.Where(i => values is null || !double.IsFinite(values[i]))];
            int take = Math.Min(perClass, all.Length);
            drawn.AddRange(random.Choice(Math.Max(take, known.Length), take).Select(place => all[place]));
        }
        return [.. drawn.Order()];
    }
}
