using BioSup.Kernels;
using BioSup.Runtime;
using Model = BioSup.Kernels.SaeReference<double>.Parameters;

namespace BioSup.Kernels.Tests;

/// <summary>The double-precision definitions of every architecture and loss.</summary>
public sealed class SaeReferenceTests
{
    public static TheoryData<string> Names() => SaeArchitectureCases.Names();

    [Theory]
    [MemberData(nameof(Names))]
    public void Gradients_agree_with_finite_differences(string name)
    {
        const int n = 5, d = 6, latents = 9;
        (SaeShape shape, SaeObjective objective) = SaeArchitectureCases.Get(name, d, latents);
        using CpuDevice device = new(1);
        using SaeCase model = new(device, n, shape, -0.01f, 0.01f);
        SaeArchitectureCases.MarkDead(model);
        Model p = Model.From(model.Values.View, shape), gradients = Model.Zero(shape);
        double[] tokens = SaeReference<double>.Values(model.Tokens.View);
        byte[] dead = model.Workspace.Dead.View.Host.ToArray();
        SaeReference<double>.Result result = SaeReference<double>.Step(tokens, n, p, objective, gradients, dead);
        // The case reaches what it is there for.
        Assert.InRange(result.Active, 1, n * latents - 1);
        if (shape.Architecture == SaeArchitecture.JumpRelu) Assert.Contains(gradients.Threshold, v => v != 0);
        if (objective.AuxCoefficient > 0) Assert.True(result.Auxiliary > 0);
        if (objective.JumpReluLoss == JumpReluLoss.Tanh) Assert.True(result.PreActivation > 0);
        FiniteDifferences.Check(tokens, n, p, objective, dead, gradients);
    }

    [Fact]
    public void The_k_largest_are_chosen_per_token_or_per_batch_and_ties_go_to_the_lower_index()
    {
        // The encoder is the identity: pre-activations are the tokens themselves.
        double[] tokens = [3, 1, 3, 3, -1, 2, 0.5, 2];
        Assert.Equal([0, 2, 5, 7], Chosen(SaeArchitecture.TopK, 2, tokens));
        Assert.Equal([0, 2, 3, 5], Chosen(SaeArchitecture.BatchTopK, 2, tokens));
        Assert.Equal([0, 1, 2, 3, 5, 6, 7], Chosen(SaeArchitecture.BatchTopK, 4, tokens));
    }

    [Fact]
    public void Outside_training_a_threshold_takes_the_place_of_the_batch()
    {
        SaeShape shape = new() { Architecture = SaeArchitecture.BatchTopK, InputWidth = 2, Latents = 2, ActiveLatents = 1 };
        Model p = Identity(shape) with { Threshold = [2, 0.5] };
        SaeReference<double>.Result result = SaeReference<double>.Step([1, 1, 3, 0.25], 2, p, new SaeObjective(), null);
        Assert.Equal([1, 1], result.Usage);
        Assert.True(double.IsNaN(result.SmallestActive));
        Assert.Equal(2, SaeReference<double>.Step([1, 2, 3, 1], 2, p, new SaeObjective(), Model.Zero(shape)).SmallestActive);
    }

    private static int[] Chosen(SaeArchitecture architecture, int k, double[] tokens)
    {
        SaeShape shape = new() { Architecture = architecture, InputWidth = 4, Latents = 4, ActiveLatents = k };
        return [.. SaeReference<double>.Forward(tokens, tokens.Length / 4, Identity(shape), true).Active.Index().Where(p => p.Item).Select(p => p.Index)];
    }

    private static Model Identity(SaeShape shape)
    {
        Model model = Model.Zero(shape);
        for (int i = 0; i < shape.InputWidth; i++) model.Encoder[i * shape.Latents + i] = model.Decoder[i * shape.InputWidth + i] = 1;
        return model;
    }
}
