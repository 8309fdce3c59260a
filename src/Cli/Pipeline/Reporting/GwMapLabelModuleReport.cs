using BioSup.Analysis.Modules;
using BioSup.Report;

namespace BioSup.Cli.Pipeline.Reporting;

/// <summary>Modules within each label: the genes predictable there, grouped by that label's images and cells alone.</summary>
internal static class GwMapLabelModuleReport
{
    public static void Add(ReportDocument report, GwMapOutcome outcome)
    {
        FoundModules overall = outcome.Found!;
        int finest = overall.Modules.Levels - 1;
        string agreement = string.Join(", ", outcome.WithinLabels.Select(f => $"{f.Label} {Numbers.Fixed(f.Agreement(overall, finest), 2)}"));
        ReportSection section = report.AddSection("Modules within each label",
            $"Grouped by one label's images and cells alone; agreement with the modules above at resolution {Numbers.Short(overall.Modules.Resolutions[finest])}: {agreement}.");
        section.Paragraph($"Within a label the {overall.Genes.Length} genes with the highest {overall.Ranking.Measure} there are grouped by their soft targets through the label's own block of the coupling, so that differences between labels group nothing. "
            + "*Shared* are the genes that are also grouped above; *agreement* is the adjusted Rand index of both groupings over those (1 equal, 0 chance).");
        bool planted = overall.Recovery is not null;
        TableBlock table = new("Modules of each label", ["label", "resolution", "modules", "largest", "modularity", "named", "shared", "agreement", .. planted ? ["precision", "recall", "F1", "F1 by chance"] : Array.Empty<string>()]);
        foreach (FoundModules found in outcome.WithinLabels)
            for (int l = 0; l < found.Modules.Levels; l++)
            {
                TableCell[] recovery = found.Recovery?.Levels[l] is { } level
                    ? [TableCell.Fixed(level.Precision, 2), TableCell.Fixed(level.Recall, 2), TableCell.Fixed(level.F1, 2), TableCell.Fixed(level.ChanceF1, 2)] : [];
                TableCell named = found.Enrichment is { } enrichment ? enrichment.Names[l].Count(n => n.IsNamed) : "";
                table.Row([found.Label!, found.Modules.Resolutions[l], found.Modules.Sizes[l].Length, found.Modules.Sizes[l].Max(), TableCell.Fixed(found.Modules.Modularity[l], 3), named,
                    found.Shared(overall), TableCell.Fixed(found.Agreement(overall, l), 2), .. recovery]);
            }
        section.Table(table);
        if (planted) section.Paragraph("*Precision*, *recall* and *F1* are means over the planted programmes with a gene among the label's genes, as in the section above. A programme that does not vary within a label cannot come back there.");
    }
}
