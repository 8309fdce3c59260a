using BioSup.Report.Drawing;
using SkiaSharp;

namespace BioSup.Report.Figures;

/// <summary>A figure as it was drawn earlier, so that a report can be put together without what it was drawn from.</summary>
/// <param name="png">What <see cref="Figure.ToPng"/> gave at the resolution that will be wanted; it has no other.</param>
/// <param name="svg">What <see cref="Figure.ToSvg"/> gave.</param>
public sealed class DrawnFigure(byte[] png, string svg) : Figure
{
    protected override string DefaultDescription => "Figure";

    public override byte[] ToPng(float scale = 2) => png;

    public override string ToSvg(string idPrefix = "s") => SvgCleaner.Rename(svg, idPrefix);

    protected override void Draw(SKCanvas canvas) => throw new NotSupportedException("A figure that was drawn earlier has no place inside another one.");
}
