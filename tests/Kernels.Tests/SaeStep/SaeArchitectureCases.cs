using BioSup.Kernels;

namespace BioSup.Kernels.Tests;

/// <summary>Every architecture with its losses: what tests of the step run over.</summary>
internal static class SaeArchitectureCases
{
    /// <summary>Shapes and objectives by name, for d_in × d_sae.</summary>
    public static IEnumerable<(string Name, SaeShape Shape, SaeObjective Objective)> All(int d, int latents)
    {
        SaeObjective plain = new() { SparsityCoefficient = 0.3, AuxCoefficient = 0.5, AuxLatents = 3, AuxChoice = AuxiliaryChoice.Dead };
        SaeObjective closed = plain with { AuxChoice = AuxiliaryChoice.ClosedGate, AuxDoubleBias = true };
        SaeObjective window = plain with { Bandwidth = 0.02 };
        foreach (bool tied in (bool[])[true, false])
        {
            string name = tied ? "gated tied" : "gated untied";
            SaeShape gated = SaeShape.Gated(d, latents, tied);
            yield return ($"{name} exact", gated, closed);
            yield return ($"{name} exact, free norm", gated, closed with { DecoderNorm = DecoderNorm.Free, SparsityScale = SparsityScale.Mean, SparsityCoefficient = 3 });
            yield return ($"{name} exact, dead", gated with { SubtractDecoderBias = true }, plain);
            yield return ($"{name} windowed", gated, closed with { StraightThrough = StraightThrough.Windowed, Bandwidth = 0.02 });
            yield return ($"{name} windowed, dead", gated with { SubtractDecoderBias = true }, window with { StraightThrough = StraightThrough.Windowed, DecoderNorm = DecoderNorm.Free });
        }
        SaeShape shape = new() { InputWidth = d, Latents = latents, ActiveLatents = Math.Min(3, latents) };
        yield return ("gated-original", shape with { Architecture = SaeArchitecture.GatedOriginal, SubtractDecoderBias = true }, plain);
        yield return ("gated-original, free norm", shape with { Architecture = SaeArchitecture.GatedOriginal }, plain with { DecoderNorm = DecoderNorm.Free });
        yield return ("relu", shape with { Architecture = SaeArchitecture.Relu }, plain);
        yield return ("relu, p = 0.5, free norm", shape with { Architecture = SaeArchitecture.Relu, SubtractDecoderBias = true }, plain with { SparsityExponent = 0.5, SparsityCoefficient = 0.01, DecoderNorm = DecoderNorm.Free });
        yield return ("topk", shape with { Architecture = SaeArchitecture.TopK, SubtractDecoderBias = true }, plain);
        yield return ("batchtopk", shape with { Architecture = SaeArchitecture.BatchTopK, SubtractDecoderBias = true }, plain);
        yield return ("matryoshka", shape with { Architecture = SaeArchitecture.Matryoshka, SubtractDecoderBias = true }, plain with { Prefixes = [.. ((int[])[latents / 4, latents / 2, latents]).Where(p => p > 0).Distinct()] });
        yield return ("matryoshka, one prefix", shape with { Architecture = SaeArchitecture.Matryoshka }, plain with { AuxCoefficient = 0 });
        SaeShape jump = shape with { Architecture = SaeArchitecture.JumpRelu };
        yield return ("jumprelu L0", jump, window);
        yield return ("jumprelu quadratic", jump with { SubtractDecoderBias = true }, window with { JumpReluLoss = JumpReluLoss.QuadraticL0, TargetL0 = 2.5, AuxCoefficient = 0 });
        yield return ("jumprelu tanh", jump, window with { JumpReluLoss = JumpReluLoss.Tanh, PreActivationCoefficient = 0.2 });
        yield return ("jumprelu tanh, free norm", jump with { SubtractDecoderBias = true },
            window with { JumpReluLoss = JumpReluLoss.Tanh, PreActivationCoefficient = 0.2, DecoderNorm = DecoderNorm.Free, SparsityScale = SparsityScale.Mean });
    }

    public static TheoryData<string> Names() => [.. All(6, 9).Select(c => c.Name)];

    public static (SaeShape Shape, SaeObjective Objective) Get(string name, int d, int latents)
    {
        (_, SaeShape shape, SaeObjective objective) = All(d, latents).Single(c => c.Name == name);
        return (shape, objective);
    }

    /// <summary>Every third latent counts as dead.</summary>
    public static void MarkDead(SaeCase model)
    {
        byte[] dead = [.. Enumerable.Range(0, model.Shape.Latents).Select(j => (byte)(j % 3 == 1 ? 1 : 0))];
        model.Workspace.Dead.CopyFrom(dead);
    }
}
