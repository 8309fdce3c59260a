using BioSup.Report.Drawing;
using SkiaSharp;

namespace BioSup.Report.Figures;

/// <summary>
/// Colours for categories. The first seven and dark grey are those of Okabe and Ito (2008) without the yellow that fades on paper; the others were chosen one by one as far as possible
/// from all before, from white and from the grey of missing values, in CIELAB, for normal vision and for protanopia, deuteranopia and tritanopia (Machado, Oliveira and Fernandes 2009).
/// </summary>
public static class Palette
{
    private static readonly uint[] s_colors =
    [
        0x0072B2, 0xD55E00, 0x009E73, 0xCC79A7, 0xE69F00, 0x56B4E9, 0x602400, 0x444F5A, 0xF0CC90, 0x48186C,
        0x9084FC, 0xA85430, 0xA8A854, 0x6C483C, 0xA8E460, 0x3C3CA8, 0xFC7890, 0x6C5484, 0x18E4FC, 0x541854,
    ];

    /// <summary>Number of different colours before they repeat, lighter.</summary>
    public static int Count => s_colors.Length;

    /// <summary>The colour of a category as #RRGGBB, as scanpy keeps it in <c>uns/COLUMN_colors</c>.</summary>
    public static string Hex(int index)
    {
        SKColor color = Category(index);
        return $"#{color.Red:x2}{color.Green:x2}{color.Blue:x2}";
    }

    internal static SKColor Category(int index)
    {
        SKColor color = OfRgb(s_colors[index % Count]);
        return index < Count ? color : Mix(color, SKColors.White, 0.45 + 0.1 * (index / Count % 3 - 1));
    }

    /// <summary>The colour of a named category: the one given for it, grey for the context of the others, or the palette's by its place.</summary>
    internal static SKColor Category(string name, int index, string? context, IReadOnlyDictionary<string, uint>? given) =>
        given is not null && given.TryGetValue(name, out uint rgb) ? OfRgb(rgb) : name == context ? Ink.Axis : Category(index);

    /// <summary>A colour from 0xRRGGBB.</summary>
    internal static SKColor OfRgb(uint rgb) => new((byte)(rgb >> 16), (byte)(rgb >> 8), (byte)rgb);

    internal static SKColor Mix(SKColor a, SKColor b, double t) => new(Channel(a.Red, b.Red, t), Channel(a.Green, b.Green, t), Channel(a.Blue, b.Blue, t));

    private static byte Channel(byte a, byte b, double t) => (byte)Math.Round(a + (b - a) * t);
}

/// <summary>Colour scales for values, all perceptually even and safe for colour-vision deficiencies.</summary>
public enum ColorScale
{
    /// <summary>Dark blue to yellow (van der Walt and Smith 2015).</summary>
    Viridis,

    /// <summary>Viridis made even for deuteranomaly (Nuñez, Anderton and Renslow 2018).</summary>
    Cividis,

    /// <summary>White to deep blue: for counts and shares, where nothing should look like nothing.</summary>
    Blues,

    /// <summary>Pale yellow over green to deep blue (Brewer 2003), without its palest fifth, which is lost on paper.</summary>
    YellowGreenBlue,

    /// <summary>Blue over white to orange: for values with a meaningful middle.</summary>
    BlueOrange,
}

/// <summary>Looks a colour up on a scale.</summary>
internal static class ColorScales
{
    private static readonly ScottPlot.Colormaps.Viridis s_viridis = new();
    private static readonly SKColor[] s_cividis = [new(0x00, 0x20, 0x4D), new(0x00, 0x33, 0x6F), new(0x39, 0x48, 0x6B), new(0x57, 0x5C, 0x6D), new(0x70, 0x71, 0x73), new(0x8A, 0x87, 0x79), new(0xA6, 0x9D, 0x75), new(0xC4, 0xB5, 0x6C), new(0xE4, 0xCF, 0x5B), new(0xFF, 0xEA, 0x46)];
    private static readonly SKColor[] s_blues = [new(0xFF, 0xFF, 0xFF), new(0xDC, 0xEA, 0xF5), new(0x9C, 0xC7, 0xE4), new(0x4F, 0x9B, 0xCB), new(0x0B, 0x66, 0xA3), new(0x06, 0x3A, 0x66)];
    private static readonly SKColor[] s_yellowGreenBlue = [new(0xD6, 0xEF, 0xB3), new(0xA5, 0xDB, 0xB8), new(0x60, 0xC2, 0xBF), new(0x2F, 0xA4, 0xC2), new(0x20, 0x78, 0xB4), new(0x24, 0x4C, 0x9F), new(0x08, 0x1D, 0x58)];
    private static readonly SKColor[] s_blueOrange = [new(0x06, 0x4B, 0x80), new(0x3F, 0x8F, 0xC4), new(0xAF, 0xD2, 0xEA), new(0xF8, 0xF8, 0xF8), new(0xF9, 0xCF, 0x9C), new(0xE0, 0x88, 0x2D), new(0x99, 0x48, 0x00)];

    /// <summary>The colour at <paramref name="position"/> in [0, 1]; outside values are clamped.</summary>
    public static SKColor At(ColorScale scale, double position)
    {
        double t = Math.Clamp(position, 0, 1);
        return scale switch
        {
            ColorScale.Viridis => Convert(s_viridis.GetColor(t)),
            ColorScale.Cividis => Interpolate(s_cividis, t),
            ColorScale.YellowGreenBlue => Interpolate(s_yellowGreenBlue, t),
            ColorScale.Blues => Interpolate(s_blues, t),
            _ => Interpolate(s_blueOrange, t),
        };
    }

    private static SKColor Convert(ScottPlot.Color color) => new(color.R, color.G, color.B);

    private static SKColor Interpolate(SKColor[] stops, double t)
    {
        double place = t * (stops.Length - 1);
        int index = Math.Min((int)place, stops.Length - 2);
        return Palette.Mix(stops[index], stops[index + 1], place - index);
    }
}
