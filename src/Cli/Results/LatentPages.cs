using System.Globalization;
using BioSup.Analysis.Sae;
using BioSup.Data;
using BioSup.Report;
using BioSup.Report.Figures;
using BioSup.Runtime;

namespace BioSup.Cli;

/// <summary>A section with one page for each of some latents: the patches that excite it and where in them, its profile over classes, its neighbours, how often it fires, and whether it looks at background.</summary>
internal sealed class LatentPages
{
    /// <summary>Latents that get a page without being asked for.</summary>
    public const int Shown = 12;

    private const int MostMasks = 256;
    private readonly IReadOnlyList<LatentProfile> _profiles;
    private readonly IReadOnlyList<DifferentialComparison> _comparisons;
    private readonly PatchGallery? _gallery;
    private readonly string? _noPictures;
    private readonly IReadOnlyList<string>? _channels;
    private readonly IReadOnlyList<string>? _imageLabels;
    private readonly HashSet<int> _paged;

    private LatentPages(IReadOnlyList<LatentProfile> profiles, IReadOnlyList<DifferentialComparison> comparisons, IReadOnlyList<string>? imageLabels, LatentPictures pictures)
    {
        (_profiles, _comparisons, _imageLabels) = (profiles, comparisons, imageLabels);
        (_gallery, _noPictures, _channels) = (pictures.Gallery, pictures.Reason, pictures.Channels);
        _paged = [.. profiles.Select(p => p.Latent)];
    }

    /// <summary>
    /// Latents asked for, then in turn the most specific (least Gini impurity) of each class, the second of each, until there are <see cref="Shown"/> of them; where none is specific, those that carry
    /// the most activation without firing on more than a fifth of the tokens.
    /// </summary>
    public static int[] Choose(IReadOnlyList<DifferentialComparison> comparisons, LatentTable? table, IReadOnlyList<int> asked)
    {
        DifferentialLatent[][] byClass = [.. comparisons.Select(SaeStudyJson.SpecificTo)];
        int deepest = byClass.Select(c => c.Length).DefaultIfEmpty(0).Max();
        IEnumerable<int> chosen = Enumerable.Range(0, deepest).SelectMany(rank => byClass.Where(c => c.Length > rank).Select(c => c[rank].Latent)).Distinct().Take(Shown);
        if (deepest == 0 && table is not null) chosen = Enumerable.Range(0, table.Latents).Where(j => table.Active[j] > 0).OrderBy(j => table.Rate(j) > 0.2).ThenByDescending(table.Total).Take(Shown);
        return [.. asked.Concat(chosen).Distinct()];
    }

    /// <summary>Measures the latents in one pass over the tokens.</summary>
    public static LatentPages Measure(SaeModel model, ITokenSource tokens, IReadOnlyList<int>? rowsPerImage, IReadOnlyList<string>? labels, IReadOnlyList<int> latents,
        IReadOnlyList<DifferentialComparison> comparisons, LatentPictures pictures, CommandContext context)
    {
        LatentProfileOptions options = new() { Background = latents.Count == 0 ? [] : Masks(pictures.Gallery, rowsPerImage, context) };
        IReadOnlyList<LatentProfile> profiles = LatentProfiles.Measure(model, tokens, rowsPerImage, labels, latents, options, context.Progress, context.Cancellation);
        IReadOnlyList<string>? imageLabels = labels is not null && rowsPerImage is { Count: > 0 } && labels.Count == rowsPerImage.Count ? labels : null;
        return new LatentPages(profiles, comparisons, imageLabels, pictures);
    }

    public IReadOnlyList<LatentProfile> Profiles => _profiles;

    /// <summary>Appends the section; nothing where there are no latents.</summary>
    public void Add(ReportDocument report)
    {
        if (_profiles.Count > 0) Add(report.AddSection("Latent by latent"));
    }

    /// <summary>The anchor of a latent's page.</summary>
    public static string Anchor(int latent) => string.Create(CultureInfo.InvariantCulture, $"latent-{latent}");

    /// <summary>The number of a latent, as a link where it has a page.</summary>
    public static TableCell Cell(int latent, ICollection<int> paged) => new(Name(latent, paged), IsNumber: true);

    private static string Name(int latent, ICollection<int> paged) => paged.Contains(latent) ? $"[{latent}](#{Anchor(latent)})" : $"{latent}";

