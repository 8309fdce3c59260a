using BioSup.Report.Drawing;
using SkiaSharp;

namespace BioSup.Report.Figures;

/// <summary>A multi-channel picture: 16-bit intensities, channel after channel, each row by row.</summary>
public sealed record ImagePatch
{
    /// <param name="pixels">channels × height × width intensities.</param>
    /// <param name="channels">Number of channels.</param>
    /// <param name="height">Rows.</param>
    /// <param name="width">Columns.</param>
    /// <param name="caption">A short text under the picture, e.g. the activation; null for none.</param>
    public ImagePatch(ushort[] pixels, int channels, int height, int width, string? caption = null)
    {
        ArgumentNullException.ThrowIfNull(pixels);
        if (channels < 1 || height < 1 || width < 1 || pixels.Length != (long)channels * height * width)
            throw new ArgumentException($"A patch of {channels} channels, {height} rows and {width} columns needs {(long)channels * height * width} pixels, not {pixels.Length}.");
        (Pixels, Channels, Height, Width, Caption) = (pixels, channels, height, width, caption);
    }

    public ushort[] Pixels { get; }

    public int Channels { get; }

    public int Height { get; }

    public int Width { get; }

    public string? Caption { get; }

    /// <summary>A map laid over the picture, 0 to 1 by height × width: where it is high the picture glows orange, where it is zero the picture stays as it is. Null for none.</summary>
    public float[]? Overlay { get; init; }
}

/// <summary>A row of pictures with its name on the left: for example the patches where one latent is most active.</summary>
/// <param name="Label">Name of the row.</param>
/// <param name="Note">A second, smaller line; null for none.</param>
/// <param name="Patches">The pictures, from left to right.</param>
public sealed record ImageRow(string Label, string? Note, IReadOnlyList<ImagePatch> Patches);

/// <summary>
/// Rows of microscopy patches as colour composites. All patches share one intensity scale per channel, so that brightness can be compared;
/// <see cref="ScalingNote"/> says which.
/// </summary>
public sealed class ImageGrid : Figure
{
    private const float RowGap = 10;
    private const float PatchGap = 5;
    private const float CaptionHeight = 15;

    public IReadOnlyList<ImageRow> Rows { get; init; } = [];

    /// <summary>Side of a patch in the figure, in pixels.</summary>
    public int PatchSize { get; init; } = 84;

    /// <summary>Colour of each channel as 0xRRGGBB; null takes white for one channel, green and magenta for two, magenta, green and blue-cyan for three, then the palette.</summary>
    public IReadOnlyList<int>? ChannelColors { get; init; }

    /// <summary>Names of the channels for the legend; null for none.</summary>
    public IReadOnlyList<string>? ChannelNames { get; init; }

    /// <summary>Percentiles (over all patches shown, per channel) that become black and full colour.</summary>
    public (double Low, double High) Percentiles { get; init; } = (1, 99.7);

    protected override string DefaultDescription => "Image patches";

    /// <summary>How intensities became brightness, to be said in the caption.</summary>
    public string ScalingNote => FormattableString.Invariant($"each channel is scaled from its {Percentiles.Low} % to its {Percentiles.High} % quantile over the patches shown");

    public override (int Width, int Height) Size
    {
        get
        {
            int most = Rows.Select(r => r.Patches.Count).DefaultIfEmpty(0).Max();
            float width = LabelRoom + most * (PatchSize + PatchGap) + 4;
            float height = Header + Rows.Sum(RowHeight) + 2;
            return ((int)MathF.Ceiling(Math.Max(width, 160)), (int)MathF.Ceiling(Math.Max(height, 40)));
        }
    }

    private float Header => (Title is null ? 0 : 28) + (ChannelNames is null ? 4 : 24);

    private float LabelRoom => Math.Min(240, Math.Max(Brush.MeasureWidest(Rows.Select(r => r.Label), Ink.LabelSize, bold: true), Brush.MeasureWidest(Rows.Select(r => r.Note ?? ""), Ink.TickSize)) + 14);

    protected override void Draw(SKCanvas canvas)
    {
        Brush brush = new(canvas);
        float y = 4;
        if (Title is string title)
        {
            brush.Text(Brush.Fit(title, Size.Width - 8, Ink.TitleSize, bold: true), 4, 13, Ink.TitleSize, Ink.Text, bold: true);
            y += 28;
        }
        int channels = Rows.SelectMany(r => r.Patches).Select(p => p.Channels).DefaultIfEmpty(0).Max();
        if (ChannelNames is not null) DrawLegend(brush, y + 6, channels);
        y = Header;
        (double Low, double High)[] limits = [.. Enumerable.Range(0, channels).Select(Limits)];
        foreach (ImageRow row in Rows)
        {
            DrawRow(brush, row, y, limits);
            y += RowHeight(row);
        }
    }

