using BioSup.Report.Drawing;
using SkiaSharp;

namespace BioSup.Report.Figures;

/// <summary>
/// Groups of cells as nodes whose area grows with their cells, joined by lines as wide as their connectivity (PAGA, Wolf et al. 2019). With a composition every node is a pie of classes.
/// Nodes that would overlap are pushed apart, so places are close to those given and not equal to them.
/// </summary>
public sealed class PagaFigure : Figure
{
    private const float LeastRadius = 7, MostRadius = 30, WidestEdge = 8;

    /// <summary>Names of the groups.</summary>
    public IReadOnlyList<string> Names { get; init; } = [];

    /// <summary>Cells in each group; groups without cells are left out.</summary>
    public IReadOnlyList<int> Sizes { get; init; } = [];

    /// <summary>[groups, groups], symmetric, 0 … 1.</summary>
    public double[,] Connectivities { get; init; } = new double[0, 0];

    /// <summary>Lines below this connectivity are not drawn.</summary>
    public double Threshold { get; init; } = 0.1;

    /// <summary>Place of each group, such as the median of its cells in a map; null lays the graph out by its connectivities.</summary>
    public IReadOnlyList<(double X, double Y)>? Places { get; init; }

    /// <summary>Names of the classes whose shares the pies show; empty for none.</summary>
    public IReadOnlyList<string> Classes { get; init; } = [];

    /// <summary>[groups, classes] counts or shares, not negative; null for nodes of one colour each.</summary>
    public double[,]? Composition { get; init; }

    /// <summary>The class that is context for the others: grey; null for none.</summary>
    public string? ContextClass { get; init; }

    /// <summary>Colours of classes (of groups, where there is no composition) as 0xRRGGBB, where the palette's are not wanted.</summary>
    public IReadOnlyDictionary<string, uint>? Colors { get; init; }

    protected override string DefaultDescription => $"Graph of {Names.Count} groups";

    private bool HasPies => Composition is not null && Classes.Count > 0;

    protected override void Draw(SKCanvas canvas)
    {
        Check();
        Brush brush = new(canvas);
        float top = 8;
        if (Title is string title)
        {
            brush.Text(Brush.Fit(title, Width - 12, Ink.TitleSize, bold: true), 6, 14, Ink.TitleSize, Ink.Text, bold: true);
            top = 34;
        }
        SwatchLegend legend = new(HasPies ? [.. Classes.Select((c, i) => new Swatch(c, ClassColor(i), SwatchKind.Square))] : [], Width * 0.34f, Math.Max(17, Height - top - 150));
        int[] nodes = [.. Enumerable.Range(0, Names.Count).Where(g => Sizes[g] > 0)];
        float beside = Math.Max(legend.Width, 2 * MostRadius + 14 + Brush.Measure(Numbers.Integer(nodes.Select(g => Sizes[g]).DefaultIfEmpty(0).Max()), Ink.TickSize)) + 18;
        SKRect area = new(10, top, Math.Max(60, Width - beside), Math.Max(top + 50, Height - 10));
        float[] radius = Radii(nodes, area);
        SKPoint[] at = Arrange(nodes, radius, area);
        DrawEdges(brush, nodes, at);
        for (int i = 0; i < nodes.Length; i++) DrawNode(brush, nodes[i], at[i], radius[i]);
        WriteNames(brush, nodes, at, radius, area);
        legend.Draw(brush, area.Right + 12, top);
        if (nodes.Length > 0) DrawScale(brush, area.Right + 12, top + (legend.Height > 0 ? legend.Height + 14 : 0), nodes, radius);
    }

    private void Check()
    {
        int n = Names.Count;
        if (Sizes.Count != n) throw new ArgumentException($"There are {Sizes.Count} sizes for {n} groups.");
        if (Connectivities.GetLength(0) != n || Connectivities.GetLength(1) != n) throw new ArgumentException($"The connectivities are {Connectivities.GetLength(0)} x {Connectivities.GetLength(1)} for {n} groups.");
        if (Places is not null && Places.Count != n) throw new ArgumentException($"There are {Places.Count} places for {n} groups.");
        if (Composition is not null && (Composition.GetLength(0) != n || Composition.GetLength(1) != Classes.Count)) throw new ArgumentException($"The composition is {Composition.GetLength(0)} x {Composition.GetLength(1)} for {n} groups and {Classes.Count} classes.");
    }

