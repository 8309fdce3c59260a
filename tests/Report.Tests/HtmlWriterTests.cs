using System.Text.RegularExpressions;
using System.Xml.Linq;
using BioSup.Report.Figures;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Report.Tests;

public sealed partial class HtmlWriterTests
{
    private static readonly Lazy<string> s_page = new(() => HtmlWriter.ToHtml(Samples.Report()));

    private const string Nasty = "<b onload=\"x\">R&D</b> 'quotes' \u0001 **";

    [Fact]
    public void Example_report_is_written_for_looking_at()
    {
        string folder = Path.Combine(RepositoryRoot.Path, "artifacts", "report-example");
        ReportDocument report = Samples.Report();
        HtmlWriter.Write(report, Path.Combine(folder, "report.html"), saveFigures: true);
        int figures = report.Sections.SelectMany(s => s.Blocks).OfType<FigureRowBlock>().Sum(b => b.Figures.Count);
        Assert.Equal(figures, Directory.GetFiles(Path.Combine(folder, "figures"), "*.svg").Length);
        Assert.Equal(figures, Directory.GetFiles(Path.Combine(folder, "figures"), "*.png").Length);
        Assert.True(File.Exists(Path.Combine(folder, "figures", "training-fvu.svg")));
    }

    [Fact]
    public void The_page_is_well_formed()
    {
        XElement page = Parse(s_page.Value);
        Assert.Equal("html", page.Name.LocalName);
        Assert.Equal(6, page.Descendants("section").Count());
        Assert.Equal(Samples.Report().Title, page.Descendants("h1").Single().Value);
    }

    [Fact]
    public void Nothing_is_loaded_from_outside_and_nothing_needs_a_script()
    {
        XElement page = Parse(s_page.Value);
        foreach (XAttribute attribute in page.DescendantsAndSelf().Attributes().Where(a => !a.IsNamespaceDeclaration && a.Name.LocalName is "src" or "href" or "data" or "poster" or "srcset" or "action"))
            Assert.True(attribute.Value.StartsWith('#') || attribute.Value.StartsWith("data:", StringComparison.Ordinal), $"{attribute.Name} = {attribute.Value[..Math.Min(80, attribute.Value.Length)]}");
        string style = page.Descendants("style").Single().Value;
        Assert.DoesNotContain("@import", style);
        Assert.All(CssUrl().Matches(style), m => Assert.StartsWith("data:", m.Groups[1].Value, StringComparison.Ordinal));
        Assert.DoesNotContain(page.Descendants(), e => e.Name.LocalName is "script" or "link" or "iframe" or "object" or "embed");
    }

    [Fact]
    public void Links_of_the_contents_lead_to_sections_and_identifiers_are_unique()
    {
        XElement page = Parse(s_page.Value);
        string[] ids = [.. page.Descendants().Attributes("id").Select(a => a.Value)];
        Assert.Equal(ids.Length, ids.Distinct().Count());
        string[] links = [.. page.Descendants("nav").Single().Descendants("a").Select(a => a.Attribute("href")!.Value[1..])];
        Assert.Equal(6, links.Length);
        Assert.All(links, link => Assert.Contains(link, ids));
    }

    [Fact]
    public void The_same_figure_twice_on_a_page_keeps_identifiers_unique()
    {
        ReportDocument report = new("twice");
        report.AddSection("s").Figure(Samples.Lines(), "first").Figure(Samples.Lines(), "second");
        string[] ids = [.. Parse(HtmlWriter.ToHtml(report)).Descendants().Attributes("id").Select(a => a.Value)];
        Assert.Equal(ids.Length, ids.Distinct().Count());
    }

