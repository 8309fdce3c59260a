using System.CommandLine;
using System.Security.Cryptography;
using System.Text.Json;
using BioSup.Cli.Pipeline.Cells;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Cells;

/// <summary>A run that is stopped after every single step and goes on each time ends as one that was not stopped: the file, the tables, the figures.</summary>
public sealed class CellsCheckpointTests(CellsFiles files) : IClassFixture<CellsFiles>
{
    private const string Short = "log1p,pca:n_comps=5,violin:keys=cell_death:groupby=superclass";

    [Theory]
    [MemberData(nameof(CellsDeterminismTests.Pipelines), MemberType = typeof(CellsDeterminismTests))]
    public void Stopped_after_every_step_a_run_ends_with_the_same_bytes(string input, string steps)
    {
        Stopping stopping = new(this, input, steps, "stopped.h5ad");
        IReadOnlyList<FinishedStep>? whole = stopping.Run(resume: false, stopAfter: int.MaxValue), parts = null;
        AnnDataFile.Write(files["whole.h5ad"], stopping.Cells);
        for (int i = 0; parts is null; i++) parts = stopping.Run(resume: i > 0, stopAfter: 1);
        AnnDataFile.Write(files["stopped.h5ad"], stopping.Cells);
        Assert.Equal(File.ReadAllBytes(files["whole.h5ad"]), File.ReadAllBytes(files["stopped.h5ad"]));
        Assert.Equal(whole!.Select(Kept), parts.Select(Kept));
    }

    [Fact]
    public void What_a_stopped_step_had_set_already_is_not_kept()
    {
        using CpuDevice host = new(1);
        Stopping stopping = new(this, "counts.h5ad", Short, "half.h5ad");
        CancellationTokenSource source = new();
        PlannedStep half = new(new HalfStep(source), StepSettings.Parse(new HalfStep(source), []));
        Assert.Null(stopping.Run(resume: false, stopAfter: 9, [.. stopping.Plan, half], source));
        AnnData kept = AnnDataFile.Read(files["half.partial.h5ad"]);
        Assert.False(kept.Obs.Contains("half"));
        Assert.True(kept.Obsm.ContainsKey("X_pca"));
        Assert.Equal(3, CellsRunner.Noted(kept).Count());
    }

    [Fact]
    public void Work_of_a_minute_is_kept_without_being_asked_and_an_error_leaves_it()
    {
        Stopping stopping = new(this, "counts.h5ad", Short, "long.h5ad") { Interval = 1e-9 };
        Assert.Throws<UsageException>(() => stopping.Run(resume: false, stopAfter: 9, CellSteps.Parse($"{Short},violin:keys=nobody", CellSteps.All)));
        Assert.Equal(3, CellsRunner.Noted(AnnDataFile.Read(files["long.partial.h5ad"])).Count());
        Assert.Equal(4, stopping.Run(resume: true, stopAfter: 9, CellSteps.Parse($"{Short},violin:keys=gene5:groupby=superclass", CellSteps.All))!.Count);
        stopping = new(this, "counts.h5ad", Short, "brief.h5ad");
        Assert.Equal(3, stopping.Run(resume: false, stopAfter: int.MaxValue)!.Count);
        Assert.False(File.Exists(files["brief.partial.h5ad"]));
    }

