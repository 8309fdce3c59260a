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
        for (int i = 0; i < 100; i++) Assert.False(watch.AddNorm(i % 9 == 0 ? 0.2 : 1 + 0.01 * (i % 7)));
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
    }

    /// <summary>A one-sided gradient alone is no evidence: L0 and penalty have to stand still under a λ that was held or raised, at four looks.</summary>
    [Fact]
    public void A_penalty_is_reported_when_nothing_answers_it()
    {
        PenaltyLook still = new(1, 5, 2, 0.5, 0.95);
        PenaltyLook[] held = [still, still, still, still, still];
        Assert.Equal(3, Reported(held));
        Assert.Equal(3, Reported([.. held.Select((l, i) => l with { Coefficient = 1 << i })]));
        Assert.Equal(3, Reported([.. held.Select(l => l with { L0 = 0, Penalty = 0, LossShare = 0, GradientShare = double.NaN })]));
        Assert.Equal(3, Reported([.. held.Select((l, i) => l with { Penalty = i * 1e-6, LossShare = i * 1e-6 })]));
        Assert.Equal(4, Reported([still with { GradientShare = 0.6 }, .. held]));
        Assert.Equal(-1, Reported([.. held.Select((l, i) => l with { Coefficient = 1.0 / (1 << i) })]));
        Assert.Equal(-1, Reported([.. held.Select((l, i) => l with { L0 = 5 - 0.4 * i })]));
        Assert.Equal(-1, Reported([.. held.Select((l, i) => l with { Penalty = 2 - 0.1 * i })]));
        Assert.Equal(-1, Reported([.. held.Select(l => l with { GradientShare = 0.6 })]));

        // A restored watch goes on where the first one was.
        static int Reported(PenaltyLook[] looks)
        {
            GradientWatch watch = new();
            int at = -1;
            for (int i = 0; i < looks.Length; i++)
            {
                GradientWatch next = new();
                next.Load(watch.Save());
                if (next.AddLook(looks[i])) at = at < 0 ? i : throw new InvalidOperationException("reported twice");
                watch = next;
            }
            return at;
        }
    }

    /// <summary>
    /// A penalty far above what reconstruction offers closes every gate, and then has nothing to act on: reported, but only once L0 stands still. In a run that ends
    /// while L0 still falls, and under a moderate penalty, there is nothing to report, whatever the gradients say.
    /// </summary>
    [Theory]
    [InlineData(50, 1e-3, 400, true, true)]
    [InlineData(50, 3e-4, 200, true, false)]
    [InlineData(0.02, 1e-3, 400, false, false)]
    public void A_penalty_that_no_longer_acts_is_reported(double sparsity, double rate, int steps, bool oneSided, bool saturated)
    {
        using CpuDevice device = new(2);
        using PlantedTokens planted = new(device, 1024, 16, 24, 3);
        List<string> warnings = [];
        SaeConfig config = SaeConfig.Default with { Latents = 32, Batch = 128, LearningRate = rate, SparsityCoefficient = sparsity, SparsityWarmupSteps = 10, LogEvery = 10 };
        using SaeTrainingResult result = SaeTrainer.Train(device, planted.Tokens, new SaeTrainingOptions { Config = config, Steps = steps, Warn = warnings.Add });
        string[] reports = [.. warnings.Where(w => w.Contains("no longer acts", StringComparison.Ordinal))];
        string seen = $"{string.Join(" ", reports)} {string.Join(" ", result.Curves.Select(r => $"{r.Step}: {r.L0:F2}/{r.PenaltyShare:F2}"))}";
        TestContext.Current.SendDiagnosticMessage(seen);
        Assert.True(reports.Length == (saturated ? 1 : 0), seen);
        double[] shares = [.. result.Curves.Select(r => r.PenaltyShare).Where(share => !double.IsNaN(share))];
        Assert.Equal(oneSided, shares.Zip(shares.Skip(1), shares.Skip(2)).Any(t => t.First > 0.9 && t.Second > 0.9 && t.Third > 0.9));
        if (saturated) Assert.True(result.Last!.L0 < 0.5, seen);
        else Assert.True(result.Last!.L0 > 0.5, seen);
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

    /// <summary>From a λ ten times too small and ten times too large: within a tenth of the target at the end, and never below half of it once λ acts.</summary>
    [Theory]
    [InlineData("gated", 0.002)]
    [InlineData("gated", 0.2)]
    [InlineData("gated-original", 0.04)]
    [InlineData("gated-original", 4)]
    [InlineData("relu", 0.04)]
    [InlineData("relu", 4)]
    [InlineData("jumprelu", 0.001)]
    [InlineData("jumprelu", 0.1)]
    public void The_controller_reaches_its_target(string architecture, double start)
    {
        const double Target = 4;
        using CpuDevice device = new(2);
        using PlantedTokens planted = new(device, 2048, 24, 40, 3);
        SaeConfig config = SaeConfigFile.Parse($$"""{ "architecture": "{{architecture}}", "target_l0": {{Target}} }""", "t") with { Latents = 48, Batch = 128, SparsityCoefficient = start, LogEvery = 10 };
        using SaeTrainingResult result = SaeTrainer.Train(device, planted.Tokens, new SaeTrainingOptions { Config = config, Steps = 1200 });
        using ITokenSource source = TokenSource.From(planted.Tokens);
        SaeLogRow[] acting = [.. result.Curves.Where(row => row.SparsityCoefficient > 0)];
        double l0 = SaeEvaluation.Run(result.Model, source).L0, least = acting.Min(row => row.L0);
        string seen = $"{architecture} from λ = {start}: L0 {l0:F2}, least {least:F2}; {string.Join(" ", acting.Where(r => r.Step % 50 == 0).Select(r => $"{r.Step}: {r.SparsityCoefficient:G3}/{r.L0:F1}"))}";
        TestContext.Current.SendDiagnosticMessage(seen);
        Assert.True(Math.Abs(l0 - Target) <= 0.1 * Target, seen);
        Assert.True(least >= 0.5 * Target, seen);
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
        using SaeTrainingResult other = SaeTrainer.Train(device, planted.Tokens, new SaeTrainingOptions { Config = config, Steps = 1, Seed = 4 });
        Assert.NotEqual(result.Model.Decoder.ToArray(), other.Model.Decoder.ToArray());
        for (int j = 0; j < 40; j++)
        {
            // Ten directions for forty latents: clusters without tokens are given one, too.
            Assert.Contains(planted.Directions, direction => direction.Zip(result.Model.Decoder.Row(j).ToArray(), (a, b) => a * b).Sum() > 0.999);
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
        model.Arrays.EncoderBias.View.Host.Fill(3);
        double alive = Enumerable.Range(0, 16).Where(j => j is not (2 or 7)).Average(ColumnLength);
        DeadLatents.Resample(model, first, second, [2, 7], planted.Tokens.View, workspace, config, 4, 10);
        foreach (int j in new[] { 2, 7 })
        {
            Assert.Equal(0.2 * alive, ColumnLength(j), 1e-6);
            Assert.Equal(0, model.Arrays.EncoderBias.View.Host[j]);
            Assert.Contains(planted.Directions, direction => Math.Abs(direction.Zip(model.Decoder.Row(j).ToArray(), (a, b) => a * b).Sum() - 1) < 1e-5);
            Assert.Equal(0.25f, model.Arrays.Threshold.View.Host[j]);
            Assert.All(first.Decoder.Row(j).ToArray(), v => Assert.Equal(0, v));
            Assert.Equal(0, second.Encoder.Row(3)[j]);
            Assert.Equal(0, first.EncoderBias.View.Host[j]);
        }
        Assert.Equal((9f, 3f), (model.Arrays.Threshold.View.Host[3], model.Arrays.EncoderBias.View.Host[3]));
        Assert.Equal(1, first.Encoder.Row(3)[3]);
        Assert.All(first.DecoderBias.View.Host.ToArray(), v => Assert.Equal(1, v));

        double ColumnLength(int j) => Math.Sqrt(Enumerable.Range(0, 8).Sum(i => Math.Pow(model.Arrays.Encoder.Row(i)[j], 2)));
    }

    /// <summary>One token whose squared loss is a million times that of any other.</summary>
    [Fact]
    public void Dead_latents_take_the_direction_of_tokens_that_are_badly_rebuilt()
    {
        using CpuDevice device = new(1);
        using PlantedTokens planted = new(device, 60, 8, 12, 1);
        SaeConfig config = SaeConfigFile.Parse("""{ "architecture": "relu" }""", "t") with { Latents = 16 };
        using SaeModel model = SaeModel.Create(device, config, 8, 1);
        using SaeArrays first = new(device, model.Shape), second = new(device, model.Shape);
        using SaeWorkspace workspace = new(device, model.Shape, 4);
        // No latent fires, so a token's loss is its squared length.
        model.Arrays.EncoderBias.View.Host.Fill(-1000);
        foreach (ref float v in planted.Tokens.Row(23)) v *= 100;
        double length = Math.Sqrt(planted.Tokens.Row(23).ToArray().Sum(v => (double)v * v));
        DeadLatents.Resample(model, first, second, [.. Enumerable.Range(0, 16)], planted.Tokens.View, workspace, config, 4, 10);
        for (int j = 0; j < 16; j++)
            for (int i = 0; i < 8; i++) Assert.Equal(planted.Tokens.Row(23)[i] / length, model.Decoder.Row(j)[i], 1e-6);
    }

    [Fact]
    public void Every_resampling_draws_anew()
    {
        using CpuDevice device = new(1);
        using PlantedTokens planted = new(device, 60, 8, 12, 1);
        SaeConfig config = SaeConfigFile.Parse("""{ "architecture": "relu" }""", "t") with { Latents = 16 };
        Assert.Equal(Directions(10), Directions(10));
        Assert.NotEqual(Directions(10), Directions(11));

        float[] Directions(long step)
        {
            using SaeModel model = SaeModel.Create(device, config, 8, 1);
            using SaeArrays first = new(device, model.Shape), second = new(device, model.Shape);
            using SaeWorkspace workspace = new(device, model.Shape, 4);
            DeadLatents.Resample(model, first, second, [1, 5, 9], planted.Tokens.View, workspace, config, 4, step);
            return model.Decoder.ToArray();
        }
    }

    /// <summary>Batch 20 is a thousand times as long as the others; the run is cut after it and knows of the spike when it is resumed.</summary>
    [Fact]
    public void A_spike_is_counted_through_an_interruption()
    {
        string folder = Directory.CreateTempSubdirectory("biosup-spike-").FullName;
        try
        {
            using CpuDevice device = new(1);
            using PlantedTokens planted = new(device, 300, 8, 12, 1);
            for (int t = 200; t < 210; t++) foreach (ref float v in planted.Tokens.Row(t)) v *= 1000;
            List<string> warnings = [];
            SaeTrainingOptions options = new() { Config = SaeConfig.Default with { Latents = 16, Batch = 10, LogEvery = 1 }, Steps = 30, Order = TokenOrder.Fixed, OutputFolder = folder, Warn = warnings.Add };
            using CancellationTokenSource cancel = new();
            Assert.Throws<OperationCanceledException>(() => SaeTrainer.Train(device, planted.Tokens, options with { Progress = new StopAfter(24, cancel), Cancellation = cancel.Token }));
            Assert.Single(warnings, w => w.Contains("gradient norm of step 20", StringComparison.Ordinal));
            using SaeTrainingResult result = SaeTrainer.Train(device, planted.Tokens, options with { Resume = true });
            Assert.True(result.ResumedAt > 20);
            Assert.Equal([.. Enumerable.Repeat(0, 20), .. Enumerable.Repeat(1, 10)], result.Curves.Select(row => row.GradientSpikes));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>At a learning rate of 0 the new direction, at a fifth of the others' length, wins no token either: it is given another one only when it has been dead as long again.</summary>
    [Fact]
    public void A_resampled_latent_is_left_alone_until_it_is_dead_again()
    {
        using CpuDevice device = new(1);
        using PlantedTokens planted = new(device, 20, 8, 12, 1);
        SaeConfig config = SaeConfigFile.Parse("""{ "architecture": "topk", "k": 1, "lr": 0, "dead_after_tokens": 60, "resample_every": 1, "log_every": 1 }""", "t") with { Latents = 40, Batch = 20 };
        using SaeTrainingResult result = SaeTrainer.Train(device, planted.Tokens, new SaeTrainingOptions { Config = config, Steps = 9, Order = TokenOrder.Fixed });
        long[] resampled = [.. result.Curves.Select(row => row.Resampled)];
        // A row is written before the resampling of its step: dead after steps 2, 5 and 8.
        Assert.Equal([0, 0, 0, resampled[3], resampled[3], resampled[3], 2 * resampled[3], 2 * resampled[3], 2 * resampled[3]], resampled);
        Assert.InRange(resampled[3], 20, 39);
    }

    [Fact]
    public void The_controller_raises_nothing_before_the_end_of_the_ramp()
    {
        using CpuDevice device = new(1);
        using PlantedTokens planted = new(device, 64, 8, 12, 2);
        SaeConfig config = SaeConfigFile.Parse("""{ "architecture": "relu", "sparsity_coeff": 0.2, "target_l0": 2, "sparsity_warmup_steps": 16, "sparsity_ramp_fraction": 0.25 }""", "t") with { Latents = 24, Batch = 32, LogEvery = 1 };
        using SaeTrainingResult result = SaeTrainer.Train(device, planted.Tokens, new SaeTrainingOptions { Config = config, Steps = 60 });
        double[] factors = [.. result.Curves.Where(row => row.Step > 16).Select(row => row.SparsityCoefficient / config.SparsityAt(row.Step, 60))];
        // The ramp ends at step 31: of the tenth steps, 29 is too early, and what 39 decides is seen at 40.
        Assert.All(factors[..23], factor => Assert.Equal(1, factor, 1e-12));
        Assert.NotEqual(1, factors[23], 1e-3);
    }

    [Fact]
    public void The_controller_does_not_listen_during_the_warm_up()
    {
        using CpuDevice device = new(1);
        using PlantedTokens planted = new(device, 64, 8, 12, 2);
        SaeConfig config = SaeConfigFile.Parse("""{ "architecture": "relu", "sparsity_coeff": 0.2, "target_l0": 24, "sparsity_warmup_steps": 16, "sparsity_ramp_fraction": 0.25 }""", "t") with { Latents = 24, Batch = 32, LogEvery = 1 };
        using SaeTrainingResult result = SaeTrainer.Train(device, planted.Tokens, new SaeTrainingOptions { Config = config, Steps = 60 });
        // L0 is below the target all the time: what step 9 would have decided is not there at 17, what 19 decides is.
        Assert.Equal(1, result.Curves[17].SparsityCoefficient / config.SparsityAt(17, 60), 1e-12);
        Assert.InRange(result.Curves[20].SparsityCoefficient / config.SparsityAt(20, 60), 0, 0.99);
    }

    /// <summary>What is read back differs from what was written: the checkpoint before it stays in its place.</summary>
    [Fact]
    public void A_checkpoint_that_reached_the_disk_damaged_does_not_take_the_place_of_the_one_before()
    {
        string folder = Directory.CreateTempSubdirectory("biosup-checkpoint-").FullName;
        try
        {
            using CpuDevice device = new(1);
            using SaeModel model = SaeModel.Create(device, SaeConfig.Default with { Latents = 16 }, 8, 1);
            using SaeArrays first = new(device, model.Shape), second = new(device, model.Shape);
            SaeRunIdentity identity = new("{}", 1, TokenOrder.Fixed, 10, 64, 8);
            SaeCheckpointState state = new(4, identity, "log", "telemetry", new long[16], [0, 1, 0]);
            SaeCheckpoint.Write(folder, state, model, first, second);
            DataException e = Assert.Throws<DataException>(() => SaeCheckpoint.Write(folder, state with { Step = 8 }, model, first, second, path =>
            {
                byte[] bytes = File.ReadAllBytes(path);
                bytes[^40] ^= 4;
                File.WriteAllBytes(path, bytes);
            }));
            Assert.Contains("checksum", e.Message, StringComparison.Ordinal);
            Assert.Equal(4, SaeCheckpoint.Read(folder, identity, model, first, second, warning => Assert.Fail(warning))!.Step);
            Assert.Single(Directory.GetFiles(folder));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
