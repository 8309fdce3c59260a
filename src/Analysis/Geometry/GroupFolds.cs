using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>Cross-validation splits that keep whole groups (plates, wells, donors) on one side.</summary>
public static class GroupFolds
{
    /// <summary>Every group lies in the test rows of one fold. Groups are dealt out by falling size, each to the fold with the fewest rows so far; the seed orders groups of one size.</summary>
    /// <exception cref="UsageException">Fewer groups than folds.</exception>
    public static Fold[] Split(IReadOnlyList<string> groups, int folds, ulong seed)
    {
        if (folds < 2) throw new UsageException($"{folds} folds: cross-validation needs at least 2.");
        Dictionary<string, int> sizes = groups.GroupBy(g => g).ToDictionary(g => g.Key, g => g.Count(), StringComparer.Ordinal);
        if (sizes.Count < folds) throw new UsageException($"{sizes.Count} groups cannot be split into {folds} folds.");
        string[] names = [.. sizes.Keys.Order(StringComparer.Ordinal)];
        new CounterRandom(seed, stream: 0x4801).Shuffle<string>(names);
        int[] rows = new int[folds];
        Dictionary<string, int> foldOf = new(StringComparer.Ordinal);
        foreach (string name in names.OrderByDescending(n => sizes[n]))
        {
            int fold = Array.IndexOf(rows, rows.Min());
            foldOf[name] = fold;
            rows[fold] += sizes[name];
        }
        int[] assigned = [.. groups.Select(g => foldOf[g])];
        return [.. Enumerable.Range(0, folds).Select(f => new Fold([.. Rows(assigned, a => a != f)], [.. Rows(assigned, a => a == f)]))];
    }

    private static IEnumerable<int> Rows(int[] assigned, Func<int, bool> belongs) => Enumerable.Range(0, assigned.Length).Where(i => belongs(assigned[i]));
}
