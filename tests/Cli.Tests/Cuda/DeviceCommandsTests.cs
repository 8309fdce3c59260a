using System.Diagnostics;
using System.Text.Json.Nodes;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Cli.Tests.Cuda;

/// <summary>Commands with --device cuda against the same commands with --device cpu, and what --device auto chooses.</summary>
public sealed class DeviceCommandsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-device-").FullName;

    public DeviceCommandsTests()
    {
        using CpuDevice device = new(1);
        CounterRandom random = new(5);
        using Matrix<double> x = device.AllocateMatrix<double>(60, 8);
        foreach (ref double v in x.Buffer.View.Host) v = random.NextNormal();
        MatrixWriter.Write(At("x.npy"), x.View);
        File.WriteAllLines(At("values.csv"), ["death,class", .. Enumerable.Range(0, 60).Select(i => i == 7 ? ",GBA" : FormattableString.Invariant($"{x.Row(i)[0] + 0.1 * random.NextNormal():R},{(i % 2 == 0 ? "SNCA" : "GBA")}"))]);
    }

    private string At(string name) => Path.Combine(_folder, name);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>Sums are in double precision on both sides and differ in order only.</summary>
    [Fact]
    public void Geometry_on_the_gpu_equals_the_processors()
    {
        TestDevice.RequireGpu();
        JsonNode Run(string device)
        {
            (int code, string output, string error) = CommandFrameTests.Invoke("geometry", "--x", At("x.npy"), "--value", At("values.csv") + ":death", "--missing", "drop", "--group", "class", "--labels", "class",
                "--decoder", At("x.npy"), "--k", "4,9", "--no-ridge", "--permutations", "9", "--out", At(device), "--json", "--quiet", "--device", device, "--threads", "2", "--log", At("log.jsonl"));
            Assert.True(code == 0, error);
            Assert.Empty(error);
            if (device == "cuda") Assert.Contains("\"bytes_left\":0", File.ReadAllLines(At("log.jsonl"))[^1]);
            return JsonNode.Parse(output)!;
        }

        JsonNode expected = Run("cpu"), actual = Run("cuda");
        JsonNumbers.AssertNear(expected, actual, 1e-9, leaveOut: ["out"]);
        Assert.Equal("cuda:0", (string)JsonNode.Parse(File.ReadAllText(Path.Combine(At("cuda"), "manifest.json")))!["device"]!);
        Assert.Equal(2, (int)JsonNode.Parse(File.ReadAllText(Path.Combine(At("cuda"), "manifest.json")))!["threads"]!);
    }

    [Fact]
    public void Auto_takes_the_gpu_and_says_so_in_one_line()
    {
        TestDevice.RequireGpu();
        (int code, string output, string error) = RunProgram(new() { ["BIOSUP_PRINT_CONFIG"] = "1" }, "knn", "--x", At("x.npy"), "--k", "3", "--out", At("auto.npz"));
        Assert.True(code == 0, error);
        Assert.Contains("biosup: KNearestNeighbours on cuda:0: ", error);
        Assert.Contains("biosup: running on cuda:0, ", error);
        Assert.Contains("(--device cpu takes the processor)", error);
        Assert.Contains("3 nearest neighbours of 60 rows", output);
        (code, _, error) = RunProgram([], "knn", "--x", At("x.npy"), "--k", "3", "--out", At("cpu.npz"), "--device", "cpu");
        Assert.Equal((0, ""), (code, error));
        using CpuDevice device = new(1);
        using Matrix<float> expected = MatrixReader.ReadSingle(device, At("cpu.npz") + ":indices"), actual = MatrixReader.ReadSingle(device, At("auto.npz") + ":indices");
        Assert.Equal(expected.ToArray(), actual.ToArray());
    }

    [Fact]
    public void Geometry_prints_the_configurations_of_its_operations()
    {
        TestDevice.RequireGpu();
        (int code, _, string error) = RunProgram(new() { ["BIOSUP_PRINT_CONFIG"] = "1" }, "geometry", "--x", At("x.npy"), "--value", At("values.csv") + ":death", "--missing", "drop", "--labels", "class", "--k", "3", "--no-ridge",
            "--out", At("printed"), "--device", "cuda", "--quiet");
        Assert.True(code == 0, error);
        foreach (string operation in (string[])["Reductions", "Softmax", "TopK", "Elementwise", "Gather"]) Assert.Contains($"biosup: {operation} on cuda:0: ", error);
    }

    [Fact]
    public void Auto_without_a_gpu_takes_the_processor_in_silence()
    {
        (int code, _, string error) = RunProgram(new() { [BiosupEnvironment.LibcudaPathName] = "no/libcuda.so" }, "distance", "--x", At("x.npy"), "--out", At("d.npy"));
        Assert.Equal((0, ""), (code, error));
    }

    [Fact]
    public void Auto_with_a_gpu_but_no_compiler_takes_the_processor_and_says_why()
    {
        TestDevice.RequireGpu();
        (int code, _, string error) = RunProgram(new() { [BiosupEnvironment.NvrtcPathName] = "no/libnvrtc.so" }, "distance", "--x", At("x.npy"), "--out", At("d.npy"));
        Assert.Equal(0, code);
        Assert.StartsWith("biosup: running on the processor: ", error);
        Assert.Single(error.TrimEnd().Split('\n'));
    }

    [Theory]
    [InlineData("cuda:99", 4, "99")]
    [InlineData("abacus", 2, "BIOSUP_DEVICE=abacus: expected auto, cpu or cuda[:N].")]
    public void What_auto_stands_for_is_read_from_the_environment(string preset, int exitCode, string message)
    {
        (int code, _, string error) = RunProgram(new() { [BiosupEnvironment.DeviceName] = preset }, "distance", "--x", At("x.npy"), "--out", At("d.npy"));
        Assert.Equal(exitCode, code);
        if (CudaEmulator.TryUse(out _) || exitCode == 2) Assert.Contains(message, error);
    }

    /// <summary>The program in a process of its own, where auto is auto.</summary>
    private static (int Code, string Output, string Error) RunProgram(Dictionary<string, string> variables, params string[] arguments)
    {
        string program = Path.Combine(AppContext.BaseDirectory, "biosup");
        Assert.SkipUnless(File.Exists(program), $"{program} is not there");
        ProcessStartInfo start = new(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment.Remove(BiosupEnvironment.DeviceName);
        foreach ((string name, string value) in variables) start.Environment[name] = value;
        using Process process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        // Progress lines of a slow machine are no part of what is tested.
        return (process.ExitCode, output, string.Concat(error.Result.Split('\n').Where(line => line.StartsWith("biosup:", StringComparison.Ordinal)).Select(line => line + "\n")));
    }
}
