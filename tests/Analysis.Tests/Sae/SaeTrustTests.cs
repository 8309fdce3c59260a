using BioSup.Analysis.Sae;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Sae;

/// <summary>Watches, starts and resampling.</summary>
public sealed class SaeTrustTests
{
    [Fact]
    public void A_norm_ten_times_the_median_is_a_spike_and_the_window_survives_a_checkpoint()
    {
        GradientWatch watch = new();
        for (int i = 0; i < 100; i++) Assert.False(watch.AddNorm(1 + 0.01 * (i % 7)));
        Assert.False(watch.AddNorm(9));
        GradientWatch restored = new();
        restored.Load(watch.Save());
        Assert.True(watch.AddNorm(11));
        Assert.True(restored.AddNorm(11));
        Assert.Equal((1, 1), (watch.Spikes, restored.Spikes));
        Assert.Equal(watch.Save(), restored.Save());
    }

    [Fact]
    public void The_share_of_the_penalty_is_the_median_over_latents_it_reaches()
    {
        Assert.Equal(0.5, GradientWatch.Share([2, 0, 4, 7], [1, -3, 1, 7]), 1e-12);
        Assert.True(double.IsNaN(GradientWatch.Share([1, 2], [1, 2])));
        GradientWatch watch = new();
        bool[] reported = [.. new[] { 0.95, 0.95, 0.5, 0.95, 0.95, 0.95, 0.95 }.Select(watch.AddShare)];
        Assert.Equal([false, false, false, false, false, true, false], reported);
    }

    /// <summary>A penalty far above what reconstruction offers decides every direction; a moderate one meets resistance.</summary>
    [Theory]
    [InlineData(50, true)]
    [InlineData(0.02, false)]
    public void A_penalty_that_no_longer_acts_is_reported(double sparsity, bool saturated)
    {
        using CpuDevice device = new(2);
        using PlantedTokens planted = new(device, 1024, 16, 24, 3);
        List<string> warnings = [];
        SaeConfig config = SaeConfig.Default with { Latents = 32, Batch = 128, LearningRate = 1e-3, SparsityCoefficient = sparsity, SparsityWarmupSteps = 10, LogEvery = 10 };
        SaeTrainer.Train(device, planted.Tokens, new SaeTrainingOptions { Config = config, Steps = 400, Warn = warnings.Add }).Dispose();
        Assert.Equal(saturated ? 1 : 0, warnings.Count(w => w.Contains("no longer acts", StringComparison.Ordinal)));
    }

    [Fact]
    public void The_first_tensor_that_is_not_finite_is_named()
    {
        using CpuDevice device = new(1);
        using PlantedTokens planted = new(device, 64, 8, 12, 2);
        SaeConfig config = SaeConfig.Default with { Latents = 16, Batch = 32 };
        using SaeModel model = SaeModel.Create(device, config, 8, 1);
        using SaeArrays gradients = new(device, model.Shape);
        SaeStatistics statistics = new();
        Assert.Contains("gradient norm", Find(), StringComparison.Ordinal);
        gradients.Decoder.Row(1)[2] = float.PositiveInfinity;
        Assert.Contains("gradient of W_dec is infinite at element 10", Find(), StringComparison.Ordinal);
        model.Arrays.GateBias!.View.Host[3] = float.NaN;
        Assert.Contains("parameter b_gate is not a number at element 3", Find(), StringComparison.Ordinal);
        planted.Tokens.Row(5)[6] = float.NaN;
        Assert.Contains("token 5 is not a number in dimension 6", Find(), StringComparison.Ordinal);

        string Find() => NonFiniteTensor.Find(planted.Tokens.View, model.Arrays, gradients, statistics, double.NaN);
    }

    [Fact]
    public void The_controller_reaches_its_target()
    {
        using CpuDevice device = new(2);
        using PlantedTokens planted = new(device, 1024, 16, 24, 3);
        foreach (double start in new[] { 0.005, 0.5 })
        {
            SaeConfig config = SaeConfigFile.Parse("""{ "architecture": "relu", "target_l0": 4, "lr_schedule": "constant" }""", "t") with
            {
                Latents = 32,
                Batch = 128,
                LearningRate = 3e-3,
                SparsityCoefficient = start,
                SparsityWarmupSteps = 10,
                LogEvery = 20,
            };
            using SaeTrainingResult result = SaeTrainer.Train(device, planted.Tokens, new SaeTrainingOptions { Config = config, Steps = 2000 });
            double l0 = result.Curves.TakeLast(10).Average(r => r.L0);
            Assert.True(Math.Abs(l0 - 4) < 0.6, $"from λ = {start}: L0 {l0:F2}");
        }
    }

