using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>Protocol of the ridge probe; the defaults are the paper's.</summary>
public sealed record RidgeProbeOptions
{
    public int Folds { get; init; } = 5;

    /// <summary>Seed of the shuffled KFold (NumPy's RandomState).</summary>
    public uint FoldSeed { get; init; } = 42;

    /// <summary>Largest number of principal components; fewer where columns or training rows run out.</summary>
    public int Components { get; init; } = 250;

    /// <summary>Regularisation strengths to choose from, ascending.</summary>
    public IReadOnlyList<double> Alphas { get; init; } = [.. Enumerable.Range(0, 50).Select(i => Math.Pow(10, -3 + 8.0 * i / 49))];

    /// <summary>Permutations of the target behind the p-value; 0 for none.</summary>
    public int Permutations { get; init; }

    /// <summary>Seed of the permutations.</summary>
    public ulong Seed { get; init; } = 42;
}

/// <summary>How well a linear map of the representation predicts a value.</summary>
/// <param name="R2">1 - SSE / SST of the pooled out-of-fold predictions.</param>
/// <param name="FoldR2">The same inside each test fold.</param>
/// <param name="Alphas">Regularisation chosen in each fold.</param>
/// <param name="Predictions">Out-of-fold prediction of every row.</param>
/// <param name="NullR2">Pooled R² of each permutation.</param>
/// <param name="PermutationP">(#{null ≥ R²} + 1) / (permutations + 1); null without permutations.</param>
public sealed record RidgeProbeResult(double R2, double[] FoldR2, double[] Alphas, double[] Predictions, double[] NullR2, double? PermutationP);

/// <summary>
/// Cross-validated ridge regression: KFold, and inside each fold StandardScaler, PCA and RidgeCV (leave-one-out), as scikit-learn's pipeline
/// computes it with exact PCA. Permuted targets reuse each fold's decomposition and go through the same choice of alpha.
/// </summary>
public static class RidgeProbe
{
    private const int TargetsPerBatch = 32;

    /// <param name="x">[n, d], finite.</param>
    /// <param name="values">n finite values, not all equal.</param>
    /// <param name="options">Protocol.</param>
    /// <param name="progress">Receives "ridge probe" by fold.</param>
    /// <param name="cancellation">Stops between batches.</param>
    /// <exception cref="DataException">Lengths differ, or the values are constant.</exception>
    /// <exception cref="UsageException">Too few rows for the folds.</exception>
    public static RidgeProbeResult Measure(Matrix<double> x, ReadOnlySpan<double> values, RidgeProbeOptions? options = null,
        IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        options ??= new RidgeProbeOptions();
        if (values.Length != x.Rows) throw new DataException("value", null, $"there are {values.Length} values for {x.Rows} rows.");
        if (!(RankStatistics.PopulationDeviation(values) > 0)) throw new DataException("value", null, "all values are equal: there is nothing to predict.");
        if (x.Rows < 2 * options.Folds) throw new UsageException($"{x.Rows} rows are too few for {options.Folds} folds of a ridge probe.");
        double[] alphas = [.. options.Alphas];
        Fold[] folds = KFold.Split(x.Rows, options.Folds, options.FoldSeed);
        double[] targets = Targets(values, options), predictions = new double[targets.Length];
        int count = 1 + options.Permutations;
        using Matrix<double> onDevice = Matrix<double>.From(x.Device, x.Rows, count, targets);
        double[] chosen = new double[folds.Length];
        for (int f = 0; f < folds.Length; f++)
        {
            using RidgeFold fold = new(x, folds[f], options.Components, alphas);
            chosen[f] = PredictAll(fold, folds[f], onDevice, predictions, cancellation);
            progress?.Report("ridge probe", f + 1, folds.Length);
        }
        return Summarise(targets, predictions, count, folds, chosen);
    }

    /// <summary>[n, 1 + permutations]: column 0 is the target, the others its permutations.</summary>
    private static double[] Targets(ReadOnlySpan<double> values, RidgeProbeOptions options)
    {
        int count = 1 + options.Permutations;
        double[] targets = new double[values.Length * count], column = values.ToArray();
        for (int p = 0; p < count; p++)
        {
            if (p > 0)
            {
                values.CopyTo(column);
                new CounterRandom(options.Seed, 0x52494447_00000000UL | (uint)p).Shuffle<double>(column);
            }
            for (int i = 0; i < column.Length; i++) targets[i * count + p] = column[i];
        }
        return targets;
    }

    private static double PredictAll(RidgeFold fold, Fold rows, Matrix<double> targets, double[] predictions, CancellationToken cancellation)
    {
        double first = 0;
        Span<double> alphas = stackalloc double[TargetsPerBatch];
        for (int start = 0; start < targets.Columns; start += TargetsPerBatch)
        {
            cancellation.ThrowIfCancellationRequested();
            int count = Math.Min(TargetsPerBatch, targets.Columns - start);
            double[] predicted = fold.Predict(targets.View.ColumnBlock(start, count), alphas[..count]);
            for (int i = 0; i < rows.Test.Length; i++) predicted.AsSpan(i * count, count).CopyTo(predictions.AsSpan(rows.Test[i] * targets.Columns + start));
            if (start == 0) first = alphas[0];
        }
        return first;
    }

    private static RidgeProbeResult Summarise(double[] targets, double[] predictions, int count, Fold[] folds, double[] alphas)
    {
        int[] all = [.. Enumerable.Range(0, targets.Length / count)];
        double Score(int[] rows, int target) => Determination(targets, predictions, count, rows, target);
        double observed = Score(all, 0);
        double[] perFold = Array.ConvertAll(folds, fold => Score(fold.Test, 0));
        double[] nullScores = [.. Enumerable.Range(1, count - 1).Select(t => Score(all, t))];
        double? p = nullScores.Length == 0 ? null : (nullScores.Count(r => r >= observed) + 1.0) / (nullScores.Length + 1);
        return new RidgeProbeResult(observed, perFold, alphas, Array.ConvertAll(all, i => predictions[i * count]), nullScores, p);
    }

    /// <summary>R² of one target over some rows; NaN where the truth is constant there.</summary>
    private static double Determination(double[] truth, double[] predictions, int count, int[] rows, int target)
    {
        double mean = 0, error = 0, total = 0;
        foreach (int row in rows) mean += truth[row * count + target];
        mean /= rows.Length;
        foreach (int row in rows)
        {
            double value = truth[row * count + target], off = value - predictions[row * count + target];
            error += off * off;
            total += (value - mean) * (value - mean);
        }
        return total > 0 ? 1 - error / total : double.NaN;
    }
}
