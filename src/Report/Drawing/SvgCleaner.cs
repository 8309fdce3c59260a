using System.Globalization;
using System.Xml.Linq;

namespace BioSup.Report.Drawing;

/// <summary>
/// Turns what Skia's SVG canvas writes into something a person can edit and a page can hold: whole words instead of one position
/// per glyph, a view box, a font stack, an accessible name, and identifiers that do not clash with those of another figure on the page.
/// </summary>
internal static class SvgCleaner
{
    private static readonly XNamespace s_svg = "http://www.w3.org/2000/svg";
    private static readonly XNamespace s_xlink = "http://www.w3.org/1999/xlink";

    public static string Clean(string skiaSvg, int width, int height, string description, string idPrefix)
    {
        XElement root = XDocument.Parse(Printable(skiaSvg)).Root ?? throw new InvalidOperationException("Skia wrote an empty SVG document.");
        RemoveHidden(root, width, height);
        Dictionary<string, string> names = NewNames(root, idPrefix);
        foreach (XElement element in root.DescendantsAndSelf())
        {
            Rename(element, names);
            if (element.Name == s_svg + "text") CleanText(element);
        }
        root.SetAttributeValue("width", width.ToString(CultureInfo.InvariantCulture));
        root.SetAttributeValue("height", height.ToString(CultureInfo.InvariantCulture));
        root.SetAttributeValue("viewBox", string.Create(CultureInfo.InvariantCulture, $"0 0 {width} {height}"));
        root.SetAttributeValue("role", "img");
        root.SetAttributeValue("aria-label", Printable(description));
        root.AddFirst(new XElement(s_svg + "title", Printable(description)));
        return root.ToString(SaveOptions.DisableFormatting);
    }

    /// <summary>A cleaned document with other identifiers.</summary>
    public static string Rename(string cleaned, string idPrefix)
    {
        XElement root = XDocument.Parse(cleaned, LoadOptions.PreserveWhitespace).Root!;
        Dictionary<string, string> names = NewNames(root, idPrefix);
        foreach (XElement element in root.DescendantsAndSelf()) Rename(element, names);
        return root.ToString(SaveOptions.DisableFormatting);
    }

    // ScottPlot clears what it may draw on, paints its background, and where its layout changed on the way does all of it again. What a clearing covered is not seen, but for a dark
    // hairline where its edge falls between two pixels; and of the leading full-size rectangles only the last is.
    private static void RemoveHidden(XElement root, int width, int height)
    {
        foreach (XElement group in root.DescendantsAndSelf().Where(e => e == root || e.Name == s_svg + "g").ToArray())
            if (group.Elements().LastOrDefault(e => IsWhole(e) && e.Attribute("fill") is null) is { } clearing)
            {
                // The paper stays.
                clearing.ElementsBeforeSelf().Where(e => !IsWhole(e) || e.Attribute("fill") is null).Remove();
                clearing.Remove();
            }
        foreach (XElement hidden in root.Elements().TakeWhile(IsWhole).SkipLast(1).ToArray()) hidden.Remove();

        bool IsWhole(XElement e) => e.Name == s_svg + "rect" && e.Attribute("x") is null && e.Attribute("y") is null
            && e.Attribute("width")?.Value == width.ToString(CultureInfo.InvariantCulture) && e.Attribute("height")?.Value == height.ToString(CultureInfo.InvariantCulture);
    }

    private static void CleanText(XElement text)
    {
        text.SetAttributeValue("font-family", FigureFonts.FamilyStack);
        if (text.Attribute("font-weight")?.Value is string weight && weight != "normal") text.SetAttributeValue("font-weight", "600");
        KeepFirst(text, "x");
        KeepFirst(text, "y");
        text.Value = text.Value.Trim('\r', '\n', '\t');
        text.SetAttributeValue(XNamespace.Xml + "space", "preserve");
    }

    // Skia positions every glyph ("10, 17.2, 23,"): correct, but no editor can then change the word.
    private static void KeepFirst(XElement text, string name)
    {
        if (text.Attribute(name)?.Value is string positions) text.SetAttributeValue(name, positions.Split(',', 2)[0].Trim());
    }

    // Skia counts identifiers through the whole life of the process; numbered anew, the same figure is the same text every time.
    private static Dictionary<string, string> NewNames(XElement root, string prefix)
    {
        Dictionary<string, string> names = [];
        foreach (XAttribute id in root.DescendantsAndSelf().Attributes("id")) names.TryAdd(id.Value, prefix + names.Count.ToString(CultureInfo.InvariantCulture));
        return names;
    }

    private static void Rename(XElement element, Dictionary<string, string> names)
    {
        foreach (XAttribute attribute in element.Attributes())
        {
            if (attribute.IsNamespaceDeclaration) continue;
            if (attribute.Name == "id") attribute.Value = names[attribute.Value];
            else if (attribute.Value.StartsWith("url(#", StringComparison.Ordinal)) attribute.Value = $"url(#{names[attribute.Value[5..^1]]})";
            else if ((attribute.Name == s_xlink + "href" || attribute.Name == "href") && attribute.Value.StartsWith('#')) attribute.Value = "#" + names[attribute.Value[1..]];
        }
    }

    // XML 1.0 has no way to write control characters, not even as references.
    private static string Printable(string text)
    {
        if (!text.Any(IsForbidden)) return text;
        return string.Concat(text.Where(c => !IsForbidden(c)));
    }

    private static bool IsForbidden(char c) => c < ' ' && c is not ('\t' or '\n' or '\r') || c is '\uFFFE' or '\uFFFF';
}
