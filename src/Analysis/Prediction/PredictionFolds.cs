using BioSup.Analysis.Geometry;
using BioSup.Runtime;

namespace BioSup.Analysis.Prediction;

/// <summary>Which rows are predicted together: every row lies in the test rows of exactly one fold and in the training rows of all others.</summary>
public sealed class PredictionFolds
{
    private readonly int[] _foldOfRow;

    private PredictionFolds(Fold[] folds, int rows)
    {
        _foldOfRow = new int[rows];
        TestRows = new int[folds.Length][];
        for (int f = 0; f < folds.Length; f++)
        {
            TestRows[f] = folds[f].Test;
            foreach (int row in folds[f].Test) _foldOfRow[row] = f;
        }
    }

    /// <summary>Number of folds, at least 2.</summary>
    public int Count => TestRows.Length;

    /// <summary>Number of rows.</summary>
    public int Rows => _foldOfRow.Length;

    /// <summary>The fold in whose test rows each row lies, 0 … Count - 1.</summary>
    public ReadOnlySpan<int> FoldOfRow => _foldOfRow;

    /// <summary>Test rows of each fold, ascending.</summary>
    internal int[][] TestRows { get; }

    /// <summary>scikit-learn's <c>KFold(folds, shuffle=True, random_state=seed)</c>.</summary>
    /// <exception cref="UsageException">Fewer than two folds, fewer rows than folds, or a seed of more than 32 bits.</exception>
    public static PredictionFolds Shuffled(int rows, int folds, ulong seed) => new(KFold.Split(rows, folds, Seed(seed)), rows);

    /// <summary>scikit-learn's <c>StratifiedKFold(folds, shuffle=True, random_state=seed)</c>: every fold has its share of each class.</summary>
    /// <param name="labels">Class of each row, 0 or more.</param>
    /// <param name="folds">Number of folds.</param>
    /// <param name="seed">Seed of the shuffle inside each class, 0 to 2³² - 1.</param>
    /// <exception cref="UsageException">Fewer than two folds, fewer rows than folds, a negative label, or a seed of more than 32 bits.</exception>
    public static PredictionFolds Stratified(ReadOnlySpan<int> labels, int folds, ulong seed)
    {
        for (int i = 0; i < labels.Length; i++)
            if (labels[i] < 0) throw new UsageException($"The label of row {i} is {labels[i]}; stratified folds need classes numbered from 0.");
        return new(KFold.SplitStratified(labels, folds, Seed(seed)), labels.Length);
    }

    /// <summary>Training rows of a fold, ascending.</summary>
    internal int[] TrainRows(int fold)
    {
        int[] rows = new int[Rows - TestRows[fold].Length];
        for (int i = 0, next = 0; i < Rows; i++)
            if (_foldOfRow[i] != fold) rows[next++] = i;
        return rows;
    }

    private static uint Seed(ulong seed) =>
        seed <= uint.MaxValue ? (uint)seed : throw new UsageException($"The seed of the folds is {seed}; expected 0 to {uint.MaxValue}, because the folds are scikit-learn's.");
}
