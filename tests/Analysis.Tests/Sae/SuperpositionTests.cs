using BioSup.Analysis.Sae;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Sae;

public sealed class SuperpositionTests
{
    [Fact]
    public void Features_fire_as_often_as_they_should_and_tokens_are_their_sum()
    {
        using CpuDevice device = new(2);
        SuperpositionOptions options = new() { Features = 48, Dimensions = 12, ActivePerToken = 3, PowerLaw = 1, Noise = 0, Seed = 5 };
        using SuperpositionData data = new(device, options);
        Assert.Equal(3, data.Probabilities.Sum(), 1e-9);
        Assert.All(data.Probabilities, p => Assert.InRange(p, 0, 0.5));
        const int N = 20_000;
        using Matrix<float> features = data.Features(100, N), tokens = data.Tokens(features, 100), again = data.Features(150, 10);
        for (int t = 0; t < 10; t++) Assert.Equal(features.Row(50 + t).ToArray(), again.Row(t).ToArray());
        for (int i = 0; i < 48; i++)
        {
            double p = data.Probabilities[i], share = Enumerable.Range(0, N).Count(t => features.Row(t)[i] > 0) / (double)N;
            Assert.InRange(share, p - 5 * Math.Sqrt(p / N), p + 5 * Math.Sqrt(p / N));
        }
        for (int t = 0; t < 20; t++)
            for (int k = 0; k < 12; k++)
                Assert.Equal(Enumerable.Range(0, 48).Sum(i => (double)features.Row(t)[i] * data.Dictionary.Row(i)[k]), tokens.Row(t)[k], 1e-5);
    }

    /// <summary>Features of one group meet more often when they are correlated, others do not.</summary>
    [Fact]
    public void Correlation_stays_inside_groups()
    {
        using CpuDevice device = new(2);
        SuperpositionOptions options = new() { Features = 16, Dimensions = 8, ActivePerToken = 3, PowerLaw = 0, Correlation = 0.7, Seed = 1 };
        using SuperpositionData data = new(device, options);
        using Matrix<float> features = data.Features(0, 20_000);
        double Together(int i, int j) => Enumerable.Range(0, 20_000).Count(t => features.Row(t)[i] > 0 && features.Row(t)[j] > 0) / 20_000.0 / (data.Probabilities[i] * data.Probabilities[j]);
        Assert.InRange(Together(0, 1), 2, 6);
        Assert.InRange(Together(0, 9), 0.8, 1.2);
    }

    /// <summary>The formula behind the drawn bound: random directions and random supports distort squared distances by √(2 E[cos²] (1 − ΣΔ⁴/‖Δ‖⁴)), and no dictionary has a smaller E[cos²] than Welch allows.</summary>
    [Fact]
    public void Raw_distances_are_distorted_as_theory_says()
    {
        using CpuDevice device = new(2);
        SuperpositionOptions options = new() { Features = 128, Dimensions = 32, ActivePerToken = 5, PowerLaw = 0, Noise = 0, Seed = 3 };
        SuperpositionResult result = SuperpositionBenchmark.Run(device, options, SaeConfig.ForPreset("default") with { Latents = 32, Batch = 256, LogEvery = 100 }, tokens: 512, steps: 1);
        Assert.Equal(Math.Sqrt(96.0 / (32 * 127)), result.WelchBound, 1e-12);
        Assert.True(result.RmsCosine >= result.WelchBound);
        Assert.True(result.Coherence >= result.RmsCosine);
        double theory = result.WelchDistortion * result.RmsCosine / result.WelchBound;
        Assert.InRange(result.Raw.RmsDistortion, 0.9 * theory, 1.1 * theory);
    }

    [Fact]
    public void A_dictionary_without_superposition_is_found_again()
    {
        using CpuDevice device = new(2);
        SuperpositionOptions options = new() { Features = 24, Dimensions = 24, ActivePerToken = 2.5, PowerLaw = 0.3, Seed = 2 };
        SaeConfig config = SaeConfigFile.Parse("""{ "architecture": "topk", "k": 3, "batch": 256, "lr": 3e-3, "d_sae": 48, "log_every": 500 }""", "test");
        SuperpositionResult result = SuperpositionBenchmark.Run(device, options, config, tokens: 8192, steps: 1000);
        Assert.True(result.Match.MeanMatchedCosine > 0.9, $"matched cosine {result.Match.MeanMatchedCosine}");
        Assert.InRange(result.Precision, 0.6, 1);
        Assert.InRange(result.Recall, 0.8, 1);
        Assert.True(result.Latents.Spearman > 0.8, $"Spearman {result.Latents.Spearman}");
    }

    [Fact]
    public void Equal_distances_up_to_a_factor_are_faithful()
    {
        double[] truth = [1, 2, 3, 4];
        DistanceFidelity scaled = SuperpositionBenchmark.Fidelity(truth, [3, 6, 9, 12]), bent = SuperpositionBenchmark.Fidelity(truth, [1, 1, 1, 1]);
        Assert.Equal((1.0, 0.0, 0.0), (scaled.Spearman, Math.Round(scaled.Stress, 7), Math.Round(scaled.RmsDistortion, 12)));
        Assert.Equal(Math.Sqrt((30 - 100.0 / 4) / 30), bent.Stress, 1e-12);
    }
}
