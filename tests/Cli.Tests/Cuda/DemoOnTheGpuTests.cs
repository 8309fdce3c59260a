using System.Text.Json.Nodes;
using BioSup.Cli.Tests.CommandLine;

namespace BioSup.Cli.Tests.Cuda;

/// <summary>
/// The whole pipeline on the GPU, or the emulated one, against the processor: images, tokens and pictures of the cohort are the host's on both sides; the autoencoder,
/// geometry and the alignment are the device's.
/// </summary>
public sealed class DemoOnTheGpuTests : IDisposable
{
    /// <summary>
    /// Training is in single precision, whose products are summed in another order on each device; two dozen steps of AdamW carry that on. What comes after is
    /// in double precision but starts from those latents.
    /// </summary>
    private const double Tolerance = 1e-4;

    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-demo-gpu-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void The_tiny_demo_gives_the_processors_figures()
    {
        TestDevice.RequireGpu();
        Run("cpu");
        Run("cuda");
        Assert.Equal("cuda:0", (string)Read("cuda", "manifest.json")["device"]!);
        JsonNode closed = File.ReadAllLines(Path.Combine(_folder, "cuda.jsonl")).Select(line => JsonNode.Parse(line)!).Single(entry => (string)entry["event"]! == "device");
        Assert.Equal(0, (long)closed["bytes_left"]!);
        Compare("recovery.json");
        Compare("sae/evaluation.json", "tokens_per_second");
        Compare("geometry/geometry.json");
        // Iteration counts, errors below the tolerance of the solver and gaps of that size are no figures of the result.
        Compare("gw/result.json", "seconds", "error_trace", "iterations", "inner_iterations", "last_inner_error", "marginal_error_rows", "marginal_error_columns", "certificates", "verdict");
        JsonNode expected = Read("cpu", "gw/result.json")["verdict"]!, actual = Read("cuda", "gw/result.json")["verdict"]!;
        Assert.Equal((string)expected["trust"]!, (string)actual["trust"]!);
        JsonNumbers.AssertNear(expected["label_transfer"], actual["label_transfer"], Tolerance, []);
        Assert.True(new FileInfo(Path.Combine(_folder, "cuda", "report.html")).Length > 100_000);
    }

    private void Run(string device)
    {
        (int code, _, string error) = CommandFrameTests.Invoke("demo", "--size", "tiny", "--out", Path.Combine(_folder, device), "--device", device, "--quiet", "--log", Path.Combine(_folder, $"{device}.jsonl"));
        Assert.True(code == 0, error);
    }

    private void Compare(string file, params string[] leaveOut) => JsonNumbers.AssertNear(Read("cpu", file), Read("cuda", file), Tolerance, leaveOut, file);

    private JsonNode Read(string device, string file) => JsonNode.Parse(File.ReadAllText(Path.Combine(_folder, device, file)))!;
}
