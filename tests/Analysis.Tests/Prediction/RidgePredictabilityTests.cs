using BioSup.Analysis.Prediction;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Prediction;

public sealed class RidgePredictabilityTests : IDisposable
{
    private readonly CpuDevice _cpu = new(2);

    public void Dispose() => _cpu.Dispose();

    private PredictabilityResult Run(float[] x, float[] y, PredictionFolds folds, RidgeOptions options, CpuDevice? cpu = null, CancellationToken cancel = default, IProgressReporter? progress = null)
    {
        using Matrix<float> features = Matrix<float>.From(cpu ?? _cpu, folds.Rows, x.Length / folds.Rows, x), targets = Matrix<float>.From(cpu ?? _cpu, folds.Rows, y.Length / folds.Rows, y);
        return RidgePredictability.Run(features.View, targets.View, folds, options, progress ?? SilentProgress.Instance, cancel);
    }

    [Fact]
    public void LinearSignalIsRecovered()
    {
        float[] x = PredictionCases.Normal(120 * 6, 1), y = PredictionCases.Linear(x, 120, 3, 0.3, 2);
        PredictabilityResult result = Run(x, y, PredictionFolds.Shuffled(120, 5, 1), new RidgeOptions { Permutations = 99 });
        Assert.All(result.RSquared, r => Assert.InRange(r, 0.9, 1));
        Assert.All(result.PValue!, p => Assert.Equal(0.01, p, 12));
        Assert.All(result.ZScore!, z => Assert.True(z > 10, $"z {z}"));
        Assert.All(result.NullMean!, m => Assert.InRange(m, -0.2, 0));
        Assert.Equal(result.RSquared.Average(), result.MeanRSquared, 12);
        Assert.Equal(result.NullMean!.Average(), result.NullMeans!.Average(), 6);
    }

    [Fact]
    public void NoiseIsNotPredictedAndItsPValuesAreUniform()
    {
        const int targets = 300;
        float[] x = PredictionCases.Normal(80 * 4, 3), y = PredictionCases.Normal(80 * targets, 4);
        PredictabilityResult result = Run(x, y, PredictionFolds.Shuffled(80, 5, 2), new RidgeOptions { Permutations = 199 });
        Assert.True(result.MeanRSquared < 0, $"mean R² {result.MeanRSquared}");
        double[] p = [.. result.PValue!.Order()];
        double distance = Enumerable.Range(0, targets).Max(i => Math.Max((i + 1.0) / targets - p[i], p[i] - (double)i / targets));
        // The Kolmogorov-Smirnov distance that uniform values exceed once in a hundred times, and the width of a step of the permutation p-value.
        Assert.True(distance < 1.63 / Math.Sqrt(targets) + 1.0 / 200, $"Kolmogorov-Smirnov distance {distance}");
    }

    [Fact]
    public void PermutedTargetsAreNotPredicted()
    {
        float[] x = PredictionCases.Normal(150 * 5, 5), y = PredictionCases.Linear(x, 150, 4, 0.1, 6);
        int[] order = new int[150];
        RowPermutations.Fill(9, 1, order);
        PredictabilityResult result = Run(x, PredictionCases.PermuteRows(y, 4, order), PredictionFolds.Shuffled(150, 5, 3), new RidgeOptions { Permutations = 0 });
        Assert.All(result.RSquared, r => Assert.True(r < 0.1, $"R² {r}"));
        Assert.Null(result.PValue);
        Assert.Null(result.NullMeans);
    }

