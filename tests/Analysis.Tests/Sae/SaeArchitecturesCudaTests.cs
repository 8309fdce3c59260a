using BioSup.Analysis.Sae;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Sae;

/// <summary>Training of every architecture on a GPU or the emulated one, against the host and through a resumed run.</summary>
public sealed class SaeArchitecturesCudaTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-sae-architectures-").FullName;
    private readonly CpuDevice _host = new(2);
    private readonly CudaDevice? _device = CudaEmulator.Open(out s_reason);
    private static string s_reason = "";

    public void Dispose()
    {
        _device?.Dispose();
        _host.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private CudaDevice Device
    {
        get
        {
            Assert.SkipWhen(_device is null, s_reason);
            return _device!;
        }
    }

    [Theory]
    [InlineData(SaeArchitecture.Gated, SaeOptimiser.AdamW)]
    [InlineData(SaeArchitecture.GatedOriginal, SaeOptimiser.AdamW)]
    [InlineData(SaeArchitecture.Relu, SaeOptimiser.AdamW)]
    [InlineData(SaeArchitecture.TopK, SaeOptimiser.Muon)]
    [InlineData(SaeArchitecture.BatchTopK, SaeOptimiser.AdamW)]
    [InlineData(SaeArchitecture.JumpRelu, SaeOptimiser.AdamW)]
    [InlineData(SaeArchitecture.Matryoshka, SaeOptimiser.AdamW)]
    public void Training_follows_the_host(SaeArchitecture architecture, SaeOptimiser optimiser)
    {
        using Matrix<float> tokens = OracleRecipe.Tokens(_host, 100, 16);
        SaeTrainingOptions options = new() { Config = Config(architecture) with { Optimiser = optimiser, LogEvery = 1 }, Steps = 8, Seed = 5 };
        using SaeTrainingResult want = SaeTrainer.Train(_host, tokens, options), got = SaeTrainer.Train(Device, tokens, options);
        foreach ((SaeLogRow a, SaeLogRow b) in want.Curves.Zip(got.Curves))
        {
            Assert.Equal(a.Loss, b.Loss, 1e-5 * a.Loss);
            Assert.Equal(a.L0, b.L0, 0.05);
        }
        foreach (((string name, DeviceBuffer<float> a, _), (_, DeviceBuffer<float> b, _)) in want.Model.Arrays.Tensors().Zip(got.Model.Arrays.Tensors()))
        {
            float[] x = Host(a), y = Host(b);
            for (int i = 0; i < x.Length; i++) Assert.True(Math.Abs(x[i] - y[i]) < 2e-4, $"{name}[{i}] is {y[i]}, on the host {x[i]}");
        }
    }

    /// <summary>Thresholds, dead latents and the counts behind them are part of what a checkpoint brings back.</summary>
    [Theory]
    [InlineData(SaeArchitecture.BatchTopK)]
    [InlineData(SaeArchitecture.JumpRelu)]
    public void A_resumed_run_leaves_the_bytes_of_an_uninterrupted_one(SaeArchitecture architecture)
    {
        using Matrix<float> tokens = OracleRecipe.Tokens(_host, 100, 16);
        SaeTrainingOptions options = new() { Config = Config(architecture), Steps = 13, Seed = 5 };
        string whole = Path.Combine(_folder, "whole"), cut = Path.Combine(_folder, "cut");
        SaeTrainer.Train(Device, tokens, options with { OutputFolder = whole }).Dispose();
        using (CancellationTokenSource cancel = new())
            Assert.Throws<OperationCanceledException>(() => SaeTrainer.Train(Device, tokens, options with { OutputFolder = cut, Progress = new StopAt(8, cancel), Cancellation = cancel.Token }));
        using (SaeTrainingResult last = SaeTrainer.Train(Device, tokens, options with { OutputFolder = cut, Resume = true })) Assert.True(last.ResumedAt > 0);
        foreach (string file in new[] { "model.safetensors", "train_log.csv" })
            Assert.True(File.ReadAllBytes(Path.Combine(whole, file)).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(cut, file))), $"{file} differs");
    }

    private static SaeConfig Config(SaeArchitecture architecture) => SaeConfig.Default with
    {
        Architecture = architecture,
        StraightThrough = architecture == SaeArchitecture.Gated ? StraightThrough.Windowed : StraightThrough.Exact,
        Bandwidth = 0.05,
        Latents = 64,
        Batch = 50,
        ActiveLatents = 4,
        Prefixes = null,
        LearningRate = 2e-3,
        SparsityWarmupSteps = 1,
        SparsityCoefficient = 0.05,
        AuxChoice = architecture is SaeArchitecture.Gated or SaeArchitecture.GatedOriginal ? AuxiliaryChoice.ClosedGate : AuxiliaryChoice.Dead,
        AuxLatents = architecture == SaeArchitecture.GatedOriginal ? 0 : 32,
        DeadAfterTokens = 100,
        LogEvery = 3,
        CheckpointEvery = 5,
    };

    private static float[] Host(DeviceBuffer<float> buffer)
    {
        float[] values = new float[buffer.Length];
        buffer.CopyTo(values);
        return values;
    }

    /// <summary>Cancels once so many steps are reported.</summary>
    private sealed class StopAt(long steps, CancellationTokenSource cancel) : IProgressReporter
    {
        public void Report(string stage, long done, long total, string? detail = null)
        {
            if (stage.StartsWith("training", StringComparison.Ordinal) && done > steps) cancel.Cancel();
        }
    }
}
