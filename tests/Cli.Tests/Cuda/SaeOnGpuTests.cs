using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Cli.Tests.Cuda;

/// <summary>`biosup sae` with --device cuda: the program in a process of its own on the emulated device, against --device cpu.</summary>
public sealed class SaeOnGpuTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-sae-gpu-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Training_encoding_evaluation_and_export_agree_with_the_cpu()
    {
        Assert.SkipUnless(CudaEmulator.TryUse(out string reason), reason);
        WriteTokens();
        File.WriteAllText(At("sae.json"), """{ "d_sae": 64, "batch": 64, "log_every": 2, "sparsity_coeff": 0.02, "sparsity_warmup_steps": 2, "lr": 0.002, "normalise": "paper" }""");
        Train("cuda", "gpu");
        Train("cuda", "again");
        Train("cpu", "cpu");
        Assert.Equal(File.ReadAllBytes(At("gpu/model.safetensors")), File.ReadAllBytes(At("again/model.safetensors")));
        Assert.Equal(File.ReadAllText(At("gpu/train_log.csv")), File.ReadAllText(At("again/train_log.csv")));
        foreach ((string[] want, string[] got) in Rows("cpu").Zip(Rows("gpu")))
        {
            Assert.Equal(want[..3], got[..3]);
            Assert.Equal(Number(want[3]), Number(got[3]), 1e-4 * Number(want[3]));
        }

        foreach (string device in new[] { "cuda", "cpu" })
        {
            Run("sae", "encode", "--device", device, "--model", At("gpu"), "--tokens", At("tokens"), "--out", At($"pooled-{device}.npz"));
            Run("sae", "encode", "--device", device, "--model", At("gpu"), "--tokens", At("tokens"), "--pool", "none", "--out", At($"all-{device}.h5ad"));
        }
        Close(NpzFile.Read(At("pooled-cpu.npz"), "X"), NpzFile.Read(At("pooled-cuda.npz"), "X"));

        JsonNode[] evaluations = [.. new[] { "cpu", "cuda" }.Select(device => JsonNode.Parse(Run("sae", "eval", "--device", device, "--model", At("gpu"), "--tokens", At("tokens"), "--json"))!)];
        foreach (string key in new[] { "fvu", "recon", "l0", "p_mag_positive", "mean_abs_cosine", "decoder_effective_rank" })
            Assert.Equal((double)evaluations[0][key]!, (double)evaluations[1][key]!, 1e-3 * Math.Abs((double)evaluations[0][key]!));

        foreach (string device in new[] { "cuda", "cpu" }) Run("sae", "export", "--device", device, "--model", At("gpu"), "--format", "jumprelu", "--out", At($"{device}.safetensors"));
        Assert.Equal(File.ReadAllBytes(At("cpu.safetensors")), File.ReadAllBytes(At("cuda.safetensors")));
    }

    private void WriteTokens()
    {
        using CpuDevice device = new(1);
        CounterRandom random = new(11);
        using TokenShardWriter writer = new(At("tokens"), 16, rowsPerShard: 100);
        for (int image = 0; image < 4; image++)
        {
            using Matrix<float> tokens = device.AllocateMatrix<float>(48 + image, 16);
            foreach (ref float v in tokens.Buffer.View.Host) v = (float)random.NextNormal();
            writer.AppendImage($"image {image}", tokens.View);
        }
        writer.Complete();
    }

    private void Train(string device, string folder) =>
        Run("sae", "train", "--device", device, "--tokens", At("tokens"), "--config", At("sae.json"), "--steps", "7", "--seed", "3", "--out", At(folder));

    private IEnumerable<string[]> Rows(string folder) => File.ReadAllLines(At($"{folder}/train_log.csv")).Skip(1).Select(line => line.Split(','));

    private static double Number(string cell) => double.Parse(cell, CultureInfo.InvariantCulture);

    private static void Close(NdArray want, NdArray got)
    {
        Assert.Equal(want.Shape, got.Shape);
        foreach ((float a, float b) in want.As<float>().Zip(got.As<float>())) Assert.Equal(a, b, 1e-5);
    }

    private string At(string name) => Path.Combine(_folder, name);

    private string Run(params string[] arguments)
    {
        string program = Path.Combine(AppContext.BaseDirectory, "biosup");
        Assert.SkipUnless(File.Exists(program), $"{program} is not there");
        ProcessStartInfo start = new(program, [.. arguments, "--quiet"]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["BIOSUP_CACHE_DIR"] = At("cache");
        using Process process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{string.Join(' ', arguments)}: exit {process.ExitCode}\n{output}{error.Result}");
        return output;
    }
}
