using System.Globalization;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Prediction;

/// <summary>Protocol of <see cref="RidgePredictability"/>.</summary>
public sealed record RidgeOptions
{
    /// <summary>Weight of the squared coefficients, above 0. The features are taken as they are: scaling them changes what it means. scikit-learn's default.</summary>
    public double Alpha { get; init; } = 1;

    /// <summary>Permutations of the rows of the targets; 0 for none. 800 as in GW-map.</summary>
    public int Permutations { get; init; } = 800;

    /// <summary>Seed of the permutations.</summary>
    public ulong Seed { get; init; } = 42;
}

/// <summary>
/// Cross-validated ridge regression (Hoerl and Kennard 1970) in closed form, one model per target, and its permutation null. In every fold features and target are centred on the
/// training rows, coefficients are (XtrᵀXtr + αI)⁻¹Xtrᵀytr, as scikit-learn's <c>Ridge</c> with its intercept has them; R² is that of the pooled out-of-fold predictions.
/// The work is the host's, whatever device the matrices lie on; results are the same bytes for any number of threads.
/// </summary>
public static class RidgePredictability
{
    private const int TargetsPerBlock = 1024;

    /// <param name="x">Features [n, p], finite.</param>
    /// <param name="y">Targets [n, G], finite.</param>
    /// <param name="folds">Folds of the n rows.</param>
    /// <param name="options">Protocol.</param>
    /// <param name="progress">Receives "ridge predictability" by block of permuted targets.</param>
    /// <param name="cancel">Stops between blocks.</param>
    /// <param name="parts">Keeps blocks of targets with all their permutations; null keeps none.</param>
    /// <exception cref="DataException">Shapes that do not fit together, or a value that is not finite.</exception>
    /// <exception cref="UsageException">An alpha that is not positive, or a negative number of permutations.</exception>
    public static PredictabilityResult Run(MatrixView<float> x, MatrixView<float> y, PredictionFolds folds, RidgeOptions options, IProgressReporter progress, CancellationToken cancel,
        NullParts? parts = null)
    {
        using RidgeDesign design = Prepare(x, y, folds, options);
        using IRidgeNull? engine = options.Permutations > 0 ? RidgeNull.For(design, options.Seed) : null;
        NullTally tally = new(y.Columns, options.Permutations);
        RidgeProgress counter = new(progress, y.Columns, options.Permutations, cancel);
        for (int first = 0; first < y.Columns; first += TargetsPerBlock)
        {
            cancel.ThrowIfCancellationRequested();
            int count = Math.Min(TargetsPerBlock, y.Columns - first);
            using TargetBlock block = new(y, first, count, design.Cpu);
            int rows = engine is null ? 1 : options.Permutations + 2, part = first / TargetsPerBlock;
            if (parts?.Find(part, rows * count) is not { } values)
            {
                // What is observed comes first, in double precision; the engine's own values follow, the unpermuted rows before the permutations.
                values = [.. Observed(design, block, y, default), .. engine is null ? [] : Array.ConvertAll(engine.Run(block, options.Permutations, counter), r => (double)r)];
                parts?.Keep(part, values);
            }
            else
            {
                counter.Done(count);
            }
            float[] nulls = Array.ConvertAll(values[count..], r => (float)r);
            for (int t = 0; t < count; t++)
            {
                if (block.IsConstant[t]) tally.AddConstant(first + t);
                else tally.Add(first + t, values[t], nulls.Length > 0 ? nulls.AsSpan(t) : default, count);
            }
        }
        return tally.ToResult();
    }

    /// <summary>The out-of-fold predictions whose R² <see cref="Run"/> reports, in the units of the targets: [n, G] in host memory, owned by the caller.</summary>
    /// <inheritdoc cref="Run" path="/exception"/>
    public static Matrix<float> Predict(MatrixView<float> x, MatrixView<float> y, PredictionFolds folds, RidgeOptions options, CancellationToken cancel)
    {
        using RidgeDesign design = Prepare(x, y, folds, options);
        Matrix<float> predictions = design.Cpu.AllocateMatrix<float>(y.Rows, y.Columns);
        for (int first = 0; first < y.Columns; first += TargetsPerBlock)
        {
            cancel.ThrowIfCancellationRequested();
            using TargetBlock block = new(y, first, Math.Min(TargetsPerBlock, y.Columns - first), design.Cpu);
            Observed(design, block, y, predictions.View);
        }
        return predictions;
    }

