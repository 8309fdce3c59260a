using System.Text;
using BioSup.Report.Drawing;
using SkiaSharp;

namespace BioSup.Report.Figures;

/// <summary>
/// One picture of a report. The same drawing code gives a PNG and an SVG whose text stays text. Output depends on the data alone:
/// the same figure gives the same bytes on every machine, with or without installed fonts.
/// </summary>
public abstract class Figure
{
    /// <summary>Width in CSS pixels (1/96 inch); the default fits two figures side by side on a report page, which is 976 wide.</summary>
    public int Width { get; init; } = 472;

    /// <summary>Height in CSS pixels.</summary>
    public int Height { get; init; } = 320;

    /// <summary>Short heading drawn above the picture; null for none (in a report the caption says it).</summary>
    public string? Title { get; init; }

    /// <summary>What the picture shows, for readers who cannot see it; defaults to the title or the kind of figure.</summary>
    public string? Description { get; init; }

    /// <summary>The accessible name that the SVG carries.</summary>
    public string AccessibleName => Description ?? Title ?? DefaultDescription;

    /// <summary>Used when neither description nor title is given.</summary>
    protected abstract string DefaultDescription { get; }

    /// <summary>The size that <see cref="Draw"/> fills, in CSS pixels; figures that grow with their data override it.</summary>
    public virtual (int Width, int Height) Size => (Width, Height);

    /// <summary>Draws the whole figure on a canvas of <see cref="Size"/> pixels that is already white.</summary>
    protected abstract void Draw(SKCanvas canvas);

    /// <summary>Draws the figure as a part of another one; its place is the caller's.</summary>
    internal void DrawInside(SKCanvas canvas) => Draw(canvas);

    /// <summary>PNG bytes at <paramref name="scale"/> device pixels per CSS pixel (2 suits high-density screens and print).</summary>
    public virtual byte[] ToPng(float scale = 2)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(scale);
        (int width, int height) = Size;
        SKImageInfo info = new((int)MathF.Ceiling(width * scale), (int)MathF.Ceiling(height * scale), SKColorType.Rgba8888, SKAlphaType.Premul);
        using SKSurface surface = SKSurface.Create(info);
        surface.Canvas.Clear(Ink.Paper);
        surface.Canvas.Scale(scale);
        Draw(surface.Canvas);
        using SKImage image = surface.Snapshot();
        using SKData data = image.Encode(SKEncodedImageFormat.Png, 100);
        return data.ToArray();
    }

    /// <summary>An SVG document without XML declaration, so that it can stand in a file of its own or inside an HTML page.</summary>
    /// <param name="idPrefix">Begins every identifier inside; figures on one page need different ones.</param>
    public virtual string ToSvg(string idPrefix = "s")
    {
        (int width, int height) = Size;
        using MemoryStream buffer = new();
        using (SKCanvas canvas = SKSvgCanvas.Create(SKRect.Create(width, height), buffer))
        {
            using SKPaint paper = new() { Color = Ink.Paper };
            canvas.DrawRect(SKRect.Create(width, height), paper);
            Draw(canvas);
        }
        return SvgCleaner.Clean(Encoding.UTF8.GetString(buffer.ToArray()), width, height, AccessibleName, idPrefix);
    }
}
