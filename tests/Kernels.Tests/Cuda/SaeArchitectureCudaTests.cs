using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests.Cuda;

/// <summary>Every architecture with its losses, on the device against the double reference.</summary>
[Collection(CudaDeviceCollection.Name)]
public sealed class SaeArchitectureCudaTests(CudaDeviceFixture fixture)
{
    public static TheoryData<string> Names() => SaeArchitectureCases.Names();

    /// <summary>Two tiles, latents that do not fill a word, both ways to decode.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void Gradients_and_losses_match_the_double_reference(string name)
    {
        CudaDevice device = fixture.Require();
        (SaeCase model, SaeObjective objective) = Case(name, 40, 13, 45);
        using SaeCase owned = model;
        using CudaSaeCase copy = new(device, model, 32);
        SaeStepCudaTests.Compare(model, copy, objective);
    }

    /// <summary>Products and what follows them in one kernel; several chunks; more dimensions than a warp keeps in registers; more words of latents than threads.</summary>
    [Theory]
    [InlineData("jumprelu tanh, free norm", 70, 64, 96, 0)]
    [InlineData("gated-original", 70, 64, 96, 0)]
    [InlineData("relu, p = 0.5, free norm", 300, 6, 33, 0)]
    [InlineData("gated untied windowed", 3, 1100, 40, 0)]
    [InlineData("matryoshka", 3, 600, 40, 0)]
    [InlineData("batchtopk", 3, 4, 4200, 0)]
    [InlineData("topk", 1, 1, 1, 0)]
    [InlineData("topk", 2, 3, 8300, 32)]
    public void Larger_shapes_match_the_double_reference(string name, int n, int d, int latents, int tileTokens)
    {
        CudaDevice device = fixture.Require();
        (SaeCase model, SaeObjective objective) = Case(name, n, d, latents);
        using SaeCase owned = model;
        using CudaSaeCase copy = new(device, model, tileTokens);
        SaeStepCudaTests.Compare(model, copy, objective);
    }

    /// <summary>Whether the pre-activations of a batch are kept or formed again changes no bit.</summary>
    [Theory]
    [InlineData("batchtopk")]
    [InlineData("matryoshka")]
    public void Batches_too_large_to_keep_give_the_same_bytes(string name)
    {
        CudaDevice device = fixture.Require();
        (SaeCase model, SaeObjective objective) = Case(name, 70, 9, 40);
        using SaeCase owned = model;
        using CudaSaeCase kept = new(device, model, 32), formed = new(device, model, 32);
        formed.Workspace.Cuda!.Rules.Keep = false;
        kept.Step(objective, SaeDecoding.Sparse);
        formed.Step(objective, SaeDecoding.Sparse);
        SameBytes(kept, formed);
    }

