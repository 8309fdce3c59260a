using SkiaSharp;

namespace BioSup.Report.Figures;

/// <summary>Colours for categories: Okabe and Ito (2008), distinguishable with every common colour-vision deficiency.</summary>
public static class Palette
{
    private static readonly SKColor[] s_okabeIto =
    [
        new(0x00, 0x72, 0xB2), new(0xD5, 0x5E, 0x00), new(0x00, 0x9E, 0x73), new(0xCC, 0x79, 0xA7),
        new(0xE6, 0x9F, 0x00), new(0x56, 0xB4, 0xE9), new(0x8C, 0x7A, 0x00), new(0x44, 0x4F, 0x5A),
    ];

    /// <summary>Number of different colours before they repeat, lighter.</summary>
    public static int Count => s_okabeIto.Length;

    internal static SKColor Category(int index)
    {
        SKColor color = s_okabeIto[index % s_okabeIto.Length];
        return index < s_okabeIto.Length ? color : Mix(color, SKColors.White, 0.45 + 0.1 * (index / s_okabeIto.Length % 3 - 1));
    }

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

    /// <summary>Blue over white to orange: for values with a meaningful middle.</summary>
    BlueOrange,
}

/// <summary>Looks a colour up on a scale.</summary>
internal static class ColorScales
{
    private static readonly ScottPlot.Colormaps.Viridis s_viridis = new();
    private static readonly SKColor[] s_cividis = [new(0x00, 0x20, 0x4D), new(0x00, 0x33, 0x6F), new(0x39, 0x48, 0x6B), new(0x57, 0x5C, 0x6D), new(0x70, 0x71, 0x73), new(0x8A, 0x87, 0x79), new(0xA6, 0x9D, 0x75), new(0xC4, 0xB5, 0x6C), new(0xE4, 0xCF, 0x5B), new(0xFF, 0xEA, 0x46)];
    private static readonly SKColor[] s_blues = [new(0xFF, 0xFF, 0xFF), new(0xDC, 0xEA, 0xF5), new(0x9C, 0xC7, 0xE4), new(0x4F, 0x9B, 0xCB), new(0x0B, 0x66, 0xA3), new(0x06, 0x3A, 0x66)];
    private static readonly SKColor[] s_blueOrange = [new(0x06, 0x4B, 0x80), new(0x3F, 0x8F, 0xC4), new(0xAF, 0xD2, 0xEA), new(0xF8, 0xF8, 0xF8), new(0xF9, 0xCF, 0x9C), new(0xE0, 0x88, 0x2D), new(0x99, 0x48, 0x00)];

    /// <summary>The colour at <paramref name="position"/> in [0, 1]; outside values are clamped.</summary>
    public static SKColor At(ColorScale scale, double position)
    {
        double t = Math.Clamp(position, 0, 1);
        return scale switch
        {
            ColorScale.Viridis => Convert(s_viridis.GetColor(t)),
            ColorScale.Cividis => Interpolate(s_cividis, t),
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
