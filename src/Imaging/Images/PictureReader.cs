using BioSup.Runtime;
using ImageMagick;

namespace BioSup.Imaging;

/// <summary>Reads 8-bit PNG, JPEG, BMP and WebP pictures: grey gives one channel, everything else red, green and blue; alpha is left out.</summary>
internal static class PictureReader
{
    private const long MaxPixels = 1L << 29;

    /// <exception cref="DataException">The file is damaged, or a 16-bit PNG, whose lower eight bits would be lost.</exception>
    public static ImageStack Read(string path)
    {
        MagickFormat format = DetectFormat(path) ?? throw new DataException(path, null, "not an image file this tool reads; expected TIFF, PNG, JPEG, BMP or WebP");
        try
        {
            MagickReadSettings settings = new() { Format = format };
            // Streams, not names: ImageMagick reads meaning into colons, brackets and percent signs of a name.
            using FileStream file = File.OpenRead(path);
            MagickImageInfo info = new();
            info.Read(file, settings);
            file.Position = 0;
            if ((long)info.Width * info.Height is < 1 or > MaxPixels)
                throw new DataException(path, null, $"the header promises {info.Width} x {info.Height} pixels; expected 1 to {MaxPixels}");
            using MagickImage image = new(file, settings);
            return Convert(path, image);
        }
        catch (MagickException e)
        {
            throw new DataException(path, null, $"the {format.ToString().ToUpperInvariant()} file is damaged ({Shorten(e.Message)})", e);
        }
    }

    private static ImageStack Convert(string path, MagickImage image)
    {
        int height = checked((int)image.Height), width = checked((int)image.Width);
        bool grey = image.ColorType is ColorType.Grayscale or ColorType.GrayscaleAlpha or ColorType.Bilevel || image.ColorSpace == ColorSpace.Gray;
        int channels = grey ? 1 : 3;
        using IUnsafePixelCollection<byte> samples = image.GetPixelsUnsafe();
        byte[] bytes = samples.ToByteArray(grey ? "R" : "RGB") ?? throw new DataException(path, null, "the picture has no pixels");
        float[] pixels = new float[checked(channels * height * width)];
        for (int channel = 0; channel < channels; channel++)
        {
            Span<float> plane = pixels.AsSpan(channel * height * width, height * width);
            for (int i = 0; i < plane.Length; i++) plane[i] = bytes[i * channels + channel];
        }
        return new ImageStack(path, channels, height, width, pixels, 255);
    }

    /// <summary>The format by the file's first bytes: nothing else decides which decoder runs.</summary>
    private static MagickFormat? DetectFormat(string path)
    {
        byte[] head = new byte[26];
        int length = ImageReader.ReadHead(path, head);
        ReadOnlySpan<byte> start = head.AsSpan(0, length);
        if (length > 4 && head[0] == 0x89 && start[1..4].SequenceEqual("PNG"u8))
        {
            if (length > 24 && head[24] == 16)
                throw new DataException(path, null, "a 16-bit PNG, whose lower eight bits would be lost here; expected TIFF for 16-bit images");
            return MagickFormat.Png;
        }
        if (length > 2 && head[0] == 0xFF && head[1] == 0xD8 && head[2] == 0xFF) return MagickFormat.Jpeg;
        if (start.StartsWith("BM"u8)) return MagickFormat.Bmp;
        return length >= 12 && start.StartsWith("RIFF"u8) && start[8..12].SequenceEqual("WEBP"u8) ? MagickFormat.WebP : null;
    }

    private static string Shorten(string message)
    {
        string line = message.Split('\n')[0].Trim();
        return line.Length <= 160 ? line : line[..160];
    }
}
