using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>A training run as it is asked for.</summary>
public sealed record SaeTrainingOptions
{
    public SaeConfig Config { get; init; } = SaeConfig.Default;

    /// <summary>Of the order of tokens, the initial weights and resampling.</summary>
    public ulong Seed { get; init; }

    public TokenOrder Order { get; init; } = TokenOrder.Shuffled;

    /// <summary>Total steps; null takes epochs × whole batches.</summary>
    public long? Steps { get; init; }

    /// <summary>A safetensors file with initial weights; null draws them from the seed.</summary>
    public string? InitialWeights { get; init; }

    /// <summary>Receives model, logs and checkpoints; null keeps everything in memory.</summary>
    public string? OutputFolder { get; init; }

    /// <summary>Continue from the checkpoint in the output folder; without one the run starts at step 0.</summary>
    public bool Resume { get; init; }

    public IProgressReporter Progress { get; init; } = SilentProgress.Instance;
    public CancellationToken Cancellation { get; init; }

    /// <summary>Receives what a person should know while the run goes on: one sentence each.</summary>
    public Action<string> Warn { get; init; } = static _ => { };

    /// <summary>Receives the memory plan, before the first step.</summary>
    public Action<SaeMemoryPlan> Planned { get; init; } = static _ => { };
}

/// <summary>What a finished run leaves.</summary>
public sealed record SaeTrainingResult(SaeModel Model, IReadOnlyList<SaeLogRow> Curves, long Steps, long ResumedAt, double TokensPerSecond, double Seconds) : IDisposable
{
    /// <summary>The last logged step.</summary>
    public SaeLogRow? Last => Curves.Count > 0 ? Curves[^1] : null;

    /// <summary>Native memory as it was planned before the first step; of the whole process, with what it held before.</summary>
    public required SaeMemoryPlan Plan { get; init; }

    public void Dispose() => Model.Dispose();
}
