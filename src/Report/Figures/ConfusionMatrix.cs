using BioSup.Report.Drawing;
using SkiaSharp;

namespace BioSup.Report.Figures;

/// <summary>Counts of true (rows) against assigned (columns) classes: every cell says its count and its share of the row.</summary>
public sealed class ConfusionMatrix : Figure
{
    /// <summary>[true class, assigned class].</summary>
    public long[,] Counts { get; init; } = new long[0, 0];

    public IReadOnlyList<string> RowNames { get; init; } = [];

    public IReadOnlyList<string> ColumnNames { get; init; } = [];

    public string RowLabel { get; init; } = "true class";

    public string ColumnLabel { get; init; } = "assigned class";

    protected override string DefaultDescription => $"Confusion matrix of {RowLabel} against {ColumnLabel}";

    /// <summary>Counts the pairs of two label columns; classes in the given order, or sorted by name.</summary>
    public static ConfusionMatrix Of(IReadOnlyList<string> truth, IReadOnlyList<string> assigned, IReadOnlyList<string>? order = null, string? title = null)
    {
        if (truth.Count != assigned.Count) throw new ArgumentException($"There are {truth.Count} true and {assigned.Count} assigned labels.");
        string[] names = [.. order ?? [.. truth.Concat(assigned).Distinct().Order(StringComparer.Ordinal)]];
        Dictionary<string, int> index = names.Select((n, i) => (n, i)).ToDictionary(p => p.n, p => p.i);
        var counts = new long[names.Length, names.Length];
        for (int i = 0; i < truth.Count; i++) counts[index[truth[i]], index[assigned[i]]]++;
        return new ConfusionMatrix { Counts = counts, RowNames = names, ColumnNames = names, Title = title };
    }

    protected override void Draw(SKCanvas canvas)
    {
        Brush brush = new(canvas);
        int rows = Counts.GetLength(0), columns = Counts.GetLength(1);
        MatrixFrame frame = MatrixFrame.Layout(brush, this, rows, columns, RowNames, ColumnNames, ColumnLabel, RowLabel, rightRoom: 6);
        float w = frame.Area.Width / Math.Max(1, columns), h = frame.Area.Height / Math.Max(1, rows);
        for (int i = 0; i < rows; i++)
        {
            long total = 0;
            for (int j = 0; j < columns; j++) total += Counts[i, j];
            for (int j = 0; j < columns; j++)
                DrawCell(brush, SKRect.Create(frame.Area.Left + j * w, frame.Area.Top + i * h, w, h), Counts[i, j], total > 0 ? (double)Counts[i, j] / total : double.NaN);
        }
        frame.DrawNames(brush);
    }

    private static void DrawCell(Brush brush, SKRect cell, long count, double share)
    {
        SKColor color = double.IsNaN(share) ? Ink.Missing : ColorScales.At(ColorScale.Blues, 0.85 * share);
        SKRect inner = new(cell.Left + 1, cell.Top + 1, cell.Right - 1, cell.Bottom - 1);
        brush.Fill(inner, color);
        brush.Outline(inner, Ink.Grid, 0.75f);
        string number = Numbers.Integer(count), percent = double.IsNaN(share) ? "" : Numbers.Percent(share, 0);
        float size = Math.Clamp(Math.Min(cell.Height / 3.2f, cell.Width / 4f), 7, 14);
        SKColor ink = count == 0 ? Ink.Axis : Ink.On(color);
        if (Brush.Measure(number, size, bold: true) > cell.Width) return;
        bool both = cell.Height >= 34 && Brush.Measure(percent, size - 2) <= cell.Width;
        brush.Text(number, cell.MidX, both ? cell.MidY - size * 0.62f : cell.MidY, size, ink, TextAlign.Center, bold: count > 0);
        if (both) brush.Text(percent, cell.MidX, cell.MidY + size * 0.72f, size - 2, ink, TextAlign.Center);
    }
}
