using SkiaSharp;

namespace BioSup.Report.Drawing;

/// <summary>The quiet colours and sizes that all figures share; the page's stylesheet uses the same values.</summary>
internal static class Ink
{
    public static readonly SKColor Paper = SKColors.White;
    public static readonly SKColor Text = new(0x1F, 0x29, 0x33);
    public static readonly SKColor Muted = new(0x5F, 0x6B, 0x7A);
    public static readonly SKColor Axis = new(0x9A, 0xA5, 0xB1);
    public static readonly SKColor Grid = new(0xE9, 0xEC, 0xF0);
    public static readonly SKColor Missing = new(0xD9, 0xDD, 0xE2);

    public const float TitleSize = 14;
    public const float LabelSize = 12;
    public const float TickSize = 11;

    /// <summary>Black or white, whichever reads better on <paramref name="background"/> (relative luminance, WCAG 2).</summary>
    public static SKColor On(SKColor background) => Luminance(background) > 0.36 ? Text : SKColors.White;

    private static double Luminance(SKColor c) => 0.2126 * Linear(c.Red) + 0.7152 * Linear(c.Green) + 0.0722 * Linear(c.Blue);

    private static double Linear(byte channel)
    {
        double v = channel / 255.0;
        return v <= 0.04045 ? v / 12.92 : Math.Pow((v + 0.055) / 1.055, 2.4);
    }
}
