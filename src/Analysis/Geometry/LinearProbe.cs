using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>Protocol of the linear probe.</summary>
public sealed record LinearProbeOptions
{
    public int Folds { get; init; } = 5;
    public uint FoldSeed { get; init; } = 42;

    /// <summary>Inverse strength of the ridge penalty, as scikit-learn's C: minimises ½‖W‖² + C Σ log loss; the intercept is free.</summary>
    public double C { get; init; } = 1;

    public int MaxIterations { get; init; } = 500;

    /// <summary>Scale columns to zero mean and unit deviation of the training rows.</summary>
    public bool Standardise { get; init; } = true;

    /// <summary>With <see cref="Standardise"/>: one deviation for all columns, the root of their mean variance, so that columns which are rarely not zero are not blown up.</summary>
    public bool CommonScale { get; init; }
}

/// <summary>How well classes can be told apart by linear boundaries.</summary>
/// <param name="Accuracy">Share of test rows that are right.</param>
/// <param name="BalancedAccuracy">Mean recall over the classes.</param>
/// <param name="MacroF1">Mean F1 over the classes (0 where a class is never predicted).</param>
/// <param name="Confusion">[true class][predicted class] counts.</param>
/// <param name="Predictions">Predicted class of every row; -1 for rows that were never in a test set.</param>
public sealed record LinearProbeResult(double Accuracy, double BalancedAccuracy, double MacroF1, int[][] Confusion, int[] Predictions);

/// <summary>
/// Multinomial logistic regression with an L2 penalty, solved to its optimum by L-BFGS (scikit-learn's LogisticRegression), on stratified folds or a given
/// split. The published probe (SGD without bias) stops wherever its schedule ends; the convex optimum needs no schedule.
/// </summary>
public static class LinearProbe
{
    /// <summary>Pooled predictions of shuffled, stratified folds.</summary>
    /// <param name="x">[n, d], finite.</param>
    /// <param name="labels">Class codes 0 … classes - 1, every class present.</param>
    /// <param name="options">Protocol.</param>
    /// <param name="cancellation">Stops between iterations.</param>
    /// <exception cref="DataException">Lengths differ or only one class is there.</exception>
    public static LinearProbeResult CrossValidate(Matrix<double> x, ReadOnlySpan<int> labels, LinearProbeOptions? options = null, CancellationToken cancellation = default)
    {
        options ??= new LinearProbeOptions();
        Fold[] folds = KFold.SplitStratified(labels, options.Folds, options.FoldSeed);
        return Evaluate(x, labels, folds, options, cancellation);
    }

    /// <inheritdoc cref="CrossValidate(Matrix{double}, ReadOnlySpan{int}, LinearProbeOptions?, CancellationToken)"/>
    public static LinearProbeResult CrossValidate(CpuDevice device, SparseRows x, ReadOnlySpan<int> labels, LinearProbeOptions? options = null, CancellationToken cancellation = default)
    {
        options ??= new LinearProbeOptions();
        return Evaluate(device, x, labels, KFold.SplitStratified(labels, options.Folds, options.FoldSeed), options, cancellation);
    }

    /// <summary>Trains and tests on given splits.</summary>
    public static LinearProbeResult Evaluate(Matrix<double> x, ReadOnlySpan<int> labels, IReadOnlyList<Fold> splits, LinearProbeOptions? options = null, CancellationToken cancellation = default)
    {
        options ??= new LinearProbeOptions();
        return Evaluate(x.Rows, labels, splits, (split, truth, classes) =>
        {
            using Matrix<double> train = Gather.Rows(x, split.Train), test = Gather.Rows(x, split.Test);
            if (options.Standardise) StandardiseBoth(train, test, options.CommonScale);
            using LogisticRegression model = LogisticRegression.Fit(train, truth, classes, options.C, options.MaxIterations, cancellation);
            return model.Predict(test);
        });
    }