    private void DrawRow(Brush brush, ImageRow row, float top, (double Low, double High)[] limits)
    {
        float room = LabelRoom - 14, middle = top + PatchSize / 2f;
        brush.Text(Brush.Fit(row.Label, room, Ink.LabelSize, bold: true), 2, row.Note is null ? middle : middle - 9, Ink.LabelSize, Ink.Text, bold: true);
        if (row.Note is string note) brush.Text(Brush.Fit(note, room, Ink.TickSize), 2, middle + 8, Ink.TickSize, Ink.Muted);
        for (int i = 0; i < row.Patches.Count; i++)
        {
            SKRect target = SKRect.Create(LabelRoom + i * (PatchSize + PatchGap), top, PatchSize, PatchSize);
            using SKBitmap picture = Composite(row.Patches[i], limits);
            float scale = Math.Min(target.Width / picture.Width, target.Height / picture.Height);
            SKRect fitted = SKRect.Create(target.MidX - picture.Width * scale / 2, target.MidY - picture.Height * scale / 2, picture.Width * scale, picture.Height * scale);
            brush.Image(picture, fitted, smooth: scale < 1.5f);
            if (row.Patches[i].Caption is string caption) brush.Text(Brush.Fit(caption, PatchSize, Ink.TickSize - 1), target.MidX, target.Bottom + 8, Ink.TickSize - 1, Ink.Muted, TextAlign.Center);
        }
    }

    private void DrawLegend(Brush brush, float y, int channels)
    {
        float x = LabelRoom;
        for (int c = 0; c < Math.Min(channels, ChannelNames!.Count); c++)
        {
            SKColor color = ColorOf(c, channels);
            SKRect swatch = SKRect.Create(x, y - 5, 10, 10);
            brush.Fill(swatch, color);
            brush.Outline(swatch, Ink.Axis, 0.5f);
            brush.Text(ChannelNames[c], x + 15, y, Ink.TickSize, Ink.Text);
            x += 15 + Brush.Measure(ChannelNames[c], Ink.TickSize) + 18;
        }
    }

    private SKBitmap Composite(ImagePatch patch, (double Low, double High)[] limits)
    {
        SKBitmap bitmap = new(new SKImageInfo(patch.Width, patch.Height, SKColorType.Rgba8888, SKAlphaType.Opaque));
        Span<byte> pixels = bitmap.GetPixelSpan();
        int area = patch.Width * patch.Height;
        Span<double> sum = stackalloc double[3];
        for (int p = 0; p < area; p++)
        {
            sum.Clear();
            for (int c = 0; c < patch.Channels; c++)
            {
                double level = Math.Clamp((patch.Pixels[c * area + p] - limits[c].Low) / (limits[c].High - limits[c].Low), 0, 1);
                SKColor color = ColorOf(c, patch.Channels);
                sum[0] += level * color.Red;
                sum[1] += level * color.Green;
                sum[2] += level * color.Blue;
            }
            if (patch.Overlay is { } overlay)
            {
                double share = 0.75 * Math.Clamp(overlay[p], 0, 1);
                for (int k = 0; k < 3; k++) sum[k] = (1 - share) * Math.Min(255, sum[k]) + share * (k == 0 ? 255 : k == 1 ? 165 : 0);
            }
            int at = p / patch.Width * bitmap.RowBytes + p % patch.Width * 4;
            for (int k = 0; k < 3; k++) pixels[at + k] = (byte)Math.Round(Math.Min(255, sum[k]));
            pixels[at + 3] = 255;
        }
        return bitmap;
    }

    private (double Low, double High) Limits(int channel)
    {
        var histogram = new long[65536];
        long total = 0;
        foreach (ImagePatch patch in Rows.SelectMany(r => r.Patches).Where(p => p.Channels > channel))
        {
            int area = patch.Width * patch.Height;
            foreach (ushort v in patch.Pixels.AsSpan(channel * area, area)) histogram[v]++;
            total += area;
        }
        double low = Quantile(histogram, total, Percentiles.Low / 100), high = Quantile(histogram, total, Percentiles.High / 100);
        return high > low ? (low, high) : (low, low + 1);
    }

    private static int Quantile(long[] histogram, long total, double fraction)
    {
        long wanted = (long)Math.Ceiling(fraction * total), seen = 0;
        for (int v = 0; v < histogram.Length; v++)
        {
            seen += histogram[v];
            if (seen >= wanted && seen > 0) return v;
        }
        return 65535;
    }

    private SKColor ColorOf(int channel, int channels)
    {
        if (ChannelColors is not null && channel < ChannelColors.Count) return new SKColor((uint)ChannelColors[channel] | 0xFF000000);
        int[] colors = channels switch { 1 => [0xFFFFFF], 2 => [0x00E07A, 0xFF3DFF], 3 => [0x3D7BFF, 0x2BE36B, 0xFF4FA3], _ => [] };
        return channel < colors.Length ? new SKColor((uint)colors[channel] | 0xFF000000) : Palette.Category(channel);
    }

    private float RowHeight(ImageRow row) => PatchSize + RowGap + (row.Patches.Any(p => p.Caption is not null) ? CaptionHeight : 0);
}