    private static RidgeDesign Prepare(MatrixView<float> x, MatrixView<float> y, PredictionFolds folds, RidgeOptions options)
    {
        if (!(options.Alpha > 0 && double.IsFinite(options.Alpha)))
            throw new UsageException(string.Create(CultureInfo.InvariantCulture, $"The ridge weight alpha is {options.Alpha}; expected a finite number above 0."));
        PredictionData.RequirePermutations(options.Permutations);
        PredictionData.Require(x, y, folds);
        return new RidgeDesign(x, folds, options.Alpha);
    }

    /// <summary>R² of each target of a block, whose squares sum to n, by explicit residuals in double precision; predictions [n, all targets] are written where a view for them is given.</summary>
    internal static double[] Observed(RidgeDesign design, TargetBlock block, MatrixView<float> targets, MatrixView<float> predictions)
    {
        int rank = design.Rank, count = block.Count;
        CpuDevice cpu = design.Cpu;
        using Matrix<double> y = cpu.AllocateMatrix<double>(design.Rows, count), total = cpu.AllocateMatrix<double>(rank, count);
        block.CopyExact(targets, y);
        Gemm.Multiply(Transpose.Yes, Transpose.No, 1, design.Features.View, y.View, 0, total.View);
        double[] sums = ColumnSums(y), residuals = new double[count];
        for (int f = 0; f < design.Folds.Length; f++)
        {
            using Matrix<double> test = Gather.Rows(y, design.TestRows[f]), predicted = PredictFold(design.Folds[f], test, total, sums, design.Rows);
            for (int i = 0; i < test.Rows; i++)
            {
                ReadOnlySpan<double> actual = test.Row(i), guess = predicted.Row(i);
                for (int t = 0; t < count; t++) residuals[t] += (actual[t] - guess[t]) * (actual[t] - guess[t]);
                if (predictions.Rows == 0) continue;
                Span<float> into = predictions.Row(design.TestRows[f][i]).Slice(block.First, count);
                for (int t = 0; t < count; t++) into[t] = (float)(block.IsConstant[t] ? block.Means[t] : block.Means[t] + block.Deviations[t] * guess[t]);
            }
        }
        for (int t = 0; t < count; t++) residuals[t] = block.IsConstant[t] ? 0 : 1 - residuals[t] / design.Rows;
        return residuals;
    }

    private static Matrix<double> PredictFold(RidgeDesignFold fold, Matrix<double> test, Matrix<double> total, double[] sums, int rows)
    {
        int rank = total.Rows, count = test.Columns, train = rows - test.Rows;
        using Matrix<double> cross = test.Device.AllocateMatrix<double>(rank, count), coefficients = test.Device.AllocateMatrix<double>(rank, count);
        double[] testSums = ColumnSums(test);
        Gemm.Multiply(Transpose.Yes, Transpose.No, 1, fold.Test.View, test.View, 0, cross.View);
        for (int k = 0; k < rank; k++)
        {
            Span<double> row = cross.Row(k);
            for (int t = 0; t < count; t++) row[t] = total.Row(k)[t] - row[t] - fold.TrainMeans[k] * (sums[t] - testSums[t]);
        }
        Gemm.Multiply(Transpose.No, Transpose.No, 1, fold.Inverse.View, cross.View, 0, coefficients.View);
        double[] intercepts = new double[count];
        for (int t = 0; t < count; t++) intercepts[t] = (sums[t] - testSums[t]) / train;
        for (int k = 0; k < rank; k++)
            for (int t = 0; t < count; t++) intercepts[t] -= fold.TrainMeans[k] * coefficients.Row(k)[t];
        Matrix<double> predicted = test.Device.AllocateMatrix<double>(test.Rows, count);
        for (int i = 0; i < test.Rows; i++) intercepts.CopyTo(predicted.Row(i));
        Gemm.Multiply(Transpose.No, Transpose.No, 1, fold.Test.View, coefficients.View, 1, predicted.View);
        return predicted;
    }

    private static double[] ColumnSums(Matrix<double> matrix)
    {
        double[] sums = new double[matrix.Columns];
        for (int i = 0; i < matrix.Rows; i++)
            for (int j = 0; j < sums.Length; j++) sums[j] += matrix.Row(i)[j];
        return sums;
    }
}
