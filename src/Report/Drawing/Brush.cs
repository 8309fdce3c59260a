using SkiaSharp;

namespace BioSup.Report.Drawing;

/// <summary>Where a text sits relative to its anchor point.</summary>
internal enum TextAlign { Left, Center, Right }

/// <summary>The few drawing verbs that figures need, on one canvas (raster or SVG).</summary>
internal sealed class Brush(SKCanvas canvas)
{
    public SKCanvas Canvas { get; } = canvas;

    public void Fill(SKRect rect, SKColor color)
    {
        using SKPaint paint = new() { Color = color, IsAntialias = false };
        Canvas.DrawRect(rect, paint);
    }

    public void Outline(SKRect rect, SKColor color, float width = 1)
    {
        using SKPaint paint = new() { Color = color, IsStroke = true, StrokeWidth = width, IsAntialias = true };
        Canvas.DrawRect(rect, paint);
    }

    public void Line(float x0, float y0, float x1, float y1, SKColor color, float width = 1)
    {
        using SKPaint paint = new() { Color = color, IsStroke = true, StrokeWidth = width, IsAntialias = true };
        Canvas.DrawLine(x0, y0, x1, y1, paint);
    }

    /// <summary>A straight line in dashes, each drawn by itself: SVG output of Skia knows no dash patterns.</summary>
    public void DashedLine(float x0, float y0, float x1, float y1, SKColor color)
    {
        const float Dash = 5, Period = 9;
        float length = MathF.Sqrt((x1 - x0) * (x1 - x0) + (y1 - y0) * (y1 - y0));
        if (!(length > 0) || !float.IsFinite(length)) return;
        float dx = (x1 - x0) / length, dy = (y1 - y0) / length;
        using SKPath path = new();
        for (float at = 0; at < length; at += Period)
        {
            float end = MathF.Min(at + Dash, length);
            path.MoveTo(x0 + at * dx, y0 + at * dy);
            path.LineTo(x0 + end * dx, y0 + end * dy);
        }
        using SKPaint paint = new() { Color = color, IsStroke = true, StrokeWidth = 1.2f, IsAntialias = true };
        Canvas.DrawPath(path, paint);
    }

    public void Dot(float x, float y, float radius, SKColor color)
    {
        using SKPaint paint = new() { Color = color, IsAntialias = true };
        Canvas.DrawCircle(x, y, radius, paint);
    }

    /// <summary>A filled polygon.</summary>
    public void Polygon(ReadOnlySpan<SKPoint> corners, SKColor color)
    {
        using SKPath path = new();
        path.AddPoly(corners.ToArray(), close: true);
        using SKPaint paint = new() { Color = color, IsAntialias = true };
        Canvas.DrawPath(path, paint);
    }

    /// <summary>A line through points; nothing for fewer than two.</summary>
    public void Curve(ReadOnlySpan<SKPoint> points, SKColor color, float width)
    {
        if (points.Length < 2) return;
        using SKPath path = new();
        path.AddPoly(points.ToArray(), close: false);
        using SKPaint paint = new() { Color = color, IsStroke = true, StrokeWidth = width, StrokeJoin = SKStrokeJoin.Round, IsAntialias = true };
        Canvas.DrawPath(path, paint);
    }

    /// <summary>The circle around a point.</summary>
    public void Ring(float x, float y, float radius, SKColor color, float width = 1)
    {
        using SKPaint paint = new() { Color = color, IsStroke = true, StrokeWidth = width, IsAntialias = true };
        Canvas.DrawCircle(x, y, radius, paint);
    }

    /// <summary>Draws an encoded or raw picture into <paramref name="target"/>; <paramref name="smooth"/> false keeps pixels as squares.</summary>
    public void Image(SKBitmap bitmap, SKRect target, bool smooth)
    {
        using SKImage image = SKImage.FromBitmap(bitmap);
        SKSamplingOptions sampling = smooth ? new(SKFilterMode.Linear, SKMipmapMode.Linear) : new(SKFilterMode.Nearest);
        Canvas.DrawImage(image, target, sampling);
    }

    /// <summary>Draws one line of text. <paramref name="y"/> is the vertical middle of its capitals, or the baseline when asked.</summary>
    public void Text(string text, float x, float y, float size, SKColor color, TextAlign align = TextAlign.Left, bool bold = false, float rotation = 0, bool baseline = false)
    {
        if (string.IsNullOrEmpty(text)) return;
        using SKFont font = Font(size, bold);
        using SKPaint paint = new() { Color = color, IsAntialias = true };
        float width = font.MeasureText(text);
        float dx = align switch { TextAlign.Left => 0, TextAlign.Center => -width / 2, _ => -width };
        float dy = baseline ? 0 : font.Metrics.CapHeight / 2;
        if (rotation == 0)
        {
            Canvas.DrawText(text, x + dx, y + dy, SKTextAlign.Left, font, paint);
            return;
        }
        Canvas.Save();
        Canvas.Translate(x, y);
        Canvas.RotateDegrees(rotation);
        Canvas.DrawText(text, dx, dy, SKTextAlign.Left, font, paint);
        Canvas.Restore();
    }

    /// <summary>Text on a strip of paper, readable over lines.</summary>
    public void Note(string text, float x, float y, float size, SKColor color, TextAlign align, bool bold = false)
    {
        float width = Measure(text, size, bold), left = align switch { TextAlign.Left => x, TextAlign.Center => x - width / 2, _ => x - width };
        Fill(SKRect.Create(left - 2, y - size * 0.62f, width + 4, size * 1.3f), Ink.Paper.WithAlpha(215));
        Text(text, x, y, size, color, align, bold);
    }

    public static float Measure(string text, float size, bool bold = false)
    {
        using SKFont font = Font(size, bold);
        return font.MeasureText(text);
    }

    /// <summary>The longest of <paramref name="texts"/>, in pixels; 0 for none.</summary>
    public static float MeasureWidest(IEnumerable<string> texts, float size, bool bold = false) =>
        texts.Select(t => Measure(t, size, bold)).DefaultIfEmpty(0).Max();

    /// <summary>Shortens <paramref name="text"/> with an ellipsis until it fits <paramref name="width"/>.</summary>
    public static string Fit(string text, float width, float size, bool bold = false)
    {
        if (Measure(text, size, bold) <= width) return text;
        for (int length = text.Length - 1; length > 0; length--)
        {
            if (char.IsHighSurrogate(text[length - 1])) continue;
            string cut = text[..length].TrimEnd() + "…";
            if (Measure(cut, size, bold) <= width) return cut;
        }
        return "…";
    }

    private static SKFont Font(float size, bool bold) => new(bold ? FigureFonts.SemiBold : FigureFonts.Regular, size)
    {
        Subpixel = true,
        Edging = SKFontEdging.Antialias,
        Hinting = SKFontHinting.None,
    };
}
