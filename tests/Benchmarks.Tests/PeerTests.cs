using System.Diagnostics;
using BioSup.Shapes;

namespace BioSup.Benchmarks.Tests;

/// <summary>A peer that computes something else would be no peer.</summary>
public sealed class PeerTests
{
    [Fact]
    public void The_fastest_formulation_of_a_training_step_has_the_gradients_of_the_plain_one()
    {
        string python = Environment.GetEnvironmentVariable("BIOSUP_PYTHON") ?? "/usr/bin/python3";
        Assert.SkipUnless(File.Exists(python), $"{python} does not exist: set BIOSUP_PYTHON to a Python with PyTorch");
        (int code, string output) = Run(python, "-c", "import torch");
        Assert.SkipUnless(code == 0, $"{python} has no PyTorch: set BIOSUP_PYTHON to one that has");
        (code, output) = Run(python, Path.Combine(RepositoryRoot.Path, "benchmarks", "peers", "torch_sae_step.py"), "--check");
        Assert.True(code == 0, output);
        Assert.Equal(16, output.Split('\n').Count(l => l.Contains("largest difference", StringComparison.Ordinal)));
    }

    private static (int Code, string Output) Run(string program, params string[] arguments)
    {
        ProcessStartInfo start = new(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["PYTHONDONTWRITEBYTECODE"] = "1";
        start.Environment["OMP_NUM_THREADS"] = "1";
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + errors.Result);
    }
}
