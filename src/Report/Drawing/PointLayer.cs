using System.Runtime.Intrinsics;
using SkiaSharp;

namespace BioSup.Report.Drawing;

/// <summary>
/// Many round points: circles in vector output while they are few, one picture at print resolution otherwise. The picture is painted here and not by Skia,
/// from masks of one disc at sixteen places within a pixel: a million points take a fraction of a second, and thin layers add up without rounding.
/// </summary>
internal static class PointLayer
{
    /// <summary>Above this many points they become a picture.</summary>
    public const int RasterFrom = 1500;

    private const float PrintScale = 300f / 96;
    private const int Phases = 4, Fine = 4;

    /// <param name="brush">Where to draw.</param>
    /// <param name="area">The part of the canvas that may be painted.</param>
    /// <param name="points">Middle of each point; one that is not finite is left out.</param>
    /// <param name="colors">Colour of each point; its alpha is ignored.</param>
    /// <param name="order">Indices of the points to draw, lowest layer first.</param>
    /// <param name="radius">In pixels of the canvas.</param>
    /// <param name="alpha">Opacity of one point.</param>
    public static void Draw(Brush brush, SKRect area, SKPoint[] points, SKColor[] colors, ReadOnlySpan<int> order, float radius, byte alpha)
    {
        if (order.Length > RasterFrom)
        {
            DrawPicture(brush, area, points, colors, order, radius, alpha);
            return;
        }
        brush.Canvas.Save();
        brush.Canvas.ClipRect(area);
        using SKPaint paint = new() { IsAntialias = true };
        foreach (int i in order)
        {
            if (!float.IsFinite(points[i].X) || !float.IsFinite(points[i].Y)) continue;
            paint.Color = colors[i].WithAlpha(alpha);
            brush.Canvas.DrawCircle(points[i], radius, paint);
        }
        brush.Canvas.Restore();
    }

    /// <summary>
    /// Opacity at which the place where a typical point lies does not fill up: full up to six points upon one another, then falling with the square root of their number.
    /// </summary>
    public static byte AlphaFor(SKRect area, ReadOnlySpan<SKPoint> points, float radius)
    {
        float cell = Math.Max(2 * radius, 1);
        int columns = (int)(area.Width / cell) + 1, rows = (int)(area.Height / cell) + 1;
        int[] counts = new int[columns * rows];
        int inside = 0;
        foreach (SKPoint p in points)
        {
            if (!area.Contains(p)) continue;
            counts[(int)((p.Y - area.Top) / cell) * columns + (int)((p.X - area.Left) / cell)]++;
            inside++;
        }
        if (inside == 0) return 225;
        double together = counts.Sum(c => (double)c * c) / inside;
        return (byte)Math.Clamp(225 * Math.Sqrt(6 / Math.Max(6, together)), 45, 225);
    }

    private static void DrawPicture(Brush brush, SKRect area, SKPoint[] points, SKColor[] colors, ReadOnlySpan<int> order, float radius, byte alpha)
    {
        float scale = Math.Max(PrintScale, brush.Canvas.TotalMatrix.ScaleX);
        int width = Math.Max(1, (int)MathF.Ceiling(area.Width * scale)), height = Math.Max(1, (int)MathF.Ceiling(area.Height * scale));
        // Red, green, blue times alpha, and alpha, as [height, width].
        var sum = new Vector128<float>[width * height];
        Disc disc = new(radius * scale, alpha / 255f);
        foreach (int i in order)
        {
            float x = (points[i].X - area.Left) * scale, y = (points[i].Y - area.Top) * scale;
            if (!(x > -disc.Side && y > -disc.Side && x < width + disc.Side && y < height + disc.Side)) continue;
            disc.Paint(sum, width, height, x, y, Vector128.Create(colors[i].Red, colors[i].Green, colors[i].Blue, 255f));
        }
        using SKBitmap bitmap = new(new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Premul));
        Span<byte> pixels = bitmap.GetPixelSpan();
        for (int p = 0; p < sum.Length; p++)
            for (int c = 0; c < 4; c++) pixels[4 * p + c] = (byte)(sum[p][c] + 0.5f);
        brush.Image(bitmap, SKRect.Create(area.Left, area.Top, width / scale, height / scale), smooth: true);
    }

    /// <summary>The share of every pixel that a disc covers, for each of the places its middle can have within a pixel.</summary>
    private sealed class Disc
    {
        private readonly float[][] _masks = new float[Phases * Phases][];

        public Disc(float radius, float alpha)
        {
            Side = 2 * (int)MathF.Ceiling(radius) + 2;
            for (int phase = 0; phase < _masks.Length; phase++)
            {
                float[] mask = _masks[phase] = new float[Side * Side];
                float cx = Side / 2 + (phase % Phases + 0.5f) / Phases, cy = Side / 2 + (phase / Phases + 0.5f) / Phases;
                for (int at = 0; at < mask.Length * Fine * Fine; at++)
                {
                    int pixel = at / (Fine * Fine), fine = at % (Fine * Fine);
                    float dx = pixel % Side + (fine % Fine + 0.5f) / Fine - cx, dy = pixel / Side + (fine / Fine + 0.5f) / Fine - cy;
                    if (dx * dx + dy * dy <= radius * radius) mask[pixel] += alpha / (Fine * Fine);
                }
            }
        }

        public int Side { get; }

        public void Paint(Vector128<float>[] sum, int width, int height, float x, float y, Vector128<float> color)
        {
            int px = (int)MathF.Floor(x), py = (int)MathF.Floor(y);
            float[] mask = _masks[(int)((y - py) * Phases) * Phases + (int)((x - px) * Phases)];
            int left = px - Side / 2, top = py - Side / 2;
            for (int v = Math.Max(0, -top); v < Math.Min(Side, height - top); v++)
            {
                for (int u = Math.Max(0, -left); u < Math.Min(Side, width - left); u++)
                {
                    float a = mask[v * Side + u];
                    if (a == 0) continue;
                    ref Vector128<float> pixel = ref sum[(top + v) * width + left + u];
                    pixel += (color - pixel) * a;
                }
            }
        }
    }
}
