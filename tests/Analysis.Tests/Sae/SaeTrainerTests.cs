using BioSup.Analysis.Sae;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Sae;

public sealed class SaeTrainerTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-sae-").FullName;
    private static readonly SaeConfig s_small = SaeConfig.Default with
    {
        Latents = 64,
        Batch = 50,
        LearningRate = 2e-3,
        SparsityWarmupSteps = 5,
        SparsityCoefficient = 0.05,
        LogEvery = 3,
        CheckpointEvery = 7,
    };

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(TokenOrder.Shuffled, true)]
    [InlineData(TokenOrder.Fixed, false)]
    public void A_resumed_run_leaves_the_bytes_of_an_uninterrupted_one(TokenOrder order, bool tied)
    {
        using CpuDevice device = new(2);
        using Matrix<float> tokens = OracleRecipe.Tokens(device, 230, 16);
        SaeTrainingOptions options = new() { Config = s_small with { Tied = tied, Normalisation = TokenNormalisation.Paper }, Order = order, Steps = 31, Seed = 5 };
        string whole = Path.Combine(_folder, "whole"), cut = Path.Combine(_folder, "cut");
        SaeTrainer.Train(device, tokens, options with { OutputFolder = whole }).Dispose();
        foreach (int stopAt in new[] { 0, 6, 17, 24 })
        {
            using CancellationTokenSource cancel = new();
            StopAfter progress = new(stopAt, cancel);
            Assert.Throws<OperationCanceledException>(() => SaeTrainer.Train(device, tokens, options with { OutputFolder = cut, Resume = stopAt > 0, Progress = progress, Cancellation = cancel.Token }));
        }
        using (SaeTrainingResult last = SaeTrainer.Train(device, tokens, options with { OutputFolder = cut, Resume = true }))
        {
            Assert.True(last.ResumedAt > 0);
            Assert.Equal(11, last.Curves.Count);
        }
        foreach (string file in new[] { "model.safetensors", "train_log.csv", "config.json" })
            Assert.True(File.ReadAllBytes(Path.Combine(whole, file)).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(cut, file))), $"{file} differs");
    }

    [Fact]
    public void The_bytes_do_not_depend_on_the_number_of_threads()
    {
        List<byte[]> models = [];
        foreach (int threads in new[] { 1, 3 })
        {
            using CpuDevice device = new(threads);
            using Matrix<float> tokens = OracleRecipe.Tokens(device, 300, 24);
            string folder = Path.Combine(_folder, $"{threads}");
            SaeTrainer.Train(device, tokens, new SaeTrainingOptions { Config = s_small with { Batch = 100 }, Steps = 20, OutputFolder = folder }).Dispose();
            models.Add(File.ReadAllBytes(Path.Combine(folder, "model.safetensors")));
        }
        Assert.True(models[0].AsSpan().SequenceEqual(models[1]));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(100)]
    [InlineData(-1)]
    public void A_damaged_checkpoint_is_refused_in_one_sentence(int keep)
    {
        using CpuDevice device = new(1);
        using Matrix<float> tokens = OracleRecipe.Tokens(device, 100, 8);
        SaeTrainingOptions options = new() { Config = s_small with { Latents = 16 }, Steps = 9, OutputFolder = _folder };
        SaeTrainer.Train(device, tokens, options).Dispose();
        Damage("checkpoint.safetensors", keep);
        Damage("checkpoint.previous.safetensors", keep);
        DataException e = Assert.Throws<DataException>(() => SaeTrainer.Train(device, tokens, options with { Resume = true }));
        Assert.Contains("checkpoint", e.Message, StringComparison.Ordinal);
        Assert.Contains("damaged", e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', e.Message);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    public void A_damaged_checkpoint_gives_way_to_the_one_before_with_the_same_bytes_in_the_end(int keep)
    {
        using CpuDevice device = new(1);
        using Matrix<float> tokens = OracleRecipe.Tokens(device, 100, 8);
        SaeTrainingOptions options = new() { Config = s_small with { Latents = 16 }, Steps = 20, OutputFolder = _folder };
        SaeTrainer.Train(device, tokens, options).Dispose();
        byte[] model = File.ReadAllBytes(Path.Combine(_folder, "model.safetensors"));
        Damage("checkpoint.safetensors", keep);
        List<string> warnings = [];
        using SaeTrainingResult result = SaeTrainer.Train(device, tokens, options with { Resume = true, Warn = warnings.Add });
        Assert.Equal(14, result.ResumedAt);
        Assert.Contains("step 14", Assert.Single(warnings, w => w.Contains("damaged", StringComparison.Ordinal)), StringComparison.Ordinal);
        Assert.Equal(model, File.ReadAllBytes(Path.Combine(_folder, "model.safetensors")));
        SaeTrainer.Train(device, tokens, options with { Resume = true, Warn = warnings.Add }).Dispose();
        Assert.Single(warnings, w => w.Contains("damaged", StringComparison.Ordinal));
    }

    private void Damage(string file, int keep)
    {
        string path = Path.Combine(_folder, file);
        byte[] bytes = File.ReadAllBytes(path);
        if (keep >= 0) bytes = bytes[..keep];
        else bytes[^40] ^= 4;
        File.WriteAllBytes(path, bytes);
    }

    [Fact]
    public void A_checkpoint_of_another_run_is_refused()
    {
        using CpuDevice device = new(1);
        using Matrix<float> tokens = OracleRecipe.Tokens(device, 100, 8);
        SaeTrainingOptions options = new() { Config = s_small with { Latents = 16 }, Steps = 9, OutputFolder = _folder };
        SaeTrainer.Train(device, tokens, options).Dispose();
        UsageException e = Assert.Throws<UsageException>(() => SaeTrainer.Train(device, tokens, options with { Resume = true, Config = options.Config with { LearningRate = 0.5 } }));
        Assert.Contains("lr", e.Message, StringComparison.Ordinal);
        Assert.Throws<UsageException>(() => SaeTrainer.Train(device, tokens, options with { Resume = true, Seed = 1 }));
    }

    [Fact]
    public void A_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint()
    {
        using CpuDevice device = new(1);
        using Matrix<float> tokens = OracleRecipe.Tokens(device, 100, 8);
        SaeTrainingOptions options = new()
        {
            Config = s_small with { Latents = 16, LearningRate = 1e30, GradientClip = 0, WarmupFraction = 0.5, CheckpointEvery = 1 }, Steps = 40, OutputFolder = _folder,
        };
        ConvergenceException e = Assert.Throws<ConvergenceException>(() => SaeTrainer.Train(device, tokens, options));
        Assert.Contains("Training stopped at step", e.Message, StringComparison.Ordinal);
        Assert.True(File.Exists(Path.Combine(_folder, "checkpoint.safetensors")));
        Assert.False(File.Exists(Path.Combine(_folder, "model.safetensors")));
    }

    [Fact]
    public void Training_lowers_the_error_and_the_latents_become_sparse()
    {
        using CpuDevice device = new(2);
        using Matrix<float> tokens = OracleRecipe.Tokens(device, 2000, 32);
        using SaeTrainingResult result = SaeTrainer.Train(device, tokens, new SaeTrainingOptions
        {
            Config = SaeConfig.Default with { Latents = 128, Batch = 200, LearningRate = 2e-3, SparsityCoefficient = 0.05, SparsityWarmupSteps = 20, LogEvery = 10 }, Steps = 300,
        });
        Assert.True(result.Curves[^1].Fvu < 0.35, $"FVU {result.Curves[^1].Fvu}");
        Assert.True(result.Curves[^1].L0 < 0.35 * result.Curves[0].L0, $"L0 {result.Curves[0].L0} to {result.Curves[^1].L0}");
        Assert.Equal(0, result.Curves[0].LearningRate);
    }

    [Fact]
    public void The_window_of_the_shuffle_is_part_of_the_run()
    {
        SaeConfig config = SaeConfigFile.Parse("""{ "d_sae": 16, "batch": 50, "shuffle_window_mib": 1, "epochs": 1 }""", "test");
        Assert.Equal(config, SaeConfigFile.Parse(SaeConfigFile.Write(config), "test"));
        Assert.DoesNotContain("shuffle_window", SaeConfigFile.Write(config with { ShuffleWindow = 256 }), StringComparison.Ordinal);
        Assert.Contains("'shuffle_window_mib' is 0", Assert.Throws<UsageException>(() => SaeConfigFile.Parse("""{ "shuffle_window_mib": 0 }""", "test")).Message, StringComparison.Ordinal);
        using CpuDevice device = new(2);
        using Matrix<float> tokens = OracleRecipe.Tokens(device, 40_000, 16);
        using SaeTrainingResult small = SaeTrainer.Train(device, tokens, new SaeTrainingOptions { Config = config, Steps = 20 }),
            large = SaeTrainer.Train(device, tokens, new SaeTrainingOptions { Config = config with { ShuffleWindow = 256 }, Steps = 20 });
        Assert.NotEqual(small.Last!.Loss, large.Last!.Loss);
    }

    [Fact]
    public void Every_epoch_of_the_shuffled_order_shows_every_token_once()
    {
        using CpuDevice device = new(1);
        using Matrix<float> tokens = device.AllocateMatrix<float>(60, 1), batch = device.AllocateMatrix<float>(20, 1);
        for (int t = 0; t < 60; t++) tokens.Row(t)[0] = t;
        using ITokenSource source = TokenSource.From(tokens);
        List<float> first = Epoch(0), second = Epoch(1);
        Assert.Equal(Enumerable.Range(0, 60).Select(i => (float)i), first.Order());
        Assert.Equal(first.Order(), second.Order());
        Assert.NotEqual(first, second);
        Assert.Equal(second, Epoch(1));

        List<float> Epoch(int epoch)
        {
            using TokenBatches batches = new(source, 20, TokenOrder.Shuffled, 9);
            List<float> seen = [];
            for (int step = 3 * epoch; step < 3 * epoch + 3; step++)
            {
                batches.Load(step, batch.View);
                for (int t = 0; t < 20; t++) seen.Add(batch.Row(t)[0]);
            }
            return seen;
        }
    }
}
