namespace BioSup.Imaging;

/// <summary>One square plane of light, drawn with soft-edged shapes in pixel coordinates (pixel centres at integers).</summary>
internal sealed class Canvas(int size)
{
    public int Size { get; } = size;

    /// <summary>Row-major intensities.</summary>
    public float[] Pixels { get; } = new float[size * size];

    public void Clear() => Array.Clear(Pixels);

    /// <summary>Adds a Gaussian spot.</summary>
    public void AddSpot(double x, double y, double sigma, double amplitude)
    {
        double scale = -0.5 / (sigma * sigma);
        foreach (int row in Span(y, 3.2 * sigma))
        {
            foreach (int column in Span(x, 3.2 * sigma))
            {
                double dx = column - x, dy = row - y;
                Pixels[row * Size + column] += (float)(amplitude * Math.Exp(scale * (dx * dx + dy * dy)));
            }
        }
    }

    /// <summary>Adds a ball of the given radius: bright inside like a projected sphere, with an optional bright shell.</summary>
    public void AddBall(double x, double y, double radius, double fill, double shell, double softness)
    {
        double reach = radius + 2 * softness;
        foreach (int row in Span(y, reach))
        {
            foreach (int column in Span(x, reach))
            {
                double r = Math.Sqrt((column - x) * (column - x) + (row - y) * (row - y));
                double inside = Edge(radius - r, softness), rim = (r - radius) / softness;
                Pixels[row * Size + column] += (float)(fill * inside + shell * Math.Exp(-0.5 * rim * rim));
            }
        }
    }

    /// <summary>Multiplies by 1 - depth inside a soft disc: a hole.</summary>
    public void CarveDisc(double x, double y, double radius, double depth, double softness)
    {
        double reach = radius + 2 * softness;
        foreach (int row in Span(y, reach))
        {
            foreach (int column in Span(x, reach))
            {
                double r = Math.Sqrt((column - x) * (column - x) + (row - y) * (row - y));
                Pixels[row * Size + column] *= (float)(1 - depth * Edge(radius - r, softness));
            }
        }
    }

    /// <summary>Raises the plane to at least a tapered capsule from a to b: strokes join without bright knots.</summary>
    public void RaiseCapsule(double ax, double ay, double widthA, double bx, double by, double widthB, double amplitude, double softness)
    {
        double dx = bx - ax, dy = by - ay, length2 = dx * dx + dy * dy;
        double reach = Math.Max(widthA, widthB) + 2 * softness;
        foreach (int row in Span((ay + by) / 2, reach + Math.Abs(dy) / 2))
        {
            foreach (int column in Span((ax + bx) / 2, reach + Math.Abs(dx) / 2))
            {
                double t = length2 > 0 ? Math.Clamp(((column - ax) * dx + (row - ay) * dy) / length2, 0, 1) : 0;
                double ox = column - ax - t * dx, oy = row - ay - t * dy;
                double width = widthA + t * (widthB - widthA);
                float value = (float)(amplitude * Edge(width - Math.Sqrt(ox * ox + oy * oy), softness));
                ref float pixel = ref Pixels[row * Size + column];
                if (value > pixel) pixel = value;
            }
        }
    }

    /// <summary>Convolves with a Gaussian (the point-spread function), edges extended.</summary>
    public void Blur(double sigma, float[] scratch)
    {
        int radius = (int)Math.Ceiling(3 * sigma);
        Span<double> kernel = stackalloc double[radius + 1];
        double sum = 0;
        for (int i = 0; i <= radius; i++)
        {
            kernel[i] = Math.Exp(-0.5 * i * i / (sigma * sigma));
            sum += i == 0 ? kernel[i] : 2 * kernel[i];
        }
        for (int i = 0; i <= radius; i++) kernel[i] /= sum;
        BlurLines(Pixels, scratch, kernel, 1, Size);
        BlurLines(scratch, Pixels, kernel, Size, 1);
    }

    private void BlurLines(float[] source, float[] target, ReadOnlySpan<double> kernel, int step, int lineStep)
    {
        for (int line = 0; line < Size; line++)
        {
            for (int i = 0; i < Size; i++)
            {
                int origin = line * lineStep;
                double value = kernel[0] * source[origin + i * step];
                for (int k = 1; k < kernel.Length; k++)
                    value += kernel[k] * (source[origin + Math.Max(i - k, 0) * step] + source[origin + Math.Min(i + k, Size - 1) * step]);
                target[origin + i * step] = (float)value;
            }
        }
    }

    /// <summary>Smooth step across an edge: 1 well inside (distance &gt; softness), 0 well outside.</summary>
    public static double Edge(double distance, double softness)
    {
        double t = Math.Clamp(0.5 + 0.5 * distance / softness, 0, 1);
        return t * t * (3 - 2 * t);
    }

    private PixelRange Span(double centre, double reach) =>
        new(Math.Max(0, (int)Math.Ceiling(centre - reach)), Math.Min(Size - 1, (int)Math.Floor(centre + reach)));

    private readonly struct PixelRange(int first, int last)
    {
        public Enumerator GetEnumerator() => new(first - 1, last);

        public struct Enumerator(int current, int last)
        {
            public int Current { get; private set; } = current;

            public bool MoveNext() => ++Current <= last;
        }
    }
}
