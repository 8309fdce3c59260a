using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Sae;

/// <summary>Cancels once a training reports more than so many steps.</summary>
internal sealed class StopAfter(long step, CancellationTokenSource cancel) : IProgressReporter
{
    public void Report(string stage, long done, long total, string? detail = null)
    {
        if (stage.StartsWith("training", StringComparison.Ordinal) && done > step) cancel.Cancel();
    }
}
