using SkiaSharp;

namespace BioSup.Report.Drawing;

/// <summary>How a legend shows a colour.</summary>
internal enum SwatchKind { Dot, Square, Line, Dashed }

/// <summary>One line of a legend.</summary>
internal readonly record struct Swatch(string Text, SKColor Color, SwatchKind Kind = SwatchKind.Dot);

/// <summary>Names and their colours in columns beside a figure. What does not fit into the height or the width is counted in a last line, not lost silently.</summary>
internal sealed class SwatchLegend
{
    public const float LineHeight = 17;

    private const float Sign = 18, ColumnGap = 10;

    private readonly Swatch[][] _columns;
    private readonly float[] _widths;

    /// <param name="swatches">In reading order.</param>
    /// <param name="maxWidth">Names are shortened and columns left out beyond this.</param>
    /// <param name="height">Room below the top.</param>
    public SwatchLegend(IReadOnlyList<Swatch> swatches, float maxWidth, float height)
    {
        int lines = Math.Max(1, (int)(height / LineHeight));
        float room = maxWidth - Sign;
        Swatch[] fitted = [.. swatches.Select(s => s with { Text = Brush.Fit(s.Text, room, Ink.TickSize) })];
        List<Swatch[]> columns = [.. fitted.Chunk(lines)];
        List<float> widths = [.. columns.Select(WidthOf)];
        int shown = fitted.Length;
        while (columns.Count > 1 && widths.Sum() + ColumnGap * (columns.Count - 1) > maxWidth)
        {
            shown -= columns[^1].Length;
            columns.RemoveAt(columns.Count - 1);
            widths.RemoveAt(widths.Count - 1);
        }
        if (shown < fitted.Length)
        {
            columns[^1][^1] = new Swatch($"and {fitted.Length - shown + 1} more", SKColors.Transparent);
            widths[^1] = WidthOf(columns[^1]);
        }
        _columns = [.. columns];
        _widths = [.. widths];
    }

    public float Width => _widths.Length == 0 ? 0 : _widths.Sum() + ColumnGap * (_widths.Length - 1);

    public float Height => _columns.Length == 0 ? 0 : _columns[0].Length * LineHeight;

    public void Draw(Brush brush, float left, float top)
    {
        for (int c = 0; c < _columns.Length; c++)
        {
            for (int i = 0; i < _columns[c].Length; i++)
            {
                Swatch swatch = _columns[c][i];
                float y = top + (i + 0.5f) * LineHeight;
                if (swatch.Color.Alpha > 0) DrawSign(brush, swatch, left, y);
                brush.Text(swatch.Text, left + Sign, y, Ink.TickSize, Ink.Text);
            }
            left += _widths[c] + ColumnGap;
        }
    }

    private static void DrawSign(Brush brush, Swatch swatch, float left, float y)
    {
        switch (swatch.Kind)
        {
            case SwatchKind.Dot: brush.Dot(left + 6, y, 4.5f, swatch.Color); break;
            case SwatchKind.Square: brush.Fill(SKRect.Create(left + 1, y - 5, 10, 10), swatch.Color); break;
            case SwatchKind.Line: brush.Line(left, y, left + 12, y, swatch.Color, 2); break;
            default: brush.DashedLine(left, y, left + 14, y, swatch.Color); break;
        }
    }

    private static float WidthOf(Swatch[] column) => Sign + Brush.MeasureWidest(column.Select(s => s.Text), Ink.TickSize);
}
