using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace BioSup.Cli.Pipeline;

/// <summary>
/// CONFIG.json of `biosup run`: which stages to run, on what. A section that is absent is a stage that is not run; file names are relative to the
/// configuration file. `biosup init` writes a commented example.
/// </summary>
internal sealed record RunConfig
{
    /// <summary>Heading of the report.</summary>
    public string Title { get; init; } = "BioSup.Native run";

    /// <summary>A generated cohort with known ground truth instead of images and counts from disk.</summary>
    public CohortSection? Cohort { get; init; }

    /// <summary>Images on disk and the encoder that turns them into tokens.</summary>
    public ImagesSection? Images { get; init; }

    /// <summary>Training of the sparse autoencoder: the keys of `biosup sae train --config`.</summary>
    public JsonObject? Sae { get; init; }

    /// <summary>Geometry of the encoder's own vectors against the SAE latents.</summary>
    public GeometrySection? Geometry { get; init; }

    /// <summary>Gromov-Wasserstein alignment.</summary>
    public AlignSection? Align { get; init; }
}

/// <summary>Size of the generated cohort.</summary>
internal sealed record CohortSection
{
    public int ImageCells { get; init; } = 600;
    public int RnaCells { get; init; } = 600;
    public int ImageSize { get; init; } = 64;
}

/// <summary>Where the images are and how patches become tokens: the options of `biosup tokens`.</summary>
internal sealed record ImagesSection
{
    /// <summary>A folder of images or a file.</summary>
    public required string Path { get; init; }

    /// <summary>Parts of file names that tell the channels of one field apart, in channel order; null when each file holds all channels.</summary>
    public string[]? Channels { get; init; }

    /// <summary>An encoder in ONNX with a feature-map output, or "dictionary": a convolutional dictionary learnt from these images.</summary>
    public required string Encoder { get; init; }

    /// <summary>Channels of the learnt dictionary.</summary>
    public int DictionaryChannels { get; init; } = 64;

    /// <summary>Name of the feature-map output; null takes the last one of rank 4.</summary>
    public string? Output { get; init; }

    /// <summary>How pixels become encoder input: "instance" (each patch and channel to mean 0, deviation 1), "imagenet", "symmetric" or "unit".</summary>
    public string Scaling { get; init; } = "instance";

    /// <summary>Side of a patch in pixels.</summary>
    public int Patch { get; init; } = 128;

    /// <summary>Step between patches in pixels.</summary>
    public int Stride { get; init; } = 128;

    /// <summary>Largest share of background pixels a patch may have; 1 keeps every patch.</summary>
    public double MaxBackground { get; init; } = 1;

    /// <summary>Smallest sum over channels of the standard deviation, in units of a 16-bit pixel; 0 keeps every patch.</summary>
    public double MinStdSum { get; init; }

    /// <summary>A label per patch, "FILE.csv:column" in the order of tokens/images.csv.</summary>
    public string? Labels { get; init; }
}

/// <summary>What the geometry is measured against.</summary>
internal sealed record GeometrySection
{
    /// <summary>"FILE.csv:column" in the order of the cells, or the name of a column of the tokens' images.csv; the cohort's death rate when absent.</summary>
    public string? Value { get; init; }

    /// <summary>A column, found in the same way, inside whose groups the geometry is measured.</summary>
    public string? Group { get; init; }

    /// <summary>Neighbourhood sizes.</summary>
    public int[] K { get; init; } = [5, 10, 15, 20, 25];

    /// <summary>Permutations behind each p-value.</summary>
    public int Permutations { get; init; } = 200;
}

/// <summary>The alignment of two matrices: the options of `biosup gw align`. X defaults to the SAE latents of this run.</summary>
internal sealed record AlignSection
{
    public string? X { get; init; }
    public string? Y { get; init; }

    /// <summary>"none", "latents" (ln(1+x), standardise, unit rows, PCA) or "counts" (equal totals, ln(1+x), standardise, PCA). SAE latents default to "latents".</summary>
    public string? PrepareX { get; init; }
    public string PrepareY { get; init; } = "none";

    /// <summary>Principal components kept by "latents" and "counts".</summary>
    public int Pca { get; init; } = 30;
    public string Cost { get; init; } = "geodesic";
    public double Epsilon { get; init; } = 1e-3;
    public string Convention { get; init; } = "pot";
    public int Knn { get; init; } = 30;
    public string GraphMetric { get; init; } = "euclidean";
    public string GraphWeights { get; init; } = "hops";
    public string GraphSelf { get; init; } = "exclude";
    public string RowNorm { get; init; } = "none";
    public string ScaleCost { get; init; } = "max";
    public string Solver { get; init; } = "auto";
    public string? LabelsX { get; init; }
    public string? LabelsY { get; init; }

    /// <summary>"identity" when row i of X and row i of Y are the same cell, null when nothing is known.</summary>
    public string? Truth { get; init; }

    public int Starts { get; init; } = 1;

    [JsonPropertyName("null")]
    public int NullRuns { get; init; } = 20;

    public double Tol { get; init; } = 1e-9;
    public int MaxIter { get; init; } = 1000;
    public string Dtype { get; init; } = "float64";
}
