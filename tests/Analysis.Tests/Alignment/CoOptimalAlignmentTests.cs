using BioSup.Analysis.Alignment;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>What is done around co-optimal transport: one scale for all features, strongest pairs, scores and verdict.</summary>
public sealed class CoOptimalAlignmentTests
{
    [Fact]
    public void The_strongest_pairs_are_those_with_the_largest_lift()
    {
        using CpuDevice device = new(1);
        using Matrix<double> coupling = Matrix<double>.From(device, 2, 3, [0.3, 0.1, 0, 0.05, 0.05, 0.5]);
        // Rows 0.4 and 0.6, columns 0.35, 0.15 and 0.5.
        IReadOnlyList<FeaturePair> pairs = FeaturePair.Strongest(coupling, 3);
        Assert.Equal([(0, 0), (0, 1), (1, 2)], pairs.Select(p => (p.First, p.Second)).Order());
        Assert.Equal([0.3 / 0.14, 0.5 / 0.3, 0.1 / 0.06], pairs.Select(p => p.Lift), (a, b) => Math.Abs(a - b) < 1e-12);
        Assert.Equal([true, true, false], pairs.OrderBy(p => (p.First, p.Second) switch { (0, 0) => 0, (1, 2) => 1, _ => 2 }).Select(p => p.Mutual));
        Assert.Equal(0.75, pairs[0].FirstShare, 1e-12);
        Assert.Equal(0.3 / 0.35, pairs[0].SecondShare, 1e-12);
        Assert.Equal(5, FeaturePair.Strongest(coupling, 100).Count);
        Assert.Empty(FeaturePair.Strongest(coupling, 0));
    }

    [Fact]
    public void Features_on_different_scales_are_put_together_once_they_are_standardised()
    {
        using CpuDevice device = new(2);
        const int n = 60, d = 5;
        using Matrix<double> x = device.AllocateMatrix<double>(n, d), y = device.AllocateMatrix<double>(n, d + 1);
        CounterRandom random = new(71);
        string[] labels = new string[n];
        for (int i = 0; i < n; i++)
        {
            labels[i] = $"{i % 3}";
            for (int k = 0; k < d; k++)
            {
                // Skewed in different ways, so that a feature is known by its distribution.
                double value = Math.Pow(random.NextDouble(), k + 1) + (i % 3 == k % 3 ? 1 : 0);
                x.Row(i)[k] = value;
                y.Row(i)[(k + 2) % d] = 1e4 * (k + 1) * value - 77 * k;
            }
            y.Row(i)[d] = 5;
        }
        CoOptimalAlignmentOptions options = new() { Solver = new CoOptimalOptions { SampleEpsilon = 0.02, FeatureEpsilon = 0.02 }, Pairs = d, TruthIsIdentity = true };
        using CoOptimalAlignmentResult result = CoOptimalAlignment.Align(x, y, options, labels, labels);
        Assert.Equal(SolveState.Converged, result.State);
        Assert.Equal((0, 1), result.ConstantFeatures);
        Assert.Contains(result.Warnings, warning => warning.Contains("1 of the second do not vary", StringComparison.Ordinal));
        foreach (FeaturePair pair in result.Pairs) Assert.True(pair.Second == (pair.First + 2) % d, $"{pair.First} with {pair.Second}, lift {pair.Lift:F2}");
        Assert.Equal(1, result.Labels!.Barycentric.Accuracy);
        Assert.InRange(result.Foscttm!.Average, 0, 0.05);
        Assert.Equal(Trust.Reliable, result.Verdict.Trust);
        // The data were not changed.
        Assert.Equal(5, y.Row(3)[d]);
    }

    [Fact]
    public void A_coupling_that_says_nothing_is_called_diffuse_and_one_that_is_none_is_refused()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 20, 4, 72), y = Clouds.Normal(device, 15, 5, 73);
        using CoOptimalAlignmentResult diffuse = CoOptimalAlignment.Align(x, y, new CoOptimalAlignmentOptions { Solver = new CoOptimalOptions { SampleEpsilon = 100, FeatureEpsilon = 100 } });
        Assert.Equal(2, diffuse.Verdict.Against.Count(reason => reason.Contains("diffuse", StringComparison.Ordinal)));
        using CoOptimalAlignmentResult cut = CoOptimalAlignment.Align(x, y, new CoOptimalAlignmentOptions { Solver = new CoOptimalOptions { MaxIterations = 1 } });
        Assert.Equal(SolveState.IterationLimit, cut.State);
        Assert.Contains(cut.Verdict.Against, reason => reason.Contains("stopped after 1 iterations", StringComparison.Ordinal));
        Assert.Contains("top is -1", Assert.Throws<UsageException>(() => CoOptimalAlignment.Align(x, y, new CoOptimalAlignmentOptions { Pairs = -1 })).Message);
        Assert.Contains("the data have 20 and 15 rows", Assert.Throws<UsageException>(() => CoOptimalAlignment.Align(x, y, new CoOptimalAlignmentOptions { TruthIsIdentity = true })).Message);
    }
}
