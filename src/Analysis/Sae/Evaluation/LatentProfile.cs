namespace BioSup.Analysis.Sae;

/// <summary>How much a latent does in one class.</summary>
/// <param name="Class">Its name.</param>
/// <param name="Images">Images of the class; tokens where labels are given to tokens.</param>
/// <param name="Mean">Mean over them of the mean activation.</param>
/// <param name="StandardError">Of that mean; NaN for one image.</param>
/// <param name="ActiveImages">Share of the images in which the latent is active.</param>
/// <param name="ActiveTokens">Share of the tokens on which it is active.</param>
public sealed record ClassActivity(string Class, int Images, double Mean, double StandardError, double ActiveImages, double ActiveTokens);

/// <summary>An image (a token where images are not known) in which a latent is strong.</summary>
/// <param name="Image">Its number.</param>
/// <param name="Mean">Mean activation over its tokens.</param>
/// <param name="Tokens">Activation of each of its tokens, in their order.</param>
public sealed record StrongImage(int Image, double Mean, float[] Tokens);

/// <summary>Another latent and how near it is.</summary>
public readonly record struct LatentNeighbour(int Latent, double Value);

/// <summary>How much of a latent's activation lies on background.</summary>
/// <param name="Share">Σ activation × share of background of the token / Σ activation.</param>
/// <param name="Even">The same if the activation of each image were spread evenly over it: what a latent that does not look would have.</param>
/// <param name="Images">Images with a known background in which the latent is active.</param>
public sealed record BackgroundShare(double Share, double Even, int Images)
{
    /// <summary>Most of the activation lies on background, and no less than if it were spread evenly.</summary>
    public bool IsMostlyBackground => Share >= 0.5 && Share >= Even;
}

/// <summary>Everything there is to know of one latent on a set of tokens.</summary>
public sealed record LatentProfile
{
    public required int Latent { get; init; }

    /// <summary>Tokens of the set.</summary>
    public required long Tokens { get; init; }

    /// <summary>Tokens on which it is active.</summary>
    public required long ActiveTokens { get; init; }

    /// <summary>Images of the set; 0 where images are not known.</summary>
    public required int Images { get; init; }

    /// <summary>Images in which it is active.</summary>
    public required int ActiveImages { get; init; }

    /// <summary>Mean activation over the tokens on which it is active; 0 if there is none.</summary>
    public required double MeanActivation { get; init; }

    public required float MaxActivation { get; init; }

    /// <summary>Mean over the images in which it is active of (Σ a)² / (n Σ a²), a its activations on the n tokens: the share of the image it covers, 1/n for one token, 1 for all alike. NaN where images are not known.</summary>
    public required double Coverage { get; init; }

    /// <summary>By class, sorted by name; empty without labels.</summary>
    public required IReadOnlyList<ClassActivity> Classes { get; init; }

    /// <summary>Images of the largest mean activation, strongest first; images in which it is silent are not among them.</summary>
    public required IReadOnlyList<StrongImage> Strongest { get; init; }

    /// <summary>Alive latents by the cosine of decoder rows, nearest first.</summary>
    public required IReadOnlyList<LatentNeighbour> ByDirection { get; init; }

    /// <summary>Latents by tokens on which both are active over tokens on which either is (Jaccard), nearest first.</summary>
    public required IReadOnlyList<LatentNeighbour> ByActivity { get; init; }

    /// <summary>Null where no background is known or the latent is silent wherever it is.</summary>
    public BackgroundShare? Background { get; init; }

    /// <summary>Share of tokens on which it is active.</summary>
    public double Rate => (double)ActiveTokens / Tokens;
}

/// <summary>What <see cref="LatentProfiles"/> keeps.</summary>
public sealed record LatentProfileOptions
{
    /// <summary>Images kept of each latent.</summary>
    public int Strongest { get; init; } = 6;

    /// <summary>Neighbours of each kind.</summary>
    public int Neighbours { get; init; } = 6;

    /// <summary>Share of background of every token, by image; images that are not named take no part in <see cref="LatentProfile.Background"/>.</summary>
    public IReadOnlyDictionary<int, float[]> Background { get; init; } = new Dictionary<int, float[]>();
}
