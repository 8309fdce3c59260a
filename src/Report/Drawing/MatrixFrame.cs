using BioSup.Report.Figures;
using SkiaSharp;

namespace BioSup.Report.Drawing;

/// <summary>The place of a matrix in its figure, with room for names on the left and below, and axis labels outside them.</summary>
internal sealed class MatrixFrame
{
    private const float Gap = 6;

    private readonly string[] _rowNames;
    private readonly string[] _columnNames;
    private readonly bool _slanted;
    private readonly string _xLabel;
    private readonly string _yLabel;
    private readonly (int Width, int Height) _size;

    private MatrixFrame(SKRect area, string[] rowNames, string[] columnNames, bool slanted, string xLabel, string yLabel, (int Width, int Height) size)
    {
        Area = area;
        _rowNames = rowNames;
        _columnNames = columnNames;
        _slanted = slanted;
        _xLabel = xLabel;
        _yLabel = yLabel;
        _size = size;
    }

    /// <summary>Where the cells go.</summary>
    public SKRect Area { get; }

    public static MatrixFrame Layout(Brush brush, Figure figure, int rows, int columns, IReadOnlyList<string>? rowNames, IReadOnlyList<string>? columnNames, string xLabel, string yLabel, float rightRoom, float leftExtra = 0)
    {
        (int width, int height) = figure.Size;
        if (rowNames is not null && rowNames.Count > 0 && rowNames.Count != rows) throw new ArgumentException($"There are {rowNames.Count} row names for {rows} rows.");
        if (columnNames is not null && columnNames.Count > 0 && columnNames.Count != columns) throw new ArgumentException($"There are {columnNames.Count} column names for {columns} columns.");
        float top = 6;
        if (figure.Title is string title)
        {
            brush.Text(Brush.Fit(title, width - 12, Ink.TitleSize, bold: true), 6, 14, Ink.TitleSize, Ink.Text, bold: true);
            top = 34;
        }
        string[] left = [.. (rowNames ?? []).Select(n => Brush.Fit(n, width * 0.3f, Ink.TickSize))];
        float leftRoom = Brush.MeasureWidest(left, Ink.TickSize) + (left.Length > 0 ? Gap : 0) + (yLabel.Length > 0 ? 22 : 2) + leftExtra;
        float cell = (width - leftRoom - rightRoom) / Math.Max(1, columns);
        float widest = Brush.MeasureWidest(columnNames ?? [], Ink.TickSize);
        bool slanted = widest > cell - 4;
        string[] below = [.. (columnNames ?? []).Select(n => Brush.Fit(n, slanted ? Math.Min(height, width) * 0.28f : cell, Ink.TickSize))];
        widest = Brush.MeasureWidest(below, Ink.TickSize);
        float bottomRoom = (below.Length == 0 ? 2 : slanted ? widest * 0.72f + 14 : 20) + (xLabel.Length > 0 ? 20 : 2);
        SKRect area = new(leftRoom, top, Math.Max(leftRoom + 1, width - rightRoom), Math.Max(top + 1, height - bottomRoom));
        if (area.Height / Math.Max(1, rows) < 9) left = [];
        if (area.Width / Math.Max(1, columns) < 9) below = [];
        return new MatrixFrame(area, left, below, slanted, xLabel, yLabel, (width, height));
    }

    public void DrawNames(Brush brush)
    {
        float h = Area.Height / Math.Max(1, _rowNames.Length), w = Area.Width / Math.Max(1, _columnNames.Length);
        for (int i = 0; i < _rowNames.Length; i++) brush.Text(_rowNames[i], Area.Left - Gap, Area.Top + (i + 0.5f) * h, Ink.TickSize, Ink.Text, TextAlign.Right);
        for (int j = 0; j < _columnNames.Length; j++)
        {
            float x = Area.Left + (j + 0.5f) * w;
            if (_slanted) brush.Text(_columnNames[j], x + 3, Area.Bottom + 10, Ink.TickSize, Ink.Text, TextAlign.Right, rotation: -45);
            else brush.Text(_columnNames[j], x, Area.Bottom + 12, Ink.TickSize, Ink.Text, TextAlign.Center);
        }
        DrawLabels(brush);
    }

    /// <summary>The axis labels alone, for figures that write their own names.</summary>
    public void DrawLabels(Brush brush)
    {
        if (_xLabel.Length > 0) brush.Text(Brush.Fit(_xLabel, _size.Width - 10, Ink.LabelSize), Math.Min(Area.MidX, _size.Width - 5 - Brush.Measure(_xLabel, Ink.LabelSize) / 2), _size.Height - 9, Ink.LabelSize, Ink.Text, TextAlign.Center);
        if (_yLabel.Length > 0) brush.Text(Brush.Fit(_yLabel, _size.Height - 10, Ink.LabelSize), 9, Area.MidY, Ink.LabelSize, Ink.Text, TextAlign.Center, rotation: -90);
    }
}