    /// <summary>Trains and tests on given splits of sparse samples, whose zeros take neither memory nor time; the numbers are those of the same samples as a matrix, to rounding.</summary>
    /// <param name="device">Whose threads compute.</param>
    public static LinearProbeResult Evaluate(CpuDevice device, SparseRows x, ReadOnlySpan<int> labels, IReadOnlyList<Fold> splits, LinearProbeOptions? options = null, CancellationToken cancellation = default)
    {
        options ??= new LinearProbeOptions();
        if (!options.Standardise) throw new ArgumentException("Sparse samples are standardised.", nameof(options));
        return Evaluate(x.Rows, labels, splits, (split, truth, classes) =>
        {
            SparseDesign train = new(device, x, split.Train, null, options.CommonScale, byColumn: true);
            using LogisticRegression model = LogisticRegression.Fit(train, truth, classes, options.C, options.MaxIterations, cancellation);
            using SparseDesign test = new(device, x, split.Test, train.Scaler, options.CommonScale, byColumn: false);
            return model.Predict(test);
        });
    }

    /// <summary>Memory that the probe of sparse samples takes at most: the samples, their entries by column, scores, weights and the steps that L-BFGS remembers.</summary>
    public static long Bytes(long entries, int rows, int columns, int classes) =>
        SparseRows.Bytes(entries) + sizeof(double) * ((long)rows * (6 * classes + 4) + 32L * classes * (columns + 1));

    /// <param name="fit">Split, classes of its training rows and number of classes to the classes that its test rows are given.</param>
    private static LinearProbeResult Evaluate(int rows, ReadOnlySpan<int> labels, IReadOnlyList<Fold> splits, Func<Fold, int[], int, int[]> fit)
    {
        if (labels.Length != rows) throw new DataException("labels", null, $"there are {labels.Length} labels for {rows} rows.");
        int classes = 0;
        foreach (int label in labels) classes = Math.Max(classes, label + 1);
        if (classes < 2) throw new DataException("labels", null, "there is only one class: nothing can be told apart.");
        int[] predictions = new int[labels.Length];
        Array.Fill(predictions, -1);
        foreach (Fold split in splits)
        {
            int[] truth = new int[split.Train.Length];
            for (int i = 0; i < truth.Length; i++) truth[i] = labels[split.Train[i]];
            int[] predicted = fit(split, truth, classes);
            for (int i = 0; i < predicted.Length; i++) predictions[split.Test[i]] = predicted[i];
        }
        return Score(labels, predictions, classes);
    }

    internal static LinearProbeResult Score(ReadOnlySpan<int> labels, int[] predictions, int classes)
    {
        int[][] confusion = [.. Enumerable.Range(0, classes).Select(_ => new int[classes])];
        int right = 0, all = 0;
        for (int i = 0; i < labels.Length; i++)
        {
            if (predictions[i] < 0) continue;
            confusion[labels[i]][predictions[i]]++;
            all++;
            if (labels[i] == predictions[i]) right++;
        }
        double recalls = 0, f1 = 0;
        int present = 0;
        for (int c = 0; c < classes; c++)
        {
            int actual = confusion[c].Sum(), predicted = confusion.Sum(row => row[c]);
            if (actual > 0) recalls += (double)confusion[c][c] / actual;
            if (actual > 0) present++;
            if (actual + predicted > 0) f1 += 2.0 * confusion[c][c] / (actual + predicted);
        }
        return new LinearProbeResult((double)right / all, recalls / present, f1 / classes, confusion, predictions);
    }

    private static void StandardiseBoth(Matrix<double> train, Matrix<double> test, bool commonScale)
    {
        (DeviceBuffer<double> means, DeviceBuffer<double> scales) = ColumnStatistics.Scaler(train);
        using (means)
        using (scales)
        {
            if (commonScale)
            {
                Reductions.ColumnVariances(train.View, means.View, scales.View);
                double variance = scales.ToArray().Average();
                double[] same = new double[train.Columns];
                Array.Fill(same, variance > 0 ? Math.Sqrt(variance) : 1);
                scales.CopyFrom(same);
            }
            Standardise.Columns(train.View, means.View, scales.View, train.View);
            Standardise.Columns(test.View, means.View, scales.View, test.View);
        }
    }
}
