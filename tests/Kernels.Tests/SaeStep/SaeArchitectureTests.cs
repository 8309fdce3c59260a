using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests;

/// <summary>The tiled engine against the double-precision definitions, for every architecture.</summary>
public sealed class SaeArchitectureTests
{
    private static readonly KernelVariant[] s_variants = [KernelVariant.Avx512, KernelVariant.Avx2, KernelVariant.Portable];

    // Half of all pairs active, as at the start of training; few, as later.
    private static readonly (float Gate, float Encoder)[] s_biases = [(0.01f, 0.005f), (-0.04f, -0.035f)];

    public static TheoryData<string> Names() => SaeArchitectureCases.Names();

    [Theory]
    [MemberData(nameof(Names))]
    public void Gradients_and_losses_match_the_double_reference(string name)
    {
        using CpuDevice device = new(2);
        foreach ((int n, int d, int latents) in ((int, int, int)[])[(1, 1, 1), (2, 3, 5), (7, 17, 31), (13, 33, 129), (133, 20, 257)])
            foreach ((float gate, float magnitude) in s_biases)
            {
                (SaeShape shape, SaeObjective objective) = SaeArchitectureCases.Get(name, d, latents);
                using SaeCase model = new(device, n, shape, gate, magnitude, seed: 5);
                SaeArchitectureCases.MarkDead(model);
                Compare(model, s_variants, objective, name);
            }
    }

    /// <summary>Seven encoder columns serve all latents, so that choices meet equal pre-activations: the lower latent is taken, in any panel and by any variant.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void Equal_pre_activations_go_to_the_lower_latent(string name)
    {
        using CpuDevice device = new(2);
        (SaeShape shape, SaeObjective objective) = SaeArchitectureCases.Get(name, 10, 150);
        using SaeCase model = new(device, 30, shape, -0.02f, 0.005f, seed: 3);
        SaeArchitectureCases.MarkDead(model);
        for (int i = 0; i < 10; i++)
            for (int j = 7; j < 150; j++)
            {
                model.Values.Encoder.Row(i)[j] = model.Values.Encoder.Row(i)[j % 7];
                if (model.Values.Gate is { } gate) gate.Row(i)[j] = gate.Row(i)[j % 7];
            }
        foreach (DeviceBuffer<float>? vector in new[] { model.Values.EncoderBias, shape.HasGateBias ? model.Values.GateBias : null, model.Values.MagnitudeScale })
            for (int j = 7; j < 150 && vector is not null; j++) vector.View.Host[j] = vector.View.Host[j % 7];
        Compare(model, s_variants, objective, name);
    }

