using BioSup.Report.Drawing;
using SkiaSharp;

namespace BioSup.Report.Figures;

/// <summary>Groups against variables as dots: the area of a dot is a share of the group's cells, its colour the mean of their values.</summary>
public sealed class DotPlot : Figure
{
    /// <summary>Names of the groups, from top to bottom.</summary>
    public IReadOnlyList<string> Groups { get; init; } = [];

    /// <summary>Names of the variables, from left to right.</summary>
    public IReadOnlyList<string> Variables { get; init; } = [];

    /// <summary>[groups, variables] share of cells, 0 … 1.</summary>
    public double[,] Shares { get; init; } = new double[0, 0];

    /// <summary>[groups, variables] what the colour shows; NaN is grey.</summary>
    public double[,] Means { get; init; } = new double[0, 0];

    /// <summary>What the colours show, with the unit.</summary>
    public string ValueLabel { get; init; } = "mean";

    /// <summary>Of which cells the shares are.</summary>
    public string ShareLabel { get; init; } = "cells > 0";

    public ColorScale Scale { get; init; } = ColorScale.Blues;

    protected override string DefaultDescription => $"Dot plot of {Variables.Count} variables in {Groups.Count} groups";

    /// <summary>The height follows the number of groups, so that no name is lost.</summary>
    public override (int Width, int Height) Size => (Width, Math.Max(Height, 110 + 19 * Groups.Count));

    protected override void Draw(SKCanvas canvas)
    {
        int rows = Groups.Count, columns = Variables.Count;
        foreach (double[,] given in new[] { Shares, Means })
            if (given.GetLength(0) != rows || given.GetLength(1) != columns) throw new ArgumentException($"The dots are {given.GetLength(0)} x {given.GetLength(1)} for {rows} groups and {columns} variables.");
        Brush brush = new(canvas);
        MatrixFrame frame = MatrixFrame.Layout(brush, this, rows, columns, Groups, Variables, "", "", rightRoom: 104);
        SKRect area = frame.Area;
        double[] finite = [.. Means.Cast<double>().Where(double.IsFinite)];
        double low = Math.Min(0, finite.DefaultIfEmpty(0).Min()), high = Math.Max(finite.DefaultIfEmpty(1).Max(), low + 1e-12);
        float w = area.Width / Math.Max(1, columns), h = area.Height / Math.Max(1, rows), most = Math.Min(Math.Min(w, h) / 2 - 0.5f, 11);
        for (int i = 0; i < rows; i++)
        {
            brush.Line(area.Left, area.Top + (i + 0.5f) * h, area.Right, area.Top + (i + 0.5f) * h, Ink.Grid);
            for (int j = 0; j < columns; j++)
            {
                float radius = most * (float)Math.Sqrt(Math.Clamp(Shares[i, j], 0, 1));
                if (!(radius > 0.2f)) continue;
                float x = area.Left + (j + 0.5f) * w, y = area.Top + (i + 0.5f) * h;
                brush.Dot(x, y, radius, double.IsFinite(Means[i, j]) ? ColorScales.At(Scale, (Means[i, j] - low) / (high - low)) : Ink.Missing);
                brush.Ring(x, y, radius, Ink.Axis, 0.6f);
            }
        }
        brush.Outline(area, Ink.Axis, 0.75f);
        frame.DrawNames(brush);
        ColorBar.Draw(brush, SKRect.Create(area.Right + 14, area.Top, 12, Math.Max(30, Math.Min(area.Height - 94, 160))), Scale, low, high, ValueLabel);
        DrawSizes(brush, area.Right + 14, area.Bottom - 76, most);
    }

    private void DrawSizes(Brush brush, float left, float top, float most)
    {
        brush.Text(ShareLabel, left, top + 4, Ink.TickSize, Ink.Muted);
        float y = top + 14;
        foreach (double share in new[] { 1, 0.5, 0.1 })
        {
            float radius = most * (float)Math.Sqrt(share), room = Math.Max(2 * radius, 13);
            brush.Ring(left + most, y + room / 2, radius, Ink.Muted);
            brush.Text(Numbers.Percent(share, 0), left + 2 * most + 6, y + room / 2, Ink.TickSize, Ink.Text);
            y += room + 4;
        }
    }
}