    /// <summary>The engine's R² of every permutation beside the explicit residuals of the same permuted targets in double precision.</summary>
    [Theory]
    [InlineData(60, 5, 7, 4, true)]
    [InlineData(31, 3, 1, 300, true)]
    [InlineData(53, 4, 270, 3, true)]
    [InlineData(60, 30, 5, 6, true)]
    [InlineData(40, 90, 5, 6, false)]
    public void EngineMatchesExplicitResidualsOfPermutedTargets(int rows, int columns, int targets, int permutations, bool single)
    {
        float[] x = PredictionCases.Normal(rows * columns, 7), y = PredictionCases.Linear(x, rows, targets, 1, 8);
        PredictionFolds folds = PredictionFolds.Shuffled(rows, 4, 5);
        using Matrix<float> features = Matrix<float>.From(_cpu, rows, columns, x), original = Matrix<float>.From(_cpu, rows, targets, y);
        using RidgeDesign design = new(features.View, folds, 0.5);
        using IRidgeNull engine = RidgeNull.For(design, 11);
        Assert.Equal(single, engine is RidgeNull<float>);
        using TargetBlock block = new(original.View, 0, targets, _cpu);
        float[] nulls = engine.Run(block, permutations, new RidgeProgress(SilentProgress.Instance, targets, permutations, default));
        // The targets are rounded to single precision in either engine; what else is rounded to it is multiplied by the condition.
        double bound = single ? 5e-7 * design.Condition : 3e-7;
        int[] order = new int[rows];
        for (int k = 0; k <= permutations; k++)
        {
            RowPermutations.Fill(11, k, order);
            using Matrix<float> permuted = Matrix<float>.From(_cpu, rows, targets, PredictionCases.PermuteRows(y, targets, order));
            using TargetBlock permutedBlock = new(permuted.View, 0, targets, _cpu);
            double[] expected = RidgePredictability.Observed(design, permutedBlock, permuted.View, default);
            for (int t = 0; t < targets; t++) Assert.Equal(expected[t], nulls[k * targets + t], bound * (1 + Math.Abs(expected[t])));
        }
    }

    [Fact]
    public void StatisticsFollowFromTheNull()
    {
        float[] x = PredictionCases.Normal(40 * 3, 12), y = PredictionCases.Linear(x, 40, 2, 4, 13);
        PredictionFolds folds = PredictionFolds.Shuffled(40, 4, 6);
        PredictabilityResult result = Run(x, y, folds, new RidgeOptions { Permutations = 20, Seed = 3 });
        int[] order = new int[40];
        double[][] nulls = [.. Enumerable.Range(1, 20).Select(k =>
        {
            RowPermutations.Fill(3, k, order);
            return Run(x, PredictionCases.PermuteRows(y, 2, order), folds, new RidgeOptions { Permutations = 0 }).RSquared;
        })];
        for (int t = 0; t < 2; t++)
        {
            double mean = nulls.Average(n => n[t]), deviation = Math.Sqrt(nulls.Average(n => (n[t] - mean) * (n[t] - mean)));
            Assert.Equal(mean, result.NullMean![t], 5);
            Assert.Equal(deviation, result.NullDeviation![t], 5);
            Assert.Equal((result.RSquared[t] - mean) / deviation, result.ZScore![t], 3);
            Assert.Equal((nulls.Count(n => n[t] >= result.RSquared[t]) + 1) / 21.0, result.PValue![t], 12);
        }
        for (int k = 0; k < 20; k++) Assert.Equal(nulls[k].Average(), result.NullMeans![k], 5);
    }

    /// <summary>A null without spread has no z-score of its own: a millionth stands for its deviation.</summary>
    [Fact]
    public void NullWithoutSpreadLeavesAFiniteZScore()
    {
        NullTally tally = new(1, 3);
        tally.Add(0, 0.5, [0.5f, 0.25f, 0.25f, 0.25f], 1);
        PredictabilityResult result = tally.ToResult();
        Assert.Equal((0.25, 0.0, 0.25 / 1e-6, 0.25), (result.NullMean![0], result.NullDeviation![0], result.ZScore![0], result.PValue![0]));
    }

    [Fact]
    public void FeaturesWithoutVarianceAreNoFeatures()
    {
        // 12 rows, 20 columns, all multiples of three of them; and the same with columns that do not vary at all.
        float[] three = PredictionCases.Normal(12 * 3, 26), x = new float[12 * 20], y = PredictionCases.Normal(12, 27), flat = [.. Enumerable.Repeat(4f, 12 * 20)];
        for (int i = 0; i < 12; i++)
            for (int k = 0; k < 20; k++) x[i * 20 + k] = (1 << k % 4) * three[i * 3 + k % 3];
        PredictionFolds folds = PredictionFolds.Shuffled(12, 3, 13);
        using Matrix<float> features = Matrix<float>.From(_cpu, 12, 20, x);
        using RidgeDesign design = new(features.View, folds, 0.5);
        Assert.Equal(3, design.Rank);
        PredictabilityResult result = Run(flat, y, folds, new RidgeOptions { Permutations = 5 });
        double mean = y.Average(v => (double)v), left = 0;
        for (int i = 0; i < 12; i++)
        {
            double training = Enumerable.Range(0, 12).Where(j => folds.FoldOfRow[j] != folds.FoldOfRow[i]).Average(j => (double)y[j]);
            left += (y[i] - training) * (y[i] - training);
        }
        Assert.Equal(1 - left / y.Sum(v => (v - mean) * (v - mean)), result.RSquared[0], 1e-6);
    }

