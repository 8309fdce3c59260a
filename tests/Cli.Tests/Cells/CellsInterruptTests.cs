using System.Diagnostics;
using BioSup.Cli.Tests.CommandLine;

namespace BioSup.Cli.Tests.Cells;

/// <summary>A real process and a real signal: a run that is stopped leaves the file that was there before, and no part of a new one.</summary>
public sealed class CellsInterruptTests(CellsFiles files) : IClassFixture<CellsFiles>
{
    [Fact]
    public void A_stopped_run_leaves_what_was_there_and_can_be_taken_up_from_it()
    {
        string program = Path.Combine(AppContext.BaseDirectory, "biosup"), output = files["stopped.h5ad"];
        Assert.SkipUnless(OperatingSystem.IsLinux() && File.Exists(program), $"{program} is not there or this is not Linux: signals cannot be sent to a process of its own");
        const string First = "pca:n_comps=5,neighbors:n_neighbors=10";
        Assert.Equal(0, CommandFrameTests.Invoke("cells", files["counts.h5ad"], "--out", output, "--steps", First, "--threads", "1", "--quiet").Code);
        byte[] before = File.ReadAllBytes(output);
        string[] arguments = ["cells", output, "--out", output, "--steps", "leiden,umap:maxiter=1000000000", "--threads", "1"];
        using (Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!)
        {
            Task<string> error = process.StandardError.ReadToEndAsync();
            while (process.StandardOutput.ReadLine() is { } line && !line.StartsWith("leiden: ", StringComparison.Ordinal))
            {
            }
            Assert.False(process.HasExited, "the run ended before it could be stopped");
            // Not SIGINT: a shell that starts jobs in the background has them ignore it, and children inherit that.
            using (Process kill = Process.Start("kill", ["-TERM", $"{process.Id}"])) kill.WaitForExit();
            bool ended = process.WaitForExit(TimeSpan.FromMinutes(1));
            // What would not stop must not go on beside the tests that follow.
            if (!ended) process.Kill();
            Assert.True(ended, "the process outlived SIGTERM");
            Assert.Equal(143, process.ExitCode);
            Assert.DoesNotContain("   at ", error.Result);
        }
        Assert.Equal(before, File.ReadAllBytes(output));
        Assert.DoesNotContain(Directory.GetFiles(Path.GetDirectoryName(output)!), f => f.EndsWith(".tmp", StringComparison.Ordinal));
        Assert.Equal(0, CommandFrameTests.Invoke("cells", output, "--out", output, "--steps", "leiden", "--threads", "1", "--quiet").Code);
    }
}
