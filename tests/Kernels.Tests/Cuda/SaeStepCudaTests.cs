using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests.Cuda;

[Collection(CudaDeviceCollection.Name)]
public sealed class SaeStepCudaTests(CudaDeviceFixture fixture)
{
    public static TheoryData<int, int, int, bool, float, float> Shapes()
    {
        TheoryData<int, int, int, bool, float, float> data = [];
        (int N, int D, int Latents)[] shapes = [(1, 1, 1), (2, 3, 5), (7, 17, 31), (13, 33, 129), (33, 40, 64)];
        // (gate, magnitude): half open as at the start; sparse where half the magnitudes are positive.
        foreach ((int n, int d, int latents) in shapes)
            foreach (bool tied in new[] { true, false })
                foreach ((float gate, float magnitude) in new[] { (0.1f, 0f), (-0.02f, 0.005f) }) data.Add(n, d, latents, tied, gate, magnitude);
        return data;
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Gradients_and_losses_match_the_double_reference(int n, int d, int latents, bool tied, float gateBias, float magnitudeBias)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using SaeCase model = new(host, n, d, latents, tied, gateBias, magnitudeBias);
        using CudaSaeCase copy = new(device, model, 0);
        foreach (SaeObjective objective in SaeStepTests.Objectives()) Compare(model, copy, objective);
    }

