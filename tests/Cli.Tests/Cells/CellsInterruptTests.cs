using System.Diagnostics;
using BioSup.Cli.Pipeline.Cells;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;

namespace BioSup.Cli.Tests.Cells;

/// <summary>A real process and a real signal: a run that is stopped leaves the file that was there before and, beside it, what it finished.</summary>
public sealed class CellsInterruptTests(CellsFiles files) : IClassFixture<CellsFiles>
{
    private static readonly string s_program = Path.Combine(AppContext.BaseDirectory, "biosup");

    [Fact]
    public void A_stopped_run_leaves_what_was_there_and_goes_on_to_the_same_bytes()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && File.Exists(s_program), $"{s_program} is not there or this is not Linux: signals cannot be sent to a process of its own");
        const string First = "pca:n_comps=5,neighbors:n_neighbors=10", Rest = "leiden,umap:maxiter=20";
        string output = files["stopped.h5ad"], partial = files["stopped.partial.h5ad"];
        Assert.Equal(0, CommandFrameTests.Invoke("cells", files["counts.h5ad"], "--out", output, "--steps", First, "--threads", "1", "--quiet").Code);
        byte[] before = File.ReadAllBytes(output);
        Assert.Equal(0, CommandFrameTests.Invoke("cells", output, "--out", files["whole.h5ad"], "--steps", Rest, "--threads", "1", "--quiet").Code);
        string error;
        using (Child child = new("cells", output, "--out", output, "--steps", "leiden,umap:maxiter=1000000000", "--threads", "1"))
        {
            child.WaitForLine("leiden: ");
            error = child.Stop();
            Assert.Equal(143, child.ExitCode);
        }
        Assert.DoesNotContain("   at ", error);
        Assert.Contains($"kept: 1 of 2 steps in {partial}", error);
        Assert.Contains("--steps leiden,umap:maxiter=1000000000 --threads 1 --resume", error);
        Assert.Equal(before, File.ReadAllBytes(output));
        Assert.Equal(3, CellsRunner.Noted(AnnDataFile.Read(partial)).Count());
        Assert.DoesNotContain(Directory.GetFiles(Path.GetDirectoryName(output)!), f => f.EndsWith(".tmp", StringComparison.Ordinal));
        // A step that was not finished may be asked for otherwise.
        (int code, string said, _) = CommandFrameTests.Invoke("cells", output, "--out", output, "--steps", Rest, "--threads", "1", "--resume");
        Assert.Equal((0, false), (code, said.Contains("leiden: ", StringComparison.Ordinal)));
        Assert.Equal(File.ReadAllBytes(files["whole.h5ad"]), File.ReadAllBytes(output));
        Assert.Contains("leiden</h2>", File.ReadAllText(files["stopped/report.html"]));
        Assert.False(File.Exists(partial));
    }

    [Fact]
    public void A_test_that_fails_leaves_no_process_behind()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && File.Exists(s_program), $"{s_program} is not there or this is not Linux: signals cannot be sent to a process of its own");
        int id = 0;
        Assert.Throws<InvalidOperationException>(Fail);
        Assert.False(Directory.Exists($"/proc/{id}"), "the process outlived its test");

        void Fail()
        {
            using Child child = new("cells", files["counts.h5ad"], "--out", files["left.h5ad"], "--steps", "pca:n_comps=5,neighbors:n_neighbors=10,umap:maxiter=1000000000", "--threads", "1");
            id = child.Id;
            child.WaitForLine("neighbors: ");
            throw new InvalidOperationException("as a failed assertion would");
        }
    }

    /// <summary>The program as a process that does not outlive its test.</summary>
    private sealed class Child : IDisposable
    {
        private readonly Process _process;
        private readonly Task<string> _error;

        public Child(params string[] arguments)
        {
            _process = Process.Start(new ProcessStartInfo(s_program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
            _error = _process.StandardError.ReadToEndAsync();
        }

        public int Id => _process.Id;

        public int ExitCode => _process.ExitCode;

        /// <summary>Reads what the program says until a line begins as given.</summary>
        public void WaitForLine(string begin)
        {
            Task<bool> found = Task.Run(() =>
            {
                while (_process.StandardOutput.ReadLine() is { } line)
                    if (line.StartsWith(begin, StringComparison.Ordinal)) return true;
                return false;
            });
            Assert.True(found.Wait(TimeSpan.FromMinutes(2)), $"the program did not say '{begin}' within two minutes");
            Assert.True(found.Result && !_process.HasExited, $"the run ended before it could be stopped: {(_process.HasExited ? _error.Result : "")}");
        }

        /// <summary>Asks the program to end, as a scheduler does. Not SIGINT: a shell that starts jobs in the background has them ignore it, and children inherit that.</summary>
        /// <returns>What it wrote to stderr.</returns>
        public string Stop()
        {
            using (Process kill = Process.Start("kill", ["-TERM", $"{_process.Id}"])) kill.WaitForExit();
            Assert.True(_process.WaitForExit(TimeSpan.FromMinutes(1)), "the process outlived SIGTERM");
            return _error.Result;
        }

        public void Dispose()
        {
            if (!_process.HasExited)
            {
                _process.Kill();
                _process.WaitForExit();
            }
            _process.Dispose();
        }
    }
}
