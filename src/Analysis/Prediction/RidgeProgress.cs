using BioSup.Runtime;

namespace BioSup.Analysis.Prediction;

/// <summary>Progress of permuted targets, and the place where a cancellation is noticed.</summary>
internal sealed class RidgeProgress(IProgressReporter progress, int targets, int permutations, CancellationToken cancel)
{
    private double _done;

    public void Check() => cancel.ThrowIfCancellationRequested();

    /// <param name="share">Finished permutations, as a number of targets with all of theirs.</param>
    public void Done(double share)
    {
        _done += share;
        progress.Report("ridge predictability", (long)Math.Round(_done * permutations), (long)targets * permutations, "permuted targets");
    }
}
