namespace BioSup.Runtime;

/// <summary>Receives the progress of long work. Implementations are cheap to call and never throw.</summary>
public interface IProgressReporter
{
    /// <param name="stage">What is being done, for a person: "training the SAE".</param>
    /// <param name="done">Units finished.</param>
    /// <param name="total">Units in all; 0 when unknown.</param>
    /// <param name="detail">Current figures, for example "FVU 0.12, L0 17"; null for none.</param>
    void Report(string stage, long done, long total, string? detail = null);
}

/// <summary>Progress nobody looks at.</summary>
public sealed class SilentProgress : IProgressReporter
{
    public static SilentProgress Instance { get; } = new();
    public void Report(string stage, long done, long total, string? detail = null) { }
}