    /// <summary>Equal pre-activations at the last place: lower tokens, then lower latents; and fewer than k where fewer are positive.</summary>
    [Theory]
    [InlineData(SaeArchitecture.TopK)]
    [InlineData(SaeArchitecture.BatchTopK)]
    public void Ties_go_to_lower_tokens_and_latents(SaeArchitecture architecture)
    {
        const int n = 37, latents = 70;
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        // What is positive is 23 times 1, 24 times 2: from one a token to more than there are.
        foreach (int k in new[] { 1, 5, 23, 24, 25, 30, 46, 47, 48, 70 })
        {
            using SaeCase model = new(host, n, new SaeShape { Architecture = architecture, InputWidth = 3, Latents = latents, ActiveLatents = k }, 0, 0);
            model.Values.Encoder.Buffer.Clear();
            foreach (int j in Enumerable.Range(0, latents)) model.Values.EncoderBias.View.Host[j] = j % 3 == 0 ? 2 : j % 3 == 1 ? 1 : -1;
            using CudaSaeCase copy = new(device, model, 32);
            SaeStepCudaTests.Compare(model, copy, new SaeObjective { AuxCoefficient = 0 });
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void The_same_batch_gives_the_same_bytes(string name)
    {
        CudaDevice device = fixture.Require();
        (SaeCase model, SaeObjective objective) = Case(name, 40, 8, 45);
        using SaeCase owned = model;
        using CudaSaeCase first = new(device, model, 32), second = new(device, model, 32);
        first.Step(objective, SaeDecoding.Sparse);
        second.Step(objective with { SparsityCoefficient = 3 }, SaeDecoding.Dense);
        second.Step(objective, SaeDecoding.Sparse);
        SameBytes(first, second);
    }

    /// <summary>Outside training the BatchTopK family goes by its threshold, TopK by rank.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void Evaluation_and_activations_match_the_reference(string name)
    {
        const int n = 40, latents = 45;
        CudaDevice device = fixture.Require();
        (SaeCase model, SaeObjective objective) = Case(name, n, 13, latents);
        using SaeCase owned = model;
        using CudaSaeCase copy = new(device, model, 32);
        SaeStatistics expected = new();
        using Matrix<float> want = model.Device.AllocateMatrix<float>(n, latents), got = device.AllocateMatrix<float>(n, latents);
        using (KernelDispatch.Force(KernelVariant.Reference))
        {
            SaeStep.Evaluate(model.Tokens.View, model.Values.View, objective, model.Workspace, expected);
            SaeStep.Encode(model.Tokens.View, model.Values.View, model.Workspace, want.View);
        }
        foreach (SaeDecoding decoding in Enum.GetValues<SaeDecoding>())
        {
            copy.Workspace.Decoding = decoding;
            SaeStep.Evaluate(copy.Tokens.View, copy.Values.View, objective, copy.Workspace, copy.Statistics);
            SaeStepCudaTests.CompareLosses(expected, copy.Statistics);
            Assert.Equal(expected.Loss, copy.Statistics.Loss, 1e-6 * Math.Abs(expected.Loss));
            Assert.Equal((0.0, 0.0, double.NaN), (copy.Statistics.Auxiliary, copy.Statistics.PreActivation, copy.Statistics.SmallestActive));
        }
        SaeStep.Encode(copy.Tokens.View, copy.Values.View, copy.Workspace, got.View);
        float[] activations = want.Buffer.View.Host.ToArray();
        foreach ((float a, float b) in activations.Zip(got.ToHost())) Assert.Equal(a, b, 1e-6);
        using ActivationPool pool = new(copy.Workspace);
        using DeviceBuffer<float> means = device.Allocate<float>(latents);
        pool.Add(copy.Tokens.View, copy.Values.View);
        pool.Take(n, means.View);
        float[] pooled = means.ToHost();
        for (int j = 0; j < latents; j++) Assert.Equal(Enumerable.Range(0, n).Average(t => (double)activations[t * latents + j]), pooled[j], 1e-6);
    }

    [Theory]
    [InlineData("matryoshka")]
    [InlineData("jumprelu tanh")]
    [InlineData("gated tied windowed, dead")]
    public void Warm_steps_allocate_nothing(string name)
    {
        CudaDevice device = fixture.Require();
        (SaeCase model, SaeObjective objective) = Case(name, 20, 8, 40);
        using SaeCase owned = model;
        using CudaSaeCase copy = new(device, model, 0);
        for (int i = 0; i < 2; i++) copy.Step(objective, SaeDecoding.Sparse);
        WarmAllocation rounds = new();
        while (rounds.Again()) for (int i = 0; i < 3; i++) copy.Step(objective, SaeDecoding.Sparse);
        Assert.Equal(0, rounds.Least);
    }

    /// <summary>A case of which every third latent is dead.</summary>
    private static (SaeCase Model, SaeObjective Objective) Case(string name, int n, int d, int latents)
    {
        (SaeShape shape, SaeObjective objective) = SaeArchitectureCases.Get(name, d, latents);
        SaeCase model = new(new CpuDevice(1), n, shape, -0.01f, 0.01f, seed: 5);
        SaeArchitectureCases.MarkDead(model);
        return (model, objective);
    }

    private static void SameBytes(CudaSaeCase first, CudaSaeCase second)
    {
        Assert.Equal(first.Statistics.Loss, second.Statistics.Loss);
        Assert.Equal(first.Workspace.UsageCounts.ToArray(), second.Workspace.UsageCounts.ToArray());
        foreach (((string name, float[] a), (_, float[] b)) in first.Gradients.Arrays().Zip(second.Gradients.Arrays())) Assert.True(a.AsSpan().SequenceEqual(b), $"{name} differs");
    }
}
