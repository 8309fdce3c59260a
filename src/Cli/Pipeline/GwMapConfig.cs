using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace BioSup.Cli.Pipeline;

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectNullableAnnotations = true,
    WriteIndented = true)]
[JsonSerializable(typeof(GwMapConfig))]
internal sealed partial class GwMapConfigJson : JsonSerializerContext;

/// <summary>
/// CONFIG.json of `biosup gw map`: two sets of cells that share labels, and how far each step of GW-map goes. File names are relative to the configuration file;
/// `biosup init --for gw-map` writes a commented example.
/// </summary>
/// <remarks>Setters, not init accessors: the source-generated reader would overwrite the defaults of absent init-only keys.</remarks>
internal sealed record GwMapConfig
{
    /// <summary>Heading of the report.</summary>
    public string Title { get; set; } = "GW-map";

    /// <summary>A generated cohort with planted programmes instead of files; its concepts are the image side.</summary>
    public GwMapCohortSection? Cohort { get; set; }

    public GwMapImagesSection? Images { get; set; }
    public GwMapRnaSection? Rna { get; set; }
    public GwMapSampleSection Sample { get; set; } = new();

    /// <summary>Options of `biosup gw align`, with underscores, over the preset gw-map: { "epsilon": 0.003, "starts": 4 }.</summary>
    public JsonObject Align { get; set; } = [];

    public GwMapPredictSection Predictability { get; set; } = new();
    public GwMapModulesSection Modules { get; set; } = new();

    /// <summary>Writes the soft targets, overall and within labels, as .npy.</summary>
    public bool WriteSoftTargets { get; set; }
}

/// <summary>Size of the generated cohort, and how its image side is filtered.</summary>
internal sealed record GwMapCohortSection
{
    public int ImageCells { get; set; } = 600;
    public int RnaCells { get; set; } = 600;
}

/// <summary>The image side: SAE latents (or encoder vectors), one row per image.</summary>
internal sealed record GwMapImagesSection
{
    /// <summary>Matrix of latents, not negative, such as latents.h5ad:X.</summary>
    public string? Latents { get; set; }

    /// <summary>A label per image, such as the genotype.</summary>
    public string? Labels { get; set; }

    public double DeadThreshold { get; set; } = 1e-5;
    public double MinCv { get; set; } = 0.1;

    /// <summary>Whether only latents that differ between labels stay.</summary>
    public bool Differential { get; set; } = true;
    public double MinLog2fc { get; set; } = 0.58;
    public double MaxP { get; set; } = 0.05;

    /// <summary>Principal components that the coupling sees.</summary>
    public int Pca { get; set; } = 30;

    /// <summary>Principal components that genes are predicted from.</summary>
    public int GenePca { get; set; } = 100;
}

/// <summary>The RNA side: counts or log-normalised expression, one row per cell.</summary>
internal sealed record GwMapRnaSection
{
    /// <summary>Matrix of expression, such as rna.h5ad:X. Counts (a value above 50) are scaled to 10,000 a cell and their logarithm taken.</summary>
    public string? Expression { get; set; }

    /// <summary>A label per cell.</summary>
    public string? Labels { get; set; }

    /// <summary>Names of the genes; absent: the var index of the .h5ad that holds the expression.</summary>
    public string? Genes { get; set; }

    /// <summary>Latent space of the cells, used as it is, such as rna.h5ad:obsm/X_scVI; absent: principal components of the log-normalised expression.</summary>
    public string? Latent { get; set; }

    /// <summary>Denoised expression of the same genes, such as rna.h5ad:layers/scvi_normalized; absent: raw genes only.</summary>
    public string? Denoised { get; set; }

    /// <summary>Principal components of the RNA where no latent space is given.</summary>
    public int Pca { get; set; } = 30;

    /// <summary>Genes that are predicted: those whose log-normalised expression varies most.</summary>
    public int MaxGenes { get; set; } = 3000;
}

/// <summary>Which labels, and how many rows of each.</summary>
internal sealed record GwMapSampleSection
{
    public string[]? Labels { get; set; }
    public int MaxImages { get; set; } = 12_000;
    public int MaxCells { get; set; } = 12_000;
    public int MinPerLabel { get; set; } = 20;
}

/// <summary>Which models predict soft targets, and how many permutations stand behind each z.</summary>
internal sealed record GwMapPredictSection
{
    public int Folds { get; set; } = 5;

    /// <summary>Penalty of the ridge regression.</summary>
    public double RidgeAlpha { get; set; } = 1;

    public int RidgePermutations { get; set; } = 800;

    /// <summary>Boosted trees on the cells' latent space; absent: left out.</summary>
    public GwMapTreesSection? Trees { get; set; }

    /// <summary>The small network on genes; absent: left out.</summary>
    public GwMapMlpSection? Mlp { get; set; }
}

/// <summary>Boosted trees, one model per dimension and permutation.</summary>
internal sealed record GwMapTreesSection
{
    public int Trees { get; set; } = 200;
    public int Depth { get; set; } = 5;
    public int Permutations { get; set; } = 100;
}

/// <summary>The network of all genes, one model per fold, run and permutation.</summary>
internal sealed record GwMapMlpSection
{
    public int Runs { get; set; } = 5;
    public int Epochs { get; set; } = 200;
    public int Permutations { get; set; } = 1000;
}

/// <summary>How the most predictable genes are grouped.</summary>
internal sealed record GwMapModulesSection
{
    /// <summary>Genes that are grouped: the most predictable ones.</summary>
    public int Genes { get; set; } = 200;

    /// <summary>"within": by the mean over labels of the measure within each; "overall": by the measure over all labels together.</summary>
    public string RankBy { get; set; } = "within";

    /// <summary>"overall": grouped by soft targets over all images; "within": each label through its own block and centred there.</summary>
    public string Profiles { get; set; } = "overall";

    public double[] Resolutions { get; set; } = [0.08, 0.25, 0.4, 1.0];
    public int Neighbours { get; set; } = 15;

    /// <summary>Gene sets, FILE.gmt, by which modules are named; absent on the generated cohort: the planted programmes.</summary>
    public string? GeneSets { get; set; }
}

/// <summary>Reads CONFIG.json of `biosup gw map`.</summary>
internal static class GwMapConfigFile
{
    private const string Writer = "biosup init --for gw-map";

    public static GwMapConfig Read(string path, IEnumerable<string> settings) => ConfigText.Read(path, settings, GwMapConfigJson.Default.GwMapConfig, Writer);

    internal static GwMapConfig Parse(string text, string name, IEnumerable<string> settings) => ConfigText.Parse(text, name, settings, GwMapConfigJson.Default.GwMapConfig, Writer);

    public static JsonNode ToJson(GwMapConfig config) => JsonSerializer.SerializeToNode(config, GwMapConfigJson.Default.GwMapConfig)!;
}
