using System.Numerics;
using BioSup.Report.Drawing;
using BioSup.Runtime;
using SkiaSharp;

namespace BioSup.Report.Figures;

/// <summary>
/// A coupling between two sets of points, rows and columns sorted by class, averaged over blocks so that any size can be drawn. Colours show the
/// mass relative to the independent coupling of the same size, n·m·T: 1 everywhere means that the coupling knows nothing.
/// </summary>
public sealed class CouplingHeatmap : Figure
{
    /// <summary>Blocks along the longer side.</summary>
    public const int MaxBlocks = 400;

    private readonly double[,] _blocks;
    private readonly ClassRuns? _rows;
    private readonly ClassRuns? _columns;

    private CouplingHeatmap(double[,] blocks, ClassRuns? rows, ClassRuns? columns)
    {
        (_blocks, _rows, _columns) = (blocks, rows, columns);
        (Width, Height) = (472, 420);
    }

    public string XLabel { get; init; } = "";

    public string YLabel { get; init; } = "";

    protected override string DefaultDescription => $"Coupling of {YLabel} with {XLabel}";

    /// <summary>Averages a coupling [n, m] held by the caller; nothing of it is kept.</summary>
    /// <param name="coupling">The coupling T [n, m], entries ≥ 0.</param>
    /// <param name="rowClasses">Class of every row, by which rows are sorted; null keeps their order.</param>
    /// <param name="columnClasses">Class of every column; null keeps their order.</param>
    /// <param name="classOrder">Order of the classes; null sorts them by name.</param>
    /// <param name="title">Heading, or null.</param>
    /// <param name="xLabel">What the columns are.</param>
    /// <param name="yLabel">What the rows are.</param>
    public static CouplingHeatmap Of(MatrixView<double> coupling, IReadOnlyList<string>? rowClasses = null, IReadOnlyList<string>? columnClasses = null, IReadOnlyList<string>? classOrder = null, string? title = null, string xLabel = "", string yLabel = "") =>
        OfView(coupling, rowClasses, columnClasses, classOrder, title, xLabel, yLabel);

    /// <inheritdoc cref="Of(MatrixView{double}, IReadOnlyList{string}?, IReadOnlyList{string}?, IReadOnlyList{string}?, string?, string, string)"/>
    public static CouplingHeatmap Of(MatrixView<float> coupling, IReadOnlyList<string>? rowClasses = null, IReadOnlyList<string>? columnClasses = null, IReadOnlyList<string>? classOrder = null, string? title = null, string xLabel = "", string yLabel = "") =>
        OfView(coupling, rowClasses, columnClasses, classOrder, title, xLabel, yLabel);

