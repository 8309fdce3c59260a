using BioSup.Runtime;

namespace BioSup.Analysis.Prediction;

/// <summary>Runs and permutations as one list of tasks, each of one model per fold: first the runs on the targets as they are, then the permutations.</summary>
internal sealed class MlpTasks : IDisposable
{
    private readonly Matrix<float> _x, _y;
    private readonly PredictionFolds _folds;
    private readonly MlpOptions _options;
    private readonly IProgressReporter _progress;
    private readonly CancellationToken _cancel;
    private readonly MlpTrainer?[] _trainers;
    private readonly Lock _reporting = new();
    private long _done;

    public MlpTasks(Matrix<float> x, Matrix<float> y, PredictionFolds folds, MlpOptions options, IProgressReporter progress, CancellationToken cancel)
    {
        (_x, _y, _folds, _options, _progress, _cancel) = (x, y, folds, options, progress, cancel);
        _trainers = new MlpTrainer?[x.Device.Host.Pool.Threads];
    }

    public int Folds => _folds.Count;

    /// <summary>Squared errors on the test rows, by task and within it by fold: [targets] each.</summary>
    public double[][] Run(int firstTask, int tasks)
    {
        double[][] errors = new double[tasks * Folds][];
        Job job = new() { Owner = this, Errors = errors, FirstTask = firstTask };
        _x.Device.Host.Pool.Run(errors.Length, ref job);
        return errors;
    }

    public void Dispose()
    {
        foreach (MlpTrainer? trainer in _trainers) trainer?.Dispose();
    }

    /// <summary>The model of a place in the list.</summary>
    internal static MlpModel Model(int task, int fold, int runs) => task < runs ? new MlpModel(task, 0, fold) : new MlpModel(0, task - runs + 1, fold);

    private void Train(int task, int fold, double[] errors, int worker)
    {
        MlpTrainer trainer = _trainers[worker] ??= new MlpTrainer(_x, _y, _folds, _options);
        trainer.Train(Model(task, fold, _options.Runs), errors, _cancel);
        lock (_reporting) _progress.Report("MLP predictability", ++_done, (long)(_options.Runs + _options.Permutations) * Folds, "models");
    }

    private struct Job : IBlockJob
    {
        public MlpTasks Owner;
        public double[][] Errors;
        public int FirstTask;

        public readonly void Execute(long block, int worker)
        {
            Errors[block] = new double[Owner._y.Columns];
            Owner.Train(FirstTask + (int)block / Owner.Folds, (int)block % Owner.Folds, Errors[block], worker);
        }
    }
}
