using BioSup.Report.Figures;

namespace BioSup.Report;

/// <summary>One part of a section. The set is closed: a writer knows every kind.</summary>
public abstract record ReportBlock
{
    private protected ReportBlock()
    {
    }
}

/// <summary>A heading inside a section.</summary>
public sealed record HeadingBlock(string Title) : ReportBlock;

/// <summary>A paragraph; inline markup as in <see cref="InlineText"/>.</summary>
public sealed record ParagraphBlock(string Text) : ReportBlock;

/// <summary>A bulleted list; inline markup as in <see cref="InlineText"/>.</summary>
public sealed record ListBlock(IReadOnlyList<string> Items) : ReportBlock;

/// <summary>A statement in a coloured box with a word that says how to take it, so that colour is never the only sign.</summary>
public sealed record CalloutBlock(Tone Tone, string Title, string Text) : ReportBlock;

/// <summary>A strip of large numbers.</summary>
public sealed record KeyFiguresBlock(IReadOnlyList<KeyFigure> Figures) : ReportBlock;

/// <summary>Names and values in two columns.</summary>
public sealed record KeyValueBlock(string? Caption, IReadOnlyList<KeyValuePair<string, string>> Values) : ReportBlock;

/// <summary>Raw text, folded away.</summary>
public sealed record DetailsBlock(string Summary, string Raw) : ReportBlock;

/// <summary>One figure with its caption and, optionally, the name of its files.</summary>
public sealed record FigureItem(Figure Figure, string Caption, string? Name = null);

/// <summary>One or several figures in a row.</summary>
public sealed record FigureRowBlock(IReadOnlyList<FigureItem> Figures) : ReportBlock;

/// <summary>Blocks beside one another where the page is wide enough.</summary>
public sealed record SideBySideBlock(IReadOnlyList<ReportBlock> Blocks) : ReportBlock;

/// <summary>One of many things of a kind, with a heading that links can lead to and, on paper, a page of its own.</summary>
/// <param name="Anchor">ASCII letters, digits and dashes, unique in the document; a link to it is <c>[text](#anchor)</c>.</param>
/// <param name="Title">Its heading.</param>
/// <param name="Blocks">What it says.</param>
public sealed record PageBlock(string Anchor, string Title, IReadOnlyList<ReportBlock> Blocks) : ReportBlock;