    /// <inheritdoc cref="Of(MatrixView{double}, IReadOnlyList{string}?, IReadOnlyList{string}?, IReadOnlyList{string}?, string?, string, string)"/>
    public static CouplingHeatmap Of(double[,] coupling, IReadOnlyList<string>? rowClasses = null, IReadOnlyList<string>? columnClasses = null, IReadOnlyList<string>? classOrder = null, string? title = null, string xLabel = "", string yLabel = "")
    {
        int n = coupling.GetLength(0), m = coupling.GetLength(1);
        (ClassRuns? rows, ClassRuns? columns) = Sort(n, m, rowClasses, columnClasses, classOrder);
        BlockAverage average = new(n, m, rows, columns, MaxBlocks);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < m; j++) average.Add(i, j, coupling[i, j]);
        return new CouplingHeatmap(average.Result(), rows, columns) { Title = title, XLabel = xLabel, YLabel = yLabel };
    }

    private static CouplingHeatmap OfView<T>(MatrixView<T> coupling, IReadOnlyList<string>? rowClasses, IReadOnlyList<string>? columnClasses, IReadOnlyList<string>? classOrder, string? title, string xLabel, string yLabel)
        where T : unmanaged, INumber<T>
    {
        (ClassRuns? rows, ClassRuns? columns) = Sort(coupling.Rows, coupling.Columns, rowClasses, columnClasses, classOrder);
        BlockAverage average = new(coupling.Rows, coupling.Columns, rows, columns, MaxBlocks);
        unsafe
        {
            for (int i = 0; i < coupling.Rows; i++)
            {
                T* row = coupling.Pointer + (long)i * coupling.Stride;
                for (int j = 0; j < coupling.Columns; j++) average.Add(i, j, double.CreateTruncating(row[j]));
            }
        }
        return new CouplingHeatmap(average.Result(), rows, columns) { Title = title, XLabel = xLabel, YLabel = yLabel };
    }

    protected override void Draw(SKCanvas canvas)
    {
        Brush brush = new(canvas);
        int rows = _blocks.GetLength(0), columns = _blocks.GetLength(1);
        MatrixFrame frame = MatrixFrame.Layout(brush, this, 1, 1, [" " + Widest(_rows)], _columns is null ? null : [" "], XLabel, YLabel, rightRoom: 92);
        SKRect area = frame.Area;
        double high = Ceiling();
        double Place(double v) => Math.Sqrt(Math.Clamp(v / high, 0, 1));
        if (rows > 0 && columns > 0)
        {
            using SKBitmap bitmap = Raster.Of(rows, columns, (i, j) => double.IsNaN(_blocks[i, j]) ? Ink.Missing : ColorScales.At(ColorScale.Blues, Place(_blocks[i, j])));
            brush.Image(bitmap, area, smooth: false);
        }
        brush.Outline(area, Ink.Axis, 0.75f);
        DrawClasses(brush, area);
        frame.DrawLabels(brush);
        ColorBar.Draw(brush, SKRect.Create(area.Right + 14, area.Top, 12, Math.Min(area.Height, 220)), ColorScale.Blues, 0, high, "mass / independent coupling", position: Place);
    }

    private void DrawClasses(Brush brush, SKRect area)
    {
        foreach (ClassRun run in _rows?.Runs ?? [])
        {
            float from = area.Top + area.Height * (float)run.From, to = area.Top + area.Height * (float)run.To;
            if (run.From > 0) brush.Line(area.Left, from, area.Right, from, Ink.Axis, 0.75f);
            if (to - from >= 9) brush.Text(Brush.Fit(run.Name, area.Left - 30, Ink.TickSize), area.Left - 6, (from + to) / 2, Ink.TickSize, Ink.Text, TextAlign.Right);
        }
        foreach (ClassRun run in _columns?.Runs ?? [])
        {
            float from = area.Left + area.Width * (float)run.From, to = area.Left + area.Width * (float)run.To;
            if (run.From > 0) brush.Line(from, area.Top, from, area.Bottom, Ink.Axis, 0.75f);
            if (to - from >= 14) brush.Text(Brush.Fit(run.Name, to - from - 4, Ink.TickSize), (from + to) / 2, area.Bottom + 12, Ink.TickSize, Ink.Text, TextAlign.Center);
        }
    }

    // The 99.5th percentile: a few very certain pairs would otherwise leave the rest of the picture white.
    private double Ceiling()
    {
        double[] sorted = [.. _blocks.Cast<double>().Where(double.IsFinite).Order()];
        if (sorted.Length == 0) return 1;
        double ceiling = sorted[(int)Math.Floor(0.995 * (sorted.Length - 1))];
        return Math.Max(ceiling, 1e-12) is var high && high > 1e-12 ? high : Math.Max(sorted[^1], 1);
    }

    private static string Widest(ClassRuns? runs) => runs?.Runs.Select(r => r.Name).MaxBy(n => Brush.Measure(n, Ink.TickSize)) ?? "";

    private static (ClassRuns? Rows, ClassRuns? Columns) Sort(int n, int m, IReadOnlyList<string>? rowClasses, IReadOnlyList<string>? columnClasses, IReadOnlyList<string>? order)
    {
        if (rowClasses is not null && rowClasses.Count != n) throw new ArgumentException($"There are {rowClasses.Count} row classes for {n} rows.");
        if (columnClasses is not null && columnClasses.Count != m) throw new ArgumentException($"There are {columnClasses.Count} column classes for {m} columns.");
        return (rowClasses is null ? null : new ClassRuns(rowClasses, order), columnClasses is null ? null : new ClassRuns(columnClasses, order));
    }
}
