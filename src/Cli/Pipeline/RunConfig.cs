using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace BioSup.Cli.Pipeline;

/// <summary>
/// CONFIG.json of `biosup run`: which stages to run, on what. A section that is absent is a stage that is not run; file names are relative to the
/// configuration file. `biosup init` writes a commented example.
/// </summary>
/// <remarks>Setters, not init accessors: the source-generated reader would overwrite the defaults of absent init-only keys.</remarks>
internal sealed record RunConfig
{
    /// <summary>Heading of the report.</summary>
    public string Title { get; set; } = "BioSup.Native run";

    /// <summary>A generated cohort with known ground truth instead of images and counts from disk.</summary>
    public CohortSection? Cohort { get; set; }

    /// <summary>Images on disk and the encoder that turns them into tokens.</summary>
    public ImagesSection? Images { get; set; }

    /// <summary>Training of the sparse autoencoder: the keys of `biosup sae train --config`.</summary>
    public JsonObject? Sae { get; set; }

    /// <summary>Geometry of the encoder's own vectors against the SAE latents.</summary>
    public GeometrySection? Geometry { get; set; }

    /// <summary>Gromov-Wasserstein alignment.</summary>
    public AlignSection? Align { get; set; }
}

/// <summary>Size of the generated cohort.</summary>
internal sealed record CohortSection
{
    public int ImageCells { get; set; } = 600;
    public int RnaCells { get; set; } = 600;
    public int ImageSize { get; set; } = 64;
}

/// <summary>Where the images are and how patches become tokens: the options of `biosup tokens`.</summary>
internal sealed record ImagesSection
{
    /// <summary>A folder of images or a file.</summary>
    public required string Path { get; set; }

    /// <summary>Parts of file names that tell the channels of one field apart, in channel order; null when each file holds all channels.</summary>
    public string[]? Channels { get; set; }

    /// <summary>An encoder in ONNX with a feature-map output, or "dictionary": a convolutional dictionary learnt from these images.</summary>
    public required string Encoder { get; set; }

    /// <summary>Channels of the learnt dictionary.</summary>
    public int DictionaryChannels { get; set; } = 64;

    /// <summary>Side in pixels of the window that one channel of the learnt dictionary looks at.</summary>
    public int DictionaryWindow { get; set; } = 8;

    /// <summary>Side in pixels of one position of the learnt dictionary's feature map.</summary>
    public int DictionaryCell { get; set; } = 16;

    /// <summary>Name of the feature-map output; null takes the last one of rank 4.</summary>
    public string? Output { get; set; }

    /// <summary>How pixels become encoder input: "instance" (each patch and channel to mean 0, deviation 1), "imagenet", "symmetric" or "unit".</summary>
    public string Scaling { get; set; } = "instance";

    /// <summary>Side of a patch in pixels.</summary>
    public int Patch { get; set; } = 128;

    /// <summary>Step between patches in pixels.</summary>
    public int Stride { get; set; } = 128;

    /// <summary>Largest share of background pixels a patch may have; 1 keeps every patch.</summary>
    public double MaxBackground { get; set; } = 1;

    /// <summary>Smallest sum over channels of the standard deviation, in units of a 16-bit pixel; 0 keeps every patch.</summary>
    public double MinStdSum { get; set; }

    /// <summary>A label per patch, "FILE.csv:column" in the order of tokens/images.csv.</summary>
    public string? Labels { get; set; }
}

/// <summary>What the geometry is measured against.</summary>
internal sealed record GeometrySection
{
    /// <summary>"FILE.csv:column" in the order of the cells, or the name of a column of the tokens' images.csv; the cohort's death rate when absent.</summary>
    public string? Value { get; set; }

    /// <summary>A column, found in the same way, inside whose groups the geometry is measured.</summary>
    public string? Group { get; set; }

    /// <summary>Neighbourhood sizes.</summary>
    public int[] K { get; set; } = [5, 10, 15, 20, 25];

    /// <summary>Permutations behind each p-value.</summary>
    public int Permutations { get; set; } = 200;
}

/// <summary>The alignment of two matrices: the options of `biosup gw align`. X defaults to the SAE latents of this run.</summary>
internal sealed record AlignSection
{
    public string? X { get; set; }
    public string? Y { get; set; }

    /// <summary>"none", "latents" (ln(1+x), standardise, unit rows, PCA) or "counts" (equal totals, ln(1+x), standardise, PCA). SAE latents default to "latents".</summary>
    public string? PrepareX { get; set; }
    public string PrepareY { get; set; } = "none";

    /// <summary>Principal components kept by "latents" and "counts".</summary>
    public int Pca { get; set; } = 30;

    /// <summary>True gives every component kept by "latents" and "counts" unit variance: what two technologies amplify differs, so lengths of components need not agree.</summary>
    public bool Whiten { get; set; }

    public string Cost { get; set; } = "geodesic";
    public double Epsilon { get; set; } = 1e-3;
    public string Convention { get; set; } = "pot";
    public int Knn { get; set; } = 30;
    public string GraphMetric { get; set; } = "euclidean";
    public string GraphWeights { get; set; } = "hops";
    public string GraphSelf { get; set; } = "exclude";
    public string RowNorm { get; set; } = "none";
    public string ScaleCost { get; set; } = "max";
    public string Solver { get; set; } = "auto";
    public string? LabelsX { get; set; }
    public string? LabelsY { get; set; }

    /// <summary>"identity" when row i of X and row i of Y are the same cell, null when nothing is known.</summary>
    public string? Truth { get; set; }

    public int Starts { get; set; } = 1;

    [JsonPropertyName("null")]
    public int NullRuns { get; set; } = 20;

    /// <summary>Bootstrap replicates for the stability of every cell's partner; 0 for none.</summary>
    public int Stability { get; set; }

    public double Tol { get; set; } = 1e-9;
    public int MaxIter { get; set; } = 1000;
    public string Dtype { get; set; } = "float64";
}
