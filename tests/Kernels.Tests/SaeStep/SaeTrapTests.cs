using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Kernels.Tests;

/// <summary>Mistakes that other trainers shipped: the decoder bias counted twice, a residual that is not held constant, a threshold applied twice.</summary>
public sealed class SaeTrapTests
{
    private static readonly SaeArchitecture[] s_auxiliary = [SaeArchitecture.Gated, SaeArchitecture.Relu, SaeArchitecture.TopK, SaeArchitecture.BatchTopK, SaeArchitecture.Matryoshka, SaeArchitecture.JumpRelu];

    public static TheoryData<SaeArchitecture> Architectures() => [.. s_auxiliary];

    /// <summary>
    /// The auxiliary target is held constant and holds b_dec already: reconstructing it changes the gradients of dead latents alone. Were the bias in
    /// the auxiliary reconstruction, or the residual differentiated, b_dec and living latents would learn from it.
    /// </summary>
    [Theory]
    [MemberData(nameof(Architectures))]
    public void The_auxiliary_loss_reaches_dead_latents_only(SaeArchitecture architecture)
    {
        SaeShape shape = new() { Architecture = architecture, InputWidth = 20, Latents = 90, ActiveLatents = 4 };
        SaeObjective with = new() { SparsityCoefficient = 0.1, AuxCoefficient = 2, AuxChoice = AuxiliaryChoice.Dead, Bandwidth = 0.02 };
        using CpuDevice device = new(2);
        using SaeCase model = new(device, 60, shape, -0.01f, 0);
        SaeArchitectureCases.MarkDead(model);
        model.Step(with with { AuxCoefficient = 0 });
        float[] bias = model.Gradients.DecoderBias.View.Host.ToArray(), decoder = model.Gradients.Decoder.Buffer.View.Host.ToArray(), encoderBias = model.Gradients.EncoderBias.View.Host.ToArray();
        model.Step(with);
        Assert.True(model.Statistics.Auxiliary > 0);
        Assert.Equal(bias, model.Gradients.DecoderBias.View.Host.ToArray());
        bool learnt = false;
        for (int j = 0; j < shape.Latents; j++)
        {
            ReadOnlySpan<float> row = model.Gradients.Decoder.Row(j), before = decoder.AsSpan(j * 20, 20);
            if (j % 3 != 1) Assert.True(row.SequenceEqual(before) && encoderBias[j] == model.Gradients.EncoderBias.View.Host[j], $"latent {j} is not dead");
            else learnt |= !row.SequenceEqual(before);
        }
        Assert.True(learnt);
    }

    /// <summary>A threshold opens a latent and takes nothing from its activation; the k largest of a batch in training know none.</summary>
    [Theory]
    [InlineData(SaeArchitecture.JumpRelu)]
    [InlineData(SaeArchitecture.BatchTopK)]
    public void A_threshold_is_applied_once(SaeArchitecture architecture)
    {
        SaeShape shape = new() { Architecture = architecture, InputWidth = 3, Latents = 3, ActiveLatents = 1 };
        using CpuDevice device = new(1);
        using SaeCase model = new(device, 2, shape, 0, 0);
        using Matrix<float> activations = device.AllocateMatrix<float>(2, 3);
        model.Values.Encoder.Buffer.View.Host.Clear();
        model.Values.EncoderBias.View.Host.Clear();
        for (int i = 0; i < 3; i++) model.Values.Encoder.Row(i)[i] = 1;
        ((float[])[2, 0.5f, 0.25f, 1, 4, -1]).CopyTo(model.Tokens.Buffer.View.Host);
        model.Values.Threshold!.View.Host.Fill(1);
        SaeStep.Encode(model.Tokens.View, model.Values.View, model.Workspace, activations.View);
        Assert.Equal([2, 0, 0, 0, 4, 0], activations.Buffer.View.Host.ToArray());
        if (architecture == SaeArchitecture.JumpRelu) return;
        model.Values.Threshold.View.Host.Fill(100);
        model.Step(new SaeObjective { AuxCoefficient = 0 });
        Assert.Equal(2, model.Statistics.Active);
        Assert.Equal(2, model.Statistics.SmallestActive);
    }
}
