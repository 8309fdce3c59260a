using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>Why a patch is left out.</summary>
public enum PatchVerdict
{
    Kept,
    LowContrast,
    OutOfFocus,
    MostlyBackground,
}

/// <summary>Thresholds on <see cref="PatchFigures"/>; the first that fails is the reason.</summary>
/// <param name="MinStdSum">Least sum of channel standard deviations (16-bit units).</param>
/// <param name="MinLaplacianVariance">Least variance of the Laplacian of the channel maximum.</param>
/// <param name="MaxBackground">Largest fraction of background pixels.</param>
public sealed record PatchFilter(double MinStdSum = 0, double MinLaplacianVariance = 0, double MaxBackground = 1)
{
    /// <summary>Keeps everything.</summary>
    public static PatchFilter None { get; } = new();

    /// <summary>The published thresholds for 16-bit three-channel patches of 128 x 128 pixels.</summary>
    public static PatchFilter Paper { get; } = new(3500, 50000, 0.65);

    public PatchVerdict Judge(PatchFigures figures) =>
        figures.StdSum < MinStdSum ? PatchVerdict.LowContrast
        : figures.LaplacianVariance < MinLaplacianVariance ? PatchVerdict.OutOfFocus
        : figures.Background > MaxBackground ? PatchVerdict.MostlyBackground
        : PatchVerdict.Kept;

    /// <exception cref="UsageException">A threshold is negative, not a number, or a fraction above 1.</exception>
    public void Validate()
    {
        if (!(MinStdSum >= 0) || !(MinLaplacianVariance >= 0)) throw new UsageException("Patch filter: the least contrast and the least Laplacian variance are 0 or larger.");
        if (!(MaxBackground is >= 0 and <= 1)) throw new UsageException($"Patch filter: the largest background fraction is between 0 and 1, not {MaxBackground}.");
    }
}
