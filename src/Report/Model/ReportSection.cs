using BioSup.Report.Figures;

namespace BioSup.Report;

/// <summary>A titled part of the report: a lead sentence that gives the finding, then blocks in reading order. Methods chain.</summary>
public sealed class ReportSection
{
    public ReportSection(string title) => Title = title;

    public string Title { get; }

    /// <summary>The finding of the section in one sentence; inline markup as in <see cref="InlineText"/>.</summary>
    public string? Lead { get; set; }

    public List<ReportBlock> Blocks { get; } = [];

    public ReportSection Add(ReportBlock block)
    {
        Blocks.Add(block);
        return this;
    }

    /// <summary>A third-level heading inside the section.</summary>
    public ReportSection Heading(string title) => Add(new HeadingBlock(title));

    /// <summary>A paragraph; inline markup as in <see cref="InlineText"/>.</summary>
    public ReportSection Paragraph(string text) => Add(new ParagraphBlock(text));

    /// <summary>A bulleted list.</summary>
    public ReportSection Bullets(params string[] items) => Add(new ListBlock(items));

    /// <summary>A figure with a numbered caption. <paramref name="name"/> is its file name (without extension) when figures are also saved.</summary>
    public ReportSection Figure(Figure figure, string caption, string? name = null) => Add(new FigureRowBlock([new(figure, caption, name)]));

    /// <summary>Several figures side by side where the page is wide enough, each with its own numbered caption.</summary>
    public ReportSection Figures(params FigureItem[] figures) => Add(new FigureRowBlock(figures));

    public ReportSection Table(TableBlock table) => Add(table);

    /// <summary>A boxed statement, e.g. a verdict.</summary>
    public ReportSection Callout(Tone tone, string title, string text) => Add(new CalloutBlock(tone, title, text));

    /// <summary>A table of settings or facts.</summary>
    public ReportSection KeyValues(string? caption, IEnumerable<KeyValuePair<string, string>> values) => Add(new KeyValueBlock(caption, [.. values]));

    /// <summary>Raw text (JSON, a log) folded away under a line.</summary>
    public ReportSection Details(string summary, string raw) => Add(new DetailsBlock(summary, raw));

    /// <summary>Every figure of the section in reading order.</summary>
    public IEnumerable<FigureItem> AllFigures => Blocks.SelectMany(FiguresOf);

    private static IEnumerable<FigureItem> FiguresOf(ReportBlock block) => block switch
    {
        FigureRowBlock row => row.Figures,
        SideBySideBlock row => row.Blocks.SelectMany(FiguresOf),
        PageBlock page => page.Blocks.SelectMany(FiguresOf),
        _ => [],
    };

    public ReportSection KeyFigures(params KeyFigure[] figures) => Add(new KeyFiguresBlock(figures));
}
