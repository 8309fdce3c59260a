using BioSup.Shapes;

namespace BioSup.Benchmarks.Tests;

/// <summary>A peer that computes something else would be no peer.</summary>
public sealed class PeerTests
{
    [Fact]
    public void The_fastest_formulation_of_a_training_step_has_the_gradients_of_the_plain_one()
    {
        string? python = Python.Find("import torch", out string reason);
        Assert.SkipWhen(python is null, reason);
        string output = Python.Run(python, Path.Combine(RepositoryRoot.Path, "benchmarks", "peers", "torch_sae_step.py"), "--check");
        Assert.Equal(16, output.Split('\n').Count(l => l.Contains("largest difference", StringComparison.Ordinal)));
    }
}