    private float[] Radii(int[] nodes, SKRect area)
    {
        if (nodes.Length == 0) return [];
        int largest = nodes.Max(g => Sizes[g]);
        float most = Math.Min(MostRadius, 0.42f * MathF.Sqrt(area.Width * area.Height / nodes.Length));
        return [.. nodes.Select(g => Math.Max(Math.Min(LeastRadius, most), most * MathF.Sqrt(Sizes[g] / (float)largest)))];
    }

    /// <summary>The places in the area, to one scale on both axes, moved apart where nodes overlap.</summary>
    private SKPoint[] Arrange(int[] nodes, float[] radius, SKRect area)
    {
        if (nodes.Length == 0) return [];
        (double X, double Y)[] given = Places is not null && nodes.All(g => double.IsFinite(Places[g].X) && double.IsFinite(Places[g].Y)) ? [.. nodes.Select(g => (Places[g].X, -Places[g].Y))] : StressLayout.Place(Weights(nodes), lying: area.Width >= area.Height);
        double x0 = given.Min(p => p.X), x1 = given.Max(p => p.X), y0 = given.Min(p => p.Y), y1 = given.Max(p => p.Y);
        float edge = radius.Max() + 2;
        double scale = Math.Min((area.Width - 2 * edge) / Math.Max(x1 - x0, 1e-9), (area.Height - 2 * edge) / Math.Max(y1 - y0, 1e-9));
        if (!(Math.Max(x1 - x0, y1 - y0) > 0)) scale = 0;
        SKPoint[] at = [.. given.Select(p => new SKPoint(area.MidX + (float)((p.X - (x0 + x1) / 2) * scale), area.MidY + (float)((p.Y - (y0 + y1) / 2) * scale)))];
        for (int round = 0; round < 200; round++)
        {
            for (int i = 0; i < at.Length; i++)
            {
                for (int j = i + 1; j < at.Length; j++)
                {
                    float dx = at[j].X - at[i].X, dy = at[j].Y - at[i].Y, now = MathF.Sqrt(dx * dx + dy * dy), wanted = radius[i] + radius[j] + 8;
                    if (now >= wanted) continue;
                    // Nodes on one spot part in a direction of their own.
                    if (now < 1e-3f) (dx, dy, now) = (MathF.Cos(2.4f * j), MathF.Sin(2.4f * j), 1);
                    float push = (wanted - Math.Min(now, wanted)) / 2 / now;
                    at[i] = new SKPoint(at[i].X - dx * push, at[i].Y - dy * push);
                    at[j] = new SKPoint(at[j].X + dx * push, at[j].Y + dy * push);
                }
            }
            for (int i = 0; i < at.Length; i++) at[i] = new SKPoint(Math.Clamp(at[i].X, area.Left + radius[i], area.Right - radius[i]), Math.Clamp(at[i].Y, area.Top + radius[i], area.Bottom - radius[i]));
        }
        return at;
    }

    private double[,] Weights(int[] nodes)
    {
        double[,] weights = new double[nodes.Length, nodes.Length];
        for (int i = 0; i < nodes.Length; i++)
            for (int j = 0; j < nodes.Length; j++)
                if (i != j && Connectivities[nodes[i], nodes[j]] >= Threshold) weights[i, j] = weights[j, i] = Connectivities[nodes[i], nodes[j]];
        return weights;
    }

    private void DrawEdges(Brush brush, int[] nodes, SKPoint[] at)
    {
        double[,] weights = Weights(nodes);
        for (int i = 0; i < nodes.Length; i++)
            for (int j = i + 1; j < nodes.Length; j++)
                if (weights[i, j] > 0) brush.Line(at[i].X, at[i].Y, at[j].X, at[j].Y, Ink.Axis, EdgeWidth(weights[i, j]));
    }

    private static float EdgeWidth(double weight) => Math.Max(0.6f, WidestEdge * (float)Math.Min(weight, 1));

