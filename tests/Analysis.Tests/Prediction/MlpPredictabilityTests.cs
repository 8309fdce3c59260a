using System.Text.Json.Nodes;
using BioSup.Analysis.Prediction;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Prediction;

public sealed class MlpPredictabilityTests : IDisposable
{
    /// <summary>A network that learns small problems in little time.</summary>
    private static readonly MlpOptions s_small = new() { Hidden = 24, Batch = 32, LearningRate = 1e-2, Epochs = 40, Patience = 15, Dropout = 0.1, Runs = 1, Permutations = 0 };

    private readonly CpuDevice _cpu = new(2);

    public void Dispose() => _cpu.Dispose();

    private PredictabilityResult Run(float[] x, float[] y, PredictionFolds folds, MlpOptions options, CpuDevice? cpu = null, IProgressReporter? progress = null, CancellationToken cancel = default)
    {
        using Matrix<float> features = Matrix<float>.From(cpu ?? _cpu, folds.Rows, x.Length / folds.Rows, x), targets = Matrix<float>.From(cpu ?? _cpu, folds.Rows, y.Length / folds.Rows, y);
        return MlpPredictability.Run(features.View, targets.View, folds, options, progress ?? SilentProgress.Instance, cancel);
    }

    [Fact]
    public void NonlinearSignalIsRecoveredWhereRidgeSeesNone()
    {
        const int rows = 300;
        float[] x = PredictionCases.Normal(rows * 2, 31), y = new float[rows * 2];
        for (int i = 0; i < rows; i++) (y[2 * i], y[2 * i + 1]) = (Math.Abs(x[2 * i]), x[2 * i] * x[2 * i] + 100);
        PredictionFolds folds = PredictionFolds.Shuffled(rows, 5, 1);
        PredictabilityResult result = Run(x, y, folds, s_small with { Permutations = 9 });
        using Matrix<float> features = Matrix<float>.From(_cpu, rows, 2, x), targets = Matrix<float>.From(_cpu, rows, 2, y);
        PredictabilityResult ridge = RidgePredictability.Run(features.View, targets.View, folds, new RidgeOptions { Permutations = 0 }, SilentProgress.Instance, default);
        Assert.All(result.RSquared, r => Assert.InRange(r, 0.7, 1));
        Assert.All(ridge.RSquared, r => Assert.InRange(r, -0.1, 0.1));
        Assert.All(result.PValue!, p => Assert.Equal(0.1, p, 12));
        Assert.All(result.ZScore!, z => Assert.True(z > 5, $"z {z}"));
        Assert.All(result.NullMeans!, m => Assert.InRange(m, -0.3, 0.05));
    }

    [Fact]
    public void NoiseIsNotPredicted()
    {
        float[] x = PredictionCases.Normal(120 * 4, 33), y = PredictionCases.Normal(120 * 20, 34);
        PredictabilityResult result = Run(x, y, PredictionFolds.Shuffled(120, 4, 2), s_small with { Permutations = 19, Epochs = 8 });
        Assert.True(result.MeanRSquared < 0.02, $"mean R² {result.MeanRSquared}");
        Assert.InRange(result.PValue!.Average(), 0.3, 0.7);
        Assert.InRange(result.PValue!.Min(), 0.05, 0.5);
    }

    [Fact]
    public void SameBytesOnOneAndThreeThreads()
    {
        using CpuDevice one = new(1), three = new(3);
        float[] x = PredictionCases.Normal(60 * 4, 35), y = PredictionCases.Linear(x, 60, 7, 1, 36);
        PredictionFolds folds = PredictionFolds.Stratified([.. Enumerable.Range(0, 60).Select(i => i % 2)], 3, 3);
        MlpOptions options = s_small with { Runs = 2, Permutations = 4, Epochs = 5 };
        PredictabilityResult a = Run(x, y, folds, options, one), b = Run(x, y, folds, options, three);
        Assert.Equal(a.RSquared, b.RSquared);
        Assert.Equal(a.NullMean, b.NullMean);
        Assert.Equal(a.NullDeviation, b.NullDeviation);
        Assert.Equal(a.NullMeans, b.NullMeans);
        Assert.Equal(4, a.NullMeans!.Distinct().Count());
    }

