using System.Globalization;
using BioSup.Report.Drawing;
using SkiaSharp;

namespace BioSup.Report.Figures;

/// <summary>One column of a Sankey diagram.</summary>
/// <param name="Name">Heading of the column, for example "resolution 0.08".</param>
/// <param name="Nodes">Names of its nodes.</param>
public sealed record SankeyLevel(string Name, IReadOnlyList<string> Nodes);

/// <summary>
/// How things move between the groups of successive levels: ribbons as thick as what flows. Nodes are ordered for few crossings, every label has a place of its own, and
/// colours follow the first level, so that a finer group shows where it comes from. The figure grows when there are more labels than its height holds.
/// </summary>
public sealed class SankeyDiagram : Figure
{
    private const float NodeWidth = 12, Slot = 15, Gap = 5, Header = 22;

    public SankeyDiagram()
    {
        Width = 976;
        Height = 460;
    }

    /// <summary>Columns from left to right.</summary>
    public IReadOnlyList<SankeyLevel> Levels { get; init; } = [];

    /// <summary>One fewer than levels: [nodes of a level, nodes of the next], finite and not negative.</summary>
    public IReadOnlyList<double[,]> Flows { get; init; } = [];

    protected override string DefaultDescription => $"Flow between {string.Join(", ", Levels.Select(level => level.Name))}";

    /// <summary>The height follows the fullest level when its labels need more.</summary>
    public override (int Width, int Height) Size
    {
        get
        {
            if (Levels.Count == 0) return (Width, Height);
            Check();
            SankeyLayout layout = new(Flows, [.. Levels.Select(level => level.Nodes.Count)]);
            return (Width, Math.Max(Height, (int)MathF.Ceiling(Top + layout.Needed(Scale(layout), Slot, Gap) + 8)));
        }
    }

    private float Top => (Title is null ? 6 : 34) + Header;

    protected override void Draw(SKCanvas canvas)
    {
        Brush brush = new(canvas);
        if (Title is string title) brush.Text(Brush.Fit(title, Width - 12, Ink.TitleSize, bold: true), 6, 14, Ink.TitleSize, Ink.Text, bold: true);
        if (Levels.Count == 0) return;
        Check();
        SankeyLayout layout = new(Flows, [.. Levels.Select(level => level.Nodes.Count)]);
        double scale = Scale(layout);
        layout.Place(scale, Slot, Gap, Top, Size.Height - 8);
        float[] left = Columns();
        for (int l = 0; l + 1 < Levels.Count; l++) DrawRibbons(brush, layout, l, left, scale);
        for (int l = 0; l < Levels.Count; l++) DrawNodes(brush, layout, l, left, scale);
    }

    /// <summary>Pixels per unit: what the given height leaves after the gaps of the fullest level.</summary>
    private double Scale(SankeyLayout layout)
    {
        double total = layout.Values.Max(level => level.Sum());
        int most = layout.Values.Max(level => level.Length);
        double room = Math.Max(40, Height - Top - 8 - Gap * Math.Max(0, most - 1));
        return total > 0 ? room / total : 0;
    }

    /// <summary>Left edges of the columns; the labels of the first and the last stand outside them.</summary>
    private float[] Columns()
    {
        float limit = Width * (Levels.Count > 1 ? 0.22f : 0.45f);
        float first = Levels.Count > 1 ? Math.Min(limit, LabelWidth(0)) + 10 : 6, last = Math.Min(limit, LabelWidth(Levels.Count - 1)) + 10;
        float step = Levels.Count > 1 ? (Width - first - last - NodeWidth) / (Levels.Count - 1) : 0;
        return [.. Enumerable.Range(0, Levels.Count).Select(l => first + l * step)];
    }

    // The count is at most as wide as the total's.
    private float LabelWidth(int level) => Brush.MeasureWidest(Levels[level].Nodes, Ink.TickSize) + 40;

