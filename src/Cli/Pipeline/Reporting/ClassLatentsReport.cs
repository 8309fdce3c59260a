using BioSup.Analysis.Sae;
using BioSup.Data;
using BioSup.Report;
using BioSup.Report.Figures;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Reporting;

/// <summary>Latents that belong to a class: volcano plots, and for the most specific ones the patches that excite them, where in the patch, the profile over classes, and the nearest latents.</summary>
internal static class ClassLatentsReport
{
    private const int Shown = 12, PatchesPerLatent = 5, MostVolcanoes = 4, Neighbours = 4;
    private const string Control = "Control";

    public static void Add(ReportDocument report, RunFolder folder, int patchSide, Matrix<float> latents, string[] labels, IReadOnlyList<string>? channelNames, CommandContext context)
    {
        if (labels.Length != latents.Rows || labels.Distinct().Count() < 2) return;
        string? control = labels.Contains(Control) ? Control : null;
        IReadOnlyList<DifferentialComparison> comparisons = DifferentialLatents.Compare(latents, labels, new DifferentialOptions { Control = control }, context.Cancellation);
        int specific = comparisons.Sum(c => SaeStudyJson.SpecificTo(c).Length);
        ReportSection section = report.AddSection("Which latents belong to a class?",
            $"**{Numbers.Integer(specific)}** latents are specific to a class by the paper's rule: a mean activation at least 1.5 times that of {(control is null ? "all other classes" : control)}, a Gini impurity over classes of at most 0.5, activity in at least 10 patches.");
        foreach (DifferentialComparison comparison in comparisons.Take(MostVolcanoes)) section.Add(new FigureRowBlock([SaeStudyFiles.Volcano(comparison)]));
        DifferentialLatent[] chosen = Choose(comparisons);
        if (chosen.Length == 0)
        {
            section.Paragraph("No latent passes every bound, so no single latents are shown.");
            return;
        }
        using SaeModel model = SaeModel.Load(context.Host, folder.Sae);
        using TokenShards tokens = TokenShards.Open(folder.Tokens);
        AddPatches(section, folder, patchSide, latents, labels, channelNames, chosen, model, tokens);
        AddProfiles(section, latents, labels, chosen);
        AddNeighbours(section, chosen, model);
    }

    /// <summary>In turn the most specific latent (least Gini impurity) of each class, then the second of each, until there are twelve.</summary>
    private static DifferentialLatent[] Choose(IReadOnlyList<DifferentialComparison> comparisons)
    {
        DifferentialLatent[][] byClass = [.. comparisons.Select(SaeStudyJson.SpecificTo)];
        int deepest = byClass.Max(c => c.Length);
        return [.. Enumerable.Range(0, deepest).SelectMany(rank => byClass.Where(c => c.Length > rank).Select(c => c[rank])).DistinctBy(l => l.Latent).Take(Shown)];
    }

    private static void AddPatches(ReportSection section, RunFolder folder, int side, Matrix<float> latents, string[] labels, IReadOnlyList<string>? channelNames, DifferentialLatent[] chosen, SaeModel model, TokenShards tokens)
    {
        PatchGallery gallery = new(CsvFile.Read(folder.Patches), side);
        List<ImageRow> rows = [];
        foreach (DifferentialLatent latent in chosen)
        {
            int[] strongest = [.. Enumerable.Range(0, latents.Rows).OrderByDescending(i => latents.Row(i)[latent.Latent]).ThenBy(i => i).Take(PatchesPerLatent)];
            List<ImagePatch> patches = [];
            foreach (int i in strongest)
            {
                ImagePatch patch = gallery.Cut(i, labels[i]);
                patches.Add(patch);
                if (Map(model, tokens, i, latent.Latent, side) is { } map)
                    patches.Add(new ImagePatch(patch.Pixels, patch.Channels, patch.Height, patch.Width, Numbers.Significant(latents.Row(i)[latent.Latent], 2)) { Overlay = map });
            }
            rows.Add(new ImageRow($"latent {latent.Latent}", $"{latent.TopClass}, impurity {Numbers.Fixed(latent.GiniImpurity, 2)}", patches));
        }
        ImageGrid grid = new() { Rows = rows, ChannelNames = channelNames, PatchSize = 76 };
        section.Heading("The most specific latents and where they are active");
        section.Figure(grid, $"The {PatchesPerLatent} patches with the largest mean activation of each latent, strongest on the left: the patch under its class, and beside it the same patch with the latent's activation of "
            + $"every token laid over it (orange; scaled to the latent's maximum in the patch) under its mean. Shown are {chosen.Length} latents: in turn the least impure of each class. {grid.ScalingNote}.", "class_latents");
    }