    private void DrawNode(Brush brush, int group, SKPoint at, float radius)
    {
        brush.Dot(at.X, at.Y, radius + 1.5f, Ink.Paper);
        double total = HasPies ? Enumerable.Range(0, Classes.Count).Sum(c => Math.Max(0, Composition![group, c])) : 0;
        if (!HasPies) brush.Dot(at.X, at.Y, radius, Palette.Category(Names[group], group, null, Colors));
        else if (!(total > 0)) brush.Dot(at.X, at.Y, radius, Ink.Missing);
        else
        {
            float from = -90;
            for (int c = 0; c < Classes.Count; c++)
            {
                float sweep = (float)(360 * Math.Max(0, Composition![group, c]) / total);
                if (sweep > 0) DrawSlice(brush, at, radius, from, sweep, ClassColor(c));
                from += sweep;
            }
        }
        brush.Ring(at.X, at.Y, radius, Ink.Text, 0.8f);
    }

    private static void DrawSlice(Brush brush, SKPoint at, float radius, float from, float sweep, SKColor color)
    {
        if (sweep >= 359.99f)
        {
            brush.Dot(at.X, at.Y, radius, color);
            return;
        }
        using SKPath path = new();
        path.MoveTo(at);
        path.ArcTo(SKRect.Create(at.X - radius, at.Y - radius, 2 * radius, 2 * radius), from, sweep, forceMoveTo: false);
        path.Close();
        using SKPaint paint = new() { Color = color, IsAntialias = true };
        brush.Canvas.DrawPath(path, paint);
    }

    /// <summary>Short names stand on a white disc in the middle of their node, others beside it.</summary>
    private void WriteNames(Brush brush, int[] nodes, SKPoint[] at, float[] radius, SKRect area)
    {
        List<SKPoint> covered = [];
        for (int i = 0; i < nodes.Length; i++)
            for (int a = 0; a < 48; a++)
                for (float r = 2; r <= radius[i]; r += 2) covered.Add(new SKPoint(at[i].X + r * MathF.Cos(a * MathF.PI / 24), at[i].Y + r * MathF.Sin(a * MathF.PI / 24)));
        LabelPlacer placer = new(area, [.. covered], 1);
        foreach (int i in Enumerable.Range(0, nodes.Length).OrderByDescending(i => radius[i]))
        {
            string name = Brush.Fit(Names[nodes[i]], area.Width * 0.5f, Ink.TickSize, bold: true);
            float needed = MathF.Sqrt(MathF.Pow(Brush.Measure(name, Ink.TickSize, bold: true) / 2, 2) + 16) + 2.5f;
            if (needed <= radius[i] * 0.68f)
            {
                brush.Dot(at[i].X, at[i].Y, needed, Ink.Paper.WithAlpha(225));
                brush.Text(name, at[i].X, at[i].Y, Ink.TickSize, Ink.Text, TextAlign.Center, bold: true);
            }
            else placer.Write(brush, name, at[i], radius[i], bold: true);
        }
    }

    /// <summary>What the area of a node and the width of a line mean.</summary>
    private void DrawScale(Brush brush, float left, float top, int[] nodes, float[] radius)
    {
        int largest = Enumerable.Range(0, nodes.Length).MaxBy(i => Sizes[nodes[i]]);
        brush.Text("cells", left, top + 6, Ink.TickSize, Ink.Muted);
        float y = top + 18;
        int cells = RoundDown(Sizes[nodes[largest]]);
        foreach (int shown in new[] { cells, RoundDown(Math.Max(1, cells / 5)) }.Distinct())
        {
            float r = Math.Max(2, radius[largest] * MathF.Sqrt(shown / (float)Sizes[nodes[largest]]));
            brush.Ring(left + radius[largest], y + r, r, Ink.Muted, 1);
            brush.Text(Numbers.Integer(shown), left + 2 * radius[largest] + 8, y + r, Ink.TickSize, Ink.Text);
            y += 2 * r + 5;
        }
        y += 10;
        brush.Text("connectivity", left, y, Ink.TickSize, Ink.Muted);
        foreach (double weight in new[] { Math.Min(1, Threshold), 0.5, 1 }.Where(w => w >= Threshold).Distinct())
        {
            y += 15;
            brush.Line(left, y, left + 26, y, Ink.Axis, EdgeWidth(weight));
            brush.Text(Numbers.Short(weight, 2), left + 33, y, Ink.TickSize, Ink.Text);
        }
    }

    private static int RoundDown(int value)
    {
        int power = (int)Math.Pow(10, Math.Floor(Math.Log10(value)));
        return value / power >= 5 ? 5 * power : value / power >= 2 ? 2 * power : power;
    }

    private SKColor ClassColor(int index) => Palette.Category(Classes[index], index, ContextClass, Colors);
}
