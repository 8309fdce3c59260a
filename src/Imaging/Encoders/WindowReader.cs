using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>
/// Windows of an image as vectors: channel after channel, row-major; minus their own mean, divided by sqrt(variance + epsilon), minus <see cref="Mean"/>.
/// </summary>
/// <param name="Channels">Channels of the image.</param>
/// <param name="Side">Side of the window in pixels.</param>
/// <param name="Stride">Step between windows in pixels.</param>
/// <param name="ContrastEpsilon">Added to the variance of the window.</param>
/// <param name="Mean">Mean of the normalised windows of the training images, subtracted before whitening.</param>
internal sealed record WindowReader(int Channels, int Side, int Stride, double ContrastEpsilon, float[] Mean)
{
    /// <summary>Values of a window.</summary>
    public int Length => Channels * Side * Side;

    /// <summary>Windows along one side of an image.</summary>
    public int Positions(int imageSide) => (imageSide - Side) / Stride + 1;

    /// <summary>Reads the window whose upper left corner is (x, y).</summary>
    public void Read(ReadOnlySpan<float> image, int imageSide, int y, int x, Span<float> window)
    {
        double sum = 0, squares = 0;
        int at = 0;
        for (int channel = 0; channel < Channels; channel++)
            for (int row = 0; row < Side; row++)
            {
                ReadOnlySpan<float> source = image.Slice((channel * imageSide + y + row) * imageSide + x, Side);
                foreach (float value in source)
                {
                    window[at++] = value;
                    sum += value;
                    squares += (double)value * value;
                }
            }
        double mean = sum / Length, variance = Math.Max(0, squares / Length - mean * mean);
        float offset = (float)mean, factor = (float)(1 / Math.Sqrt(variance + ContrastEpsilon));
        for (int i = 0; i < window.Length; i++) window[i] = (window[i] - offset) * factor - Mean[i];
    }

    /// <summary>Windows at random places of random images, one a row.</summary>
    /// <param name="images">[n, Channels * imageSide * imageSide].</param>
    public Matrix<float> Sample(CpuDevice device, Matrix<float> images, int imageSide, int count, ulong seed)
    {
        Matrix<float> samples = device.AllocateMatrix<float>(count, Length);
        CounterRandom random = new(seed, stream: 0x77696E646F77);
        for (int i = 0; i < count; i++)
        {
            int image = random.NextInt32(images.Rows), y = random.NextInt32(imageSide - Side + 1), x = random.NextInt32(imageSide - Side + 1);
            Read(images.Row(image), imageSide, y, x, samples.Row(i));
        }
        return samples;
    }
}
