using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>Shape and training of a <see cref="ConvolutionalDictionary"/>.</summary>
public sealed record DictionaryOptions
{
    /// <summary>Number of centroids: channels of the feature map.</summary>
    public int Atoms { get; init; } = 64;

    /// <summary>Side in pixels of the window that a centroid sees.</summary>
    public int Window { get; init; } = 8;

    /// <summary>Step of the window in pixels.</summary>
    public int Stride { get; init; } = 2;

    /// <summary>Side in pixels of a cell of the feature map: activations are averaged over the windows of a cell.</summary>
    public int Cell { get; init; } = 16;

    /// <summary>Windows drawn for learning.</summary>
    public int Samples { get; init; } = 40_000;

    /// <summary>Most rounds of k-means; it stops earlier when no window changes its centroid.</summary>
    public int Iterations { get; init; } = 30;

    /// <summary>Added to the variance of a window (in units of the scaled input) before its contrast is divided out: keeps noise on dark ground small.</summary>
    public double ContrastEpsilon { get; init; } = 0.1;

    /// <summary>Added to the eigenvalues before whitening, as a fraction of their mean: keeps the finest, noisiest directions small.</summary>
    public double WhiteningEpsilon { get; init; } = 0.1;

    /// <summary>Seed of the windows drawn and of the first centroids.</summary>
    public ulong Seed { get; init; }

    /// <exception cref="UsageException">A value is out of range.</exception>
    public void Validate(int side)
    {
        if (Atoms is < 2 or > 65536) throw new UsageException($"Dictionary: {Atoms} atoms; expected 2 to 65536.");
        if (Window < 2 || Window > Math.Min(side, 64)) throw new UsageException($"Dictionary: window of {Window} pixels; expected 2 to {Math.Min(side, 64)} for images of {side} x {side}.");
        if (Stride < 1 || Cell < 1 || Iterations < 1) throw new UsageException("Dictionary: stride, cell and iterations are 1 or larger.");
        if (Samples < Atoms) throw new UsageException($"Dictionary: {Samples} windows cannot give {Atoms} centroids.");
        if (!(ContrastEpsilon > 0) || !(WhiteningEpsilon > 0)) throw new UsageException("Dictionary: both epsilons are larger than 0.");
    }
}