    [Fact]
    public void Pages_inside_a_section_can_be_linked_to_and_their_figures_are_numbered_and_saved_like_others()
    {
        ReportDocument report = new("pages");
        ReportSection section = report.AddSection("overview").Table(new TableBlock(null, "thing").Row(new TableCell("[first](#thing-1)", IsNumber: true)));
        section.Add(new PageBlock("thing-1", "First", [new SideBySideBlock([new FigureRowBlock([new FigureItem(Samples.Lines(), "inside")]), new TableBlock("beside", "a").Row(1)])])).Figure(Samples.Lines(), "after");
        XElement page = Parse(HtmlWriter.ToHtml(report)), article = page.Descendants("article").Single();
        Assert.Equal("thing-1", article.Attribute("id")!.Value);
        Assert.Equal("#thing-1", page.Descendants("td").First().Element("a")!.Attribute("href")!.Value);
        Assert.Equal("#" + page.Descendants("section").Single().Attribute("id")!.Value, article.Element("h3")!.Element("a")!.Attribute("href")!.Value);
        Assert.Equal(["Figure 1. inside", "Figure 2. after"], page.Descendants("figcaption").Select(c => c.Value));
        Assert.Equal(2, section.AllFigures.Count());
        Assert.Throws<InvalidOperationException>(() => HtmlWriter.ToHtml(Broken()));

        static ReportDocument Broken()
        {
            ReportDocument broken = new("broken");
            broken.AddSection("s").Add(new PageBlock("no anchor", "x", []));
            return broken;
        }
    }

    [Fact]
    public void The_notice_is_the_first_thing_on_the_page()
    {
        XElement body = Parse(s_page.Value).Element("body")!;
        Assert.StartsWith("The data are generated.", body.Elements().First().Value, StringComparison.Ordinal);
        Assert.DoesNotContain("class=\"notice\"", HtmlWriter.ToHtml(new ReportDocument("real data")));
    }

    [Fact]
    public void Captions_are_numbered_through_the_page_and_numbers_stand_right()
    {
        XElement page = Parse(s_page.Value);
        string[] captions = [.. page.Descendants("figcaption").Select(c => c.Value)];
        for (int i = 0; i < captions.Length; i++) Assert.StartsWith($"Figure {i + 1}. ", captions[i], StringComparison.Ordinal);
        XElement table = page.Descendants("table").Single(t => t.Descendants("thead").Any());
        Assert.Equal([null, "n", "n", "n"], table.Descendants("th").Select(h => h.Attribute("class")?.Value));
        Assert.Equal("n good", table.Descendants("td").Single(d => d.Value == "78.0 %").Attribute("class")?.Value);
    }

    [Fact]
    public void Hostile_text_is_escaped_everywhere()
    {
        ReportDocument report = new(Nasty) { Summary = Nasty, Notice = Nasty, Footer = Nasty };
        report.Facts.Add(new(Nasty, Nasty));
        report.KeyFigures.Add(new(Nasty, Nasty, Nasty));
        report.AddSection(Nasty, Nasty).Paragraph(Nasty).Heading(Nasty).Bullets(Nasty, "*" + Nasty + "*").Callout(Tone.Bad, Nasty, Nasty)
            .KeyFigures(new KeyFigure(Nasty, Nasty)).KeyValues(Nasty, [new(Nasty, Nasty)]).Details(Nasty, Nasty)
            .Figure(new LineChart { Title = Nasty, Description = Nasty }, Nasty, Nasty)
            .Table(new TableBlock(Nasty, Nasty).Row(Nasty).Row(3.25));
        XElement page = Parse(HtmlWriter.ToHtml(report));
        Assert.DoesNotContain(page.Descendants().Attributes(), a => a.Name.LocalName == "onload");
        Assert.Contains("R&D", page.Descendants("h1").Single().Value);
    }

    [Fact]
    public void The_same_document_gives_the_same_page() => Assert.Equal(s_page.Value, HtmlWriter.ToHtml(Samples.Report()));

    [Fact]
    public void An_unwritable_folder_is_one_clear_error()
    {
        UsageException error = Assert.Throws<UsageException>(() => HtmlWriter.Write(new ReportDocument("t"), Path.Combine(RepositoryRoot.Path, "src")));
        Assert.Contains("folder", error.Message);
    }

    // The page is written in the subset where HTML and XML agree, except for void elements and the typographic nicety of the doctype.
    private static XElement Parse(string html)
    {
        Assert.StartsWith("<!DOCTYPE html>\n", html, StringComparison.Ordinal);
        return XElement.Parse(MetaTag().Replace(html["<!DOCTYPE html>\n".Length..], "<meta$1/>"), LoadOptions.PreserveWhitespace);
    }

    [GeneratedRegex("<meta([^>]*)>")]
    private static partial Regex MetaTag();

    [GeneratedRegex(@"url\(([^)]{0,40})")]
    private static partial Regex CssUrl();
}