    /// <summary>Background of patches spread evenly over the set, by token.</summary>
    private static Dictionary<int, float[]> Masks(PatchGallery? gallery, IReadOnlyList<int>? rowsPerImage, CommandContext context)
    {
        Dictionary<int, float[]> masks = [];
        if (gallery is null || rowsPerImage is null) return masks;
        int count = Math.Min(MostMasks, gallery.Count);
        for (int i = 0; i < count; i++)
        {
            context.Cancellation.ThrowIfCancellationRequested();
            context.Progress.Report("finding background", i, count);
            int patch = (int)((long)i * gallery.Count / count);
            if (Edge(rowsPerImage[patch]) is { } edge) masks[patch] = gallery.Background(patch, edge);
        }
        return masks;
    }

    /// <summary>Side of a square of so many tokens; null where they form none.</summary>
    private static int? Edge(int tokens) => (int)Math.Round(Math.Sqrt(tokens)) is var edge && edge > 0 && edge * edge == tokens ? edge : null;

    private void Add(ReportSection section)
    {
        bool background = _profiles.Any(p => p.Background is not null), classes = _profiles.Any(p => p.Classes.Count > 0);
        int mostly = _profiles.Count(p => p.Background is { IsMostlyBackground: true });
        section.Lead = $"A page for each of **{_profiles.Count}** latents: what excites it, where, in which class, and which other latents are like it."
            + (mostly > 0 ? $" **{mostly}** of them {(mostly == 1 ? "fires" : "fire")} mostly on background: what {(mostly == 1 ? "it says" : "they say")} about cells is indirect." : "");
        section.Add(Index(background, classes));
        List<string> reading = ["*Fires on*: share of all tokens on which the latent is active.", "*Like it by direction*: cosine of the decoder rows of alive latents. *Like it by activity*: tokens on which both are active, over tokens on which either is."];
        if (background)
        {
            string what = _gallery!.HasMasks ? "outside the masks" : "that are dark in every channel, as the quality filter counts them (haze counts as foreground, so this is rather too little)";
            reading.Add($"*On background*: share of the activation on pixels {what}, in {Numbers.Integer(Math.Min(MostMasks, _gallery.Count))} patches spread over the set; "
                + "*if even*: what it would be if each patch's activation were spread evenly over it. A token also sees what surrounds it, so a rim of background belongs to many a cell; and where each patch is standardised before the encoder, the level of its background tells how bright the rest is.");
        }
        if (classes && _comparisons.Count > 0) reading.Add("*q*: false discovery rate of the Mann–Whitney test over all active latents of the comparison. *Gini impurity*: 0 when one class has all the activation.");
        section.Bullets([.. reading]);
        if (_gallery is null) section.Paragraph($"There are no pictures of patches: {_noPictures}.");
        foreach (LatentProfile profile in _profiles) section.Add(new PageBlock(Anchor(profile.Latent), Title(profile), [.. Page(profile)]));
    }

    private TableBlock Index(bool background, bool classes)
    {
        List<string> columns = ["latent"];
        if (classes) columns.Add("strongest in");
        if (classes && _comparisons.Count > 0) columns.AddRange(["log2 fold change", "log10 q", "Gini impurity"]);
        columns.AddRange(["fires on", "largest"]);
        if (background) columns.AddRange(["on background", "if even"]);
        TableBlock table = new("The latents that have a page", [.. columns]);
        foreach (LatentProfile p in _profiles)
        {
            List<TableCell> row = [Cell(p.Latent, _paged)];
            if (classes) row.Add(Top(p)?.Class ?? "");
            if (classes && _comparisons.Count > 0)
            {
                DifferentialLatent? test = Test(p)?.Latent;
                row.AddRange([TableCell.Fixed(test?.Log2FoldChange ?? double.NaN, 2), TableCell.Fixed(test?.Log10Q ?? double.NaN, 1), TableCell.Fixed(test?.GiniImpurity ?? double.NaN, 2)]);
            }
            row.AddRange([Share(p.Rate), TableCell.Number(p.MaxActivation, 2)]);
            if (background)
            {
                Tone tone = p.Background is { IsMostlyBackground: true } ? Tone.Warning : Tone.Neutral;
                row.AddRange([TableCell.Percent(p.Background?.Share ?? double.NaN, 0, tone), TableCell.Percent(p.Background?.Even ?? double.NaN, 0)]);
            }
            table.Row([.. row]);
        }
        return table;
    }

    private string Title(LatentProfile p) => Top(p) is { } top && Test(p)?.Latent.Specific == true ? $"Latent {p.Latent}, specific to {top.Class}" : $"Latent {p.Latent}";

