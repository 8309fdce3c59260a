namespace BioSup.Imaging;

/// <summary>
/// One field of view: channels x height x width, channel after channel, row after row. Values are raw sample units (0..255, 0..65535 or floating point),
/// which a 32-bit float holds exactly; <see cref="FullScale"/> says which value stands for full exposure.
/// </summary>
public sealed class ImageStack
{
    /// <param name="name">What the user calls it: a file name or a field name.</param>
    /// <param name="pixels">channels * height * width values, channel after channel, row-major.</param>
    /// <param name="fullScale">255 for 8-bit, 65535 for 16-bit samples, 1 for floating-point samples.</param>
    public ImageStack(string name, int channels, int height, int width, float[] pixels, double fullScale)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(channels, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        if (pixels.LongLength != (long)channels * height * width)
            throw new ArgumentException($"{channels} x {height} x {width} needs {(long)channels * height * width} pixels, got {pixels.LongLength}.", nameof(pixels));
        Name = name;
        Channels = channels;
        Height = height;
        Width = width;
        Pixels = pixels;
        FullScale = fullScale;
    }

    public string Name { get; }
    public int Channels { get; }
    public int Height { get; }
    public int Width { get; }

    /// <summary>All samples, channel after channel.</summary>
    public float[] Pixels { get; }

    /// <summary>The sample value of full exposure: 255, 65535, or 1 for floating-point images.</summary>
    public double FullScale { get; }

    /// <summary>One channel, height * width values, row-major.</summary>
    public Span<float> Channel(int channel)
    {
        if ((uint)channel >= (uint)Channels) throw new ArgumentOutOfRangeException(nameof(channel));
        return Pixels.AsSpan(channel * Height * Width, Height * Width);
    }
}
