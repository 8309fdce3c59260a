using BioSup.Analysis.GwMap;
using BioSup.Analysis.Modules;

namespace BioSup.Cli.Pipeline;

/// <summary>Within one label: how much of its mass stays there, and how definite its block of the coupling is.</summary>
/// <param name="Label">The label.</param>
/// <param name="MassKept">Share of the mass of the label's images that lies on cells of the same label.</param>
/// <param name="Partners">Exponential of the mean row entropy of the block, rows divided by their sums.</param>
/// <param name="Reading">Entropy, neighbourhoods and assignment of the block.</param>
internal sealed record LabelBlock(string Label, double MassKept, double Partners, CouplingReading Reading);

/// <summary>What was compared: sizes and settings that came out of the data.</summary>
internal sealed record GwMapSpacesUsed
{
    public required LatentSelection Latents { get; init; }
    public required int ImageComponents { get; init; }
    public required double ImageExplained { get; init; }
    public required int GeneComponents { get; init; }

    /// <summary>Where the cells' space comes from, in words.</summary>
    public required string CellSpace { get; init; }
    public required int CellDimensions { get; init; }

    /// <summary>Share of the variance held by components of the expression; null for a given latent space.</summary>
    public required double? CellExplained { get; init; }

    /// <summary>Whether the expression was counts and was normalised here.</summary>
    public required bool WereCounts { get; init; }
    public required int GenesGiven { get; init; }

    /// <summary>Names of the genes that are predicted.</summary>
    public required string[] Genes { get; init; }

    /// <summary>Why there are no denoised targets, or null.</summary>
    public required string? NotDenoised { get; init; }
}

/// <summary>Everything a `gw map` found, for files and report. Owns the alignment.</summary>
internal sealed class GwMapOutcome : IDisposable
{
    public required GwMapConfig Config { get; init; }
    public required BalancedSample Sample { get; init; }
    public required GwMapSpacesUsed Spaces { get; init; }
    public required GwMapCoupling Alignment { get; init; }
    public required CouplingReading Reading { get; init; }
    public required IReadOnlyList<LabelBlock> Blocks { get; init; }
    public IReadOnlyList<PredictabilityRun> Runs { get; set; } = [];

    /// <summary>Modules over all labels together.</summary>
    public FoundModules? Found { get; set; }

    /// <summary>Modules within each label.</summary>
    public IReadOnlyList<FoundModules> WithinLabels { get; set; } = [];

    /// <summary>Soft targets of the grouped genes, for the heat map.</summary>
    public ProfileBins? Profiles { get; set; }

    public GeneRanking? Ranking => Found?.Ranking;
    public int[] TopGenes => Found?.Genes ?? [];
    public ModuleHierarchy? Modules => Found?.Modules;
    public EnrichmentTable? Enrichment => Found?.Enrichment;
    public RecoveryTable? Recovery => Found?.Recovery;

    public string ModuleName(int level, int module) => Found!.Name(level, module);

    /// <summary>Stages and the seconds they took, in order.</summary>
    public IReadOnlyList<KeyValuePair<string, double>> Times { get; set; } = [];

    public PredictabilityRun? Run(string? label, string targets, string model) => Runs.FirstOrDefault(r => r.Label == label && r.Targets == targets && r.Model == model);

    public void Dispose() => Alignment.Dispose();
}