    private IEnumerable<ReportBlock> Page(LatentProfile p)
    {
        yield return new KeyFiguresBlock([.. Strip(p)]);
        if (p.ActiveTokens == 0)
        {
            yield return new ParagraphBlock("It is active on none of these tokens.");
            yield break;
        }
        if (_gallery is not null && Patches(p) is { } grid)
            yield return new FigureRowBlock([new FigureItem(grid, $"Patches in which latent {p.Latent} is strongest, with the mean activation over the patch; below, the activation of every token laid over them in orange, "
                + $"scaled to the largest of each patch. {char.ToUpperInvariant(grid.ScalingNote[0])}{grid.ScalingNote[1..]}.", $"latent_{p.Latent}_patches")]);
        TableBlock neighbours = Neighbours(p);
        if (p.Classes.Count == 0)
        {
            yield return neighbours;
            yield break;
        }
        yield return new SideBySideBlock([new FigureRowBlock([new FigureItem(Profile(p), $"Mean activation by class, with its standard error over {(p.Images > 0 && _imageLabels is not null ? "images" : "tokens")}.", $"latent_{p.Latent}_profile")]), neighbours]);
        yield return Classes(p);
    }

    private IEnumerable<KeyFigure> Strip(LatentProfile p)
    {
        if (Test(p) is { } test)
            yield return new KeyFigure($"{test.Comparison.Class} over {test.Comparison.Reference}", $"{Numbers.Short(Math.Pow(2, Math.Clamp(test.Latent.Log2FoldChange, -10, 10)), 2)}{(Math.Abs(test.Latent.Log2FoldChange) > 10 ? " or more" : "")} ×", $"q = {PowerOfTen(test.Latent.Log10Q)}, Gini impurity {Numbers.Fixed(test.Latent.GiniImpurity, 2)}");
        else if (Top(p) is { } top) yield return new KeyFigure("Strongest in", top.Class, $"mean {Numbers.Significant(top.Mean, 2)}");
        yield return new KeyFigure("Fires on", Percent(p.Rate), $"of tokens{(p.Rate > 0 ? $", log10 {Numbers.Fixed(Math.Log10(p.Rate), 1)}" : "")}{(p.Images > 0 ? $"; in {Numbers.Integer(p.ActiveImages)} of {Numbers.Integer(p.Images)} images" : "")}");
        yield return new KeyFigure("Largest activation", Numbers.Significant(p.MaxActivation, 2), $"{Numbers.Significant(p.MeanActivation, 2)} on average where active");
        if (double.IsFinite(p.Coverage)) yield return new KeyFigure("Covers", Numbers.Percent(p.Coverage, p.Coverage < 0.1 ? 1 : 0), "of a patch in which it is active, (Σa)² / nΣa²");
        if (p.Background is { } b)
            yield return new KeyFigure("On background", Numbers.Percent(b.Share, 0), $"of its activation; {Numbers.Percent(b.Even, 0)} if it were spread evenly", b.IsMostlyBackground ? Tone.Warning : Tone.Neutral);
    }

    private ImageGrid? Patches(LatentProfile p)
    {
        if (p.Strongest.Count == 0) return null;
        List<ImagePatch> plain = [], laid = [];
        foreach (StrongImage strong in p.Strongest)
        {
            ImagePatch patch = _gallery!.Cut(strong.Image, _imageLabels?[strong.Image]);
            plain.Add(patch);
            string mean = Numbers.Significant(strong.Mean, 2);
            laid.Add(new ImagePatch(patch.Pixels, patch.Channels, patch.Height, patch.Width, mean) { Overlay = Overlay(strong.Tokens, patch.Width) });
        }
        return new ImageGrid { Rows = [new ImageRow("strongest", "patches", plain), new ImageRow($"latent {p.Latent}", "where it is active", laid)], ChannelNames = _channels, PatchSize = 136 };
    }

    /// <summary>Activations scaled to the largest and interpolated from the centres of tokens to pixels; null where tokens form no square.</summary>
    private static float[]? Overlay(float[] tokens, int side)
    {
        if (Edge(tokens.Length) is not { } edge) return null;
        float largest = Math.Max(tokens.Max(), float.Epsilon);
        float[] map = new float[side * side];
        for (int y = 0; y < side; y++)
        {
            for (int x = 0; x < side; x++)
            {
                double v = Math.Clamp((y + 0.5) * edge / side - 0.5, 0, edge - 1), u = Math.Clamp((x + 0.5) * edge / side - 0.5, 0, edge - 1);
                int top = (int)v, left = (int)u, bottom = Math.Min(top + 1, edge - 1), right = Math.Min(left + 1, edge - 1);
                double upper = double.Lerp(tokens[top * edge + left], tokens[top * edge + right], u - left), lower = double.Lerp(tokens[bottom * edge + left], tokens[bottom * edge + right], u - left);
                map[y * side + x] = (float)(double.Lerp(upper, lower, v - top) / largest);
            }
        }
        return map;
    }

