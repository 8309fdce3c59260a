using BioSup.Report.Drawing;
using SkiaSharp;

namespace BioSup.Report.Figures;

/// <summary>Successive rows of a heat map that belong together.</summary>
/// <param name="Name">Written beside them.</param>
/// <param name="Rows">How many they are.</param>
/// <param name="Color">Number of the palette's colour; null takes the group's own number.</param>
public sealed record RowGroup(string Name, int Rows, int? Color = null);

public sealed partial class Heatmap
{
    private const float StripWidth = 7, StripGap = 3, GroupLine = 13;

    /// <summary>Groups of rows from top to bottom, marked by a coloured strip, their names and lines between them; null for none. Their names take the place of <see cref="RowNames"/>.</summary>
    public IReadOnlyList<RowGroup>? RowGroups { get; init; }

    private bool IsGrouped => RowGroups is { Count: > 0 };

    private string[] GroupNames => [.. RowGroups!.Select(g => Brush.Fit(g.Name, Width * 0.32f, Ink.TickSize))];

    private float GroupRoom(int rows)
    {
        if (!IsGrouped) return 0;
        int grouped = RowGroups!.Sum(g => g.Rows);
        if (grouped != rows || RowGroups!.Any(g => g.Rows < 0)) throw new ArgumentException($"The groups of a heat map hold {grouped} rows, the heat map has {rows}.");
        return Brush.MeasureWidest(GroupNames, Ink.TickSize) + StripWidth + StripGap + 14;
    }

    private void DrawGroups(Brush brush, SKRect area, int rows)
    {
        if (!IsGrouped || rows == 0) return;
        float h = area.Height / rows, top = area.Top, strip = area.Left - StripGap - StripWidth;
        string[] names = GroupNames;
        List<(int Group, float Middle)> shown = [];
        for (int g = 0; g < names.Length; g++)
        {
            float bottom = top + RowGroups![g].Rows * h;
            brush.Fill(new SKRect(strip, top, strip + StripWidth, bottom), Palette.Category(RowGroups[g].Color ?? g));
            if (g > 0) brush.Line(strip, top, area.Right, top, Ink.Paper, 1.5f);
            if (RowGroups[g].Rows > 0) shown.Add((g, (top + bottom) / 2));
            top = bottom;
        }
        // Where not all names fit, the largest groups keep theirs.
        int room = Math.Max(1, (int)(area.Height / GroupLine));
        if (shown.Count > room) shown = [.. shown.OrderByDescending(s => RowGroups![s.Group].Rows).ThenBy(s => s.Group).Take(room).OrderBy(s => s.Group)];
        float[] middle = LabelSpread.Place([.. shown.Select(s => s.Middle)], [.. shown.Select(_ => GroupLine)], 0, area.Top, area.Bottom);
        for (int i = 0; i < shown.Count; i++)
        {
            if (Math.Abs(middle[i] - shown[i].Middle) > 1) brush.Line(strip - 8, middle[i], strip - 1, shown[i].Middle, Ink.Axis);
            brush.Text(names[shown[i].Group], strip - 10, middle[i], Ink.TickSize, Ink.Text, TextAlign.Right);
        }
    }
}
