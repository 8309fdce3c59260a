using BioSup.Runtime;

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
        using CpuDevice host = new(1);
        (SaeShape shape, SaeObjective objective) = SaeArchitectureCases.Get(name, 13, 45);
        using SaeCase model = new(host, 40, shape, -0.01f, 0.01f, seed: 5);
        SaeArchitectureCases.MarkDead(model);
        using CudaSaeCase copy = new(device, model, 32);
        SaeStepCudaTests.Compare(model, copy, objective);
    }
}