    private static BarChart Profile(LatentProfile p) => new()
    {
        Categories = [.. p.Classes.Select(c => c.Class)],
        Series = [new BarSeries("mean activation", [.. p.Classes.Select(c => c.Mean)], [.. p.Classes.Select(c => c.StandardError)])],
        Horizontal = true,
        XLabel = "mean activation",
        Width = 452,
        Height = 80 + 30 * p.Classes.Count,
    };

    private TableBlock Neighbours(LatentProfile p)
    {
        TableBlock table = new("Latents like it", "by direction", "cosine", "by activity", "together");
        for (int i = 0; i < Math.Max(p.ByDirection.Count, p.ByActivity.Count); i++)
        {
            LatentNeighbour? direction = i < p.ByDirection.Count ? p.ByDirection[i] : null, activity = i < p.ByActivity.Count ? p.ByActivity[i] : null;
            table.Row(direction is { } d ? Name(d.Latent, _paged) : "", direction is { } cosine ? TableCell.Fixed(cosine.Value, 2) : "", activity is { } a ? Name(a.Latent, _paged) : "", activity is { } together ? TableCell.Percent(together.Value, 0) : "");
        }
        return table;
    }

    private TableBlock Classes(LatentProfile p)
    {
        bool images = p.Images > 0 && _imageLabels is not null;
        List<string> columns = ["class", images ? "images" : "tokens", "mean", "std. error"];
        if (images) columns.Add("images active");
        columns.Add("tokens active");
        if (_comparisons.Count > 0) columns.AddRange(["log2 change", "log10 p", "log10 q"]);
        TableBlock table = new(_comparisons.Count == 0 ? "Activation by class, with the standard error of its mean" : $"Activation by class, with the standard error of its mean; change and Mann–Whitney test against {_comparisons[0].Reference}", [.. columns]);
        foreach (ClassActivity c in p.Classes)
        {
            List<TableCell> row = [c.Class, c.Images, TableCell.Number(c.Mean, 2), TableCell.Number(c.StandardError, 2)];
            if (images) row.Add(TableCell.Percent(c.ActiveImages));
            row.Add(Share(c.ActiveTokens));
            if (_comparisons.Count > 0)
            {
                DifferentialLatent? test = _comparisons.FirstOrDefault(k => k.Class == c.Class)?.Latents.FirstOrDefault(l => l.Latent == p.Latent);
                row.AddRange(test is null ? ["", "", ""] : [TableCell.Fixed(test.Log2FoldChange, 2), TableCell.Fixed(test.Log10P, 1), TableCell.Fixed(test.Log10Q, 1)]);
            }
            table.Row([.. row]);
        }
        return table;
    }

    private static ClassActivity? Top(LatentProfile p) => p.ActiveTokens == 0 ? null : p.Classes.MaxBy(c => c.Mean);

    /// <summary>The comparison of the latent's strongest class; where that is the control, the one of the largest change.</summary>
    private (DifferentialComparison Comparison, DifferentialLatent Latent)? Test(LatentProfile p)
    {
        (DifferentialComparison Comparison, DifferentialLatent Latent)[] found = [.. _comparisons.SelectMany(c => c.Latents.Where(l => l.Latent == p.Latent).Select(l => (c, l)))];
        if (found.Length == 0) return null;
        string? top = Top(p)?.Class;
        return found.FirstOrDefault(f => f.Comparison.Class == top) is { Latent: not null } own ? own : found.MaxBy(f => Math.Abs(f.Latent.Log2FoldChange));
    }

    private static TableCell Share(double value) => new(Percent(value), IsNumber: true);

    /// <summary>Two significant digits below ten per cent.</summary>
    private static string Percent(double share) => share == 0 ? "0 %" : Numbers.Significant(100 * share, share >= 0.1 ? 3 : 2) + " %";

    private static string PowerOfTen(double log10) => double.IsNaN(log10) ? "–" : log10 > -3 ? Numbers.Significant(Math.Pow(10, log10), 2) : Numbers.Significant(Math.Pow(10, log10 - Math.Floor(log10)), 2) + "×10" + Superscript((int)Math.Floor(log10));

    private static string Superscript(int exponent) => string.Concat(exponent.ToString(CultureInfo.InvariantCulture).Select(c => c == '-' ? '⁻' : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c - '0']));
}

/// <summary>The pictures behind tokens, or why there are none.</summary>
internal sealed record LatentPictures(PatchGallery? Gallery, string? Reason, IReadOnlyList<string>? Channels = null);