    [Fact]
    public void Annealing_keeps_the_penalty_where_the_exponent_changes()
    {
        using CpuDevice device = new(2);
        using PlantedTokens planted = new(device, 1024, 16, 24, 3);
        SaeConfig config = SaeConfigFile.Parse("""{ "architecture": "relu", "p_end": 0.5, "lr_schedule": "constant" }""", "t") with
        {
            Latents = 32,
            Batch = 1024,
            LearningRate = 1e-4,
            SparsityCoefficient = 0.05,
            SparsityWarmupSteps = 0,
            SparsityRampFraction = 0,
            WarmupFraction = 0,
            LogEvery = 1,
        };
        using SaeTrainingResult result = SaeTrainer.Train(device, planted.Tokens, new SaeTrainingOptions { Config = config, Steps = 200, Order = TokenOrder.Fixed });
        int changes = 0;
        foreach ((SaeLogRow a, SaeLogRow b) in result.Curves.Zip(result.Curves.Skip(1)))
        {
            double before = a.SparsityCoefficient * a.Sparsity, after = b.SparsityCoefficient * b.Sparsity;
            if (a.SparsityExponent == b.SparsityExponent) continue;
            changes++;
            // The step between the two moves the penalty a little.
            Assert.Equal(before, after, 0.02 * before);
        }
        Assert.Equal(50, changes);
        Assert.Equal(0.5, result.Last!.SparsityExponent, 0.011);
    }

    [Fact]
    public void Centroids_lie_on_planted_directions_when_every_token_has_one()
    {
        using CpuDevice device = new(2);
        using PlantedTokens planted = new(device, 1000, 12, 10, 1);
        SaeConfig config = SaeConfig.Default with { Latents = 40, Batch = 100, Initialisation = SaeInitialisation.Centroids, LearningRate = 0 };
        using SaeTrainingResult result = SaeTrainer.Train(device, planted.Tokens, new SaeTrainingOptions { Config = config, Steps = 1, Seed = 3 });
        Assert.True(planted.Recovery(result.Model.Decoder) > 0.999);
        for (int j = 0; j < 40; j++)
        {
            double norm = 0;
            for (int i = 0; i < 12; i++) norm += result.Model.Arrays.Encoder.Row(i)[j] * result.Model.Arrays.Encoder.Row(i)[j];
            Assert.InRange(norm, 0.3 * 12 * 0.02 * 0.02, 3 * 12 * 0.02 * 0.02);
        }
    }

    [Fact]
    public void Resampled_latents_point_at_tokens_and_the_optimiser_forgets_them()
    {
        using CpuDevice device = new(1);
        using PlantedTokens planted = new(device, 60, 8, 12, 1);
        SaeConfig config = SaeConfigFile.Parse("""{ "architecture": "jumprelu", "threshold_init": 0.25 }""", "t") with { Latents = 16 };
        using SaeModel model = SaeModel.Create(device, config, 8, 1);
        using SaeArrays first = new(device, model.Shape), second = new(device, model.Shape);
        using SaeWorkspace workspace = new(device, model.Shape, 4);
        foreach ((_, DeviceBuffer<float> buffer, _) in first.Tensors().Concat(second.Tensors())) buffer.View.Host.Fill(1);
        model.Arrays.Threshold!.View.Host.Fill(9);
        DeadLatents.Resample(model, first, second, [2, 7], planted.Tokens.View, workspace, config, 4, 10);
        foreach (int j in new[] { 2, 7 })
        {
            Assert.Contains(planted.Directions, direction => Math.Abs(direction.Zip(model.Decoder.Row(j).ToArray(), (a, b) => a * b).Sum() - 1) < 1e-5);
            Assert.Equal(0.25f, model.Arrays.Threshold.View.Host[j]);
            Assert.All(first.Decoder.Row(j).ToArray(), v => Assert.Equal(0, v));
            Assert.Equal(0, second.Encoder.Row(3)[j]);
            Assert.Equal(0, first.EncoderBias.View.Host[j]);
        }
        Assert.Equal(9, model.Arrays.Threshold.View.Host[3]);
        Assert.Equal(1, first.Encoder.Row(3)[3]);
        Assert.All(first.DecoderBias.View.Host.ToArray(), v => Assert.Equal(1, v));
    }
}
