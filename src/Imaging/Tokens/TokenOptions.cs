using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>How images become tokens.</summary>
public sealed record TokenOptions
{
    /// <summary>Side of a patch in pixels.</summary>
    public int PatchSize { get; init; } = 128;

    /// <summary>Step between patches; null for patches that do not overlap.</summary>
    public int? Stride { get; init; }

    /// <summary>Which patches are left out.</summary>
    public PatchFilter Filter { get; init; } = PatchFilter.None;

    /// <summary>How pixels become encoder input.</summary>
    public InputScaling Scaling { get; init; } = InputScaling.PerPatch;

    /// <summary>Side the patches are resampled to; null for the encoder's fixed side, or none when it takes any.</summary>
    public int? InputSize { get; init; }

    /// <summary>What is subtracted from the tokens.</summary>
    public TokenCentring Centring { get; init; } = TokenCentring.Fixed;

    /// <summary>With fixed centring: the centre of another set, one value per channel (its centre.npy); null to estimate it from these images.</summary>
    public float[]? Centre { get; init; }

    /// <summary>With fixed centring: how many patches, evenly spread over all, the centre is estimated from.</summary>
    public int CentreSample { get; init; } = 1024;

    /// <summary>Patches encoded together; with batch centring also the patches that share a mean.</summary>
    public int Batch { get; init; } = 64;

    /// <summary>Type of the stored values: float32, or float16 or bfloat16 to halve the size.</summary>
    public ElementType StoredType { get; init; } = ElementType.Float32;

    /// <summary>File format of the shards.</summary>
    public TokenContainer Container { get; init; } = TokenContainer.Npy;

    /// <exception cref="UsageException">A value is out of range.</exception>
    public void Validate()
    {
        if (PatchSize < 1 || Stride < 1 || InputSize < 1) throw new UsageException("Patch size, stride and input size are 1 or larger.");
        if (PatchSize > 4096 || InputSize > 4096) throw new UsageException("Patch size and input size are at most 4096 pixels.");
        if (Batch is < 1 or > 65536) throw new UsageException($"Batch {Batch}: expected 1 to 65536 patches.");
        if (CentreSample < 1) throw new UsageException($"Centre sample {CentreSample}: expected 1 patch or more.");
        if (Centre is not null && Centring != TokenCentring.Fixed) throw new UsageException("A given centre goes with fixed centring only.");
        if (Centre is { } centre && Array.FindIndex(centre, value => !float.IsFinite(value)) is >= 0 and int bad) throw new UsageException($"The given centre is not finite at channel {bad}.");
        Filter.Validate();
    }
}
