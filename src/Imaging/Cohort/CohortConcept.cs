namespace BioSup.Imaging;

/// <summary>The visible traits a generated cell can carry; the numeric value is the column in every concept matrix.</summary>
public enum CohortConcept
{
    SomaSize,
    NeuriteLength,
    NeuriteBranching,
    NeuriteBeading,
    MitochondrialPuncta,
    MitochondrialNetwork,
    MitochondrialClustering,
    Calcium,
    NuclearSize,
    NuclearCondensation,
    NuclearFragmentation,
    NucleolarProminence,
    ChromatinTexture,
    MembraneBlebbing,
    Vacuoles,
    Aggregates,
    LysosomalPuncta,
    ActinBundles,
    SynapticPuncta,
    Filopodia,
}

/// <summary>Names of the concepts and classes, in column order.</summary>
public static class CohortNames
{
    /// <summary>Number of concepts.</summary>
    public const int ConceptCount = 20;

    /// <summary>Genotypes, in label order.</summary>
    public static IReadOnlyList<string> Classes { get; } = ["Control", "SNCA", "GBA", "LRRK2"];

    /// <summary>The picture's channels, in plane order.</summary>
    public static IReadOnlyList<string> Channels { get; } = ["nucleus", "mitochondria_calcium", "membrane_cytoskeleton"];

    /// <summary>snake_case names as they appear in files.</summary>
    public static IReadOnlyList<string> Concepts { get; } =
    [
        "soma_size", "neurite_length", "neurite_branching", "neurite_beading", "mitochondrial_puncta", "mitochondrial_network",
        "mitochondrial_clustering", "calcium", "nuclear_size", "nuclear_condensation", "nuclear_fragmentation", "nucleolar_prominence",
        "chromatin_texture", "membrane_blebbing", "vacuoles", "aggregates", "lysosomal_puncta", "actin_bundles", "synaptic_puncta", "filopodia",
    ];
}
