using System.Text;
using BioSup.Data;
using BioSup.Report.Drawing;

namespace BioSup.Report;

/// <summary>
/// Writes a report as one HTML file: stylesheet, typeface and figures inside, nothing loaded from anywhere, readable offline, without
/// JavaScript and on paper. The same document gives the same bytes.
/// </summary>
public static class HtmlWriter
{
    /// <summary>
    /// Writes the page to <paramref name="path"/>, whole or not at all. With <paramref name="saveFigures"/> every figure is also saved in a folder
    /// <c>figures</c> beside it, as PNG and SVG.
    /// </summary>
    /// <exception cref="BioSup.Runtime.UsageException">The folder cannot be written to.</exception>
    /// <exception cref="BioSup.Runtime.DataException">The disk is full or failed.</exception>
    public static void Write(ReportDocument document, string path, bool saveFigures = false)
    {
        ArgumentNullException.ThrowIfNull(document);
        string html = ToHtml(document);
        if (saveFigures) SaveFigures(document, Path.Combine(Path.GetDirectoryName(Path.GetFullPath(path)) ?? "/", "figures"));
        AtomicFile.WriteAllText(path, html);
    }

    /// <summary>Writes the page to <paramref name="output"/> as UTF-8 without byte order mark.</summary>
    public static void Write(ReportDocument document, Stream output)
    {
        ArgumentNullException.ThrowIfNull(document);
        using StreamWriter writer = new(output, new UTF8Encoding(false), leaveOpen: true) { NewLine = "\n" };
        writer.Write(ToHtml(document));
    }

    /// <summary>Saves every figure of the document as <c>NAME.png</c> and <c>NAME.svg</c> in <paramref name="folder"/>, which is created.</summary>
    /// <param name="document">The report.</param>
    /// <param name="folder">Where the files go.</param>
    /// <param name="dotsPerInch">Resolution of the PNG files, which they also state; a CSS pixel is 1/96 inch, and journals ask for 300.</param>
    /// <returns>Names of the files, in reading order.</returns>
    public static IReadOnlyList<string> SaveFigures(ReportDocument document, string folder, int dotsPerInch = 192)
    {
        ArgumentNullException.ThrowIfNull(document);
        int number = 0;
        List<string> saved = [];
        HashSet<string> used = new(StringComparer.OrdinalIgnoreCase);
        foreach (FigureItem item in document.Sections.SelectMany(s => s.AllFigures))
        {
            number++;
            string name = HtmlPage.FileName(item.Name ?? "figure-" + Numbers.Integer(number));
            if (!used.Add(name)) used.Add(name += "-" + Numbers.Integer(number));
            AtomicFile.Write(Path.Combine(folder, name + ".png"), stream => stream.Write(PngResolution.State(item.Figure.ToPng(dotsPerInch / 96f), dotsPerInch)));
            AtomicFile.WriteAllText(Path.Combine(folder, name + ".svg"), item.Figure.ToSvg() + "\n");
            saved.AddRange([name + ".png", name + ".svg"]);
        }
        return saved;
    }

    /// <summary>The page as one string.</summary>
    public static string ToHtml(ReportDocument document) => new HtmlPage(document).Render();
}
