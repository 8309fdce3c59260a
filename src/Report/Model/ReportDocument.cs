namespace BioSup.Report;

/// <summary>Everything a report says, independent of how it is written. <see cref="HtmlWriter"/> makes one HTML file of it.</summary>
public sealed class ReportDocument
{
    public ReportDocument(string title) => Title = title;

    /// <summary>The heading of the page and of the browser tab.</summary>
    public string Title { get; }

    /// <summary>One or two sentences under the heading: what was asked and what came out. Inline markup as in <see cref="InlineText"/>.</summary>
    public string? Summary { get; set; }

    /// <summary>A notice that stands above everything else, e.g. that the data are generated; null when there is nothing to warn of.</summary>
    public string? Notice { get; set; }

    /// <summary>Small facts beside the title (date, version, command), in order.</summary>
    public List<KeyValuePair<string, string>> Facts { get; } = [];

    /// <summary>The strip of large numbers under the summary.</summary>
    public List<KeyFigure> KeyFigures { get; } = [];

    public List<ReportSection> Sections { get; } = [];

    /// <summary>The last line of the page, e.g. the program and its version.</summary>
    public string? Footer { get; set; }

    /// <summary>Appends a section and returns it, to be filled.</summary>
    public ReportSection AddSection(string title, string? lead = null)
    {
        ReportSection section = new(title) { Lead = lead };
        Sections.Add(section);
        return section;
    }
}

/// <summary>One large number with its name: <c>new("Concepts recovered", "14 of 16", "matched latent with AUROC ≥ 0.9", Tone.Good)</c>.</summary>
/// <param name="Name">What is counted or measured.</param>
/// <param name="Value">The number as it should be read, with its unit.</param>
/// <param name="Note">How to read it, in a few words; may be null.</param>
/// <param name="Tone">Colours the number: a judgement, or neutral.</param>
public sealed record KeyFigure(string Name, string Value, string? Note = null, Tone Tone = Tone.Neutral);

/// <summary>What a callout or key figure says about a result.</summary>
public enum Tone { Neutral, Good, Warning, Bad }