    /// <summary>One fold that is hard to invert is enough to leave single precision.</summary>
    [Fact]
    public void TheWorstFoldDecidesThePrecision()
    {
        float[] x = PredictionCases.Normal(40 * 24, 28);
        using Matrix<float> features = Matrix<float>.From(_cpu, 40, 24, x);
        using RidgeDesign design = new(features.View, PredictionFolds.Shuffled(40, 4, 14), 0.5);
        double[] conditions = [.. design.Folds.Select(f => f.Condition)];
        Assert.True(conditions.Min() < 0.9 * conditions.Max());
        Assert.Equal(conditions.Max(), design.Condition);
    }

    [Fact]
    public void ConstantTargetHasNothingToPredict()
    {
        float[] x = PredictionCases.Normal(50 * 3, 14), y = PredictionCases.Linear(x, 50, 3, 0.5, 15);
        for (int i = 0; i < 50; i++) y[i * 3 + 1] = 0.1f;
        PredictabilityResult result = Run(x, y, PredictionFolds.Shuffled(50, 5, 7), new RidgeOptions { Permutations = 19 });
        Assert.Equal((0.0, 0.0, 1.0, 1), (result.RSquared[1], result.ZScore![1], result.PValue![1], result.ConstantTargets));
        Assert.Equal((result.RSquared[0] + result.RSquared[2]) / 2, result.MeanRSquared, 12);
        Assert.Equal((result.NullMean![0] + result.NullMean[2]) / 2, result.NullMeans!.Average(), 6);
        using Matrix<float> features = Matrix<float>.From(_cpu, 50, 3, x), targets = Matrix<float>.From(_cpu, 50, 3, y);
        using Matrix<float> predicted = RidgePredictability.Predict(features.View, targets.View, PredictionFolds.Shuffled(50, 5, 7), new RidgeOptions(), default);
        Assert.Equal(0.1f, predicted.Row(13)[1]);
    }

    /// <summary>A target whose permutations are mostly itself: equal values must count as at least as good, which they only do if they are the same bits.</summary>
    [Fact]
    public void TiesCountAgainstTheTarget()
    {
        float[] x = PredictionCases.Normal(6 * 2, 16), y = new float[6];
        y[2] = 1;
        PredictabilityResult result = Run(x, y, PredictionFolds.Shuffled(6, 3, 8), new RidgeOptions { Permutations = 600 });
        int[] order = new int[6];
        int same = Enumerable.Range(1, 600).Count(k =>
        {
            RowPermutations.Fill(42, k, order);
            return order[2] == 2;
        });
        Assert.True(same > 50);
        Assert.True(result.PValue![0] >= (same + 1) / 601.0, $"p {result.PValue[0]} with {same} permutations that leave the target as it is");
    }

    [Fact]
    public void SameBytesOnOneAndThreeThreads()
    {
        using CpuDevice one = new(1), three = new(3);
        float[] x = PredictionCases.Normal(90 * 7, 17), y = PredictionCases.Linear(x, 90, 40, 1, 18);
        PredictionFolds folds = PredictionFolds.Stratified([.. Enumerable.Range(0, 90).Select(i => i % 3)], 5, 9);
        PredictabilityResult a = Run(x, y, folds, new RidgeOptions { Permutations = 50 }, one), b = Run(x, y, folds, new RidgeOptions { Permutations = 50 }, three);
        Assert.Equal(a.RSquared, b.RSquared);
        Assert.Equal(a.NullMean, b.NullMean);
        Assert.Equal(a.NullDeviation, b.NullDeviation);
        Assert.Equal(a.PValue, b.PValue);
        Assert.Equal(a.NullMeans, b.NullMeans);
    }

