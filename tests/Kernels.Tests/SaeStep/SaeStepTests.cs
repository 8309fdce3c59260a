using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests;

public sealed class SaeStepTests
{
    private static readonly KernelVariant[] s_variants = [KernelVariant.Avx512, KernelVariant.Avx2, KernelVariant.Portable];

    public static TheoryData<int, int, int, bool, float, float> Shapes()
    {
        TheoryData<int, int, int, bool, float, float> data = [];
        (int N, int D, int Latents)[] shapes = [(1, 1, 1), (2, 3, 5), (7, 17, 31), (6, 32, 128), (13, 33, 129), (133, 65, 257), (140, 64, 256)];
        // (gate, magnitude): half open as at the start; sparse with every magnitude positive; sparse where half the magnitudes are positive.
        (float Gate, float Encoder)[] biases = [(0.1f, 0f), (-0.04f, 0.05f), (-0.02f, 0.005f)];
        foreach ((int n, int d, int latents) in shapes)
            foreach (bool tied in new[] { true, false })
                foreach ((float gate, float magnitude) in biases) data.Add(n, d, latents, tied, gate, magnitude);
        return data;
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Gradients_and_losses_match_the_double_reference(int n, int d, int latents, bool tied, float gateBias, float magnitudeBias)
    {
        using CpuDevice device = new(2);
        using SaeCase model = new(device, n, d, latents, tied, gateBias, magnitudeBias);
        foreach (SaeObjective objective in Objectives()) Compare(model, s_variants, objective);
    }

    /// <summary>Several tiles, several pieces, both dense and sparse decoding.</summary>
    [Theory]
    [InlineData(0.1f, 0f, true)]
    [InlineData(-0.045f, 0.05f, true)]
    [InlineData(0.1f, 0f, false)]
    [InlineData(-0.045f, 0.05f, false)]
    public void Batches_of_several_tiles_match_the_double_reference(float gateBias, float magnitudeBias, bool tied)
    {
        using CpuDevice device = new(2);
        using SaeCase model = new(device, 1100, 20, 300, tied, gateBias, magnitudeBias, seed: 2);
        Compare(model, [KernelDispatch.Select("SaeStep")], new SaeObjective { SparsityCoefficient = 0.2 });
    }

    [Fact]
    public void Results_are_the_same_bytes_on_any_number_of_threads()
    {
        List<(string, float[])>? first = null;
        double firstLoss = 0;
        foreach (int threads in new[] { 1, 2, 3, 5 })
        {
            using CpuDevice device = new(threads);
            using SaeCase model = new(device, 700, 48, 400, true, -0.02f, 0.03f);
            model.Step(new SaeObjective { SparsityCoefficient = 0.2 });
            List<(string Name, float[] Values)> arrays = [.. model.Gradients.Arrays()];
            if (first is null) (first, firstLoss) = ([.. arrays], model.Statistics.Loss);
            Assert.Equal(firstLoss, model.Statistics.Loss);
            for (int i = 0; i < arrays.Count; i++)
                Assert.True(arrays[i].Values.AsSpan().SequenceEqual(first[i].Item2), $"{arrays[i].Name} differs on {threads} threads");
        }
    }

    [Theory]
    [InlineData(0.1f, 0f)]
    [InlineData(-0.04f, 0.05f)]
    public void Warm_steps_allocate_nothing(float gateBias, float magnitudeBias)
    {
        using CpuDevice device = new(2);
        using SaeCase model = new(device, 300, 32, 256, true, gateBias, magnitudeBias);
        SaeObjective objective = new() { SparsityCoefficient = 0.2 };
        for (int i = 0; i < 3; i++) model.Step(objective);
        WarmAllocation rounds = new();
        while (rounds.Again()) for (int i = 0; i < 5; i++) model.Step(objective);
        Assert.Equal(0, rounds.Least);
    }

    [Fact]
    public void Memory_does_not_grow_with_the_batch()
    {
        using CpuDevice device = new(2);
        using SaeCase model = new(device, 4000, 16, 4096, true, -0.04f, 0.05f);
        MemoryAccounting.ResetPeak();
        long before = MemoryAccounting.CurrentBytes;
        model.Step(new SaeObjective { SparsityCoefficient = 0.1 });
        long pairs = 4000L * 4096 * sizeof(float);
        Assert.True(MemoryAccounting.PeakBytes - before < pairs / 4, $"a step took {MemoryAccounting.PeakBytes - before} bytes more, tokens x latents would be {pairs}");
    }

    [Fact]
    public void Activations_match_the_reference()
    {
        using CpuDevice device = new(2);
        using SaeCase model = new(device, 50, 40, 200, false, -0.01f, 0.02f);
        using Matrix<float> expected = device.AllocateMatrix<float>(50, 200), actual = device.AllocateMatrix<float>(50, 200);
        using (KernelDispatch.Force(KernelVariant.Reference)) SaeStep.Encode(model.Tokens.View, model.Values.View, model.Workspace, expected.View);
        foreach (KernelVariant variant in s_variants)
        {
            using (KernelDispatch.Force(variant)) SaeStep.Encode(model.Tokens.View, model.Values.View, model.Workspace, actual.View);
            for (int t = 0; t < 50; t++)
                for (int j = 0; j < 200; j++) Assert.True(Math.Abs(expected.Row(t)[j] - actual.Row(t)[j]) < 1e-6, $"{variant}: token {t}, latent {j}");
        }
    }

    [Fact]
    public void Wrong_shapes_are_refused()
    {
        using CpuDevice device = new(1);
        using SaeCase model = new(device, 4, 8, 16, true, 0.1f, 0f);
        using Matrix<float> narrow = device.AllocateMatrix<float>(4, 7);
        Assert.Throws<ArgumentException>(() => SaeStep.Run(narrow.View, model.Values.View, model.Gradients.View, new SaeObjective(), model.Workspace, model.Statistics));
        Assert.Throws<ArgumentException>(() => SaeStep.Run(model.Tokens.View.RowBlock(0, 0), model.Values.View, model.Gradients.View, new SaeObjective(), model.Workspace, model.Statistics));
    }

    internal static IEnumerable<SaeObjective> Objectives()
    {
        yield return new SaeObjective { SparsityCoefficient = 0.3 };
        yield return new SaeObjective { SparsityCoefficient = 50, SparsityScale = SparsityScale.Mean, AuxDoubleBias = true, AuxLatents = 3 };
        yield return new SaeObjective { SparsityCoefficient = 0, AuxCoefficient = 0 };
        yield return new SaeObjective { SparsityCoefficient = 0.1, StraightThrough = StraightThrough.Windowed, Bandwidth = 0.02 };
    }

    private static void Compare(SaeCase model, KernelVariant[] variants, in SaeObjective objective)
    {
        using (KernelDispatch.Force(KernelVariant.Reference)) model.Step(objective);
        SaeStatistics s = model.Statistics;
        (double loss, double recon, double sparsity, double aux, double sst, long a, long b, long c, long with) =
            (s.Loss, s.Reconstruction, s.Sparsity, s.Auxiliary, s.SumSquaredTotal, s.Active, s.ClosedGate, s.NoMagnitude, s.TokensWithActive);
        int[] usage = model.Workspace.UsageCounts.ToArray();
        // Errors are relative to the largest element of each tensor.
        List<double[]> exact = Exact(model, objective);
        List<float[]> plain = PlainSaeStep.Gradients(model, objective);
        foreach (KernelVariant variant in variants)
        {
            using (KernelDispatch.Force(variant)) model.Step(objective);
            // Signs of pre-activations within rounding of zero may differ; the seeds used have none.
            Assert.Equal((a, b, c, with), (s.Active, s.ClosedGate, s.NoMagnitude, s.TokensWithActive));
            Assert.Equal(usage, model.Workspace.UsageCounts.ToArray());
            Assert.Equal(loss, s.Loss, 1e-6 * Math.Abs(loss) + 1e-12);
            Assert.Equal(recon, s.Reconstruction, 1e-6 * recon);
            Assert.Equal(sparsity, s.Sparsity, 1e-6 * sparsity + 1e-12);
            Assert.Equal(aux, s.Auxiliary, 1e-6 * aux);
            Assert.Equal(sst, s.SumSquaredTotal, 1e-6 * sst + 1e-7);
            ErrorRule rule = new();
            foreach ((int index, (string name, float[] got)) in model.Gradients.Arrays().Index()) rule.Add<float>(exact[index], plain[index], got, $"{variant}: d{name}");
            rule.Verify($"{variant}, {model.Tokens.Rows} x {model.Tokens.Columns} x {model.Values.Decoder.Rows}, {objective}");
        }
    }

    /// <summary>The oracle's gradients in double precision, in the order of <see cref="ModelArrays.Arrays"/>.</summary>
    internal static List<double[]> Exact(SaeCase model, in SaeObjective objective)
    {
        SaeReference<double>.Parameters gradients = SaeReference<double>.Parameters.Zero(model.Shape);
        SaeReference<double>.Step(SaeReference<double>.Values(model.Tokens.View), model.Tokens.Rows, SaeReference<double>.Parameters.From(model.Values.View, model.Shape), objective, gradients,
            model.Workspace.Dead.View.Host);
        return [.. gradients.Arrays().Select(a => a.Values)];
    }
}
