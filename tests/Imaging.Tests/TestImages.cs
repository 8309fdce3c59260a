using BioSup.Runtime;

namespace BioSup.Imaging.Tests;

/// <summary>Images with known samples.</summary>
internal static class TestImages
{
    /// <summary>Uniform integer noise in [0, fullScale].</summary>
    public static ImageStack Noise(int channels, int height, int width, double fullScale, ulong seed = 1)
    {
        CounterRandom random = new(seed);
        float[] pixels = new float[channels * height * width];
        for (int i = 0; i < pixels.Length; i++) pixels[i] = random.NextInt32((int)fullScale + 1);
        return new ImageStack("noise", channels, height, width, pixels, fullScale);
    }

    /// <summary>Soft bright discs on a dark noisy ground: something with edges for a dictionary to learn.</summary>
    public static ImageStack Discs(string name, int channels, int height, int width, ulong seed)
    {
        CounterRandom random = new(seed, stream: 7);
        float[] pixels = new float[channels * height * width];
        for (int channel = 0; channel < channels; channel++)
        {
            Span<float> plane = pixels.AsSpan(channel * height * width, height * width);
            for (int i = 0; i < plane.Length; i++) plane[i] = (float)Math.Round(400 + 60 * random.NextNormal());
            for (int disc = 0; disc < height * width / 900; disc++)
            {
                double cy = random.NextDouble() * height, cx = random.NextDouble() * width, radius = 3 + 8 * random.NextDouble(), level = 4000 + 20000 * random.NextDouble();
                for (int y = 0; y < height; y++)
                    for (int x = 0; x < width; x++)
                        plane[y * width + x] += (float)Math.Round(level / (1 + Math.Exp(Math.Sqrt((y - cy) * (y - cy) + (x - cx) * (x - cx)) - radius)));
            }
        }
        for (int i = 0; i < pixels.Length; i++) pixels[i] = Math.Clamp(pixels[i], 0, 65535);
        return new ImageStack(name, channels, height, width, pixels, 65535);
    }

    public static void WriteTiff(string path, ImageStack image, TiffOptions? options = null)
    {
        using FileStream stream = new(path, FileMode.Create, FileAccess.ReadWrite);
        TiffWriter.Write(stream, image, options);
    }
}
