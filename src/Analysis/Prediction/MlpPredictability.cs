using BioSup.Runtime;

namespace BioSup.Analysis.Prediction;

/// <summary>
/// Cross-validated predictions of all targets together by a small network, and their permutation null: BN → Linear(p, 128) → ReLU → Dropout → BN → Linear(128, 128) → ReLU → Dropout →
/// BN → Linear(128, G), mean squared error of targets standardised on the fitted rows, Adam, cosine schedule, early stopping on an eighth of the training rows. Predictions are clipped to
/// the fitted targets' range and a tenth of it; R² of the pooled out-of-fold predictions is floored at −1 in each run and averaged over runs. A permutation is one run.
/// The work is the host's, whatever device the matrices lie on; results are the same bytes for any number of threads.
/// </summary>
/// <remarks>
/// Every run or permutation has one model per fold, and all of them are independent: each thread trains one model at a time, in its own memory of
/// about six times the parameters, and products run inside that thread. R² that is not finite (training that diverged) counts as the floor.
/// </remarks>
public static class MlpPredictability
{
    private const int TasksTogether = 32, TargetsPerBlock = 1024;

    /// <param name="x">Features [n, p], finite.</param>
    /// <param name="y">Targets [n, G], finite. They are held in memory standardised, n·G numbers in single precision.</param>
    /// <param name="folds">Folds of the n rows; GW-map stratifies them by genotype.</param>
    /// <param name="options">Protocol.</param>
    /// <param name="progress">Receives "MLP predictability" by model, from one thread at a time.</param>
    /// <param name="cancel">Stops between epochs.</param>
    /// <param name="parts">Keeps runs and permutations, 32 at a time; null keeps none.</param>
    /// <exception cref="DataException">Shapes that do not fit together, or a value that is not finite.</exception>
    /// <exception cref="UsageException">An option out of range, or a fold that leaves fewer than three rows to train and validate on.</exception>
    public static PredictabilityResult Run(MatrixView<float> x, MatrixView<float> y, PredictionFolds folds, MlpOptions options, IProgressReporter progress, CancellationToken cancel,
        NullParts? parts = null)
    {
        options.Validate();
        PredictionData.Require(x, y, folds);
        for (int f = 0; f < folds.Count; f++)
        {
            int rows = folds.Rows - folds.TestRows[f].Length;
            if (rows - MlpTrainer.ValidationRows(options, rows) < 2)
                throw new UsageException($"Fold {f} leaves {rows} rows to train on; expected enough for 2 to be fitted and {MlpTrainer.ValidationRows(options, rows)} to validate.");
        }
        CpuDevice cpu = x.Device.Host;
        using Matrix<float> features = cpu.AllocateMatrix<float>(x.Rows, x.Columns), targets = cpu.AllocateMatrix<float>(y.Rows, y.Columns);
        x.CopyTo(features.Buffer.View.Host);
        double[] squares = new double[y.Columns];
        bool[] constant = new bool[y.Columns];
        Standardise(y, targets, squares, constant);
        using MlpTasks tasks = new(features, targets, folds, options, progress, cancel);
        return Collect(tasks, squares, constant, options, parts);
    }

    private static void Standardise(MatrixView<float> y, Matrix<float> targets, double[] squares, bool[] constant)
    {
        for (int first = 0; first < y.Columns; first += TargetsPerBlock)
        {
            using TargetBlock block = new(y, first, Math.Min(TargetsPerBlock, y.Columns - first), targets.Device.Host);
            for (int i = 0; i < y.Rows; i++) block.Values.Row(i).CopyTo(targets.Row(i).Slice(first, block.Count));
            block.SumOfSquares.CopyTo(squares, first);
            block.IsConstant.CopyTo(constant, first);
        }
    }

    private static PredictabilityResult Collect(MlpTasks tasks, double[] squares, bool[] constant, MlpOptions options, NullParts? parts)
    {
        int targets = squares.Length, count = options.Runs + options.Permutations;
        double[] observed = new double[targets];
        float[] engine = new float[(1L + options.Permutations) * targets];
        for (int first = 0; first < count; first += TasksTogether)
        {
            int together = Math.Min(TasksTogether, count - first);
            if (parts?.Find(first / TasksTogether, together * targets) is not { } scores)
            {
                scores = new double[together * targets];
                double[][] errors = tasks.Run(first, together);
                for (int task = 0; task < together; task++) ToRSquared(errors.AsSpan(task * tasks.Folds, tasks.Folds), squares, constant, options.Floor, scores.AsSpan(task * targets, targets));
                parts?.Keep(first / TasksTogether, scores);
            }
            for (int task = 0; task < together; task++)
            {
                ReadOnlySpan<double> rSquared = scores.AsSpan(task * targets, targets);
                int permutation = first + task - options.Runs + 1;
                for (int t = 0; t < targets; t++)
                {
                    if (permutation <= 0) observed[t] += rSquared[t] / options.Runs;
                    else engine[(long)permutation * targets + t] = (float)rSquared[t];
                }
            }
        }
        NullTally tally = new(targets, options.Permutations);
        for (int t = 0; t < targets; t++)
        {
            engine[t] = (float)observed[t];
            if (constant[t]) tally.AddConstant(t);
            else tally.Add(t, observed[t], engine.AsSpan(t), targets);
        }
        return tally.ToResult();
    }

    private static void ToRSquared(ReadOnlySpan<double[]> errorsOfFolds, double[] squares, bool[] constant, double floor, Span<double> rSquared)
    {
        for (int t = 0; t < rSquared.Length; t++)
        {
            double sum = 0;
            foreach (double[] errors in errorsOfFolds) sum += errors[t];
            double value = constant[t] ? 0 : 1 - sum / squares[t];
            rSquared[t] = value > floor ? value : floor;
        }
    }
}
