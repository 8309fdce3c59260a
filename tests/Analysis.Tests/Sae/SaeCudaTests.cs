using BioSup.Analysis.Sae;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Sae;

/// <summary>Training, encoding and evaluation on a GPU or the emulated one: against the host, against themselves, and through an interruption.</summary>
public sealed class SaeCudaTests : SaeCudaFixture
{
    private static readonly SaeConfig s_small = SaeConfig.Default with
    {
        Latents = 64,
        Batch = 50,
        LearningRate = 2e-3,
        SparsityWarmupSteps = 3,
        SparsityCoefficient = 0.05,
        LogEvery = 3,
        CheckpointEvery = 7,
    };

    [Theory]
    [InlineData(true, TokenNormalisation.None, TokenCentring.Fixed)]
    [InlineData(false, TokenNormalisation.Paper, TokenCentring.Batch)]
    [InlineData(true, TokenNormalisation.Paper, TokenCentring.Fixed)]
    public void Training_follows_the_host(bool tied, TokenNormalisation normalisation, TokenCentring centring)
    {
        using Matrix<float> tokens = OracleRecipe.Tokens(HostDevice, 230, 16);
        SaeTrainingOptions options = new() { Config = s_small with { Tied = tied, Normalisation = normalisation, Centring = centring, LogEvery = 1 }, Steps = 16, Seed = 5 };
        using SaeTrainingResult want = SaeTrainer.Train(HostDevice, tokens, options), got = SaeTrainer.Train(Device, tokens, options);
        Follows(want, got, 1e-4);
    }

    /// <summary>Operands of 8 significant bits: losses to a percent, and parameters that are still in single precision.</summary>
    [Fact]
    public void Training_in_bf16_stays_near_the_host()
    {
        using Matrix<float> tokens = OracleRecipe.Tokens(HostDevice, 100, 16);
        SaeConfig config = SaeConfigFile.Parse("""{ "d_sae": 64, "batch": 50, "lr": 0.002, "sparsity_warmup_steps": 3, "log_every": 1, "gpu_precision": "bf16" }""", "test");
        Assert.Equal(config, SaeConfigFile.Parse(SaeConfigFile.Write(config), "test"));
        SaeTrainingOptions options = new() { Config = config, Steps = 12, Seed = 5 };
        using SaeTrainingResult want = SaeTrainer.Train(HostDevice, tokens, options), got = SaeTrainer.Train(Device, tokens, options);
        foreach ((SaeLogRow a, SaeLogRow b) in want.Curves.Zip(got.Curves)) Assert.Equal(a.Loss, b.Loss, 0.01 * a.Loss);
        Assert.NotEqual(want.Last!.Loss, got.Last!.Loss, 1e-6 * want.Last.Loss);
        Assert.Contains(Host(got.Model.Arrays.Decoder.Buffer), v => (BitConverter.SingleToUInt32Bits(v) & 0xFFFF) != 0);
    }

    [Theory]
    [InlineData(TokenOrder.Shuffled, true, TokenCentring.Fixed)]
    [InlineData(TokenOrder.Fixed, false, TokenCentring.Batch)]
    public void A_resumed_run_leaves_the_bytes_of_an_uninterrupted_one(TokenOrder order, bool tied, TokenCentring centring)
    {
        using Matrix<float> tokens = OracleRecipe.Tokens(HostDevice, 230, 16);
        // The coefficient makes active pairs rare within the run, so that dense steps are followed by sparse ones.
        SaeTrainingOptions options = new()
        {
            Config = s_small with { Tied = tied, Normalisation = TokenNormalisation.Paper, Centring = centring, SparsityCoefficient = 10, LearningRate = 5e-2, Schedule = LearningRateSchedule.Constant },
            Order = order,
            Steps = 31,
            Seed = 5,
        };
        string whole = Path.Combine(Folder, "whole"), cut = Path.Combine(Folder, "cut"), again = Path.Combine(Folder, "again");
        using (SaeTrainingResult result = SaeTrainer.Train(Device, tokens, options with { OutputFolder = whole }))
        {
            double[] shares = [.. result.Curves.Select(row => (double)row.Active / row.Pairs)];
            Assert.Contains(shares[..^3], share => share > SaeWorkspace.DenseShare);
            Assert.Contains(shares[..^3], share => share < SaeWorkspace.DenseShare);
        }
        SaeTrainer.Train(Device, tokens, options with { OutputFolder = again }).Dispose();
        foreach (int stopAt in new[] { 0, 6, 17, 24 })
        {
            using CancellationTokenSource cancel = new();
            StopAfter progress = new(stopAt, cancel);
            Assert.Throws<OperationCanceledException>(() => SaeTrainer.Train(Device, tokens, options with { OutputFolder = cut, Resume = stopAt > 0, Progress = progress, Cancellation = cancel.Token }));
        }
        using (SaeTrainingResult last = SaeTrainer.Train(Device, tokens, options with { OutputFolder = cut, Resume = true })) Assert.True(last.ResumedAt > 0);
        foreach (string folder in new[] { cut, again }) SameBytes(whole, folder, "model.safetensors", "train_log.csv", "config.json");
    }