    /// <summary>More targets than a block and a piece hold: each gets what it gets alone.</summary>
    [Fact]
    public void TargetsDoNotDependOnTheirNeighbours()
    {
        const int targets = 1030;
        float[] x = PredictionCases.Normal(25 * 3, 19), y = PredictionCases.Linear(x, 25, targets, 2, 20);
        PredictionFolds folds = PredictionFolds.Shuffled(25, 3, 10);
        RidgeOptions options = new() { Permutations = 5 };
        PredictabilityResult all = Run(x, y, folds, options);
        foreach (int t in (int[])[0, 255, 256, 1023, 1024, 1029])
        {
            PredictabilityResult alone = Run(x, [.. Enumerable.Range(0, 25).Select(i => y[i * targets + t])], folds, options);
            Assert.Equal(alone.RSquared[0], all.RSquared[t], 1e-13);
            Assert.Equal(alone.NullMean![0], all.NullMean![t]);
            Assert.Equal(alone.PValue![0], all.PValue![t]);
        }
    }

    [Fact]
    public void RefusesWhatItCannotPredict()
    {
        float[] x = PredictionCases.Normal(20 * 3, 21), y = PredictionCases.Normal(20 * 2, 22);
        PredictionFolds folds = PredictionFolds.Shuffled(20, 4, 11);
        float[] bad = [.. y];
        bad[7 * 2 + 1] = float.NaN;
        Assert.Equal("targets (row 7, column 1): the value is NaN; every value must be finite.", Assert.Throws<DataException>(() => Run(x, bad, folds, new RidgeOptions())).Message);
        float[] infinite = [.. x];
        infinite[5] = float.PositiveInfinity;
        Assert.Equal("row 1, column 2", Assert.Throws<DataException>(() => Run(infinite, y, folds, new RidgeOptions())).Location);
        Assert.Contains("folds are of 21 rows", Assert.Throws<DataException>(() =>
        {
            using Matrix<float> features = Matrix<float>.From(_cpu, 20, 3, x), targets = Matrix<float>.From(_cpu, 20, 2, y);
            RidgePredictability.Run(features.View, targets.View, PredictionFolds.Shuffled(21, 3, 1), new RidgeOptions(), SilentProgress.Instance, default);
        }).Message, StringComparison.Ordinal);
        Assert.Contains("alpha is 0", Assert.Throws<UsageException>(() => Run(x, y, folds, new RidgeOptions { Alpha = 0 })).Message, StringComparison.Ordinal);
        Assert.Throws<UsageException>(() => Run(x, y, folds, new RidgeOptions { Permutations = -1 }));
        Assert.Contains("3 rows cannot be split into 5 folds", Assert.Throws<UsageException>(() => PredictionFolds.Shuffled(3, 5, 0)).Message, StringComparison.Ordinal);
        Assert.Contains("label of row 1 is -1", Assert.Throws<UsageException>(() => PredictionFolds.Stratified([0, -1, 1], 2, 0)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ReportsProgressAndStops()
    {
        float[] x = PredictionCases.Normal(30 * 2, 23), y = PredictionCases.Normal(30 * 300, 24);
        PredictionFolds folds = PredictionFolds.Shuffled(30, 3, 12);
        Steps steps = new();
        Run(x, y, folds, new RidgeOptions { Permutations = 300 }, progress: steps);
        Assert.Equal((90_000, 90_000), (steps.Done, steps.Total));
        Assert.True(steps.Count > 1);
        using CancellationTokenSource stop = new();
        Assert.Throws<OperationCanceledException>(() => Run(x, y, folds, new RidgeOptions { Permutations = 300 }, cancel: stop.Token, progress: new Steps { First = stop.Cancel }));
    }

    private sealed class Steps : IProgressReporter
    {
        public long Done, Total, Count;
        public Action? First;

        public void Report(string stage, long done, long total, string? detail = null)
        {
            (Done, Total, Count) = (done, total, Count + 1);
            First?.Invoke();
        }
    }
}
