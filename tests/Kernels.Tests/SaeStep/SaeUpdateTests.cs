using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests;

public sealed class SaeUpdateTests
{
    public static TheoryData<KernelVariant, bool> Variants() => new MatrixTheoryData<KernelVariant, bool>([KernelVariant.Avx512, KernelVariant.Avx2, KernelVariant.Portable], [true, false]);

    [Theory]
    [MemberData(nameof(Variants))]
    public void Several_updates_match_the_double_reference(KernelVariant variant, bool tied)
    {
        using CpuDevice device = new(2);
        List<(string Name, float[] Values)> expected = Train(device, KernelVariant.Reference, tied, out double[] expectedNorms);
        List<(string Name, float[] Values)> actual = Train(device, variant, tied, out double[] norms);
        for (int s = 0; s < norms.Length; s++) Assert.Equal(expectedNorms[s], norms[s], 1e-6 * expectedNorms[s]);
        foreach (((string name, float[] want), (_, float[] got)) in expected.Zip(actual))
            for (int i = 0; i < want.Length; i++) Assert.True(Math.Abs(want[i] - got[i]) <= 2e-7 + 1e-6 * Math.Abs(want[i]), $"{variant}: {name}[{i}] is {got[i]}, expected {want[i]}");
    }

    [Fact]
    public void Decoder_rows_keep_unit_length_and_a_zero_rate_moves_nothing_else()
    {
        using CpuDevice device = new(1);
        using SaeCase model = new(device, 20, 30, 50, true, 0.1f, 0);
        List<IDisposable> owned = [];
        ModelArrays first = new(device, 30, 50, true, owned), second = new(device, 30, 50, true, owned);
        float[] before = model.Values.Encoder.Buffer.View.Host.ToArray();
        model.Step(new SaeObjective { SparsityCoefficient = 0.1 });
        SaeUpdate.Apply(model.Values.View, model.Gradients.View, first.View, second.View, new SaeUpdateOptions { LearningRate = 0 }, model.Workspace);
        Assert.Equal(before, model.Values.Encoder.Buffer.View.Host.ToArray());
        Assert.Contains(first.Encoder.Buffer.View.Host.ToArray(), v => v != 0);
        for (int j = 0; j < 50; j++)
        {
            double norm = 0;
            foreach (float v in model.Values.Decoder.Row(j)) norm += v * v;
            Assert.Equal(1, norm, 1e-6);
        }
        foreach (IDisposable o in owned) o.Dispose();
    }

    [Fact]
    public void Warm_updates_allocate_nothing()
    {
        using CpuDevice device = new(2);
        using SaeCase model = new(device, 20, 30, 500, true, 0.1f, 0);
        List<IDisposable> owned = [];
        ModelArrays first = new(device, 30, 500, true, owned), second = new(device, 30, 500, true, owned);
        model.Step(new SaeObjective());
        for (int i = 0; i < 3; i++) Update();
        WarmAllocation rounds = new();
        while (rounds.Again()) for (int i = 0; i < 5; i++) Update();
        Assert.Equal(0, rounds.Least);
        foreach (IDisposable o in owned) o.Dispose();

        void Update() => SaeUpdate.Apply(model.Values.View, model.Gradients.View, first.View, second.View, new SaeUpdateOptions { LearningRate = 1e-4 }, model.Workspace);
    }

    /// <summary>The tensors of every architecture, either decoder norm, either optimiser, against the double reference.</summary>
    [Theory]
    [InlineData(SaeArchitecture.GatedOriginal, DecoderNorm.Unit, SaeOptimiser.AdamW)]
    [InlineData(SaeArchitecture.Relu, DecoderNorm.Free, SaeOptimiser.AdamW)]
    [InlineData(SaeArchitecture.TopK, DecoderNorm.Unit, SaeOptimiser.AdamW)]
    [InlineData(SaeArchitecture.BatchTopK, DecoderNorm.Free, SaeOptimiser.Muon)]
    [InlineData(SaeArchitecture.JumpRelu, DecoderNorm.Unit, SaeOptimiser.AdamW)]
    [InlineData(SaeArchitecture.JumpRelu, DecoderNorm.Unit, SaeOptimiser.Muon)]
    public void Every_architecture_matches_the_double_reference(SaeArchitecture architecture, DecoderNorm norm, SaeOptimiser optimiser)
    {
        using CpuDevice device = new(2);
        SaeShape shape = new() { Architecture = architecture, InputWidth = 19, Latents = 70, ActiveLatents = 3 };
        SaeUpdateOptions options = new() { LearningRate = 1e-2, WeightDecay = 0.1, DecoderNorm = norm, Optimiser = optimiser };
        List<(string Name, float[] Values)> expected = Move(device, KernelVariant.Reference, shape, options);
        foreach (KernelVariant variant in new[] { KernelVariant.Avx512, KernelVariant.Avx2, KernelVariant.Portable })
        {
            List<(string Name, float[] Values)> actual = Move(device, variant, shape, options);
            foreach (((string name, float[] want), (_, float[] got)) in expected.Zip(actual))
                for (int i = 0; i < want.Length; i++) Assert.True(Math.Abs(want[i] - got[i]) <= 2e-6 + 2e-6 * Math.Abs(want[i]), $"{variant}: {name}[{i}] is {got[i]}, expected {want[i]}");
        }
        float[]? thresholds = expected.FirstOrDefault(t => t.Name == "threshold").Values;
        if (architecture == SaeArchitecture.JumpRelu) Assert.Contains(0f, thresholds!);
        if (architecture == SaeArchitecture.BatchTopK) Assert.All(thresholds!, t => Assert.Equal(0.015f, t));
    }

