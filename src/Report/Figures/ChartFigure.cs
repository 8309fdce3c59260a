using BioSup.Report.Drawing;
using ScottPlot;
using ScottPlot.TickGenerators;
using SkiaSharp;

namespace BioSup.Report.Figures;

/// <summary>A figure with two axes, drawn by ScottPlot in the house style.</summary>
public abstract class ChartFigure : Figure
{
    /// <summary>What the horizontal axis shows, with its unit.</summary>
    public string XLabel { get; init; } = "";

    /// <summary>What the vertical axis shows, with its unit.</summary>
    public string YLabel { get; init; } = "";

    private protected static readonly Color s_text = ToPlot(Ink.Text);
    private protected static readonly Color s_muted = ToPlot(Ink.Muted);

    /// <summary>Adds the data to the plot and sets limits and ticks.</summary>
    private protected abstract void Compose(Plot plot);

    /// <summary>Drawn after the plot, over it and beside it.</summary>
    private protected virtual void Annotate(Brush brush, Plot plot, PixelRect data)
    {
    }

    protected override void Draw(SKCanvas canvas)
    {
        FigureFonts.EnsureRegistered();
        using Plot plot = new();
        ApplyStyle(plot);
        Compose(plot);
        PixelRect whole = new(0, Width, Height, 0);
        if (plot.Axes.Rules.Count > 0)
        {
            // Rules settle the limits while rendering and ScottPlot then paints everything again: let that happen where nothing is kept.
            using SKNoDrawCanvas nowhere = new(Width, Height);
            plot.Render(nowhere, whole);
        }
        plot.Render(canvas, whole);
        Annotate(new Brush(canvas), plot, plot.RenderManager.LastRender.DataRect);
    }

    private protected static Color ToPlot(SKColor color) => new(color.Red, color.Green, color.Blue, color.Alpha);

    private protected static void SetTicks(IAxis axis, IEnumerable<AxisTick> ticks)
    {
        AxisTick[] all = [.. ticks];
        axis.TickGenerator = new NumericManual([.. all.Select(t => t.Label.Length > 0 ? Tick.Major(t.Position, t.Label) : Tick.Minor(t.Position))]);
        // ScottPlot leaves no air between the tick labels and the rotated label of a vertical axis.
        if (axis is IYAxis) axis.MinimumSize = Brush.MeasureWidest(all.Select(t => t.Label), Ink.TickSize) + 36;
    }

    /// <summary>Limits that hold every finite value with some air; [0, 1] when there is none.</summary>
    private protected static (double Low, double High) Range(IEnumerable<double> values, double margin)
    {
        double low = double.PositiveInfinity, high = double.NegativeInfinity;
        foreach (double v in values)
        {
            if (!double.IsFinite(v)) continue;
            low = Math.Min(low, v);
            high = Math.Max(high, v);
        }
        if (low > high) return (0, 1);
        double span = high - low;
        // Equal values get an axis of their own size; zeros, which have none, one to either side.
        if (!(span > Math.Abs(high) * 1e-12)) span = high == 0 ? 2 : Math.Abs(high) * 0.2;
        double middle = (low + high) / 2, half = Math.Max((high - low) / 2, span / 2) + margin * span;
        return (middle - half, middle + half);
    }

    private protected int TargetTicksX => Math.Clamp(Width / 90, 3, 9);

    private protected int TargetTicksY => Math.Clamp(Height / 60, 3, 8);

    private protected void ShowLegend(Plot plot, IEnumerable<LegendItem> items)
    {
        Legend legend = plot.Legend;
        legend.DisplayPlottableLegendItems = false;
        foreach (LegendItem item in items)
        {
            item.LabelText = Brush.Fit(item.LabelText, Width * 0.32f, Ink.TickSize);
            item.LabelFontName = FigureFonts.Family;
            item.LabelFontSize = Ink.TickSize;
            item.LabelFontColor = s_text;
            legend.ManualItems.Add(item);
        }
        legend.FontName = FigureFonts.Family;
        legend.FontSize = Ink.TickSize;
        legend.FontColor = s_text;
        legend.OutlineWidth = 0;
        legend.ShadowColor = Colors.Transparent;
        legend.BackgroundColor = Colors.Transparent;
        legend.SymbolWidth = 16;
        legend.Padding = new PixelPadding(0, 0, 0, 0);
        legend.InterItemPadding = new PixelPadding(0, 0, 3, 3);
        ScottPlot.Panels.LegendPanel panel = plot.ShowLegend(Edge.Right);
        panel.Alignment = Alignment.UpperLeft;
        panel.Padding = new PixelPadding(12, 4, 0, 0);
    }

    private void ApplyStyle(Plot plot)
    {
        plot.FigureBackground.Color = Colors.White;
        plot.DataBackground.Color = Colors.White;
        plot.Grid.MajorLineColor = ToPlot(Ink.Grid);
        plot.Grid.MajorLineWidth = 1;
        plot.Axes.Right.FrameLineStyle.Width = 0;
        plot.Axes.Top.FrameLineStyle.Width = 0;
        foreach (IAxis axis in new IAxis[] { plot.Axes.Bottom, plot.Axes.Left })
        {
            axis.FrameLineStyle.Color = ToPlot(Ink.Axis);
            axis.FrameLineStyle.Width = 1;
            axis.MajorTickStyle.Color = ToPlot(Ink.Axis);
            axis.MajorTickStyle.Length = 4;
            axis.MinorTickStyle.Color = ToPlot(Ink.Axis);
            axis.MinorTickStyle.Length = 2;
            axis.TickLabelStyle.FontName = FigureFonts.Family;
            axis.TickLabelStyle.FontSize = Ink.TickSize;
            axis.TickLabelStyle.ForeColor = s_muted;
        }
        Label(plot.Axes.Bottom.Label, XLabel);
        Label(plot.Axes.Left.Label, YLabel);
        if (Title is not string title) return;
        plot.Axes.Title.Label.Text = Brush.Fit(title, Width - 20, Ink.TitleSize, bold: true);
        plot.Axes.Title.Label.FontName = FigureFonts.Family;
        plot.Axes.Title.Label.FontSize = Ink.TitleSize;
        plot.Axes.Title.Label.Bold = true;
        plot.Axes.Title.Label.ForeColor = s_text;
    }

    private void Label(LabelStyle label, string text)
    {
        label.Text = Brush.Fit(text, Math.Min(Width, Height) * 0.95f, Ink.LabelSize);
        label.FontName = FigureFonts.Family;
        label.FontSize = Ink.LabelSize;
        label.Bold = false;
        label.ForeColor = s_text;
    }
}
