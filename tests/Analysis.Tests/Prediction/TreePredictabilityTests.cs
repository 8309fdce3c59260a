using System.Text.Json.Nodes;
using BioSup.Analysis.Prediction;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Prediction;

public sealed class TreePredictabilityTests : IDisposable
{
    private static readonly TreeOptions s_few = new() { Trees = 40, Permutations = 0 };

    private readonly CpuDevice _cpu = new(2);

    public void Dispose() => _cpu.Dispose();

    private PredictabilityResult Run(float[] x, float[] y, PredictionFolds folds, TreeOptions options, CpuDevice? cpu = null, CancellationToken cancel = default, IProgressReporter? progress = null)
    {
        using Matrix<float> features = Matrix<float>.From(cpu ?? _cpu, folds.Rows, x.Length / folds.Rows, x), targets = Matrix<float>.From(cpu ?? _cpu, folds.Rows, y.Length / folds.Rows, y);
        return TreePredictability.Run(features.View, targets.View, folds, options, progress ?? SilentProgress.Instance, cancel);
    }

    /// <summary>Beside scikit-learn's HistGradientBoostingRegressor (tests/golden/prediction/make_trees.py): stumps, whose splits seldom tie. The targets are standardised and in single precision here.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void RSquaredIsThatOfAnotherProgram(int number)
    {
        JsonNode golden = JsonNode.Parse(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "tests", "golden", "prediction", "trees.json")))!, expected = golden["cases"]![number]!;
        PredictionFolds folds = PredictionFolds.Shuffled((int)golden["rows"]!, (int)golden["folds"]!, (ulong)golden["seed"]!);
        double[] actual = Run(Floats(golden["x"]!), Floats(golden["y"]!), folds, new TreeOptions { Trees = (int)expected["trees"]!, Depth = 1, Permutations = 0 }).RSquared;
        for (int t = 0; t < actual.Length; t++) Assert.Equal((double)expected["r2"]![t]!, actual[t], 1e-5);
    }

    [Fact]
    public void FitsAreThoseOfAnotherProgram()
    {
        JsonNode golden = JsonNode.Parse(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "tests", "golden", "prediction", "trees.json")))!;
        int rows = (int)golden["rows"]!, targets = (int)golden["targets"]!;
        float[] y = Floats(golden["y"]!);
        int[] all = [.. Enumerable.Range(0, rows)];
        using Matrix<float> x = Matrix<float>.From(_cpu, rows, (int)golden["columns"]!, Floats(golden["x"]!));
        foreach (JsonNode? expected in golden["fits"]!.AsArray())
        {
            using LightGbmFold fold = new(x, all, all, new TreeOptions { Trees = (int)expected!["trees"]!, Depth = (int)expected["depth"]! });
            for (int i = 0; i < rows; i++) fold.Labels[i] = y[i * targets + (int)expected["target"]!];
            fold.Fit();
            for (int i = 0; i < rows; i++) Assert.Equal((double)expected["values"]![i]!, fold.Predictions[i], 1e-12);
        }
    }

    [Fact]
    public void NonlinearSignalIsRecovered()
    {
        const int rows = 200;
        float[] x = PredictionCases.Normal(rows * 2, 61), y = new float[rows];
        for (int i = 0; i < rows; i++) y[i] = 5 + x[2 * i] * x[2 * i];
        PredictabilityResult result = Run(x, y, PredictionFolds.Shuffled(rows, 4, 1), s_few with { Permutations = 19 });
        Assert.InRange(result.RSquared[0], 0.8, 1);
        Assert.Equal(0.05, result.PValue![0], 12);
        Assert.True(result.ZScore![0] > 5);
        Assert.InRange(result.NullMean![0], -1, 0);
    }

    [Fact]
    public void NoiseIsNotPredicted()
    {
        float[] x = PredictionCases.Normal(100 * 3, 62), y = PredictionCases.Normal(100 * 8, 63);
        PredictabilityResult result = Run(x, y, PredictionFolds.Shuffled(100, 4, 2), s_few with { Permutations = 9 });
        Assert.True(result.MeanRSquared < 0, $"mean R² {result.MeanRSquared}");
        Assert.InRange(result.PValue!.Average(), 0.25, 0.85);
    }

    [Fact]
    public void SameBytesOnOneAndThreeThreads()
    {
        using CpuDevice one = new(1), three = new(3);
        float[] x = PredictionCases.Normal(60 * 4, 64), y = PredictionCases.Linear(x, 60, 3, 1, 65);
        for (int i = 0; i < 60; i++) y[3 * i + 1] = 7;
        PredictionFolds folds = PredictionFolds.Stratified([.. Enumerable.Range(0, 60).Select(i => i % 2)], 3, 3);
        PredictabilityResult a = Run(x, y, folds, s_few with { Permutations = 5 }, one), b = Run(x, y, folds, s_few with { Permutations = 5 }, three);
        Assert.Equal(a.RSquared, b.RSquared);
        Assert.Equal(a.NullMean, b.NullMean);
        Assert.Equal(a.NullDeviation, b.NullDeviation);
        Assert.Equal(a.NullMeans, b.NullMeans);
        Assert.Equal((0.0, 1.0, 1), (a.RSquared[1], a.PValue![1], a.ConstantTargets));
    }

    [Fact]
    public void PermutationIsTheFitOfPermutedTargets()
    {
        float[] x = PredictionCases.Normal(50 * 3, 66), y = PredictionCases.Linear(x, 50, 2, 1, 67);
        PredictionFolds folds = PredictionFolds.Shuffled(50, 5, 4);
        int[] order = new int[50];
        RowPermutations.Fill(42, 1, order);
        PredictabilityResult engine = Run(x, y, folds, s_few with { Permutations = 1 }), direct = Run(x, PredictionCases.PermuteRows(y, 2, order), folds, s_few);
        for (int t = 0; t < 2; t++) Assert.Equal(direct.RSquared[t], engine.NullMean![t], 1e-5);
    }

    [Fact]
    public void RefusesWhatItCannotPredictAndStops()
    {
        float[] x = PredictionCases.Normal(20 * 2, 68), y = PredictionCases.Normal(20, 69);
        PredictionFolds folds = PredictionFolds.Shuffled(20, 4, 5);
        float[] bad = [.. y];
        bad[6] = float.NegativeInfinity;
        Assert.Equal("targets (row 6, column 0): the value is -Infinity; every value must be finite.", Assert.Throws<DataException>(() => Run(x, bad, folds, s_few)).Message);
        Assert.Contains("depth is 0", Assert.Throws<UsageException>(() => Run(x, y, folds, s_few with { Depth = 0 })).Message, StringComparison.Ordinal);
        Assert.Contains("number of trees is 0", Assert.Throws<UsageException>(() => Run(x, y, folds, s_few with { Trees = 0 })).Message, StringComparison.Ordinal);
        using CancellationTokenSource stop = new();
        stop.Cancel();
        Assert.Throws<OperationCanceledException>(() => Run(x, y, folds, s_few, cancel: stop.Token));
    }

    /// <summary>A fold of a few rows and of one, where trees have almost nothing to split.</summary>
    [Fact]
    public void AFewRowsAreEnough()
    {
        PredictabilityResult result = Run([1, 2, 3, 4, 5, 6], [0, 0, 0, 1, 1, 1], PredictionFolds.Shuffled(6, 6, 6), s_few);
        Assert.True(double.IsFinite(result.RSquared[0]));
        Assert.InRange(result.RSquared[0], 0, 1);
    }

    private static float[] Floats(JsonNode node) => [.. node.AsArray().Select(v => (float)(double)v!)];
}