    /// <summary>A latent's activation over the tokens of a patch, scaled to its maximum there and interpolated to pixels; null where tokens form no square.</summary>
    private static float[]? Map(SaeModel model, TokenShards tokens, int image, int latent, int side)
    {
        int count = tokens.Index.RowsPerImage[image], edge = (int)Math.Round(Math.Sqrt(count));
        if (count == 0 || edge * edge != count) return null;
        long first = 0;
        for (int i = 0; i < image; i++) first += tokens.Index.RowsPerImage[i];
        Matrix<float> rows = model.Device.Host.AllocateMatrix<float>(count, tokens.Columns);
        using ITokenSource source = TokenSource.From(rows);
        tokens.Read(first, rows.View);
        using Matrix<float> encoded = SaeEncoder.EncodeAll(model, source);
        float[] grid = new float[count], map = new float[side * side];
        for (int t = 0; t < count; t++) grid[t] = encoded.Row(t)[latent];
        float largest = grid.Max();
        if (largest <= 0) return map;
        for (int y = 0; y < side; y++)
        {
            for (int x = 0; x < side; x++)
            {
                // Bilinear between the centres of tokens.
                double v = Math.Clamp((y + 0.5) * edge / side - 0.5, 0, edge - 1), u = Math.Clamp((x + 0.5) * edge / side - 0.5, 0, edge - 1);
                int top = (int)v, left = (int)u, bottom = Math.Min(top + 1, edge - 1), right = Math.Min(left + 1, edge - 1);
                double upper = grid[top * edge + left] * (1 - (u - left)) + grid[top * edge + right] * (u - left);
                double lower = grid[bottom * edge + left] * (1 - (u - left)) + grid[bottom * edge + right] * (u - left);
                map[y * side + x] = (float)((upper * (1 - (v - top)) + lower * (v - top)) / largest);
            }
        }
        return map;
    }

    private static void AddProfiles(ReportSection section, Matrix<float> latents, string[] labels, DifferentialLatent[] chosen)
    {
        string[] classes = [.. labels.Distinct().Order(StringComparer.Ordinal)];
        double[,] shares = new double[chosen.Length, classes.Length];
        for (int r = 0; r < chosen.Length; r++)
        {
            double[] means = [.. classes.Select(c => Enumerable.Range(0, labels.Length).Where(i => labels[i] == c).Average(i => (double)latents.Row(i)[chosen[r].Latent]))];
            for (int c = 0; c < classes.Length; c++) shares[r, c] = means[c] / Math.Max(means.Sum(), 1e-30);
        }
        section.Figure(new Heatmap
        {
            Values = shares,
            RowNames = [.. chosen.Select(l => $"latent {l.Latent}")],
            ColumnNames = classes,
            ValueLabel = "share of the mean activation",
            Decimals = classes.Length <= 10 ? 2 : null,
            Scale = ColorScale.Blues,
            Min = 0,
            Max = 1,
            Width = Math.Clamp(260 + 70 * classes.Length, 472, 976),
            Height = 90 + 26 * chosen.Length,
        }, "Profile of the same latents over classes: each class's share in the sum of class means.", "class_profiles");
    }

    private static void AddNeighbours(ReportSection section, DifferentialLatent[] chosen, SaeModel model)
    {
        float[] usage = new float[model.Latents];
        model.Usage.CopyTo(usage);
        int[] alive = [.. Enumerable.Range(0, model.Latents).Where(j => usage[j] >= SaeEvaluation.AliveThreshold)];
        TableBlock table = new("The same latents: what sets them apart, and the alive latents whose decoder rows point most nearly the same way (cosine)", "latent", "class", "log2 fold change", "log10 q", "Gini impurity", "active patches", "nearest latents");
        foreach (DifferentialLatent l in chosen)
        {
            string nearest = string.Join(", ", DecoderGeometry.NearestTo(model, l.Latent, alive, Neighbours).Select(p => $"{p.Second} ({Numbers.Fixed(p.Cosine, 2)})"));
            table.Row($"{l.Latent}", l.TopClass, TableCell.Fixed(l.Log2FoldChange, 2), TableCell.Fixed(l.Log10Q, 1), TableCell.Fixed(l.GiniImpurity, 2), l.ActiveImages, nearest);
        }
        section.Table(table);
    }
}
