using BioSup.Analysis.Sae;
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

    [Fact]
    public void Training_with_muon_follows_the_host()
    {
        using Matrix<float> tokens = OracleRecipe.Tokens(HostDevice, 100, 16);
        SaeTrainingOptions options = new() { Config = Config(SaeArchitecture.TopK) with { Optimiser = SaeOptimiser.Muon, LogEvery = 1 }, Steps = 8, Seed = 5 };
        using SaeTrainingResult want = SaeTrainer.Train(HostDevice, tokens, options), got = SaeTrainer.Train(Device, tokens, options);
        Follows(want, got, 2e-4);
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
