using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>One split of the rows: ascending row numbers.</summary>
public sealed record Fold(int[] Train, int[] Test);

/// <summary>Cross-validation splits identical to scikit-learn's.</summary>
public static class KFold
{
    /// <summary><c>KFold(splits, shuffle=True, random_state=seed)</c>; with a null seed <c>shuffle=False</c>.</summary>
    /// <exception cref="UsageException">Fewer rows than splits.</exception>
    public static Fold[] Split(int rows, int splits, uint? seed)
    {
        Require(rows, splits);
        int[] order = seed is uint s ? new NumpyRandomState(s).Permutation(rows) : [.. Enumerable.Range(0, rows)];
        int[] foldOf = new int[rows];
        for (int fold = 0, start = 0; fold < splits; fold++)
        {
            int length = rows / splits + (fold < rows % splits ? 1 : 0);
            for (int i = start; i < start + length; i++) foldOf[order[i]] = fold;
            start += length;
        }
        return FromAssignment(foldOf, splits);
    }

    /// <summary><c>StratifiedKFold(splits, shuffle=True, random_state=seed)</c>; with a null seed <c>shuffle=False</c>.</summary>
    /// <param name="labels">Class codes 0 … classes - 1.</param>
    /// <param name="splits">Number of folds.</param>
    /// <param name="seed">Seed of the shuffle inside each class.</param>
    /// <exception cref="UsageException">Fewer rows than splits.</exception>
    public static Fold[] SplitStratified(ReadOnlySpan<int> labels, int splits, uint? seed)
    {
        Require(labels.Length, splits);
        int classes = 0;
        foreach (int label in labels) classes = Math.Max(classes, label + 1);
        int[] counts = new int[classes], rankOfClass = new int[classes];
        Array.Fill(rankOfClass, -1);
        int seen = 0;
        foreach (int label in labels)
        {
            // scikit-learn numbers classes by first occurrence before it deals them out.
            if (rankOfClass[label] < 0) rankOfClass[label] = seen++;
            counts[rankOfClass[label]]++;
        }
        int[,] allocation = Allocate(counts, splits);
        NumpyRandomState? random = seed is uint s ? new NumpyRandomState(s) : null;
        int[] foldOf = new int[labels.Length];
        for (int rank = 0; rank < seen; rank++)
        {
            int[] folds = [.. Enumerable.Range(0, splits).SelectMany(f => Enumerable.Repeat(f, allocation[f, rank]))];
            random?.Shuffle<int>(folds);
            for (int i = 0, next = 0; i < labels.Length; i++)
                if (rankOfClass[labels[i]] == rank) foldOf[i] = folds[next++];
        }
        return FromAssignment(foldOf, splits);
    }

    /// <summary>Rows of each class in each fold, when the sorted labels are dealt out like cards.</summary>
    private static int[,] Allocate(int[] counts, int splits)
    {
        int[,] allocation = new int[splits, counts.Length];
        int position = 0;
        for (int rank = 0; rank < counts.Length; rank++)
            for (int i = 0; i < counts[rank]; i++) allocation[position++ % splits, rank]++;
        return allocation;
    }

    private static Fold[] FromAssignment(int[] foldOf, int splits)
    {
        Fold[] folds = new Fold[splits];
        for (int fold = 0; fold < splits; fold++)
        {
            folds[fold] = new Fold(
                [.. Enumerable.Range(0, foldOf.Length).Where(i => foldOf[i] != fold)],
                [.. Enumerable.Range(0, foldOf.Length).Where(i => foldOf[i] == fold)]);
        }
        return folds;
    }

    private static void Require(int rows, int splits)
    {
        if (splits < 2) throw new UsageException($"{splits} folds: cross-validation needs at least 2.");
        if (rows < splits) throw new UsageException($"{rows} rows cannot be split into {splits} folds.");
    }
}
