using BioSup.Analysis.Prediction;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Prediction;

/// <summary>The protocol around the network: which rows are fitted, validate and are tested, schedule, early stopping, the epoch that is kept, clipping, dropout.</summary>
public sealed class MlpProtocolTests : IDisposable
{
    private readonly CpuDevice _cpu = new(2);

    public void Dispose() => _cpu.Dispose();

    /// <summary>Folds of 15, 14 and 14 rows: the first is fitted in whole batches, the others with a last batch of one row, and test rows are more than a batch.</summary>
    [Theory]
    [InlineData(12, 1, 0.5)]
    [InlineData(14, 2, 0.5)]
    [InlineData(10, 10, 1e9)]
    public void Runs_and_permutations_are_those_of_plain_loops(int epochs, int patience, double clip)
    {
        const int rows = 43, inputs = 3, targets = 2;
        float[] x = PredictionCases.Normal(rows * inputs, 61), y = PredictionCases.Linear(x, rows, targets, 0.7, 62);
        foreach (int far in (int[])[7, 23, 38])
            for (int k = 0; k < inputs; k++) x[far * inputs + k] *= 25;
        MlpOptions options = new() { Hidden = 6, Dropout = 0, LearningRate = 0.03, FinalLearningRate = 1e-3, WeightDecay = 0.05, GradientClip = clip, Epochs = epochs, Patience = patience, Batch = 8, Runs = 1, Permutations = 2, ClipMargin = 0.02, Floor = -5, Seed = 9 };
        PredictionFolds folds = PredictionFolds.Shuffled(rows, 3, 4);
        PredictabilityResult result = Run(x, y, folds, options);
        double[][] features = Rows(x, inputs), values = Rows(y, targets);
        double[] expected = PlainMlp.RSquared(features, values, folds, options, 0, out int clipped);
        TestContext.Current.TestOutputHelper?.WriteLine($"{string.Join(" ", expected)} | {string.Join(" ", result.RSquared)}; {clipped} clipped");
        Assert.True(clipped > 0);
        // Some dozens of steps multiply the rounding of single precision.
        for (int t = 0; t < targets; t++) Assert.Equal(expected[t], result.RSquared[t], 3e-4);
        for (int k = 1; k <= 2; k++) Assert.Equal(PlainMlp.RSquared(features, values, folds, options, k, out _).Average(), result.NullMeans![k - 1], 3e-4);
    }

    /// <summary>Kept units are scaled up in training, so that running statistics are those of the whole network.</summary>
    [Fact]
    public void Dropout_changes_the_training_and_leaves_predictions_in_scale()
    {
        const int rows = 120;
        float[] x = PredictionCases.Normal(rows * 3, 63), y = PredictionCases.Linear(x, rows, 2, 0.1, 64);
        MlpOptions options = new() { Hidden = 48, Batch = 32, LearningRate = 2e-2, Epochs = 20, Patience = 20, Dropout = 0.5, Runs = 1, Permutations = 0 };
        PredictionFolds folds = PredictionFolds.Shuffled(rows, 4, 5);
        double[] dropped = Run(x, y, folds, options).RSquared, whole = Run(x, y, folds, options with { Dropout = 0 }).RSquared;
        TestContext.Current.TestOutputHelper?.WriteLine($"{string.Join(" ", dropped)} | {string.Join(" ", whole)}");
        Assert.All(dropped.Zip(whole), pair => Assert.NotEqual(pair.First, pair.Second, 1e-4));
        Assert.All(dropped, r => Assert.InRange(r, 0.8, 1));
    }

    private PredictabilityResult Run(float[] x, float[] y, PredictionFolds folds, MlpOptions options)
    {
        using Matrix<float> features = Matrix<float>.From(_cpu, folds.Rows, x.Length / folds.Rows, x), targets = Matrix<float>.From(_cpu, folds.Rows, y.Length / folds.Rows, y);
        return MlpPredictability.Run(features.View, targets.View, folds, options, SilentProgress.Instance, default);
    }

    private static double[][] Rows(float[] values, int columns) => [.. values.Chunk(columns).Select(row => Array.ConvertAll(row, v => (double)v))];
}