    /// <summary>Row numbers travel instead of rows: the bytes of the result are the same.</summary>
    [Theory]
    [InlineData(TokenOrder.Shuffled, TokenNormalisation.Paper)]
    [InlineData(TokenOrder.Fixed, TokenNormalisation.None)]
    public void Tokens_held_on_the_device_train_to_the_same_bytes(TokenOrder order, TokenNormalisation normalisation)
    {
        using Matrix<float> tokens = OracleRecipe.Tokens(HostDevice, 230, 16);
        SaeTrainingOptions options = new() { Config = s_small with { Normalisation = normalisation, Centring = TokenCentring.Fixed }, Order = order, Steps = 9, Seed = 5 };
        using LentTokens source = new(tokens);
        using IResidentTokens held = TokenSource.Hold(Device, source);
        Assert.False(held.All.Device.IsHost);
        using SaeTrainingResult travelling = SaeTrainer.Train(Device, source, options), gathered = SaeTrainer.Train(Device, held, options);
        foreach (((string name, DeviceBuffer<float> a, _), (_, DeviceBuffer<float> b, _)) in travelling.Model.Arrays.Tensors().Zip(gathered.Model.Arrays.Tensors()))
            Assert.True(Host(a).AsSpan().SequenceEqual(Host(b)), name);
        Assert.Equal(travelling.Curves.Select(row => (row.Step, row.Loss, row.GradientNorm, row.Active)), gathered.Curves.Select(row => (row.Step, row.Loss, row.GradientNorm, row.Active)));
    }

    /// <summary>The host looks at logged steps only; the device remembers the step.</summary>
    [Fact]
    public void A_run_that_diverges_between_logged_steps_ends_with_the_step_and_keeps_its_checkpoint()
    {
        using Matrix<float> tokens = OracleRecipe.Tokens(HostDevice, 100, 8);
        SaeConfig config = s_small with { Latents = 16, LearningRate = 1e30, GradientClip = 0, WarmupFraction = 0, CheckpointEvery = 0, LogEvery = 50 };
        ConvergenceException e = Assert.Throws<ConvergenceException>(() => SaeTrainer.Train(Device, tokens, new SaeTrainingOptions { Config = config, Steps = 9, OutputFolder = Folder }));
        ConvergenceException host = Assert.Throws<ConvergenceException>(() => SaeTrainer.Train(HostDevice, tokens, new SaeTrainingOptions { Config = config, Steps = 9 }));
        Assert.Equal(host.Message.Split(':')[0], e.Message.Split(':')[0]);
        Assert.False(File.Exists(Path.Combine(Folder, "checkpoint.safetensors")));
    }

    [Theory]
    [InlineData(true, TokenCentring.Fixed)]
    [InlineData(false, TokenCentring.Batch)]
    public void A_model_encodes_evaluates_and_exports_as_on_the_host(bool tied, TokenCentring centring)
    {
        using Matrix<float> matrix = OracleRecipe.Tokens(HostDevice, 230, 16);
        SaeTrainingOptions options = new() { Config = s_small with { Tied = tied, Normalisation = TokenNormalisation.Paper, Centring = centring }, Steps = 20, OutputFolder = Folder };
        SaeTrainer.Train(HostDevice, matrix, options).Dispose();
        using SaeModel here = SaeModel.Load(HostDevice, Folder), there = SaeModel.Load(Device, Folder);
        using LentTokens tokens = new(matrix);
        int[] images = [40, 0, 100, 90];
        using Matrix<float> pooledHere = SaeEncoder.EncodePooled(here, tokens, images), pooledThere = SaeEncoder.EncodePooled(there, tokens, images);
        using Matrix<float> allHere = SaeEncoder.EncodeAll(here, tokens), allThere = SaeEncoder.EncodeAll(there, tokens);
        foreach ((float a, float b) in Host(pooledHere.Buffer).Zip(Host(pooledThere.Buffer))) Assert.Equal(a, b, 1e-6);
        foreach ((float a, float b) in Host(allHere.Buffer).Zip(Host(allThere.Buffer))) Assert.Equal(a, b, 1e-5);
        string[] labels = ["a", "b", "a", "b"];
        SaeEvaluation x = SaeEvaluation.Run(here, tokens, images, labels), y = SaeEvaluation.Run(there, tokens, images, labels);
        Assert.Equal(x.Fvu, y.Fvu, 1e-6);
        Assert.Equal(x.ChunkedFvu, y.ChunkedFvu, 1e-6);
        Assert.Equal(x.L0, y.L0, 0.02);
        Assert.Equal(x.MagnitudePositive, y.MagnitudePositive, 1e-3);
        Assert.Equal(x.MeanAbsoluteCosine, y.MeanAbsoluteCosine, 1e-9);
        Assert.Equal(x.DecoderEffectiveRank, y.DecoderEffectiveRank, 1e-9);
        Assert.Equal((x.Alive, x.NeverActive), (y.Alive, y.NeverActive));
        Assert.Equal(x.Purity!.MeanPurity, y.Purity!.MeanPurity, 1e-3);
        string a1 = Path.Combine(Folder, "a.safetensors"), b1 = Path.Combine(Folder, "b.safetensors");
        SaeExport.Write(here, tied ? SaeFormat.JumpRelu : SaeFormat.Reference, a1);
        SaeExport.Write(there, tied ? SaeFormat.JumpRelu : SaeFormat.Reference, b1);
        Assert.Equal(File.ReadAllBytes(a1), File.ReadAllBytes(b1));
    }
}
