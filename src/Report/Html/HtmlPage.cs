using System.Globalization;
using System.Reflection;
using System.Text;
using BioSup.Report.Drawing;
using static BioSup.Report.InlineText;

namespace BioSup.Report;

/// <summary>One rendering of one document: numbering and identifiers run through the whole page.</summary>
internal sealed class HtmlPage(ReportDocument document)
{
    private readonly StringBuilder _html = new();
    private int _figures;
    private int _tables;
    private string _section = "";

    public string Render()
    {
        Line("<!DOCTYPE html>");
        Line("<html lang=\"en\">");
        Head();
        Line("<body>");
        if (document.Notice is string notice) Line($"<p class=\"notice\" role=\"note\">{InlineText.ToHtml(notice)}</p>");
        Line("<div class=\"page\">");
        Contents();
        Line("<main>");
        Masthead();
        for (int i = 0; i < document.Sections.Count; i++) Section(document.Sections[i], i + 1);
        if (document.Footer is string footer) Line($"<footer>{InlineText.ToHtml(footer)}</footer>");
        Line("</main>");
        Line("</div>");
        Line("</body>");
        Line("</html>");
        return _html.ToString();
    }

    /// <summary>Letters, digits, dots, dashes and underscores only; anything else becomes a dash.</summary>
    public static string FileName(string name)
    {
        string safe = string.Concat(name.Select(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' ? c : '-')).Trim('-', '.');
        return safe.Length == 0 ? "figure" : safe;
    }

    private void Head()
    {
        Line("<head>");
        Line("<meta charset=\"utf-8\">");
        Line("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
        Line($"<title>{Escape(document.Title)}</title>");
        Line("<style>");
        FontFace(400, "Inter-Regular.otf");
        FontFace(600, "Inter-SemiBold.otf");
        _html.Append(Stylesheet());
        Line("</style>");
        Line("</head>");
    }

    private void FontFace(int weight, string file) =>
        Line($"@font-face{{font-family:{FigureFonts.Family};font-weight:{weight.ToString(CultureInfo.InvariantCulture)};font-style:normal;src:url(data:font/otf;base64,{Convert.ToBase64String(FigureFonts.ReadBytes(file))}) format(\"opentype\")}}");

    private static string Stylesheet()
    {
        using Stream stream = Assembly.GetExecutingAssembly().GetManifestResourceStream("report.css")
            ?? throw new InvalidOperationException("The stylesheet is not embedded in the Report assembly.");
        using StreamReader reader = new(stream, Encoding.UTF8);
        return reader.ReadToEnd();
    }

    private void Contents()
    {
        Line("<nav aria-label=\"Contents\">");
        Line("<p class=\"nav-title\">Contents</p>");
        Line("<ol>");
        for (int i = 0; i < document.Sections.Count; i++)
            Line($"<li><a href=\"#{Id(i + 1)}\">{Escape(document.Sections[i].Title)}</a></li>");
        Line("</ol>");
        Line("</nav>");
    }

    private void Masthead()
    {
        Line("<header>");
        Line($"<h1>{Escape(document.Title)}</h1>");
        if (document.Summary is string summary) Line($"<p class=\"summary\">{InlineText.ToHtml(summary)}</p>");
        if (document.Facts.Count > 0)
        {
            Line("<dl class=\"facts\">");
            foreach ((string name, string value) in document.Facts) Line($"<div><dt>{Escape(name)}</dt><dd>{Escape(value)}</dd></div>");
            Line("</dl>");
        }
        KeyFigures(document.KeyFigures);
        Line("</header>");
    }

    private void Section(ReportSection section, int number)
    {
        _section = Id(number);
        Line($"<section id=\"{_section}\">");
        Line($"<h2><span class=\"number\">{Text(number)}</span> {Escape(section.Title)}</h2>");
        if (section.Lead is string lead) Line($"<p class=\"lead\">{InlineText.ToHtml(lead)}</p>");
        foreach (ReportBlock block in section.Blocks) Block(block);
        Line("</section>");
    }

    private void Block(ReportBlock block)
    {
        switch (block)
        {
            case HeadingBlock heading: Line($"<h3>{Escape(heading.Title)}</h3>"); break;
            case ParagraphBlock paragraph: Line($"<p>{InlineText.ToHtml(paragraph.Text)}</p>"); break;
            case ListBlock list: Bullets(list); break;
            case CalloutBlock callout: Callout(callout); break;
            case KeyFiguresBlock strip: KeyFigures(strip.Figures); break;
            case KeyValueBlock values: KeyValues(values); break;
            case DetailsBlock details: Line($"<details><summary>{Escape(details.Summary)}</summary><pre>{Escape(details.Raw)}</pre></details>"); break;
            case FigureRowBlock row: Figures(row); break;
            case TableBlock table: Table(table); break;
            case SideBySideBlock row: SideBySide(row); break;
            case PageBlock page: Page(page); break;
            default: throw new InvalidOperationException($"The page does not know the block {block.GetType().Name}.");
        }
    }

    private void SideBySide(SideBySideBlock row)
    {
        Line("<div class=\"side-by-side\">");
        foreach (ReportBlock block in row.Blocks)
        {
            Line("<div>");
            Block(block);
            Line("</div>");
        }
        Line("</div>");
    }

    private void Page(PageBlock page)
    {
        if (!IsAnchor(page.Anchor)) throw new InvalidOperationException($"'{page.Anchor}' cannot be the anchor of a page: expected ASCII letters, digits and dashes.");
        Line($"<article id=\"{page.Anchor}\">");
        Line($"<h3>{Escape(page.Title)} <a class=\"up\" href=\"#{_section}\">↑ overview</a></h3>");
        foreach (ReportBlock block in page.Blocks) Block(block);
        Line("</article>");
    }

    private void Bullets(ListBlock list)
    {
        Line("<ul>");
        foreach (string item in list.Items) Line($"<li>{InlineText.ToHtml(item)}</li>");
        Line("</ul>");
    }

    private void Callout(CalloutBlock callout)
    {
        Line($"<aside class=\"callout {ClassOf(callout.Tone)}\">");
        Line($"<p class=\"callout-title\"><span class=\"mark\" aria-hidden=\"true\">{MarkOf(callout.Tone)}</span>{Escape(callout.Title)}</p>");
        Line($"<p>{InlineText.ToHtml(callout.Text)}</p>");
        Line("</aside>");
    }

    private void KeyFigures(IReadOnlyList<KeyFigure> figures)
    {
        if (figures.Count == 0) return;
        Line("<dl class=\"key-figures\">");
        foreach (KeyFigure figure in figures)
        {
            string note = figure.Note is null ? "" : $"<dd class=\"note\">{InlineText.ToHtml(figure.Note)}</dd>";
            Line($"<div class=\"{ClassOf(figure.Tone)}\"><dt>{Escape(figure.Name)}</dt><dd class=\"value\">{Escape(figure.Value)}</dd>{note}</div>");
        }
        Line("</dl>");
    }

    private void KeyValues(KeyValueBlock block)
    {
        Line("<div class=\"table\"><table class=\"key-values\">");
        if (block.Caption is string caption) Line($"<caption><b>Table {Text(++_tables)}.</b> {InlineText.ToHtml(caption)}</caption>");
        Line("<tbody>");
        foreach ((string name, string value) in block.Values) Line($"<tr><th scope=\"row\">{Escape(name)}</th><td>{Escape(value)}</td></tr>");
        Line("</tbody></table></div>");
    }

    private void Figures(FigureRowBlock row)
    {
        // A lone figure that leaves half the page free has its caption beside it.
        bool narrow = row.Figures.Count == 1 && row.Figures[0].Figure.Size.Width <= 600;
        Line(row.Figures.Count > 1 ? "<div class=\"figure-row\">" : narrow ? "<div class=\"figure-single narrow\">" : "<div class=\"figure-single\">");
        foreach (FigureItem item in row.Figures)
        {
            _figures++;
            Line($"<figure id=\"figure-{Text(_figures)}\" style=\"--w:{Text(item.Figure.Size.Width)}px\">");
            Line(item.Figure.ToSvg($"f{Text(_figures)}-"));
            Line($"<figcaption><b>Figure {Text(_figures)}.</b> {InlineText.ToHtml(item.Caption)}</figcaption>");
            Line("</figure>");
        }
        Line("</div>");
    }

    private void Table(TableBlock table)
    {
        bool[] numeric = [.. Enumerable.Range(0, table.Columns.Count).Select(table.IsNumeric)];
        Line("<div class=\"table\"><table>");
        if (table.Caption is string caption) Line($"<caption><b>Table {Text(++_tables)}.</b> {InlineText.ToHtml(caption)}</caption>");
        Line("<thead><tr>" + string.Concat(table.Columns.Select((c, j) => $"<th scope=\"col\"{(numeric[j] ? " class=\"n\"" : "")}>{InlineText.ToHtml(c)}</th>")) + "</tr></thead>");
        Line("<tbody>");
        foreach (IReadOnlyList<TableCell> row in table.Rows)
            Line("<tr>" + string.Concat(row.Select((cell, j) => $"<td{CellClass(numeric[j], cell.Tone)}>{InlineText.ToHtml(cell.Text)}</td>")) + "</tr>");
        Line("</tbody></table></div>");
    }

    private static string CellClass(bool numeric, Tone tone)
    {
        string classes = string.Join(' ', new[] { numeric ? "n" : "", tone == Tone.Neutral ? "" : ClassOf(tone) }.Where(c => c.Length > 0));
        return classes.Length == 0 ? "" : $" class=\"{classes}\"";
    }

    private static string ClassOf(Tone tone) => tone switch { Tone.Good => "good", Tone.Warning => "warning", Tone.Bad => "bad", _ => "neutral" };

    private static string MarkOf(Tone tone) => tone switch { Tone.Good => "✓", Tone.Warning => "!", Tone.Bad => "✗", _ => "i" };

    private static string Id(int section) => "section-" + Text(section);

    private static string Text(int value) => value.ToString(CultureInfo.InvariantCulture);

    private void Line(string line) => _html.Append(line).Append('\n');
}
