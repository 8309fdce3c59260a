using BioSup.Report.Drawing;
using SkiaSharp;

namespace BioSup.Report.Figures;

/// <summary>A matrix as colours, with a colour bar. Row 0 is on top. NaN is grey.</summary>
public sealed partial class Heatmap : Figure
{
    private const int CellsAsRectangles = 4096;

    /// <summary>[rows, columns].</summary>
    public double[,] Values { get; init; } = new double[0, 0];

    /// <summary>Names of the rows; null or empty for none. Left out where they would not fit.</summary>
    public IReadOnlyList<string>? RowNames { get; init; }

    /// <summary>Names of the columns; null or empty for none. Left out where they would not fit.</summary>
    public IReadOnlyList<string>? ColumnNames { get; init; }

    public string XLabel { get; init; } = "";

    public string YLabel { get; init; } = "";

    /// <summary>What the colours show, with the unit.</summary>
    public string ValueLabel { get; init; } = "";

    public ColorScale Scale { get; init; } = ColorScale.Viridis;

    /// <summary>Value of the lowest colour; null takes the smallest.</summary>
    public double? Min { get; init; }

    /// <summary>Value of the highest colour; null takes the largest.</summary>
    public double? Max { get; init; }

    /// <summary>Writes the value into every cell (small matrices); the text gives the number of decimals.</summary>
    public int? Decimals { get; init; }

    protected override string DefaultDescription => $"Heat map of {ValueLabel}";

    protected override void Draw(SKCanvas canvas)
    {
        Brush brush = new(canvas);
        int rows = Values.GetLength(0), columns = Values.GetLength(1);
        (double low, double high) = Limits();
        MatrixFrame frame = MatrixFrame.Layout(brush, this, rows, columns, IsGrouped ? null : RowNames, ColumnNames, XLabel, YLabel, rightRoom: ValueLabel.Length > 0 ? 92 : 74, leftExtra: GroupRoom(rows));
        if (rows > 0 && columns > 0) DrawCells(brush, frame.Area, rows, columns, low, high);
        brush.Outline(frame.Area, Ink.Axis, 0.75f);
        DrawGroups(brush, frame.Area, rows);
        frame.DrawNames(brush);
        ColorBar.Draw(brush, SKRect.Create(frame.Area.Right + 14, frame.Area.Top, 12, Math.Min(frame.Area.Height, 220)), Scale, low, high, ValueLabel);
    }

    private (double Low, double High) Limits()
    {
        double[] finite = [.. Values.Cast<double>().Where(double.IsFinite)];
        double low = Min ?? (finite.Length > 0 ? finite.Min() : 0), high = Max ?? (finite.Length > 0 ? finite.Max() : 1);
        return high > low ? (low, high) : (low, low + Math.Max(1e-12, Math.Abs(low)));
    }

    private void DrawCells(Brush brush, SKRect area, int rows, int columns, double low, double high)
    {
        SKColor ColorOf(int i, int j) => double.IsNaN(Values[i, j]) ? Ink.Missing : ColorScales.At(Scale, (Values[i, j] - low) / (high - low));
        if ((long)rows * columns > CellsAsRectangles)
        {
            using SKBitmap bitmap = Raster.Of(rows, columns, ColorOf);
            brush.Image(bitmap, area, smooth: false);
            return;
        }
        float w = area.Width / columns, h = area.Height / rows;
        for (int i = 0; i < rows; i++)
        {
            for (int j = 0; j < columns; j++)
            {
                SKColor color = ColorOf(i, j);
                brush.Fill(new SKRect(area.Left + j * w, area.Top + i * h, area.Left + (j + 1) * w, area.Top + (i + 1) * h), color);
                if (Decimals is int decimals && !double.IsNaN(Values[i, j]))
                    brush.Text(Numbers.Fixed(Values[i, j], decimals), area.Left + (j + 0.5f) * w, area.Top + (i + 0.5f) * h, Ink.TickSize, Ink.On(color), TextAlign.Center);
            }
        }
    }
}