    [Fact]
    public void A_run_goes_on_only_where_it_is_the_same_run()
    {
        Assert.Null(new Stopping(this, "counts.h5ad", Short, "same.h5ad").Run(resume: false, stopAfter: 2));
        string partial = files["same.partial.h5ad"];
        foreach ((string[] change, string expected) in new (string[], string)[]
        {
            (["--steps", "log1p,pca:n_comps=6"], "its step 2 is pca:n_comps=5"),
            (["--steps", "log1p"], "that of this one none"),
            (["--steps", Short, "--seed", "4"], "its seed is 0, that of this one 4"),
            (["--steps", Short, "--obs", files["names.csv"]], "its input (by its SHA-256)"),
        })
        {
            File.WriteAllText(files["names.csv"], "cell,extra\ncell0,1\n");
            (int code, _, string error) = Invoke("same.h5ad", [.. change, "--resume"]);
            Assert.Equal(2, code);
            Assert.Contains(expected, error);
            Assert.True(File.Exists(partial));
        }
        (int done, string said, _) = Invoke("same.h5ad", ["--steps", Short, "--resume"]);
        Assert.Equal(0, done);
        Assert.Contains("resumed: 2 of 3 steps", said);
        Assert.DoesNotContain("log1p: ", said);
        Assert.False(File.Exists(partial));
        // Nothing of the interruption is in the file, and a run that had none says so.
        Assert.Equal(["steps"], ((AnnDictionary)AnnDataFile.Read(files["same.h5ad"]).Uns["biosup"]!).Keys);
        (done, _, string warned) = Invoke("same.h5ad", ["--steps", Short, "--resume"]);
        Assert.Equal((0, true), (done, warned.Contains("same.partial.h5ad is not there; the run begins with the first step", StringComparison.Ordinal)));
        File.Copy(files["counts.h5ad"], partial);
        (done, _, warned) = Invoke("same.h5ad", ["--steps", Short, "--resume"]);
        Assert.Equal((3, true), (done, warned.Contains("the notes of an interrupted run were expected", StringComparison.Ordinal)));
    }

    private (int Code, string Output, string Error) Invoke(string output, string[] more) => CommandFrameTests.Invoke(["cells", files["counts.h5ad"], "--out", files[output], "--threads", "1", .. more]);

    private static string Kept(FinishedStep step) => JsonSerializer.Serialize(KeptStep.Of("", step with { Seconds = 0 }));

    /// <summary>The work of the command, with a hand on its cancellation.</summary>
    private sealed class Stopping(CellsCheckpointTests test, string input, string steps, string output)
    {
        public IReadOnlyList<PlannedStep> Plan { get; } = CellSteps.Parse(steps, CellSteps.All);

        public double Interval { get; init; } = 60;

        public AnnData Cells { get; private set; } = null!;

        /// <returns>The steps; null where the run was stopped.</returns>
        public IReadOnlyList<FinishedStep>? Run(bool resume, int stopAfter, IReadOnlyList<PlannedStep>? plan = null, CancellationTokenSource? stop = null)
        {
            using CancellationTokenSource own = new();
            stop ??= own;
            // A plan holds what its steps read, and each run has its own.
            plan ??= CellSteps.Parse(steps, CellSteps.All);
            using CommandContext command = new("cells", BiosupApplication.CreateRoot().Parse(["cells", "--threads", "1", "--quiet"]), stop.Token, null, new CreatedFolders());
            CellsContext context = new() { Cells = CellsInput.Read(command.Host, test.Path(input)), Source = input, Device = command.Host, Host = command.Host, Seed = 0, Cancellation = stop.Token };
            if (input == "latents.npz") CellColumns.Add(context.Cells, test.Path("deaths.csv"));
            CellsCheckpoint checkpoint = new(command, test.Path(output), [Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(test.Path(input))))], plan) { Interval = Interval };
            int ran = 0;
            try
            {
                return CellsRunner.Run(plan, context, _ =>
                {
                    if (++ran == stopAfter) stop.Cancel();
                }, checkpoint, resume ? checkpoint.Resume(context) : []);
            }
            catch (Exception e) when (stop.IsCancellationRequested && e is OperationCanceledException or InvalidOperationException)
            {
                return null;
            }
            finally
            {
                Cells = context.Cells;
            }
        }
    }

    private string Path(string name) => files[name];

    private sealed class HalfStep(CancellationTokenSource source) : ICellStep
    {
        public string Name => "half";
        public string Summary => "sets a column and is stopped";
        public IReadOnlyList<StepParameter> Parameters { get; } = [];

        public StepOutcome Run(StepSettings settings, CellsContext context)
        {
            context.Cells.Obs.Set(FrameColumn.Of("half", new double[context.Cells.ObservationCount]));
            source.Cancel();
            throw new InvalidOperationException("a worker fell over its cancellation");
        }
    }
}
