using BioSup.Analysis.Sae;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Sae;

/// <summary>Training of every architecture on a GPU or the emulated one, against double precision and through a resumed run.</summary>
public sealed class SaeArchitecturesCudaTests : SaeCudaFixture
{
    /// <summary>Dictionaries of every kind of selection and gate; on hardware all of the oracle's, the emulated device being slow.</summary>
    public static TheoryData<int, string> OracleCases()
    {
        return [.. SaeTrainingOracleTests.Cases().Where(row => CudaEmulator.IsHardware || row.Data.Item1 is 2 or 5 or 7 or 10 or 11 or 14)];
    }

    /// <summary>Sums are at least as exact as the host's, so the same bounds hold.</summary>
    [Theory]
    [MemberData(nameof(OracleCases))]
    public void Training_follows_double_precision(int index, string architecture) => SaeTrainingOracleTests.Follow(Device, index, architecture);

    /// <summary>
    /// What a run brings along besides its architecture: where tokens lie, the optimiser, the start, resampling, the controller of λ, window and thresholds from the
    /// tokens. AdamW's first step of a resampled latent is the sign of its gradient, where rounding decides near 0: hence the smaller rate there.
    /// </summary>
    [Theory]
    [InlineData("""{ "optimiser": "muon" }""", 8, false)]
    [InlineData("""{ "architecture": "topk", "k": 4, "optimiser": "muon", "dead_after_tokens": 100 }""", 8, false)]
    [InlineData("""{ "ste": "windowed", "init": "centroids" }""", 6, true)]
    [InlineData("""{ "architecture": "topk", "k": 2, "init": "centroids", "resample_every": 3, "dead_after_tokens": 50, "lr": 5e-4 }""", 8, true)]
    [InlineData("""{ "architecture": "jumprelu", "resample_every": 3, "dead_after_tokens": 100, "optimiser": "muon" }""", 8, false)]
    [InlineData("""{ "architecture": "jumprelu", "target_l0": 1.5 }""", 22, true)]
    public void Settings_of_a_run_follow_the_host(string json, int steps, bool held)
    {
        using Matrix<float> tokens = OracleRecipe.Tokens(HostDevice, 100, 16);
        SaeConfig given = SaeConfigFile.Parse(json, "test"), config = given with { Latents = 64, Batch = 50, LearningRate = given.LearningRate ?? 2e-3, SparsityWarmupSteps = 1, LogEvery = 1 };
        SaeTrainingOptions options = new() { Config = config, Steps = steps, Seed = 5 };
        LentTokens lent = new(tokens);
        using IResidentTokens? there = held ? TokenSource.Hold(Device, lent) : null;
        if (there is not null) Assert.Same(Device, there.All.Device);
        using SaeTrainingResult want = SaeTrainer.Train(HostDevice, lent, options), got = SaeTrainer.Train(Device, (ITokenSource?)there ?? lent, options);
        Follows(want, got, 2e-4);
        foreach ((SaeLogRow a, SaeLogRow b) in want.Curves.Zip(got.Curves))
        {
            Assert.Equal(a.SparsityCoefficient, b.SparsityCoefficient, 1e-2 * a.SparsityCoefficient);
            Assert.Equal((a.Resampled, a.DeadByTokens), (b.Resampled, b.DeadByTokens));
        }
        if (config.ResampleEvery > 0) Assert.True(got.Last!.Resampled > 0);
        if (config.SteersSparsity) Assert.NotEqual(config.SparsityAt(steps - 1, steps), got.Last!.SparsityCoefficient);
    }

    /// <summary>Thresholds, dead latents and the counts behind them are part of what a checkpoint brings back.</summary>
    [Theory]
    [InlineData(SaeArchitecture.BatchTopK)]
    [InlineData(SaeArchitecture.JumpRelu)]
    public void A_resumed_run_leaves_the_bytes_of_an_uninterrupted_one(SaeArchitecture architecture)
    {
        using Matrix<float> tokens = OracleRecipe.Tokens(HostDevice, 100, 16);
        SaeTrainingOptions options = new() { Config = Config(architecture), Steps = 13, Seed = 5 };
        string whole = Path.Combine(Folder, "whole"), cut = Path.Combine(Folder, "cut");
        SaeTrainer.Train(Device, tokens, options with { OutputFolder = whole }).Dispose();
        using (CancellationTokenSource cancel = new())
            Assert.Throws<OperationCanceledException>(() => SaeTrainer.Train(Device, tokens, options with { OutputFolder = cut, Progress = new StopAfter(8, cancel), Cancellation = cancel.Token }));
        using (SaeTrainingResult last = SaeTrainer.Train(Device, tokens, options with { OutputFolder = cut, Resume = true })) Assert.True(last.ResumedAt > 0);
        SameBytes(whole, cut, "model.safetensors", "train_log.csv");
    }

    private static SaeConfig Config(SaeArchitecture architecture) => SaeConfig.Default with
    {
        Architecture = architecture,
        Bandwidth = 0.05,
        Latents = 64,
        Batch = 50,
        ActiveLatents = 4,
        Prefixes = null,
        LearningRate = 2e-3,
        SparsityWarmupSteps = 1,
        SparsityCoefficient = 0.05,
        AuxChoice = AuxiliaryChoice.Dead,
        AuxLatents = 32,
        DeadAfterTokens = 100,
        LogEvery = 3,
        CheckpointEvery = 5,
    };
}
