namespace BioSup.Imaging;

/// <summary>Figures of one patch, in 16-bit units (8-bit images count 257 per level), so that thresholds mean the same for all cameras.</summary>
/// <param name="StdSum">Sum over channels of the standard deviation (population) of the pixels.</param>
/// <param name="LaplacianVariance">Variance of the Laplacian of the channel maximum: low where the patch is out of focus or empty.</param>
/// <param name="Background">Fraction of pixels that are dark in every channel after each channel of some contrast is stretched; 1 when none has contrast.</param>
public readonly record struct PatchFigures(double StdSum, double LaplacianVariance, double Background);

/// <summary>
/// Focus and content measures as in the published Cell Painting quality control: kernel [0 1 0; 1 -4 1; 0 1 0] with mirrored border
/// (OpenCV's BORDER_REFLECT_101), stretch from the 10th to the 99.5th percentile (linear interpolation), darkness below 4000 of 65535.
/// One instance serves one thread.
/// </summary>
public sealed class PatchQuality
{
    private const double LowPercentile = 0.10, HighPercentile = 0.995, StretchedDark = 4000.0 / 65535, ContrastStd = 655;
    private float[] _maximum = [];
    private float[] _sorted = [];
    private bool[] _bright = [];

    /// <summary>Measures the size x size patch with its upper left corner at (x, y).</summary>
    public PatchFigures Measure(ImageStack image, int x, int y, int size)
    {
        int count = size * size;
        if (_maximum.Length != count) (_maximum, _sorted, _bright) = (new float[count], new float[count], new bool[count]);
        Array.Fill(_maximum, float.NegativeInfinity);
        Array.Clear(_bright);
        float toSixteenBits = (float)(65535 / image.FullScale);
        double stdSum = 0;
        for (int channel = 0; channel < image.Channels; channel++)
        {
            ReadOnlySpan<float> plane = image.Channel(channel);
            for (int row = 0; row < size; row++)
            {
                ReadOnlySpan<float> source = plane.Slice((y + row) * image.Width + x, size);
                Span<float> copy = _sorted.AsSpan(row * size, size), maximum = _maximum.AsSpan(row * size, size);
                for (int i = 0; i < size; i++)
                {
                    float value = source[i] * toSixteenBits;
                    copy[i] = value;
                    maximum[i] = Math.Max(maximum[i], value);
                }
            }
            double std = StandardDeviation(_sorted);
            stdSum += std;
            if (std >= ContrastStd) MarkBright(plane, image.Width, x, y, size, toSixteenBits);
        }
        int dark = _bright.AsSpan().Count(false);
        return new PatchFigures(stdSum, LaplacianVariance(_maximum, size, size), (double)dark / count);
    }

    /// <summary>The pixels of a patch, row by row, that are bright in some channel once stretched: the foreground behind <see cref="PatchFigures.Background"/>. Valid until the next call.</summary>
    public ReadOnlySpan<bool> Foreground(ImageStack image, int x, int y, int size)
    {
        Measure(image, x, y, size);
        return _bright;
    }

    /// <summary>Population variance of the Laplacian of a height x width plane.</summary>
    public static double LaplacianVariance(ReadOnlySpan<float> plane, int height, int width)
    {
        double sum = 0, squares = 0;
        for (int y = 0; y < height; y++)
        {
            // The border is mirrored without repeating the edge pixel; an axis of one pixel has no second derivative.
            ReadOnlySpan<float> above = plane.Slice(Mirror(y - 1, height) * width, width), here = plane.Slice(y * width, width), below = plane.Slice(Mirror(y + 1, height) * width, width);
            for (int x = 0; x < width; x++)
            {
                double value = (double)above[x] + below[x] + here[Mirror(x - 1, width)] + here[Mirror(x + 1, width)] - 4.0 * here[x];
                sum += value;
                squares += value * value;
            }
        }
        double count = (double)height * width, mean = sum / count;
        return Math.Max(0, squares / count - mean * mean);
    }

    /// <summary>The p-quantile (0 to 1) with linear interpolation between order statistics, as NumPy's default; reorders the values.</summary>
    public static double Quantile(Span<float> values, double p)
    {
        double position = p * (values.Length - 1);
        int below = (int)position;
        double low = Select(values, below);
        if (below + 1 >= values.Length) return low;
        // After selection everything to the right is at least as large: the next order statistic is its minimum.
        double high = values[below + 1];
        foreach (float value in values[(below + 2)..]) high = Math.Min(high, value);
        return low + (high - low) * (position - below);
    }

    private void MarkBright(ReadOnlySpan<float> plane, int width, int x, int y, int size, float toSixteenBits)
    {
        double low = Quantile(_sorted, LowPercentile), high = Quantile(_sorted, HighPercentile);
        if (high <= low) return;
        double level = low + (high - low) * StretchedDark;
        for (int row = 0; row < size; row++)
        {
            ReadOnlySpan<float> source = plane.Slice((y + row) * width + x, size);
            for (int i = 0; i < size; i++) _bright[row * size + i] |= source[i] * toSixteenBits >= level;
        }
    }

    private static double StandardDeviation(ReadOnlySpan<float> values)
    {
        double sum = 0, squares = 0;
        foreach (float value in values) sum += value;
        double mean = sum / values.Length;
        foreach (float value in values) squares += (value - mean) * (value - mean);
        return Math.Sqrt(squares / values.Length);
    }

    private static int Mirror(int index, int length) => length == 1 ? 0 : index < 0 ? -index : index >= length ? 2 * length - 2 - index : index;

    /// <summary>Hoare's selection: afterwards values[k] is the k-th smallest, smaller ones left of it, larger ones right.</summary>
    private static float Select(Span<float> values, int k)
    {
        int left = 0, right = values.Length - 1;
        while (left < right)
        {
            float pivot = values[k];
            int i = left, j = right;
            do
            {
                while (values[i] < pivot) i++;
                while (values[j] > pivot) j--;
                if (i > j) break;
                (values[i], values[j]) = (values[j], values[i]);
                i++;
                j--;
            }
            while (i <= j);
            if (j < k) left = i;
            if (i > k) right = j;
        }
        return values[k];
    }
}