    /// <summary>The engine's permutation is the model trained on targets that were permuted beforehand.</summary>
    [Fact]
    public void PermutationIsTheModelOfPermutedTargets()
    {
        const int rows = 45;
        float[] x = PredictionCases.Normal(rows * 3, 37), y = PredictionCases.Linear(x, rows, 4, 1, 38);
        PredictionFolds folds = PredictionFolds.Shuffled(rows, 3, 4);
        MlpOptions options = s_small with { Epochs = 4 };
        int[] order = new int[rows], identity = [.. Enumerable.Range(0, rows)];
        RowPermutations.Fill(options.Seed, 2, order);
        using Matrix<float> features = Matrix<float>.From(_cpu, rows, 3, x), targets = Matrix<float>.From(_cpu, rows, 4, y), permuted = Matrix<float>.From(_cpu, rows, 4, PredictionCases.PermuteRows(y, 4, order));
        MlpTask engine = new(rows, 4), direct = new(rows, 4);
        new MlpModel(0, 2, 1).Prepare(engine, folds, options);
        new MlpModel(0, 2, 1).Prepare(direct, folds, options);
        Assert.Equal(order, engine.Order);
        identity.CopyTo(direct.Order, 0);
        Assert.Equal(Errors(permuted, direct), Errors(targets, engine));

        double[] Errors(Matrix<float> y, MlpTask task)
        {
            using MlpBank bank = MlpBank.Create(features, y, new MlpBankOptions(options.Hidden, options.Dropout, options.Batch, options.WeightDecay, options.GradientClip, options.ClipMargin, options.Seed), 1);
            MlpTask copy = new(rows, 4) { Count = task.Count, Fitted = task.Fitted, LearningRate = 1e-2 };
            task.Rows.CopyTo(copy.Rows, 0);
            task.Order.CopyTo(copy.Order, 0);
            copy.Seed(new CounterRandom(1), 2);
            bank.Start([copy]);
            for (int epoch = 0; epoch < 4; epoch++) bank.Epoch([copy]);
            bank.Finish([copy]);
            return copy.Errors;
        }
    }

    [Fact]
    public void RunsAreAveragedAndFloored()
    {
        float[] x = PredictionCases.Normal(40 * 3, 39), y = PredictionCases.Linear(x, 40, 2, 1, 40);
        PredictionFolds folds = PredictionFolds.Shuffled(40, 4, 5);
        MlpOptions options = s_small with { Epochs = 3 };
        double one = Run(x, y, folds, options).RSquared[0], three = Run(x, y, folds, options with { Runs = 3 }).RSquared[0], two = Run(x, y, folds, options with { Runs = 2 }).RSquared[0];
        double last = 3 * three - 2 * two, second = 2 * two - one;
        Assert.Equal(3, new[] { one, second, last }.Select(v => Math.Round(v, 9)).Distinct().Count());
        Assert.Equal([-1e-9], Run(x, [.. PredictionCases.Normal(40, 41)], folds, options with { Floor = -1e-9, LearningRate = 0.5 }).RSquared);
    }

    /// <summary>A row far from all others would be predicted far outside of what was seen.</summary>
    [Fact]
    public void PredictionsStayNearTheRangeOfTheFittedTargets()
    {
        float[] x = PredictionCases.Normal(80 * 2, 42), y = PredictionCases.Linear(x, 80, 1, 0.1, 43);
        x[2 * 11] = 1e6f;
        PredictionFolds folds = PredictionFolds.Shuffled(80, 5, 6);
        Assert.Equal(-1, Run(x, y, folds, s_small with { ClipMargin = 1e12 }).RSquared[0]);
        Assert.InRange(Run(x, y, folds, s_small).RSquared[0], -0.9, 1);
    }

    [Fact]
    public void ConstantTargetHasNothingToPredict()
    {
        float[] x = PredictionCases.Normal(40 * 3, 44), y = PredictionCases.Linear(x, 40, 2, 0.5, 45);
        for (int i = 0; i < 40; i++) y[2 * i] = -3;
        PredictabilityResult result = Run(x, y, PredictionFolds.Shuffled(40, 4, 7), s_small with { Permutations = 3, Epochs = 4 });
        Assert.Equal((0.0, 0.0, 1.0, 1), (result.RSquared[0], result.ZScore![0], result.PValue![0], result.ConstantTargets));
        Assert.Equal(result.RSquared[1], result.MeanRSquared);
    }