    [Fact]
    public void Gradients_that_are_not_finite_move_nothing()
    {
        using CpuDevice device = new(1);
        using SaeCase model = new(device, 20, 30, 50, true, 0.1f, 0);
        List<IDisposable> owned = [];
        ModelArrays first = new(device, 30, 50, true, owned), second = new(device, 30, 50, true, owned);
        model.Step(new SaeObjective());
        model.Gradients.EncoderBias.View.Host[7] = float.NaN;
        float[][] before = [.. model.Values.Arrays().Select(t => t.Values)];
        Assert.False(double.IsFinite(SaeUpdate.Apply(model.Values.View, model.Gradients.View, first.View, second.View, new SaeUpdateOptions { LearningRate = 1 }, model.Workspace)));
        Assert.Equal(before, model.Values.Arrays().Select(t => t.Values));
        foreach (IDisposable o in owned) o.Dispose();
    }

    private static List<(string, float[])> Move(CpuDevice device, KernelVariant variant, SaeShape shape, SaeUpdateOptions options)
    {
        using SaeCase model = new(device, 8, shape, 0.05f, 0.01f);
        List<IDisposable> owned = [];
        ModelArrays first = new(device, shape, owned), second = new(device, shape, owned);
        using Muon muon = new(device, shape.InputWidth, shape.Latents);
        CounterRandom random = new(8);
        if (shape.HasThreshold) model.Values.Threshold!.View.Host.Fill(0.015f);
        for (int step = 1; step <= 3; step++)
        {
            foreach ((_, DeviceBuffer<float> buffer) in Gradients(model.Gradients))
                foreach (ref float v in buffer.View.Host) v = (float)random.NextNormal();
            using KernelDispatch.ForcedVariant forced = KernelDispatch.Force(variant);
            SaeUpdate.Apply(model.Values.View, model.Gradients.View, first.View, second.View, options with { Step = step }, model.Workspace, muon);
        }
        List<(string, float[])> arrays = [.. model.Values.Arrays(), .. first.Arrays()];
        foreach (IDisposable o in owned) o.Dispose();
        return arrays;
    }

    private static IEnumerable<(string Name, DeviceBuffer<float> Buffer)> Gradients(ModelArrays g)
    {
        yield return ("W_enc", g.Encoder.Buffer);
        yield return ("W_dec", g.Decoder.Buffer);
        yield return ("b_enc", g.EncoderBias);
        if (g.MagnitudeScale is not null) yield return ("b_gate", g.GateBias);
        if (g.MagnitudeScale is not null) yield return ("r_mag", g.MagnitudeScale);
        if (g.Threshold is not null) yield return ("threshold", g.Threshold);
        yield return ("b_dec", g.DecoderBias);
    }

    private static List<(string, float[])> Train(CpuDevice device, KernelVariant variant, bool tied, out double[] norms)
    {
        const int d = 37, latents = 133;
        using SaeCase model = new(device, 40, d, latents, tied, 0.05f, 0.01f);
        List<IDisposable> owned = [];
        ModelArrays first = new(device, d, latents, tied, owned), second = new(device, d, latents, tied, owned);
        norms = new double[4];
        // One set of gradients for every variant, large enough that clipping bites.
        using (KernelDispatch.Force(KernelVariant.Reference)) model.Step(new SaeObjective { SparsityCoefficient = 20 });
        for (int step = 1; step <= norms.Length; step++)
        {
            using KernelDispatch.ForcedVariant forced = KernelDispatch.Force(variant);
            norms[step - 1] = SaeUpdate.Apply(model.Values.View, model.Gradients.View, first.View, second.View,
                new SaeUpdateOptions { LearningRate = 1e-3, Step = step, WeightDecay = 0.01 }, model.Workspace);
        }
        List<(string, float[])> arrays = [.. model.Values.Arrays(), .. first.Arrays(), .. second.Arrays()];
        foreach (IDisposable o in owned) o.Dispose();
        return arrays;
    }
}
