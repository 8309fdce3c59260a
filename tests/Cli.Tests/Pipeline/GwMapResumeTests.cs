using System.CommandLine;
using System.Text.Json.Nodes;
using BioSup.Cli.Pipeline;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Pipeline;

/// <summary>A `gw map` that is interrupted goes on with what it has finished, and ends with the bytes of one that nothing interrupted.</summary>
public sealed class GwMapResumeTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-resume-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Every_step_is_kept_and_the_end_is_the_same_to_the_byte()
    {
        string config = Write("\"latent\": \"rna.h5ad:obsm/X_scVI\", \"denoised\": \"rna.h5ad:layers/denoised\",");
        Run("whole", config, resume: false, new Watch());
        // Where to stop, and what must not happen again after it.
        (string Stage, int Times, string[] Kept)[] stops =
        [
            ("filtering latents", 1, []),
            ("building costs", 2, []),
            ("tree predictability", 3, ["filtering latents", "principal components"]),
            ("MLP predictability", 40, ["building costs"]),
            // The first 32 models' folds are a part of the null, kept by itself.
            ("MLP predictability", 175, ["building costs"]),
            ("MLP predictability", 300, ["building costs"]),
            ("grouping genes into modules", 1, ["building costs"]),
        ];
        foreach ((string stage, int times, string[] kept) in stops)
        {
            using CancellationTokenSource source = new();
            Watch watch = new() { Stage = stage, Left = times, Source = source };
            Assert.ThrowsAny<OperationCanceledException>(() => Run("cut", config, resume: true, watch));
            Assert.True(source.IsCancellationRequested, $"{stage} was not reported {times} times");
            Assert.Empty(watch.Seen.Intersect(kept));
            Assert.False(File.Exists(Path.Combine(_folder, "cut", "result.json")), stage);
        }
        Watch last = new();
        Run("cut", config, resume: true, last);
        Assert.DoesNotContain("ridge predictability", last.Seen);
        Assert.DoesNotContain("projecting genes", last.Seen);
        RequireSame();
        // Finished: only what a changed section needs is done again.
        Watch regrouped = new();
        Run("cut", config.Replace("\"neighbours\":3", "\"neighbours\":4", StringComparison.Ordinal), resume: true, regrouped);
        Assert.Equal(["reading", "grouping genes into modules"], regrouped.Seen.Except(["projecting genes"]));
        Watch realigned = new();
        Run("cut", config.Replace("0.002", "0.004", StringComparison.Ordinal), resume: true, realigned);
        Assert.DoesNotContain("filtering latents", realigned.Seen);
        Assert.Contains("building costs", realigned.Seen);
        Assert.Contains("MLP predictability", realigned.Seen);
    }

    [Fact]
    public void Without_resume_everything_is_done_again_and_damaged_parts_are_replaced()
    {
        string config = Write("");
        Run("whole", config, resume: false, new Watch());
        Run("cut", config, resume: false, new Watch());
        Watch again = new();
        Run("cut", config, resume: false, again);
        Assert.Contains("building costs", again.Seen);
        Assert.Contains("ridge predictability", again.Seen);
        foreach (string part in Directory.EnumerateFiles(Path.Combine(_folder, "cut", "steps", "predictability")).Take(2)) File.WriteAllText(part, "no array");
        Watch mended = new();
        Run("cut", config, resume: true, mended);
        Assert.DoesNotContain("building costs", mended.Seen);
        RequireSame();
    }

    private string Write(string rna)
    {
        GwMapInputs.Write(_folder);
        JsonObject config = JsonNode.Parse(GwMapInputs.Config(rna))!.AsObject();
        config["align"]!["stability"] = 3;
        config["predictability"]!["mlp"]!["permutations"] = 40;
        return config.ToJsonString();
    }

    /// <summary>The command in this process, with its progress watched.</summary>
    private void Run(string name, string config, bool resume, Watch watch)
    {
        string path = Path.Combine(_folder, "map.json"), folder = Path.Combine(_folder, name);
        File.WriteAllText(path, config);
        ParseResult parsed = BiosupApplication.CreateRoot().Parse(["gw", "map", path, "--out", folder, "--threads", "2", "--quiet"]);
        using CommandContext context = new("map", parsed, watch.Source?.Token ?? default, null, new CreatedFolders(), watch);
        new GwMapRunner(context, GwMapConfigFile.Read(path, []), _folder, folder, resume).Run();
    }

    /// <summary>All files of both folders, but for those that hold dates and times, and these without them.</summary>
    private void RequireSame()
    {
        string whole = Path.Combine(_folder, "whole"), cut = Path.Combine(_folder, "cut");
        string[] timed = ["manifest.json", "stages.json", "report.html", "result.json", "alignment.json"];
        string[] names = [.. Directory.EnumerateFiles(whole, "*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(whole, f)).Order()];
        Assert.Equal(names, Directory.EnumerateFiles(cut, "*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(cut, f)).Order());
        Assert.Contains("stability_x.npy", names);
        foreach (string name in names.Except(timed))
            Assert.True(File.ReadAllBytes(Path.Combine(whole, name)).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(cut, name))), $"{name} differs");
        foreach (string name in new[] { "result.json", "alignment.json" })
            Assert.Equal(Untimed(Path.Combine(whole, name)), Untimed(Path.Combine(cut, name)));
    }

    private static string Untimed(string path)
    {
        JsonObject result = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        result.Remove("seconds");
        result.Remove("stages_seconds");
        return result.ToJsonString();
    }

    /// <summary>Notes every stage that is reported, and cancels when one has been reported as often as asked.</summary>
    private sealed class Watch : IProgressReporter
    {
        private readonly Lock _gate = new();
        private readonly List<string> _seen = [];

        public string? Stage { get; init; }
        public int Left { get; set; }
        public CancellationTokenSource? Source { get; init; }

        /// <summary>Stages in the order in which they were first reported.</summary>
        public IReadOnlyList<string> Seen
        {
            get { lock (_gate) return [.. _seen]; }
        }

        public void Report(string stage, long done, long total, string? detail = null)
        {
            lock (_gate)
            {
                if (!_seen.Contains(stage)) _seen.Add(stage);
                if (stage == Stage && --Left == 0) Source!.Cancel();
            }
        }
    }
}
