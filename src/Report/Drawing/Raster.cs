using SkiaSharp;

namespace BioSup.Report.Drawing;

/// <summary>Matrices as pictures, every cell a square of whole pixels so that viewers which smooth do not blur the cells together.</summary>
internal static class Raster
{
    public static SKBitmap Of(int rows, int columns, Func<int, int, SKColor> colorOf)
    {
        int zoom = Math.Clamp(800 / Math.Max(1, Math.Max(rows, columns)), 1, 16);
        SKBitmap bitmap = new(new SKImageInfo(columns * zoom, rows * zoom, SKColorType.Rgba8888, SKAlphaType.Opaque));
        Span<byte> pixels = bitmap.GetPixelSpan();
        int stride = bitmap.RowBytes;
        for (int i = 0; i < rows; i++)
        {
            for (int j = 0; j < columns; j++)
            {
                SKColor c = colorOf(i, j);
                for (int v = 0; v < zoom; v++)
                {
                    int at = (i * zoom + v) * stride + j * zoom * 4;
                    for (int u = 0; u < zoom; u++, at += 4) (pixels[at], pixels[at + 1], pixels[at + 2], pixels[at + 3]) = (c.Red, c.Green, c.Blue, 255);
                }
            }
        }
        return bitmap;
    }
}
