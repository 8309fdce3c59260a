using System.Text.Json.Nodes;
using BioSup.Report;
using BioSup.Report.Figures;

namespace BioSup.Cli.Pipeline.Reporting;

/// <summary>Known concepts against single features, before and after the autoencoder. Only a generated cohort has the truth for it.</summary>
internal static class RecoveryReport
{
    /// <summary>|Spearman ρ| from which a single feature counts as standing for a concept.</summary>
    public const double Recovered = 0.5;

    /// <param name="paged">Latents that have a page.</param>
    public static void Add(ReportDocument report, RunFolder folder, ICollection<int> paged)
    {
        JsonObject recovery = JsonNode.Parse(File.ReadAllText(folder.Recovery))!.AsObject();
        string[] names = [.. recovery["concepts"]!.AsArray().Select(n => ((string)n!).Replace('_', ' '))];
        double[] encoder = Values(recovery["encoder"]!, "correlation"), latents = Values(recovery["latents"]!, "correlation");
        int before = encoder.Count(r => r >= Recovered), after = latents.Count(r => r >= Recovered);
        double[] selectivityBefore = Values(recovery["encoder"]!, "selectivity"), selectivity = Values(recovery["latents"]!, "selectivity");
        int specificBefore = names.Where((_, i) => encoder[i] >= Recovered && selectivityBefore[i] > 0).Count(), specific = names.Where((_, i) => latents[i] >= Recovered && selectivity[i] > 0).Count();
        int better = names.Where((_, i) => latents[i] > encoder[i]).Count();
        int[] order = [.. Enumerable.Range(0, names.Length).OrderByDescending(i => latents[i])];

        ReportSection section = report.AddSection("Were the known concepts recovered?",
            $"Single SAE latents rank the cells better than single encoder channels for **{better} of {names.Length}** concepts; **{after}** are recovered (|ρ| ≥ {Recovered}), "
            + $"**{specific}** of these by a latent that follows no other concept more closely; encoder channels recover **{before}**, **{specificBefore}** of them so.");
        section.Paragraph("The generator knows how strongly each cell carries each concept. For every concept the best single feature is *chosen on one half of the cells and scored on the "
            + "other half*, by the rank correlation with the true intensity, so a larger dictionary gets no bonus for having more candidates.");
        section.Figure(new BarChart
        {
            Categories = [.. order.Select(i => names[i])],
            Series = [new BarSeries("best encoder channel", [.. order.Select(i => encoder[i])]), new BarSeries("best SAE latent", [.. order.Select(i => latents[i])])],
            Horizontal = true,
            XLabel = "|Spearman ρ| with the true intensity, held-out cells",
            Reference = new ReferenceLine(Recovered, "recovered"),
            Min = 0,
            Max = 1,
            Width = 760,
            Height = 60 + 26 * names.Length,
        }, $"Recovery of the {names.Length} known concepts from {recovery["cells"]} cells: one encoder channel against one SAE latent.", "concept_recovery");

        TableBlock table = new("Every concept and the latent matched to it", "concept", "latent", "|ρ| latent", "|ρ| encoder channel", "selectivity of the latent", "selectivity of the channel");
        int[] feature = [.. recovery["latents"]!["feature"]!.AsArray().Select(n => (int)n!)];
        foreach (int i in order)
            table.Row(names[i], LatentPages.Cell(feature[i], paged), TableCell.Fixed(latents[i], 2, latents[i] >= Recovered ? Tone.Good : Tone.Neutral), TableCell.Fixed(encoder[i], 2), TableCell.Fixed(selectivity[i], 2), TableCell.Fixed(selectivityBefore[i], 2));
        section.Table(table);
        section.Paragraph("*Selectivity* is the feature's correlation with its concept minus its largest correlation with any other; above zero it stands for this concept more than for "
            + "any other. Concepts that go together in the cells, or that cannot be told apart in a picture, cannot be selective.");
    }

    /// <summary>Concepts recovered before and after, and how many there are.</summary>
    public static (int Before, int After, int All) Count(RunFolder folder)
    {
        JsonObject recovery = JsonNode.Parse(File.ReadAllText(folder.Recovery))!.AsObject();
        double[] encoder = Values(recovery["encoder"]!, "correlation"), latents = Values(recovery["latents"]!, "correlation");
        return (encoder.Count(r => r >= Recovered), latents.Count(r => r >= Recovered), latents.Length);
    }

    private static double[] Values(JsonNode node, string key) => [.. node[key]!.AsArray().Select(n => (double?)n ?? 0)];
}