    private void DrawRibbons(Brush brush, SankeyLayout layout, int level, float[] left, double scale)
    {
        double[,] flow = Flows[level];
        float[] from = Tops(layout, level, scale), to = Tops(layout, level + 1, scale);
        List<(int Node, float From, float To, float Thickness)> ribbons = [];
        foreach (int i in layout.Order[level])
            foreach (int j in layout.Order[level + 1])
            {
                float thickness = (float)(flow[i, j] * scale);
                if (!(thickness > 0)) continue;
                ribbons.Add((i, from[i], to[j], thickness));
                from[i] += thickness;
                to[j] += thickness;
            }
        // Thin ribbons come last: they are the ones that a thick one would hide.
        float x0 = left[level] + NodeWidth, x1 = left[level + 1], bend = (x1 - x0) / 2;
        foreach ((int node, float y0, float y1, float h) in ribbons.OrderByDescending(r => r.Thickness))
        {
            using SKPath path = new();
            path.MoveTo(x0, y0);
            path.CubicTo(x0 + bend, y0, x1 - bend, y1, x1, y1);
            path.LineTo(x1, y1 + h);
            path.CubicTo(x1 - bend, y1 + h, x0 + bend, y0 + h, x0, y0 + h);
            path.Close();
            // Mixed with paper first, so that little transparency is needed and colours stay what they are where ribbons cross.
            using SKPaint paint = new() { Color = Palette.Mix(ColorOf(layout, level, node), Ink.Paper, 0.62).WithAlpha(225), IsAntialias = true };
            brush.Canvas.DrawPath(path, paint);
        }
    }

    private void DrawNodes(Brush brush, SankeyLayout layout, int level, float[] left, double scale)
    {
        bool outsideLeft = level == 0 && Levels.Count > 1, last = level == Levels.Count - 1;
        float x = left[level], right = x + NodeWidth, room = outsideLeft ? x - 10 : last ? Width - right - 8 : left[level + 1] - right - 16;
        float[] tops = Tops(layout, level, scale);
        TextAlign side = outsideLeft ? TextAlign.Right : TextAlign.Left;
        float at = outsideLeft ? x - 6 : right + 6;
        for (int node = 0; node < tops.Length; node++)
        {
            double value = layout.Values[level][node];
            brush.Fill(new SKRect(x, tops[node], right, tops[node] + Math.Max(1, (float)(value * scale))), ColorOf(layout, level, node));
            string count = value.ToString("#,0.##", CultureInfo.InvariantCulture);
            string label = $"{Brush.Fit(Levels[level].Nodes[node], room - Brush.Measure(" " + count, Ink.TickSize), Ink.TickSize)} {count}";
            if (outsideLeft || last) brush.Text(label, at, layout.Middle[level][node], Ink.TickSize, Ink.Text, side);
            else brush.Note(label, at, layout.Middle[level][node], Ink.TickSize, Ink.Text, side);
        }
        // Headings are centred on their column, pushed in at the edges, and as wide as the way to the next one.
        float step = Levels.Count > 1 ? left[1] - left[0] - 10 : Width - 12;
        string heading = Brush.Fit(Levels[level].Name, step, Ink.LabelSize, bold: true);
        float half = Brush.Measure(heading, Ink.LabelSize, bold: true) / 2;
        brush.Text(heading, Math.Clamp(x + NodeWidth / 2, half + 4, Math.Max(half + 4, Width - half - 4)), Top - Header + 7, Ink.LabelSize, Ink.Text, TextAlign.Center, bold: true);
    }

    private static float[] Tops(SankeyLayout layout, int level, double scale) =>
        [.. layout.Values[level].Select((value, node) => layout.Middle[level][node] - (float)(value * scale) / 2)];

    /// <summary>The colour of the first level's node that most of it comes from, so that a level's colours mean its origin.</summary>
    private static SKColor ColorOf(SankeyLayout layout, int level, int node)
    {
        int ancestor = layout.Ancestor(level, node);
        return ancestor < 0 ? Ink.Axis : Palette.Category(ancestor);
    }

    private void Check()
    {
        if (Flows.Count != Levels.Count - 1) throw new ArgumentException($"{Levels.Count} levels have {Math.Max(0, Levels.Count - 1)} flows between them, not {Flows.Count}.");
        for (int l = 0; l < Flows.Count; l++)
        {
            (int rows, int columns) = (Flows[l].GetLength(0), Flows[l].GetLength(1));
            if (rows != Levels[l].Nodes.Count || columns != Levels[l + 1].Nodes.Count)
                throw new ArgumentException($"The flow between '{Levels[l].Name}' and '{Levels[l + 1].Name}' is {rows} x {columns}, their nodes {Levels[l].Nodes.Count} and {Levels[l + 1].Nodes.Count}.");
            foreach (double value in Flows[l])
                if (!(value >= 0) || !double.IsFinite(value)) throw new ArgumentException($"The flow between '{Levels[l].Name}' and '{Levels[l + 1].Name}' holds {value}; flows are finite and not negative.");
        }
    }
}
