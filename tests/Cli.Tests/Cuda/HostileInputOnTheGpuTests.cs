using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Cuda;

/// <summary>Values are looked at before they travel: a device never sees what the processor would have refused.</summary>
public sealed class HostileInputOnTheGpuTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-hostile-").FullName;

    public HostileInputOnTheGpuTests()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = device.AllocateMatrix<double>(40, 6);
        CounterRandom random = new(3);
        foreach (ref double v in x.Buffer.View.Host) v = random.NextNormal();
        x.Row(3)[2] = double.NaN;
        MatrixWriter.Write(At("x.npy"), x.View);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("knn --k 3 --x")]
    [InlineData("distance --x")]
    [InlineData("sae train --steps 2 --tokens")]
    [InlineData("gw align --knn 5 --y {x.npy} --x")]
    public void The_gpu_refuses_what_the_processor_refuses_in_the_same_words(string command)
    {
        TestDevice.RequireGpu();
        (int Code, string Error) Run(string device)
        {
            string[] arguments = [.. command.Replace("{x.npy}", At("x.npy"), StringComparison.Ordinal).Split(' '), At("x.npy"), "--out", At(command.StartsWith("distance", StringComparison.Ordinal) ? "d.npy" : "d.npz"), "--device", device, "--quiet"];
            (int code, _, string error) = CommandFrameTests.Invoke(arguments);
            return (code, error);
        }

        (int Code, string Error) expected = Run("cpu");
        Assert.True(expected.Code is 2 or 3, expected.Error);
        Assert.Equal(expected, Run("cuda"));
    }

    private string At(string name) => Path.Combine(_folder, name);
}
