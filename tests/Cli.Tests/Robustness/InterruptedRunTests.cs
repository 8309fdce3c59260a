using System.Diagnostics;
using System.Text.Json.Nodes;
using BioSup.Cli.Tests.CommandLine;

namespace BioSup.Cli.Tests.Robustness;

/// <summary>A run that is ended in the middle goes on where it was, and a log that cannot be written costs no results.</summary>
public sealed class InterruptedRunTests(BrokenInputs inputs) : IClassFixture<BrokenInputs>
{
    [Fact]
    public void Resuming_after_sigterm_finishes_without_repeating_finished_stages()
    {
        string program = Path.Combine(AppContext.BaseDirectory, "biosup"), folder = inputs.At("cut-run"), whole = inputs.At("whole-run");
        Assert.SkipUnless(OperatingSystem.IsLinux() && File.Exists(program), $"{program} is not there or this is not Linux: signals cannot be sent to a process of its own");
        inputs.Text("run.json", """
            { "images": { "path": "images", "encoder": "dictionary", "dictionary_channels": 6, "dictionary_window": 4, "dictionary_cell": 4, "patch": 16, "stride": 16 },
              "sae": { "d_sae": 48, "batch": 64, "epochs": 1500, "log_every": 20, "checkpoint_every": 30 } }
            """);
        string[] arguments = ["run", inputs.At("run.json"), "--threads", "1", "--quiet", "--json"];
        using (Process process = Process.Start(new ProcessStartInfo(program, [.. arguments, "--out", folder]) { RedirectStandardOutput = true, RedirectStandardError = true })!)
        {
            Task<string> output = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
            Stopwatch patience = Stopwatch.StartNew();
            while (!process.HasExited && !File.Exists(Path.Combine(folder, "sae", "checkpoint.safetensors")))
            {
                Assert.True(patience.Elapsed < TimeSpan.FromMinutes(2), "the run never reached a checkpoint");
                Thread.Sleep(2);
            }
            Assert.False(process.HasExited, "the run ended before it could be interrupted");
            using (Process kill = Process.Start("kill", ["-TERM", $"{process.Id}"])) kill.WaitForExit();
            Assert.True(process.WaitForExit(TimeSpan.FromMinutes(1)), "the process outlived SIGTERM");
            process.WaitForExit();
            Assert.Equal(143, process.ExitCode);
            Assert.Equal(143, (int)JsonNode.Parse(output.Result)!["error"]!["exit_code"]!);
            Assert.Empty(error.Result);
        }
        Assert.False(File.Exists(Path.Combine(folder, "report.html")));
        DateTime tokens = File.GetLastWriteTimeUtc(Path.Combine(folder, "tokens", "index.json"));

        Assert.Equal(0, CommandFrameTests.Invoke([.. arguments, "--out", folder, "--resume"]).Code);
        Assert.Equal(tokens, File.GetLastWriteTimeUtc(Path.Combine(folder, "tokens", "index.json")));
        Assert.True(File.Exists(Path.Combine(folder, "report.html")));
        DateTime model = File.GetLastWriteTimeUtc(Path.Combine(folder, "sae", "model.safetensors"));
        Assert.Equal(0, CommandFrameTests.Invoke([.. arguments, "--out", folder, "--resume"]).Code);
        Assert.Equal(model, File.GetLastWriteTimeUtc(Path.Combine(folder, "sae", "model.safetensors")));

        Assert.Equal(0, CommandFrameTests.Invoke([.. arguments, "--out", whole]).Code);
        Assert.Equal(File.ReadAllBytes(Path.Combine(whole, "sae", "model.safetensors")), File.ReadAllBytes(Path.Combine(folder, "sae", "model.safetensors")));
    }

    [Theory]
    [InlineData("{")]
    [InlineData("""{ "align": 3 }""")]
    [InlineData("""{ "align": { "key": 3, "seconds": "x" } }""")]
    public void A_damaged_ledger_proves_nothing_finished(string ledger)
    {
        inputs.Text("run.json", """{ "align": { "x": "x.npy", "y": "y.npy", "knn": 5, "max_iter": 2, "null": 0 } }""");
        Directory.CreateDirectory(inputs.At("again"));
        File.WriteAllText(inputs.At("again/stages.json"), ledger);
        Assert.Equal(0, CommandFrameTests.Invoke("run", inputs.At("run.json"), "--out", inputs.At("again"), "--resume", "--threads", "1", "--quiet", "--json").Code);
    }

    [Fact]
    public void A_log_on_a_full_disk_is_a_warning()
    {
        Assert.SkipUnless(File.Exists("/dev/full"), "/dev/full is not there: no disk that is always full");
        (int code, string output, string error) = CommandFrameTests.Invoke("doctor", "--json", "--threads", "1", "--log", "/dev/full");
        Assert.Equal(0, code);
        Assert.Equal("doctor", (string)JsonNode.Parse(output)!["command"]!);
        Assert.StartsWith("biosup: warning: --log /dev/full: the log is incomplete", error);
        (code, output, _) = CommandFrameTests.Invoke("knn", "--x", inputs.At("nan.npy"), "--k", "2", "--out", inputs.At("k.npz"), "--json", "--log", "/dev/full");
        Assert.Equal((3, 3), (code, (int)JsonNode.Parse(output)!["error"]!["exit_code"]!));
    }
}