    /// <summary>Several tiles of which the first is dense and the others are not; latents in several blocks.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void Batches_of_several_tiles_match_the_double_reference(string name)
    {
        using CpuDevice device = new(2);
        (SaeShape shape, SaeObjective objective) = SaeArchitectureCases.Get(name, 14, 260);
        using SaeCase model = new(device, 640, shape, -0.04f, -0.035f, seed: 2);
        SaeArchitectureCases.MarkDead(model);
        // Long tokens pass every threshold.
        for (int t = 0; t < 240; t++) foreach (ref float v in model.Tokens.Row(t)) v *= 6;
        Compare(model, [KernelDispatch.Select("SaeStep")], objective, name);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Results_are_the_same_bytes_on_any_number_of_threads_and_warm_steps_allocate_nothing(string name)
    {
        (SaeShape shape, SaeObjective objective) = SaeArchitectureCases.Get(name, 24, 300);
        List<(string Name, float[] Values)>? first = null;
        double firstLoss = 0;
        foreach (int threads in (int[])[1, 3])
        {
            using CpuDevice device = new(threads);
            using SaeCase model = new(device, 700, shape, -0.03f, -0.025f);
            SaeArchitectureCases.MarkDead(model);
            for (int i = 0; i < 2; i++) model.Step(objective);
            WarmAllocation rounds = new();
            while (rounds.Again()) for (int i = 0; i < 2; i++) model.Step(objective);
            Assert.Equal(0, rounds.Least);
            List<(string Name, float[] Values)> arrays = [.. model.Gradients.Arrays()];
            if (first is null) (first, firstLoss) = (arrays, model.Statistics.Loss);
            Assert.Equal(firstLoss, model.Statistics.Loss);
            for (int i = 0; i < arrays.Count; i++) Assert.True(arrays[i].Values.AsSpan().SequenceEqual(first[i].Values), $"{arrays[i].Name} differs on {threads} threads");
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Evaluation_and_encoding_match_the_double_reference(string name)
    {
        const int n = 50, d = 40, latents = 200;
        (SaeShape shape, SaeObjective objective) = SaeArchitectureCases.Get(name, d, latents);
        using CpuDevice device = new(2);
        using SaeCase model = new(device, n, shape, -0.01f, -0.005f);
        using Matrix<float> expected = device.AllocateMatrix<float>(n, latents), actual = device.AllocateMatrix<float>(n, latents);
        SaeStatistics exact = new(), got = new();
        using (KernelDispatch.Force(KernelVariant.Reference))
        {
            SaeStep.Encode(model.Tokens.View, model.Values.View, model.Workspace, expected.View);
            SaeStep.Evaluate(model.Tokens.View, model.Values.View, objective, model.Workspace, exact);
        }
        foreach (KernelVariant variant in s_variants)
        {
            using KernelDispatch.ForcedVariant forced = KernelDispatch.Force(variant);
            SaeStep.Encode(model.Tokens.View, model.Values.View, model.Workspace, actual.View);
            SaeStep.Evaluate(model.Tokens.View, model.Values.View, objective, model.Workspace, got);
            for (int t = 0; t < n; t++)
                for (int j = 0; j < latents; j++) Assert.True(Math.Abs(expected.Row(t)[j] - actual.Row(t)[j]) < 1e-6, $"{variant}: token {t}, latent {j}");
            Assert.Equal((exact.Active, exact.ClosedGate, exact.NoMagnitude), (got.Active, got.ClosedGate, got.NoMagnitude));
            Assert.Equal(exact.Loss, got.Loss, 1e-6 * Math.Abs(exact.Loss));
            Assert.Equal(0, got.Auxiliary);
        }
    }

    /// <summary>The choice over a batch does not depend on the bound the last batch left, not even when all values move below it or are equal.</summary>
    [Fact]
    public void The_choice_over_a_batch_is_a_function_of_the_batch()
    {
        SaeShape shape = new() { Architecture = SaeArchitecture.BatchTopK, InputWidth = 16, Latents = 200, ActiveLatents = 4 };
        SaeObjective objective = new() { AuxCoefficient = 0 };
        using CpuDevice device = new(2);
        using SaeCase model = new(device, 900, shape, 0, 0), fresh = new(device, 900, shape, 0, 0);
        foreach (float factor in (float[])[1, 0.01f, 100, 0])
        {
            foreach (SaeCase c in (SaeCase[])[model, fresh])
                for (int t = 0; t < 900; t++)
                    for (int i = 0; i < 16; i++) c.Tokens.Row(t)[i] = factor * MathF.Sin(1 + t * 16 + i);
            // With factor 0 every latent of a token has its bias, the same for all tokens.
            model.Step(objective);
            using SaeWorkspace cold = new(device, shape);
            SaeStep.Run(fresh.Tokens.View, fresh.Values.View, fresh.Gradients.View, objective, cold, fresh.Statistics);
            Assert.Equal(900 * 4, model.Statistics.Active);
            Assert.Equal(fresh.Statistics.SmallestActive, model.Statistics.SmallestActive);
            Assert.Equal(fresh.Statistics.Loss, model.Statistics.Loss);
            foreach ((int k, (_, float[] values)) in model.Gradients.Arrays().Index()) Assert.Equal(fresh.Gradients.Arrays().ElementAt(k).Values, values);
        }
        using (KernelDispatch.Force(KernelVariant.Reference)) fresh.Step(objective);
        Assert.Equal(fresh.Statistics.SmallestActive, model.Statistics.SmallestActive, 1e-7);
        Assert.Equal(fresh.Workspace.UsageCounts.ToArray(), model.Workspace.UsageCounts.ToArray());
    }

    private static void Compare(SaeCase model, KernelVariant[] variants, in SaeObjective objective, string name)
    {
        using (KernelDispatch.Force(KernelVariant.Reference)) model.Step(objective);
        SaeStatistics s = model.Statistics;
        (long, long, long, long) counts = (s.Active, s.ClosedGate, s.NoMagnitude, s.TokensWithActive);
        double[] exactLosses = Losses(s);
        int[] usage = model.Workspace.UsageCounts.ToArray();
        List<double[]> exact = SaeStepTests.Exact(model, objective);
        List<float[]> plain = PlainSaeStep.Gradients(model, objective);
        // The smallest chosen value is the difference of a sum and its bias: its error is that of the terms.
        double smallest = s.SmallestActive;
        foreach (KernelVariant variant in variants)
        {
            string what = $"{name}, {variant}, {model.Tokens.Rows} x {model.Tokens.Columns} x {model.Shape.Latents}";
            using (KernelDispatch.Force(variant)) model.Step(objective);
            // Signs of pre-activations within rounding of zero may differ; the seeds used have none.
            Assert.Equal(counts, (s.Active, s.ClosedGate, s.NoMagnitude, s.TokensWithActive));
            Assert.Equal(usage, model.Workspace.UsageCounts.ToArray());
            foreach ((int i, double loss) in Losses(s).Index())
                Assert.True(exactLosses[i].Equals(loss) || Math.Abs(exactLosses[i] - loss) <= 2e-6 * Math.Abs(exactLosses[i]) + 1e-12, $"{what}: loss {i} is {loss:R}, expected {exactLosses[i]:R}");
            Assert.True(smallest.Equals(s.SmallestActive) || Math.Abs(smallest - s.SmallestActive) < 1e-7, $"{what}: the smallest active is {s.SmallestActive:R}, expected {smallest:R}");
            ErrorRule rule = new();
            foreach ((int index, (string tensor, float[] got)) in model.Gradients.Arrays().Index()) rule.Add<float>(exact[index], plain[index], got, $"d{tensor}");
            rule.Verify(what);
        }
    }

    private static double[] Losses(SaeStatistics s) => [s.Loss, s.Reconstruction, s.Sparsity, s.Auxiliary, s.PreActivation, s.SumSquaredError, s.SumSquares];
}
