using System.Globalization;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests;

public sealed class AdamWTests : IDisposable
{
    private static readonly KernelVariant[] s_variants = [KernelVariant.Avx512, KernelVariant.Avx2, KernelVariant.Portable];
    private readonly CpuDevice _device = new(2);

    public void Dispose() => _device.Dispose();

    [Fact]
    public void Six_steps_follow_torch()
    {
        string[] lines = File.ReadAllLines(Path.Combine(RepositoryRoot.Path, "tests", "golden", "optimizer", "adamw.csv"));
        double[][] rows = [.. lines.Skip(1).Select(l => l.Split(',').Select(c => double.Parse(c, CultureInfo.InvariantCulture)).ToArray())];
        int count = rows.Count(r => r[0] == 1);
        foreach (KernelVariant variant in KernelDispatch.All)
        {
            using var forced = KernelDispatch.Force(variant);
            using DeviceBuffer<float> p = _device.Allocate<float>(count), g = _device.Allocate<float>(count), m = _device.Allocate<float>(count), v = _device.Allocate<float>(count);
            for (int i = 0; i < count; i++) p.View.Host[i] = (float)rows[i][2];
            for (int step = 1; step <= 6; step++)
            {
                for (int i = 0; i < count; i++) g.View.Host[i] = (float)rows[(step - 1) * count + i][3];
                double scale = AdamW.ClipScale(Math.Sqrt(AdamW.SumOfSquares(g.View)), 2);
                AdamW.Step(p.View, g.View, m.View, v.View, new AdamWOptions(3e-3, 0.9, 0.98, 1e-8, 0.05), step, scale);
                for (int i = 0; i < count; i++)
                {
                    double expected = rows[(step - 1) * count + i][4];
                    // The same formula rounded in another order: one unit in the last place per step.
                    Assert.True(Math.Abs(p.View.Host[i] - expected) <= step * 1.2e-7 * Math.Max(Math.Abs(expected), 3e-3), $"{variant} step {step} element {i}: {p.View.Host[i]:R}, torch {expected:R}");
                }
            }
        }
    }

    [Fact]
    public void Every_variant_matches_the_reference()
    {
        foreach (int length in ProblemShapes.Lengths.Append(40_000))
        {
            foreach (KernelVariant variant in s_variants)
            {
                CheckSingle(variant, length);
                CheckDouble(variant, length);
            }
        }
    }

    private void CheckSingle(KernelVariant variant, int length)
    {
        using Matrix<float> ours = TestMatrices.Normal<float>(_device, 4, length, 11);
        foreach (ref float v in ours.Row(3)) v = Math.Abs(v);
        double[][] exact = [.. Enumerable.Range(0, 4).Select(r => ours.Row(r).ToArray().Select(v => (double)v).ToArray())];
        float[][] plain = [.. Enumerable.Range(0, 4).Select(r => ours.Row(r).ToArray())];
        for (int i = 0; i < length; i++)
        {
            (double g, double m, double v) = (0.5 * exact[1][i], 0.9 * exact[2][i], 0.99 * exact[3][i]);
            (exact[2][i], exact[3][i]) = (m + (1 - 0.9) * g, v + (1 - 0.99) * g * g);
            exact[0][i] = exact[0][i] * (1 - 1e-2 * 0.1) - 1e-2 / (1 - Math.Pow(0.9, 3)) * exact[2][i] / (Math.Sqrt(exact[3][i]) / Math.Sqrt(1 - Math.Pow(0.99, 3)) + 1e-8);
            float h = 0.5f * plain[1][i];
            (plain[2][i], plain[3][i]) = (0.9f * plain[2][i] + 0.1f * h, 0.99f * plain[3][i] + 0.01f * h * h);
            plain[0][i] = plain[0][i] * (1 - 1e-2f * 0.1f) - 1e-2f / (1 - MathF.Pow(0.9f, 3)) * plain[2][i] / (MathF.Sqrt(plain[3][i]) / MathF.Sqrt(1 - MathF.Pow(0.99f, 3)) + 1e-8f);
        }
        using (KernelDispatch.Force(variant)) Step(ours, 3);
        ErrorRule rule = new();
        for (int r = 0; r < 4; r++) rule.Add<float>(exact[r], plain[r], ours.Row(r), $"array {r}");
        rule.Verify($"{variant} length {length}");
    }

    /// <summary>The oracle is double as well and rounds in another order: a few units of values up to 5 are the cap.</summary>
    private void CheckDouble(KernelVariant variant, int length)
    {
        const double Tolerance = 2e-15;
        using Matrix<double> ours = TestMatrices.Normal<double>(_device, 4, length, 11), exact = TestMatrices.Normal<double>(_device, 4, length, 11);
        foreach (Matrix<double> state in (Matrix<double>[])[ours, exact])
        {
            foreach (ref double v in state.Row(3)) v = Math.Abs(v);
            using var forced = KernelDispatch.Force(state == ours ? variant : KernelVariant.Reference);
            Step(state, 3);
        }
        for (int r = 0; r < 4; r++)
            for (int i = 0; i < length; i++)
                Assert.True(Math.Abs(ours.Row(r)[i] - exact.Row(r)[i]) <= Tolerance, $"{variant} length {length}: array {r} element {i}");
    }

    private static unsafe void Step<T>(Matrix<T> state, long step) where T : unmanaged
    {
        AdamWOptions options = new(1e-2, 0.9, 0.99, 1e-8, 0.1);
        if (typeof(T) == typeof(float))
        {
            DeviceSpan<float> S(int r) => new((float*)(state.View.Pointer + r * state.Columns), state.Columns, state.Device);
            AdamW.Step(S(0), S(1), S(2), S(3), options, step, 0.5);
        }
        else
        {
            DeviceSpan<double> S(int r) => new((double*)(state.View.Pointer + r * state.Columns), state.Columns, state.Device);
            AdamW.Step(S(0), S(1), S(2), S(3), options, step, 0.5);
        }
    }

    [Fact]
    public void Norm_and_scaling_match_the_reference_on_any_number_of_threads()
    {
        double? first = null;
        foreach (int threads in (int[])[1, 2, 3])
        {
            using CpuDevice device = new(threads);
            using Matrix<float> x = TestMatrices.Normal<float>(device, 1, 100_003, 11);
            double sum = AdamW.SumOfSquares(x.Buffer.View), exact;
            using (KernelDispatch.Force(KernelVariant.Reference)) exact = AdamW.SumOfSquares(x.Buffer.View);
            Assert.Equal(exact, sum, 1e-14 * exact);
            first ??= sum;
            Assert.Equal(first, sum);
            float middle = x.Row(0)[50_001], end = x.Row(0)[100_002];
            AdamW.Scale(x.Buffer.View, 0.3);
            Assert.Equal(middle * 0.3f, x.Row(0)[50_001]);
            Assert.Equal(end * 0.3f, x.Row(0)[100_002]);
        }
    }

    [Fact]
    public void Warm_steps_allocate_nothing()
    {
        using Matrix<float> state = TestMatrices.Normal<float>(_device, 4, 50_000, 11);
        for (int i = 1; i < 4; i++) Step(state, i);
        AdamW.SumOfSquares(state.Buffer.View);
        WarmAllocation rounds = new();
        while (rounds.Again())
        {
            Step(state, 4);
            AdamW.SumOfSquares(state.Buffer.View);
        }
        Assert.Equal(0, rounds.Least);
    }
}
