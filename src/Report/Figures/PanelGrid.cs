using BioSup.Report.Drawing;
using SkiaSharp;

namespace BioSup.Report.Figures;

/// <summary>A name in a legend and the colour that stands for it, an index into <see cref="Palette"/>.</summary>
public sealed record LegendEntry(string Name, int ColorIndex);

/// <summary>Small figures in rows under one legend: several measures of the same things.</summary>
public sealed class PanelGrid : Figure
{
    private const int LineHeight = 20;
    private const float EntryGap = 18, Swatch = 16;

    /// <summary>Drawn from left to right, then downwards, each at its own size.</summary>
    public IReadOnlyList<Figure> Panels { get; init; } = [];

    /// <summary>Panels in a row, at least 1.</summary>
    public int Columns { get; init; } = 2;

    /// <summary>What the colours of all panels mean; empty for none.</summary>
    public IReadOnlyList<LegendEntry> Entries { get; init; } = [];

    protected override string DefaultDescription => Panels.Count == 0 ? "Panels" : string.Join("; ", Panels.Select(p => p.AccessibleName));

    public override (int Width, int Height) Size
    {
        get
        {
            int width = Panels.Chunk(Math.Max(1, Columns)).Select(row => row.Sum(p => p.Size.Width)).DefaultIfEmpty(Width).Max();
            return (width, Header(width) + (Panels.Count == 0 ? Height : Panels.Chunk(Math.Max(1, Columns)).Sum(row => row.Max(p => p.Size.Height))));
        }
    }

    protected override void Draw(SKCanvas canvas)
    {
        Brush brush = new(canvas);
        int width = Size.Width;
        float top = Title is null ? 4 : 28;
        if (Title is string title) brush.Text(Brush.Fit(title, width - 8, Ink.TitleSize, bold: true), 4, 13, Ink.TitleSize, Ink.Text, bold: true);
        foreach ((LegendEntry entry, float x, int line) in Places(width))
        {
            float y = top + (line + 0.5f) * LineHeight;
            brush.Line(x, y, x + Swatch, y, Palette.Category(entry.ColorIndex), 2);
            brush.Dot(x + Swatch / 2, y, 3.2f, Palette.Category(entry.ColorIndex));
            brush.Text(entry.Name, x + Swatch + 5, y, Ink.TickSize, Ink.Text);
        }
        top = Header(width);
        foreach (Figure[] row in Panels.Chunk(Math.Max(1, Columns)))
        {
            float left = 0;
            foreach (Figure panel in row)
            {
                canvas.Save();
                canvas.Translate(left, top);
                // A chart begins by clearing what it may draw on.
                canvas.ClipRect(SKRect.Create(panel.Size.Width, panel.Size.Height));
                panel.DrawInside(canvas);
                canvas.Restore();
                left += panel.Size.Width;
            }
            top += row.Max(p => p.Size.Height);
        }
    }

    private int Header(int width) => (Title is null ? 4 : 28) + (Entries.Count == 0 ? 0 : (Places(width)[^1].Line + 1) * LineHeight + 4);

    /// <summary>Entries in lines of the given width.</summary>
    private List<(LegendEntry Entry, float X, int Line)> Places(int width)
    {
        List<(LegendEntry, float, int)> places = [];
        float x = 12;
        int line = 0;
        foreach (LegendEntry entry in Entries)
        {
            string name = Brush.Fit(entry.Name, width - 24 - Swatch - 5, Ink.TickSize);
            float room = Swatch + 5 + Brush.Measure(name, Ink.TickSize);
            if (x > 12 && x + room > width - 12) (x, line) = (12, line + 1);
            places.Add((entry with { Name = name }, x, line));
            x += room + EntryGap;
        }
        return places;
    }
}
