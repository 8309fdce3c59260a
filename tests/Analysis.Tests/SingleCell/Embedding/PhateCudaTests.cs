using BioSup.Analysis.SingleCell;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.SingleCell.Embedding;

/// <summary>PHATE on the GPU, or the emulated one: powers by squaring there, by walking on the processor.</summary>
public sealed class PhateCudaTests
{
    [Theory]
    [InlineData(null)]
    [InlineData(20)]
    public void The_potential_and_the_layout_are_the_processors(int? landmarks)
    {
        using CudaDevice? gpu = CudaEmulator.Open(out string reason);
        Assert.SkipWhen(gpu is null, reason);
        using CpuDevice cpu = new(2);
        CounterRandom random = new(4);
        double[] values = [.. Enumerable.Range(0, 40 * 4).Select(_ => random.NextNormal())];
        PhateOptions options = new() { Landmarks = landmarks };
        using Matrix<double> x = Matrix<double>.From(cpu, 40, 4, values), y = Matrix<double>.From(gpu, 40, 4, values);
        using Phate expected = Phate.Fit(x, options), actual = Phate.Fit(y, options);
        Assert.Equal(expected.Points, actual.Points);
        using Matrix<double> a = expected.Potential(13), b = actual.Potential(13);
        double[] theirs = a.ToArray(), ours = b.ToArray();
        for (int i = 0; i < ours.Length; i++) Assert.Equal(theirs[i], ours[i], 1e-9);
        for (int t = 0; t < 100; t++) Assert.Equal(expected.Entropy()[t], actual.Entropy()[t], 1e-6);
        using PhateLayout first = expected.Embed(13), second = actual.Embed(13);
        Assert.Equal(first.Stress, second.Stress, 1e-6);
    }
}
