using System.Text.Json.Nodes;
using BioSup.Report;
using BioSup.Report.Figures;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Reporting;

/// <summary>Single latents and the patches that excite them most.</summary>
internal static class LatentsReport
{
    private const int Shown = 8, PatchesPerLatent = 8;

    public static void Add(ReportDocument report, Matrix<float> latents, IReadOnlyList<(int Latent, string Note)> chosen, PatchGallery gallery, IReadOnlyList<string>? channelNames)
    {
        if (chosen.Count == 0) return;
        ReportSection section = report.AddSection("What single latents respond to",
            "Each row shows the patches in which one latent is most active: if the latent stands for one thing, its row looks alike.");
        ImageGrid grid = new()
        {
            Rows = [.. chosen.Select(c => new ImageRow($"latent {c.Latent}", c.Note, [.. Strongest(latents, c.Latent).Select(i => gallery.Cut(i, Numbers.Significant(latents.Row(i)[c.Latent], 2)))]))],
            ChannelNames = channelNames,
            PatchSize = 84,
        };
        section.Figure(grid, $"Most active patches of {chosen.Count} latents, strongest on the left; the number under a patch is the latent's mean activation there; {grid.ScalingNote}.", "top_patches");
        section.Paragraph($"Where in the patch each is active, and what else it does: {string.Join(", ", chosen.Select(c => $"[latent {c.Latent}](#{LatentPages.Anchor(c.Latent)})"))}.");
    }

    /// <summary>With a known truth the latents that stand for concepts; otherwise those whose activation varies most between patches.</summary>
    public static IReadOnlyList<(int Latent, string Note)> Choose(RunFolder folder, Matrix<float> latents)
    {
        if (File.Exists(folder.Recovery))
        {
            JsonObject recovery = JsonNode.Parse(File.ReadAllText(folder.Recovery))!.AsObject();
            string[] names = [.. recovery["concepts"]!.AsArray().Select(n => ((string)n!).Replace('_', ' '))];
            int[] feature = [.. recovery["latents"]!["feature"]!.AsArray().Select(n => (int)n!)];
            double[] rho = [.. recovery["latents"]!["correlation"]!.AsArray().Select(n => (double)n!)];
            return [.. Enumerable.Range(0, names.Length).OrderByDescending(i => rho[i]).DistinctBy(i => feature[i]).Take(Shown).Select(i => (feature[i], $"{names[i]}, |ρ| {Numbers.Fixed(rho[i], 2)}"))];
        }
        return [.. Enumerable.Range(0, latents.Columns).Select(j => (Latent: j, Variation: Variation(latents, j, out double share), Share: share))
            .Where(l => l.Share is > 0.01 and < 0.6).OrderByDescending(l => l.Variation).Take(Shown)
            .Select(l => (l.Latent, $"active in {Numbers.Percent(l.Share, 0)} of patches"))];
    }

    private static double Variation(Matrix<float> latents, int latent, out double share)
    {
        double sum = 0, square = 0;
        int active = 0;
        for (int i = 0; i < latents.Rows; i++)
        {
            double value = latents.Row(i)[latent];
            sum += value;
            square += value * value;
            if (value > 0) active++;
        }
        share = (double)active / latents.Rows;
        double mean = sum / latents.Rows;
        return Math.Sqrt(Math.Max(0, square / latents.Rows - mean * mean));
    }

    private static IEnumerable<int> Strongest(Matrix<float> latents, int latent)
    {
        float[] values = new float[latents.Rows];
        for (int i = 0; i < values.Length; i++) values[i] = latents.Row(i)[latent];
        return Enumerable.Range(0, values.Length).OrderByDescending(i => values[i]).ThenBy(i => i).Take(PatchesPerLatent);
    }
}
