using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>Size and seed of a generated cohort.</summary>
public sealed record CohortOptions
{
    /// <summary>Cells that are imaged, ≥ 1.</summary>
    public int ImageCells { get; init; } = 600;

    /// <summary>Other cells of the same classes that are sequenced, ≥ 1.</summary>
    public int RnaCells { get; init; } = 600;

    /// <summary>Side of each cell's square picture in pixels, 32 to 512; structures scale with it.</summary>
    public int ImageSize { get; init; } = 64;

    public ulong Seed { get; init; } = 42;

    /// <summary>True keeps every picture in memory; false leaves them to be rendered on demand by <see cref="Cohort.RenderImage"/>.</summary>
    public bool HoldImages { get; init; } = true;

    /// <summary>600 + 600 cells of 64 x 64 pixels.</summary>
    public static CohortOptions Small { get; } = new();

    internal void Validate()
    {
        if (ImageCells < 1) throw new UsageException($"The cohort needs at least one imaged cell, not {ImageCells}.");
        if (RnaCells < 1) throw new UsageException($"The cohort needs at least one sequenced cell, not {RnaCells}.");
        if (ImageSize is < 32 or > 512) throw new UsageException($"The picture size of the cohort is {ImageSize}; 32 to 512 pixels are possible.");
    }
}
