using System.Text.Json.Nodes;
using BioSup.Analysis.Sae;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Sae;

public sealed class SaeSweepTests : IDisposable
{
    private const string Mixed = """
        { "base": { "d_sae": 24, "batch": 20, "lr": 0.01, "log_every": 3, "checkpoint_every": 7, "normalise": "paper", "sparsity_warmup_steps": 2 },
          "models": [ { "sparsity_coeff": 0.05 }, { "architecture": "topk", "k": 3, "d_sae": 16 }, { "architecture": "relu", "target_l0": 3 } ], "seeds": [5, 6] }
        """;
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-sae-sweep-").FullName;
    private readonly CpuDevice _device = new(2);
    private readonly PlantedTokens _planted;

    public SaeSweepTests() => _planted = new(_device, 130, 12, 20, 2);

    public void Dispose()
    {
        _planted.Dispose();
        _device.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void Every_model_comes_out_as_it_would_alone_and_within_the_memory_that_was_planned()
    {
        SaeMemoryPlan? plan = null;
        using SaeSweepResult sweep = Train(Mixed, "many", planned: p => plan = p);
        Assert.Equal(6, sweep.Outcomes.Count);
        Assert.All(sweep.Outcomes, o => Assert.Null(o.Problem));
        Assert.Same(plan, sweep.Plan);
        Assert.InRange(sweep.PeakBytes, 1, sweep.Plan.TotalBytes);
        foreach (SaeSweepOutcome outcome in sweep.Outcomes.Where(o => o.Member.Seed == 5))
        {
            string alone = Path.Combine(_folder, "alone", outcome.Member.Name), among = Path.Combine(_folder, "many", outcome.Member.Name);
            SaeTrainer.Train(_device, _planted.Tokens, new SaeTrainingOptions { Config = outcome.Member.Config, Seed = 5, Steps = 31, OutputFolder = alone }).Dispose();
            foreach (string file in new[] { "model.safetensors", "train_log.csv", "config.json" })
                Assert.True(File.ReadAllBytes(Path.Combine(alone, file)).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(among, file))), $"{outcome.Member.Name}: {file} differs");
        }
        byte[][] models = [.. sweep.Outcomes.Select(o => File.ReadAllBytes(Path.Combine(_folder, "many", o.Member.Name, "model.safetensors")))];
        Assert.False(models[0].AsSpan().SequenceEqual(models[1]), "two seeds give the same model");
    }

    /// <summary>Centroids are drawn by the model's seed, not by that of the stream.</summary>
    [Fact]
    public void Seeds_decide_where_dictionaries_start()
    {
        using SaeSweepResult sweep = Train("""{ "base": { "d_sae": 24, "batch": 20, "lr": 0, "init": "centroids" }, "seeds": [6, 7] }""", "seeds");
        Assert.NotEqual(sweep.Outcomes[0].Model!.Decoder.ToArray(), sweep.Outcomes[1].Model!.Decoder.ToArray());
    }

    [Fact]
    public void An_interrupted_sweep_leaves_the_bytes_of_a_whole_one()
    {
        Train(Mixed, "whole").Dispose();
        foreach (int stopAt in new[] { 4, 13, 25 })
        {
            using CancellationTokenSource cancel = new();
            Assert.Throws<OperationCanceledException>(() => Train(Mixed, "cut", resume: stopAt > 4, progress: new StopAfter(stopAt, cancel), cancellation: cancel.Token));
        }
        // One model's newest checkpoint is lost: it starts further back than the others.
        string lost = Path.Combine(_folder, "cut", Directory.GetDirectories(Path.Combine(_folder, "cut")).Order().First(), "checkpoint.safetensors");
        File.WriteAllBytes(lost, File.ReadAllBytes(lost)[..200]);
        Train(Mixed, "cut", resume: true).Dispose();
        foreach (string model in Directory.GetDirectories(Path.Combine(_folder, "whole")).Select(p => Path.GetFileName(p)!))
            foreach (string file in new[] { "model.safetensors", "train_log.csv", "config.json" })
                Assert.True(File.ReadAllBytes(Path.Combine(_folder, "whole", model, file)).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(_folder, "cut", model, file))), $"{model}: {file} differs");
    }

    [Fact]
    public void A_model_that_diverges_is_recorded_and_the_others_go_on()
    {
        const string json = """{ "base": { "d_sae": 24, "batch": 20, "grad_clip": 0, "lr_warmup_fraction": 0 }, "grid": { "lr": [0.001, 1e30] } }""";
        List<string> warnings = [];
        using (SaeSweepResult sweep = Train(json, "some", warn: warnings.Add))
        {
            Assert.Null(sweep.Outcomes[0].Problem);
            Assert.Contains("Training stopped at step", sweep.Outcomes[1].Problem, StringComparison.Ordinal);
            Assert.Null(sweep.Outcomes[1].Model);
        }
        Assert.Contains(warnings, w => w.Contains("the others go on", StringComparison.Ordinal));
        string record = Path.Combine(_folder, "some", "lr-1e30", SaeSweep.FailureFile);
        Assert.Contains("stopped", (string)JsonNode.Parse(File.ReadAllText(record))!["problem"]!, StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(_folder, "some", "lr-1e30", "model.safetensors")));
        using (SaeSweepResult again = Train(json, "some", resume: true)) Assert.NotNull(again.Outcomes[1].Problem);
        ConvergenceException all = Assert.Throws<ConvergenceException>(() => Train("""{ "base": { "batch": 20, "grad_clip": 0, "lr_warmup_fraction": 0, "lr": 1e30 }, "grid": { "d_sae": [8, 9] } }""", "none"));
        Assert.StartsWith("All 2 models failed", all.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_papers_sweep_has_its_eight_models()
    {
        IReadOnlyList<SaeSweepMember> members = SaeSweepFile.Parse("""{ "preset": "paper-sweep", "base": { "batch": 64 } }""", "s.json", 3);
        Assert.Equal([(600, 50.0), (1024, 800), (2048, 800), (4096, 800), (8192, 800), (4096, 0), (4096, 200), (4096, 3200)], members.Select(m => (m.Config.Latents, m.Config.SparsityCoefficient)));
        Assert.All(members, m => Assert.Equal(("paper", BioSup.Kernels.SparsityScale.Mean, 64, 3UL), (m.Config.Preset, m.Config.SparsityScale, m.Config.Batch, m.Seed)));
        Assert.Equal("d_sae-600_sparsity_coeff-50", members[0].Name);
    }

    [Theory]
    [InlineData("[1]", "object")]
    [InlineData("{", "JSON")]
    [InlineData("""{ "d_sae": 4 }""", "d_sae")]
    [InlineData("""{ "base": 4 }""", "base")]
    [InlineData("""{ "grid": { "d_sae": 7 } }""", "d_sae")]
    [InlineData("""{ "grid": { "d_sae": [] } }""", "d_sae")]
    [InlineData("""{ "grid": { "batch": [2, 3] } }""", "batch")]
    [InlineData("""{ "grid": { "d_sea": [2, 3] } }""", "d_sea")]
    [InlineData("""{ "models": [ {}, {} ] }""", "model")]
    [InlineData("""{ "models": [ 3 ] }""", "models")]
    [InlineData("""{ "seeds": [1, 1] }""", "seeds")]
    [InlineData("""{ "seeds": ["a"] }""", "seeds")]
    [InlineData("""{ "preset": "papr-sweep" }""", "preset")]
    [InlineData("""{ "preset": "paper-sweep", "models": [ {} ] }""", "models")]
    public void Mistakes_are_named(string json, string named)
    {
        UsageException e = Assert.Throws<UsageException>(() => SaeSweepFile.Parse(json, "s.json", 0));
        Assert.Contains(named, e.Message, StringComparison.Ordinal);
        Assert.StartsWith("s.json", e.Message, StringComparison.Ordinal);
    }

    private SaeSweepResult Train(string json, string folder, bool resume = false, Action<SaeMemoryPlan>? planned = null, Action<string>? warn = null, IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        using ITokenSource source = new SaeTrainer.BorrowedTokens(_planted.Tokens);
        return SaeSweep.Train(_device, source, new SaeSweepOptions
        {
            Members = SaeSweepFile.Parse(json, "s.json", 5),
            Seed = 5,
            Steps = 31,
            OutputFolder = Path.Combine(_folder, folder),
            Resume = resume,
            Planned = planned ?? (_ => { }),
            Warn = warn ?? (_ => { }),
            Progress = progress ?? SilentProgress.Instance,
            Cancellation = cancellation,
        });
    }
}