    /// <summary>Learning rates of PyTorch's CosineAnnealingLR (tests/golden/prediction/make_mlp.py).</summary>
    [Fact]
    public void LearningRateFallsAlongTheCosine()
    {
        JsonNode golden = JsonNode.Parse(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "tests", "golden", "prediction", "mlp.json")))!;
        MlpOptions options = new() { LearningRate = 5e-2, FinalLearningRate = 1e-6, Epochs = 5 };
        int stepsPerEpoch = ((int)golden["rows"]! + (int)golden["batch"]! - 1) / (int)golden["batch"]!, step = 0;
        foreach (JsonNode? expected in golden["cases"]![0]!["steps"]!.AsArray())
            Assert.Equal((double)expected!["rate"]!, MlpTrainer.LearningRate(options, step++ / stepsPerEpoch), 1e-9);
    }

    [Fact]
    public void StopsEarlyAndKeepsTheBestEpoch()
    {
        float[] x = PredictionCases.Normal(60 * 4, 46), y = PredictionCases.Normal(60 * 3, 47);
        using Matrix<float> features = Matrix<float>.From(_cpu, 60, 4, x), targets = Matrix<float>.From(_cpu, 60, 3, y);
        using MlpTrainer trainer = new(features, targets, PredictionFolds.Shuffled(60, 4, 8), s_small with { Epochs = 500, Patience = 7 }, 1);
        trainer.Run(1, _ => new MlpModel(0, 0, 0), (number, errors, epochs) =>
        {
            Assert.Equal(0, number);
            Assert.InRange(epochs, 7, 300);
            Assert.All(errors, e => Assert.InRange(e, 1, 60));
        }, default);
    }

    [Fact]
    public void RefusesWhatItCannotPredict()
    {
        float[] x = PredictionCases.Normal(20 * 2, 48), y = PredictionCases.Normal(20, 49);
        PredictionFolds folds = PredictionFolds.Shuffled(20, 4, 9);
        float[] bad = [.. x];
        bad[7] = float.NaN;
        Assert.Equal("features (row 3, column 1): the value is NaN; every value must be finite.", Assert.Throws<DataException>(() => Run(bad, y, folds, s_small)).Message);
        Assert.Contains("dropout is 1", Assert.Throws<UsageException>(() => Run(x, y, folds, s_small with { Dropout = 1 })).Message, StringComparison.Ordinal);
        Assert.Contains("batch is 1", Assert.Throws<UsageException>(() => Run(x, y, folds, s_small with { Batch = 1 })).Message, StringComparison.Ordinal);
        Assert.Contains("leaves 2 rows to train on", Assert.Throws<UsageException>(() => Run([1, 2, 3, 4, 5, 6], [1, 2, 3], PredictionFolds.Shuffled(3, 3, 1), s_small)).Message, StringComparison.Ordinal);
        Assert.Throws<UsageException>(() => Run(x, y, folds, s_small with { Permutations = -2 }));
    }

    [Fact]
    public void ReportsEveryModelAndStops()
    {
        float[] x = PredictionCases.Normal(30 * 2, 50), y = PredictionCases.Normal(30 * 2, 51);
        PredictionFolds folds = PredictionFolds.Shuffled(30, 3, 10);
        Counter counter = new();
        Run(x, y, folds, s_small with { Epochs = 1, Runs = 2, Permutations = 40 }, progress: counter);
        Assert.Equal((126, 126, 126), (counter.Calls, counter.Done, counter.Total));
        using CancellationTokenSource stop = new();
        Assert.Throws<OperationCanceledException>(() => Run(x, y, folds, s_small with { Permutations = 40 }, progress: new Counter { Then = stop.Cancel }, cancel: stop.Token));
    }

    private sealed class Counter : IProgressReporter
    {
        public long Calls, Done, Total;
        public Action? Then;

        public void Report(string stage, long done, long total, string? detail = null)
        {
            (Calls, Done, Total) = (Calls + 1, done, total);
            Then?.Invoke();
        }
    }
}
