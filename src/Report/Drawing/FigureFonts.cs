using System.Reflection;
using ScottPlot;
using SkiaSharp;

namespace BioSup.Report.Drawing;

/// <summary>
/// The typefaces of every figure and report, carried inside the assembly so that a bare node without any installed font
/// draws the same pictures as a workstation. Inter, SIL Open Font License 1.1 (<c>Fonts/OFL.txt</c>).
/// </summary>
internal static class FigureFonts
{
    /// <summary>The family name that plots ask for and that the HTML page declares.</summary>
    public const string Family = "Inter";

    /// <summary>What a viewer without the family falls back to.</summary>
    public const string FamilyStack = "Inter, 'Helvetica Neue', Helvetica, Arial, sans-serif";

    private static readonly Lazy<SKTypeface> s_regular = new(() => Load("Inter-Regular.otf"));
    private static readonly Lazy<SKTypeface> s_semiBold = new(() => Load("Inter-SemiBold.otf"));
    private static readonly Lazy<bool> s_registered = new(Register);

    public static SKTypeface Regular => s_regular.Value;

    public static SKTypeface SemiBold => s_semiBold.Value;

    /// <summary>Makes ScottPlot use the embedded typefaces whatever family it asks for. Safe to call often and from many threads.</summary>
    public static void EnsureRegistered() => _ = s_registered.Value;

    /// <summary>The bytes of one embedded font file, for the page's <c>@font-face</c>.</summary>
    public static byte[] ReadBytes(string name)
    {
        using Stream stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(name)
            ?? throw new InvalidOperationException($"The font {name} is not embedded in the Report assembly.");
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }

    private static SKTypeface Load(string name)
    {
        using SKData data = SKData.CreateCopy(ReadBytes(name));
        return SKTypeface.FromData(data) ?? throw new InvalidOperationException($"The embedded font {name} cannot be read.");
    }

    private static bool Register()
    {
        ScottPlot.Fonts.FontResolvers.Insert(0, new EmbeddedResolver());
        ScottPlot.Fonts.Default = Family;
        ScottPlot.Fonts.Sans = Family;
        return true;
    }

    private sealed class EmbeddedResolver : IFontResolver
    {
        public SKTypeface CreateTypeface(string fontName, FontWeight weight, FontSlant slant, FontSpacing spacing) =>
            weight >= FontWeight.SemiBold ? SemiBold : Regular;

        public SKTypeface CreateTypeface(string fontName, bool bold, bool italic) => bold ? SemiBold : Regular;
    }
}
