using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Prediction;

/// <summary>
/// Cross-validated predictions of all targets together by a small network, and their permutation null: BN → Linear(p, 128) → ReLU → Dropout → BN → Linear(128, 128) → ReLU → Dropout →
/// BN → Linear(128, G), mean squared error of targets standardised on the fitted rows, Adam, cosine schedule, early stopping on an eighth of the training rows. Predictions are clipped to
/// the fitted targets' range and a tenth of it; R² of the pooled out-of-fold predictions is floored at −1 in each run and averaged over runs. A permutation is one run.
/// The device of the features does the work; results are the same bytes for any number of threads and, on a GPU, for any number of models trained at a time.
/// </summary>
/// <remarks>
/// Every run or permutation has one model per fold, and all of them are independent: they are trained side by side in a <see cref="MlpBank"/>, on the host one per thread in
/// memory of about six times the parameters. R² that is not finite (training that diverged) counts as the floor.
/// </remarks>
public static class MlpPredictability
{
    private const int TargetsPerBlock = 1024;

    /// <param name="x">Features [n, p], finite.</param>
    /// <param name="y">Targets [n, G], finite. They are held in memory standardised, n·G numbers in single precision.</param>
    /// <param name="folds">Folds of the n rows; GW-map stratifies them by genotype.</param>
    /// <param name="options">Protocol.</param>
    /// <param name="progress">Receives "MLP predictability" by model.</param>
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
        MlpTally tally = new(squares, constant, folds.Count, options, parts);
        int done = tally.Models - tally.Missing.Count;
        if (tally.Missing.Count == 0) return tally.ToResult();
        using PlacedMatrix<float> placedFeatures = features.At(x.Device), placedTargets = targets.At(x.Device);
        using MlpTrainer trainer = new(placedFeatures.Matrix, placedTargets.Matrix, folds, options, tally.Missing.Count);
        trainer.Run(tally.Missing.Count, place => tally.Model(tally.Missing[place]), (place, errors, _) =>
        {
            tally.Add(tally.Missing[place], errors);
            progress.Report("MLP predictability", ++done, tally.Models, "models");
        }, cancel);
        return tally.ToResult();
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
}