    /// <summary>Three tiles of tokens in a batch, more tokens than a chunk of one tile, more dimensions and latents than a block takes at a time.</summary>
    [Theory]
    [InlineData(90, 12, 70, 32, true, -0.045f, 0.05f)]
    [InlineData(90, 12, 70, 32, false, 0.1f, 0f)]
    [InlineData(300, 6, 33, 0, true, -0.02f, 0.005f)]
    [InlineData(3, 600, 40, 0, true, -0.02f, 0.03f)]
    [InlineData(3, 4, 4200, 0, true, -0.02f, 0.005f)]
    public void Batches_of_several_tiles_and_chunks_match_the_double_reference(int n, int d, int latents, int tileTokens, bool tied, float gateBias, float magnitudeBias)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using SaeCase model = new(host, n, d, latents, tied, gateBias, magnitudeBias, seed: 2);
        using CudaSaeCase copy = new(device, model, tileTokens);
        Compare(model, copy, new SaeObjective { SparsityCoefficient = 0.2, AuxLatents = 5 });
    }

    /// <summary>Products and what follows them in one kernel on the tensor cores, cut off in every direction; more than one block, tile and chunk.</summary>
    [Theory]
    [InlineData(70, 70, 130, 64, 32, true, 0.1f, 0f)]
    [InlineData(150, 40, 97, 64, 96, false, -0.02f, 0.005f)]
    [InlineData(140, 33, 150, 128, 0, true, -0.045f, 0.05f)]
    [InlineData(34, 64, 32, 64, 0, false, -0.02f, 0.03f)]
    public void Fused_products_match_the_double_reference(int n, int d, int latents, int tile, int tileTokens, bool tied, float gateBias, float magnitudeBias)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using SaeCase model = new(host, n, d, latents, tied, gateBias, magnitudeBias, seed: 3);
        using CudaSaeCase copy = new(device, model, tileTokens);
        copy.Workspace.Cuda!.Forced = new GemmConfig(GemmForm.TensorFloat3, tile, 1, d);
        Compare(model, copy, new SaeObjective { SparsityCoefficient = 0.2, AuxLatents = 5, AuxDoubleBias = true });
    }

    /// <summary>The same on the warpgroups of compute capability 9.0.</summary>
    [Theory]
    [InlineData(140, 68, 132, true, -0.045f, 0.05f)]
    [InlineData(130, 36, 64, false, -0.02f, 0.005f)]
    public void Fused_products_on_warpgroups_match_the_double_reference(int n, int d, int latents, bool tied, float gateBias, float magnitudeBias)
    {
        CudaDevice device = fixture.Require();
        Assert.SkipUnless(device.Info.Capability == new ComputeCapability(9, 0), $"{device.Info.Name} has no warpgroups of compute capability 9.0");
        using CpuDevice host = new(1);
        using SaeCase model = new(host, n, d, latents, tied, gateBias, magnitudeBias, seed: 3);
        using CudaSaeCase copy = new(device, model, 0);
        copy.Workspace.Cuda!.Forced = new GemmConfig(GemmForm.TensorFloat3, 128, 1, d, Warpgroups: true);
        Compare(model, copy, new SaeObjective { SparsityCoefficient = 0.2, AuxLatents = 5, AuxDoubleBias = true });
    }

    /// <summary>The same bits whether a product is a kernel of its own or not, since both form it in the same order.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Fused_products_change_speed_and_not_results(bool tied)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using SaeCase model = new(host, 40, 64, 70, tied, -0.02f, 0.03f);
        using CudaSaeCase one = new(device, model, 0), two = new(device, model, 0);
        Assert.True(one.Workspace.Cuda!.Fused(40, GemmPrecision.Single, false, out _));
        two.Workspace.Cuda!.Forced = default(GemmConfig);
        one.Step(new SaeObjective { SparsityCoefficient = 0.2 }, SaeDecoding.Sparse);
        two.Step(new SaeObjective { SparsityCoefficient = 0.2 }, SaeDecoding.Sparse);
        foreach (((string name, float[] a), (_, float[] b)) in one.Gradients.Arrays().Zip(two.Gradients.Arrays()))
        {
            // Sums of the biases' gradients are cut otherwise.
            if (name is "b_mag" or "b_gate") Assert.All(a.Zip(b), pair => Assert.Equal(pair.First, pair.Second, 1e-7));
            else Assert.True(a.AsSpan().SequenceEqual(b), $"{name} differs");
        }
    }

    /// <summary>bf16 has 8 significant bits: gradients to a part in a hundred of the largest, apart from pairs that change sides at zero.</summary>
    [Fact]
    public void Products_in_bf16_are_near_the_reference()
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using SaeCase model = new(host, 40, 64, 70, true, 0.1f, 0.05f);
        using CudaSaeCase copy = new(device, model, 0);
        copy.Workspace.Precision = GemmPrecision.BFloat16;
        using (KernelDispatch.Force(KernelVariant.Reference)) model.Step(new SaeObjective());
        copy.Step(new SaeObjective(), SaeDecoding.Dense);
        Assert.Equal(model.Statistics.Reconstruction, copy.Statistics.Reconstruction, 0.01 * model.Statistics.Reconstruction);
        foreach (((string name, float[] want), (_, float[] got)) in model.Gradients.Arrays().Zip(copy.Gradients.Arrays()))
        {
            double scale = want.Max(MathF.Abs), squares = want.Zip(got).Sum(p => Math.Pow(p.First - p.Second, 2));
            Assert.True(Math.Sqrt(squares / want.Length) < 0.01 * scale, $"{name}: {Math.Sqrt(squares / want.Length) / scale}");
        }
    }

    /// <summary>Equal magnitudes behind closed gates: the lower latents are taken, and fewer than asked for where there are no more.</summary>
    [Fact]
    public void Ties_of_auxiliary_latents_go_to_the_lower_index()
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using SaeCase model = new(host, 5, 8, 70, true, -1f, 1f);
        model.Values.Encoder.Buffer.Clear();
        foreach (int j in Enumerable.Range(0, 70)) (model.Values.EncoderBias.View.Host[j], model.Values.GateBias.View.Host[j]) = (j % 3 == 0 ? 0.5f : j % 3 == 1 ? 0.25f : -1f, -1f);
        using CudaSaeCase copy = new(device, model, 0);
        foreach (int kept in new[] { 1, 10, 30, 32 }) Compare(model, copy, new SaeObjective { AuxLatents = kept, AuxCoefficient = 1 });
    }

    [Fact]
    public void More_auxiliary_latents_than_shared_memory_holds_are_refused()
    {
        CudaDevice device = fixture.Require();
        DeviceException e = Assert.Throws<DeviceException>(() => new SaeWorkspace(device, SaeShape.Gated(2, 10_000), 10_000));
        Assert.Contains("10000 auxiliary latents need", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_same_batch_gives_the_same_bytes()
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using SaeCase model = new(host, 40, 24, 96, true, -0.02f, 0.03f);
        foreach (SaeDecoding decoding in Enum.GetValues<SaeDecoding>())
        {
            using CudaSaeCase first = new(device, model, 32), second = new(device, model, 32);
            SaeObjective objective = new() { SparsityCoefficient = 0.2 };
            first.Step(objective, decoding);
            second.Step(new SaeObjective { SparsityCoefficient = 3, AuxDoubleBias = true }, decoding);
            second.Step(objective, decoding);
            Assert.Equal(first.Statistics.Loss, second.Statistics.Loss);
            foreach (((string name, float[] a), (_, float[] b)) in first.Gradients.Arrays().Zip(second.Gradients.Arrays())) Assert.True(a.AsSpan().SequenceEqual(b), $"{name} differs");
        }
    }

    [Fact]
    public void Evaluation_has_the_losses_of_the_reference_and_no_auxiliary_loss()
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using SaeCase model = new(host, 20, 16, 50, false, -0.01f, 0.02f);
        using CudaSaeCase copy = new(device, model, 0);
        SaeObjective objective = new() { SparsityCoefficient = 0.2 };
        SaeStatistics expected = new();
        using (KernelDispatch.Force(KernelVariant.Reference)) SaeStep.Evaluate(model.Tokens.View, model.Values.View, objective, model.Workspace, expected);
        foreach (SaeDecoding decoding in Enum.GetValues<SaeDecoding>())
        {
            copy.Workspace.Decoding = decoding;
            SaeStep.Evaluate(copy.Tokens.View, copy.Values.View, objective, copy.Workspace, copy.Statistics);
            CompareLosses(expected, copy.Statistics);
            Assert.Equal(0, copy.Statistics.Auxiliary);
            Assert.Equal(model.Workspace.UsageCounts.ToArray(), copy.Workspace.UsageCounts.ToArray());
            foreach ((double want, double got) in model.Workspace.TokenSums.ToArray().Zip(copy.Workspace.TokenSums.ToArray())) Assert.Equal(want, got, 1e-12);
        }
    }

    [Fact]
    public void Activations_match_the_reference()
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using SaeCase model = new(host, 50, 40, 70, false, -0.01f, 0.02f);
        using CudaSaeCase copy = new(device, model, 32);
        using Matrix<float> expected = host.AllocateMatrix<float>(50, 70), actual = device.AllocateMatrix<float>(50, 70);
        using (KernelDispatch.Force(KernelVariant.Reference)) SaeStep.Encode(model.Tokens.View, model.Values.View, model.Workspace, expected.View);
        SaeStep.Encode(copy.Tokens.View, copy.Values.View, copy.Workspace, actual.View);
        foreach ((float want, float got) in expected.Buffer.View.Host.ToArray().Zip(actual.ToHost())) Assert.Equal(want, got, 1e-6);
    }

    [Fact]
    public void Usage_averages_follow_the_host()
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using SaeCase model = new(host, 20, 8, 40, true, 0.01f, 0.02f);
        using CudaSaeCase copy = new(device, model, 0);
        using DeviceBuffer<float> here = host.Allocate<float>(40), there = device.Allocate<float>(40);
        for (int step = 0; step < 3; step++)
        {
            model.Step(new SaeObjective());
            copy.Step(new SaeObjective(), SaeDecoding.Sparse);
            SaeStep.AverageUsage(model.Workspace, here.View, 0.9);
            SaeStep.AverageUsage(copy.Workspace, there.View, 0.9);
        }
        foreach ((float want, float got) in here.View.Host.ToArray().Zip(there.ToHost())) Assert.Equal(want, got, 1e-7);
    }

    [Theory]
    [InlineData(SaeDecoding.Dense)]
    [InlineData(SaeDecoding.Sparse)]
    public void Warm_steps_allocate_nothing(SaeDecoding decoding)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using SaeCase model = new(host, 20, 16, 40, true, 0.1f, 0f);
        using CudaSaeCase copy = new(device, model, 0);
        SaeObjective objective = new() { SparsityCoefficient = 0.2 };
        for (int i = 0; i < 2; i++) copy.Step(objective, decoding);
        WarmAllocation rounds = new();
        while (rounds.Again()) for (int i = 0; i < 3; i++) copy.Step(objective, decoding);
        Assert.Equal(0, rounds.Least);
    }

    internal static void Compare(SaeCase model, CudaSaeCase copy, in SaeObjective objective)
    {
        using (KernelDispatch.Force(KernelVariant.Reference)) model.Step(objective);
        List<double[]> exact = SaeStepTests.Exact(model, objective);
        List<float[]> plain = PlainSaeStep.Gradients(model, objective);
        foreach (SaeDecoding decoding in Enum.GetValues<SaeDecoding>())
        {
            copy.Step(objective, decoding);
            CompareLosses(model.Statistics, copy.Statistics);
            Assert.Equal(model.Statistics.Auxiliary, copy.Statistics.Auxiliary, 1e-6 * model.Statistics.Auxiliary);
            Assert.Equal(model.Statistics.PreActivation, copy.Statistics.PreActivation, 1e-6 * model.Statistics.PreActivation);
            Assert.Equal(model.Statistics.SmallestActive, copy.Statistics.SmallestActive, 1e-7);
            Assert.Equal(model.Statistics.Loss, copy.Statistics.Loss, 1e-6 * Math.Abs(model.Statistics.Loss) + 1e-12);
            Assert.Equal(model.Workspace.UsageCounts.ToArray(), copy.Workspace.UsageCounts.ToArray());
            ErrorRule rule = new();
            foreach ((int index, (string name, float[] got)) in copy.Gradients.Arrays().Index()) rule.Add<float>(exact[index], plain[index], got, $"{decoding}: d{name}");
            rule.Verify($"{decoding}, {model.Tokens.Rows} x {model.Tokens.Columns} x {model.Values.Decoder.Rows}, {objective}");
        }
    }

    /// <summary>Signs of pre-activations within rounding of zero may differ; the seeds used have none.</summary>
    internal static void CompareLosses(SaeStatistics want, SaeStatistics got)
    {
        Assert.Equal((want.Active, want.ClosedGate, want.NoMagnitude, want.TokensWithActive), (got.Active, got.ClosedGate, got.NoMagnitude, got.TokensWithActive));
        Assert.Equal(want.Reconstruction, got.Reconstruction, 1e-6 * want.Reconstruction);
        Assert.Equal(want.Sparsity, got.Sparsity, 1e-6 * want.Sparsity + 1e-12);
        Assert.Equal(want.SumSquaredError, got.SumSquaredError, 1e-6 * want.SumSquaredError);
        Assert.Equal(want.SumSquares, got.SumSquares, 1e-12 * want.SumSquares);
        Assert.Equal(want.SumSquaredTotal, got.SumSquaredTotal, 1e-6 * want.SumSquaredTotal + 1e-7);
    }
}

/// <summary>A copy of a case on a device.</summary>
internal sealed class CudaSaeCase : IDisposable
{
    private readonly List<IDisposable> _owned = [];

    public CudaSaeCase(CudaDevice device, SaeCase model, int tileTokens)
    {
        Tokens = model.Tokens.To(device);
        Values = new ModelArrays(device, model.Shape, _owned);
        Values.CopyFrom(model.Values);
        Gradients = new ModelArrays(device, model.Shape, _owned);
        Workspace = new SaeWorkspace(device, model.Shape, 32, tileTokens);
        Workspace.Dead.CopyFrom(model.Workspace.Dead.View.Host);
        _owned.AddRange([Tokens, Workspace]);
    }

    public Matrix<float> Tokens { get; }
    public ModelArrays Values { get; }
    public ModelArrays Gradients { get; }
    public SaeWorkspace Workspace { get; }
    public SaeStatistics Statistics { get; } = new();

    public void Step(in SaeObjective objective, SaeDecoding decoding)
    {
        Workspace.Decoding = decoding;
        SaeStep.Run(Tokens.View, Values.View, Gradients.View, objective, Workspace, Statistics);
    }

    public void Dispose()
    {
        foreach (IDisposable o in _owned) o.Dispose();
    }
}
