using System.Diagnostics;
using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Cli.Tests.Cuda;

/// <summary>The alignment commands in a process of their own, with the emulator in the place of the GPU, against the same commands on the host.</summary>
public sealed class GwOnGpuTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-gw-gpu-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("geodesic")]
    [InlineData("sqeuclidean")]
    public void An_alignment_and_its_scores_are_the_hosts(string cost)
    {
        Assert.SkipUnless(CudaEmulator.TryUse(out string reason), reason);
        WriteClouds();
        string[] align = ["gw", "align", "--x", At("x.npy"), "--y", At("y.npy"), "--cost", cost, "--graph-metric", "euclidean", "--epsilon", "0.01", "--tol", "1e-7", "--max-iter", "40",
            "--truth", "identity", "--json"];
        JsonNode onHost = Run([.. align, "--out", At($"{cost}-host"), "--device", "cpu"]), onGpu = Run([.. align, "--out", At($"{cost}-gpu"), "--device", "cuda"]);
        Assert.Equal((double)onHost["gw_loss"]!, (double)onGpu["gw_loss"]!, 1e-7);
        Assert.Equal((int)onHost["iterations"]!, (int)onGpu["iterations"]!);
        Assert.Equal((string)onHost["verdict"]!["trust"]!, (string)onGpu["verdict"]!["trust"]!);
        using CpuDevice cpu = new(1);
        using Matrix<double> expected = MatrixReader.ReadDouble(cpu, At($"{cost}-host/coupling.npy")), found = MatrixReader.ReadDouble(cpu, At($"{cost}-gpu/coupling.npy"));
        double largest = 0;
        for (int i = 0; i < expected.Rows; i++)
            foreach (double mass in expected.Row(i)) largest = Math.Max(largest, mass);
        for (int i = 0; i < expected.Rows; i++)
            for (int j = 0; j < expected.Columns; j++) Assert.Equal(expected.Row(i)[j], found.Row(i)[j], 1e-6 * largest);

        string[] evaluate = ["gw", "evaluate", "--coupling", At($"{cost}-host/coupling.npy"), "--y", At("y.npy"), "--truth", "identity", "--json"];
        Assert.Equal(Run([.. evaluate, "--device", "cpu"]).ToJsonString(), Run([.. evaluate, "--device", "cuda"]).ToJsonString());
    }

    /// <summary>A curve of 30 points and the same curve bent differently.</summary>
    private void WriteClouds()
    {
        using CpuDevice cpu = new(1);
        CounterRandom random = new(5);
        using Matrix<double> x = cpu.AllocateMatrix<double>(30, 3), y = cpu.AllocateMatrix<double>(30, 2);
        for (int i = 0; i < 30; i++)
        {
            double t = i * i / 900.0;
            (x.Row(i)[0], x.Row(i)[1], x.Row(i)[2]) = (3 * t, Math.Sin(2 * t), 0.05 * random.NextNormal());
            (y.Row(i)[0], y.Row(i)[1]) = (3 * t + 0.02 * random.NextNormal(), t * t);
        }
        MatrixWriter.Write(At("x.npy"), x.View);
        MatrixWriter.Write(At("y.npy"), y.View);
    }

    private string At(string name) => Path.Combine(_folder, name);

    private JsonNode Run(string[] arguments)
    {
        string program = Path.Combine(AppContext.BaseDirectory, "biosup");
        Assert.SkipUnless(File.Exists(program), $"{program} is not there");
        ProcessStartInfo start = new(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["BIOSUP_CACHE_DIR"] = CudaEmulator.KernelFolder;
        using Process process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{string.Join(' ', arguments)}: {process.ExitCode}\n{output}{error.Result}");
        return JsonNode.Parse(output)!;
    }
}
