using System.Diagnostics;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Sae;

/// <summary>Real processes, real signals: whatever ends a training run, resuming it leaves the bytes of a run that nothing interrupted.</summary>
public sealed class SaeInterruptTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-sae-cli-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_run_survives_kill_sigterm_and_sigint_with_identical_bytes()
    {
        string program = Path.Combine(AppContext.BaseDirectory, "biosup");
        Assert.SkipUnless(OperatingSystem.IsLinux() && File.Exists(program), $"{program} is not there or this is not Linux: signals cannot be sent to a process of its own");
        string[] train = WriteInputs(steps: 6000);
        string whole = Path.Combine(_folder, "whole"), cut = Path.Combine(_folder, "cut");
        Assert.Equal(0, CommandFrameTests.Invoke([.. train, "--out", whole]).Code);

        (int killed, _) = Interrupt(program, [.. train, "--out", cut], cut, afterRows: 5, "KILL");
        Assert.Equal(137, killed);
        (int terminated, string message) = Interrupt(program, [.. train, "--out", cut, "--resume"], cut, afterRows: 10, "TERM");
        Assert.Equal(143, terminated);
        Assert.Contains("SIGTERM", message, StringComparison.Ordinal);
        (int interrupted, _) = Interrupt(program, [.. train, "--out", cut, "--resume"], cut, afterRows: 15, "INT");
        Assert.Equal(130, interrupted);
        Assert.False(File.Exists(Path.Combine(cut, "model.safetensors")));

        Assert.Equal(0, CommandFrameTests.Invoke([.. train, "--out", cut, "--resume"]).Code);
        foreach (string file in new[] { "model.safetensors", "train_log.csv", "config.json" })
            Assert.True(File.ReadAllBytes(Path.Combine(whole, file)).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(cut, file))), $"{file} differs");
    }

    [Fact]
    public void A_truncated_checkpoint_is_one_sentence_and_exit_code_3()
    {
        string[] train = WriteInputs(steps: 40);
        string folder = Path.Combine(_folder, "run");
        Assert.Equal(0, CommandFrameTests.Invoke([.. train, "--out", folder]).Code);
        foreach (string name in new[] { "checkpoint.safetensors", "checkpoint.previous.safetensors" })
        {
            string checkpoint = Path.Combine(folder, name);
            File.WriteAllBytes(checkpoint, File.ReadAllBytes(checkpoint)[..5000]);
        }
        (int code, string output, string error) = CommandFrameTests.Invoke([.. train, "--out", folder, "--resume", "--quiet"]);
        Assert.Equal(3, code);
        Assert.Empty(output);
        Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.Contains("checkpoint", error, StringComparison.Ordinal);
    }

    [Fact]
    public void Train_encode_eval_and_export_work_together()
    {
        string[] train = WriteInputs(steps: 60);
        string folder = Path.Combine(_folder, "run"), tokens = Path.Combine(_folder, "x.npy");
        Assert.Equal(0, CommandFrameTests.Invoke([.. train, "--out", folder]).Code);
        Assert.Equal("step,lr,sparsity_coeff,loss,recon,sparsity,aux,fvu,l0,dead,grad_norm,tokens_per_s", File.ReadLines(Path.Combine(folder, "train_log.csv")).First());
        Assert.True(File.Exists(Path.Combine(folder, "manifest.json")));
        (int code, string output, _) = CommandFrameTests.Invoke("sae", "eval", "--model", folder, "--tokens", tokens, "--json");
        Assert.Equal(0, code);
        Assert.True((double)System.Text.Json.Nodes.JsonNode.Parse(output)!["l0"]! > 0);
        Assert.Equal(0, CommandFrameTests.Invoke("sae", "encode", "--model", folder, "--tokens", tokens, "--out", Path.Combine(_folder, "l.npz")).Code);
        Assert.Equal([300, 48], NpzFile.Read(Path.Combine(_folder, "l.npz"), "X").Shape);
        foreach ((string format, string file) in new[] { ("jumprelu", "j.safetensors"), ("reference", "r.safetensors"), ("sae-lens", "lens") })
            Assert.Equal(0, CommandFrameTests.Invoke("sae", "export", "--model", folder, "--format", format, "--out", Path.Combine(_folder, file)).Code);
        Assert.Equal(2, CommandFrameTests.Invoke("sae", "encode", "--model", folder, "--tokens", tokens, "--out", Path.Combine(_folder, "l.npz"), "--pool", "mean").Code);
        // Weights go round: the exported model starts another run.
        Assert.Equal(0, CommandFrameTests.Invoke("sae", "train", "--tokens", tokens, "--init", Path.Combine(_folder, "r.safetensors"), "--steps", "1", "--out", Path.Combine(_folder, "again")).Code);
    }

    [Theory]
    [InlineData(2, "--order", "random")]
    [InlineData(2, "--steps", "0")]
    [InlineData(2, "--config", "nowhere.json")]
    [InlineData(3, "--init", "nowhere.safetensors")]
    public void Wrong_requests_are_refused(int expected, string option, string value)
    {
        string[] train = WriteInputs(steps: 3);
        string[] args = option == "--steps" ? [.. train[..^2], "--out", _folder] : [.. train, "--out", _folder];
        Assert.Equal(expected, CommandFrameTests.Invoke([.. args, option, value]).Code);
    }

    private string[] WriteInputs(int steps)
    {
        string tokens = Path.Combine(_folder, "x.npy"), config = Path.Combine(_folder, "sae.json");
        using CpuDevice device = new(1);
        using Matrix<float> x = device.AllocateMatrix<float>(300, 16);
        CounterRandom random = new(3);
        foreach (ref float v in x.Buffer.View.Host) v = (float)(0.25 * random.NextNormal());
        MatrixWriter.Write(tokens, x.View);
        File.WriteAllText(config, """{ "d_sae": 48, "batch": 60, "log_every": 20, "checkpoint_every": 30, "sparsity_coeff": 0.02, "normalise": "paper" }""");
        return ["sae", "train", "--tokens", tokens, "--config", config, "--threads", "1", "--seed", "7", "--steps", $"{steps}"];
    }

    private static (int ExitCode, string Error) Interrupt(string program, string[] args, string folder, int afterRows, string signal)
    {
        // A shell that starts jobs in the background has them ignore SIGINT, and children inherit that: env gives the signal its meaning back.
        ProcessStartInfo start = new("env", ["--default-signal=INT", program, .. args]) { RedirectStandardError = true, RedirectStandardOutput = true };
        using Process process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync(), output = process.StandardOutput.ReadToEndAsync();
        Stopwatch patience = Stopwatch.StartNew();
        string log = Path.Combine(folder, "train_log.csv");
        while (!process.HasExited && (!File.Exists(Path.Combine(folder, "checkpoint.safetensors")) || Rows(log) < afterRows))
        {
            Assert.True(patience.Elapsed < TimeSpan.FromMinutes(2), "the run never reached the row");
            Thread.Sleep(2);
        }
        Assert.False(process.HasExited, "the run ended before it could be interrupted");
        using (Process kill = Process.Start("kill", ["-" + signal, $"{process.Id}"])) kill.WaitForExit();
        Assert.True(process.WaitForExit(TimeSpan.FromMinutes(1)), $"the process outlived SIG{signal}");
        process.WaitForExit();
        _ = output.Result;
        return (process.ExitCode, error.Result);
    }

    private static int Rows(string log)
    {
        try
        {
            return File.Exists(log) ? File.ReadAllText(log).Count(c => c == '\n') : 0;
        }
        catch (IOException)
        {
            return 0;
        }
    }
}
