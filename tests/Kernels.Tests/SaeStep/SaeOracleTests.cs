using System.Text.Json;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;
using Model = BioSup.Kernels.SaeReference<double>.Parameters;

namespace BioSup.Kernels.Tests;

/// <summary>Losses and gradients of one step against automatic differentiation (tests/golden/sae_architectures_oracle.py).</summary>
public sealed class SaeOracleTests
{
    private static readonly JsonElement s_oracle = JsonDocument.Parse(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "tests", "golden", "sae_architectures_oracle.json"))).RootElement;

    public static TheoryData<int> Cases() => [.. Enumerable.Range(0, s_oracle.GetProperty("cases").GetArrayLength())];

    /// <summary>The double-precision definitions agree to the rounding of double, the engine to that of single precision.</summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public void Losses_and_gradients_are_those_of_automatic_differentiation(int index)
    {
        JsonElement stored = s_oracle.GetProperty("cases")[index];
        (SaeShape shape, SaeObjective objective) = Read(stored.GetProperty("case"));
        int n = s_oracle.GetProperty("tokens").GetInt32();
        using CpuDevice device = new(2);
        using SaeCase model = new(device, n, shape, 0, 0);
        Fill(model.Tokens.Buffer.View.Host, 9, Math.Sqrt(12.0 / shape.InputWidth), 0);
        JsonElement recipe = s_oracle.GetProperty("parameters");
        foreach ((string name, DeviceBuffer<float> buffer) in Buffers(model.Values))
        {
            JsonElement numbers = recipe.GetProperty(name);
            Fill(buffer.View.Host, numbers.GetProperty("salt").GetUInt64(), numbers.GetProperty("scale").GetDouble(), numbers.GetProperty("shift").GetDouble());
        }
        SaeArchitectureCases.MarkDead(model);
        Model gradients = Model.Zero(shape);
        SaeReference<double>.Result exact = SaeReference<double>.Step(SaeReference<double>.Values(model.Tokens.View), n, Model.From(model.Values.View, shape), objective, gradients,
            model.Workspace.Dead.View.Host);
        JsonElement losses = stored.GetProperty("losses");
        Losses(losses, [exact.Loss, exact.Reconstruction, exact.Sparsity, exact.Auxiliary, exact.PreActivation], exact.Active, 1e-12);
        foreach ((string name, double[] values) in gradients.Arrays())
            if (stored.GetProperty("gradients").TryGetProperty(name, out JsonElement golden)) Gradient(name, golden, values, 1e-11);
        model.Step(objective);
        SaeStatistics s = model.Statistics;
        Losses(losses, [s.Loss, s.Reconstruction, s.Sparsity, s.Auxiliary, s.PreActivation], s.Active, 2e-6);
        foreach (((string name, _), (_, float[] values)) in gradients.Arrays().Zip(model.Gradients.Arrays()))
            if (stored.GetProperty("gradients").TryGetProperty(name, out JsonElement golden)) Gradient(name, golden, [.. values.Select(v => (double)v)], 3e-6);
    }

    private static void Losses(JsonElement golden, double[] values, long active, double tolerance)
    {
        Assert.Equal(golden.GetProperty("active").GetInt64(), active);
        foreach ((string name, double value) in ((string[])["loss", "recon", "sparsity", "aux", "below"]).Zip(values))
        {
            double expected = golden.GetProperty(name).GetDouble();
            Assert.True(Math.Abs(expected - value) <= tolerance * Math.Abs(expected), $"{name} is {value:R}, expected {expected:R}");
        }
    }

    private static void Gradient(string name, JsonElement golden, double[] values, double tolerance)
    {
        double norm = golden.GetProperty("norm").GetDouble();
        double[] expected = [.. golden.GetProperty("value").EnumerateArray().Select(v => v.GetDouble())];
        Assert.Equal(norm, Math.Sqrt(values.Sum(v => v * v)), tolerance * norm);
        Assert.Equal(golden.GetProperty("projection").GetDouble(), values.Select((v, i) => v * Uniform(i, 31)).Sum(), tolerance * norm);
        foreach ((int at, int i) in golden.GetProperty("index").EnumerateArray().Select(i => i.GetInt32()).Index())
            Assert.True(Math.Abs(expected[at] - values[i]) <= tolerance * norm, $"d{name}[{i}] is {values[i]:R}, expected {expected[at]:R}");
    }

    private static (SaeShape, SaeObjective) Read(JsonElement c)
    {
        string Text(string key, string otherwise) => c.TryGetProperty(key, out JsonElement v) ? v.GetString()! : otherwise;
        bool Flag(string key, bool otherwise = false) => c.TryGetProperty(key, out JsonElement v) ? v.GetBoolean() : otherwise;
        double Number(string key, double otherwise) => c.TryGetProperty(key, out JsonElement v) ? v.GetDouble() : otherwise;
        SaeShape shape = new()
        {
            Architecture = Enum.Parse<SaeArchitecture>(Text("architecture", "").Replace("-", "", StringComparison.Ordinal), ignoreCase: true),
            InputWidth = s_oracle.GetProperty("d_in").GetInt32(),
            Latents = s_oracle.GetProperty("d_sae").GetInt32(),
            ActiveLatents = s_oracle.GetProperty("k").GetInt32(),
            Tied = Flag("tied", true),
            SubtractDecoderBias = Flag("subtract"),
        };
        SaeObjective objective = new()
        {
            SparsityCoefficient = Number("lam", 0.3),
            SparsityScale = Flag("mean") ? SparsityScale.Mean : SparsityScale.PerToken,
            SparsityExponent = Number("p", 1),
            AuxCoefficient = s_oracle.GetProperty("aux_coefficient").GetDouble(),
            AuxLatents = s_oracle.GetProperty("aux_k").GetInt32(),
            AuxChoice = Text("choice", "dead") == "dead" ? AuxiliaryChoice.Dead : AuxiliaryChoice.ClosedGate,
            AuxDoubleBias = Flag("double_bias"),
            StraightThrough = Text("ste", "exact") == "exact" ? StraightThrough.Exact : StraightThrough.Windowed,
            Bandwidth = s_oracle.GetProperty("bandwidth").GetDouble(),
            JumpReluLoss = Text("loss", "l0") switch { "quadratic" => JumpReluLoss.QuadraticL0, "tanh" => JumpReluLoss.Tanh, _ => JumpReluLoss.L0 },
            TargetL0 = 20,
            PreActivationCoefficient = Number("pre", 0),
            DecoderNorm = Flag("free") ? DecoderNorm.Free : DecoderNorm.Unit,
            Prefixes = c.TryGetProperty("prefixes", out JsonElement prefixes) ? [.. prefixes.EnumerateArray().Select(v => v.GetInt32())] : null,
        };
        return (shape, objective);
    }

    private static IEnumerable<(string, DeviceBuffer<float>)> Buffers(ModelArrays model)
    {
        yield return ("W_enc", model.Encoder.Buffer);
        if (model.Gate is not null) yield return ("W_gate", model.Gate.Buffer);
        yield return ("W_dec", model.Decoder.Buffer);
        yield return ("b_enc", model.EncoderBias);
        if (model.GateBias is not null) yield return ("b_gate", model.GateBias);
        if (model.MagnitudeScale is not null) yield return ("r_mag", model.MagnitudeScale);
        if (model.Threshold is not null) yield return ("threshold", model.Threshold);
        yield return ("b_dec", model.DecoderBias);
    }

    private static void Fill(Span<float> values, ulong salt, double scale, double shift)
    {
        for (int i = 0; i < values.Length; i++) values[i] = (float)(scale * Uniform(i, salt) + shift);
    }

    /// <summary>splitmix64 of (salt, index): multiples of 2^-24 in [-0.5, 0.5).</summary>
    private static double Uniform(long index, ulong salt)
    {
        ulong z = unchecked(((ulong)index + 1) * 0x9E3779B97F4A7C15UL + salt * 0xD1342543DE82EF95UL);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9UL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBUL;
        z ^= z >> 31;
        return (z >> 40) * Math.ScaleB(1, -24) - 0.5;
    }
}
