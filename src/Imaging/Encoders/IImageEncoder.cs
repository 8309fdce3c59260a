using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>Height, width and channels of an encoder's feature map: one token of <see cref="Channels"/> values per cell.</summary>
public readonly record struct FeatureMapShape(int Height, int Width, int Channels)
{
    /// <summary>Tokens per image.</summary>
    public int Tokens => Height * Width;
}

/// <summary>A frozen encoder: images in, feature maps out. Not safe for concurrent calls; threads inside are the encoder's own.</summary>
public interface IImageEncoder : IDisposable
{
    /// <summary>What the features are, for manifests: file and output, or the kind of encoder.</summary>
    string Name { get; }

    /// <summary>Channels of an input image.</summary>
    int Channels { get; }

    /// <summary>The side of the square input in pixels when it is fixed; null when any side may be given.</summary>
    int? InputSize { get; }

    /// <summary>The feature map of a side x side image.</summary>
    /// <exception cref="DataException">The encoder does not take images of this side.</exception>
    FeatureMapShape Shape(int side);

    /// <summary>Encodes a batch.</summary>
    /// <param name="images">[n, Channels * side * side], channel after channel, row-major: NCHW.</param>
    /// <param name="side">Side of the images in pixels.</param>
    /// <param name="features">[n * height * width, channels]: one token a row, image after image, row-major: NHWC. Overwritten.</param>
    void Encode(MatrixView<float> images, int side, MatrixView<float> features);
}
