using BioSup.Analysis.Modules;
using BioSup.Report;

namespace BioSup.Cli.Pipeline.Reporting;

/// <summary>The most predictable genes in modules at several resolutions.</summary>
internal static class GwMapModuleReport
{
    public static void Add(ReportDocument report, GwMapOutcome outcome)
    {
        ModuleHierarchy modules = outcome.Modules!;
        string counts = string.Join(", ", modules.Resolutions.Select((r, l) => $"{modules.Sizes[l].Length} at {Numbers.Short(r)}"));
        ReportSection section = report.AddSection("Modules of predictable genes", $"The {modules.Genes.Count} most predictable genes fall into modules: {counts}.");
        bool within = outcome.Config.Modules.Profiles == "within";
        section.Paragraph($"Genes are ranked by their {outcome.Ranking!.Measure} ({outcome.Ranking.Targets} targets, {(outcome.Config.Modules.RankBy == "within" ? "mean over the labels, each by itself" : "over all labels")}). "
            + $"Each is joined to the {modules.Neighbours} genes whose soft targets over the images correlate most with its own{(within ? ", every image through the block of its own label and every gene centred there" : "")}, "
            + "and the Leiden algorithm finds communities at each resolution. Which graph the published modules come from is not known.");
        TableBlock levels = new("Levels", "resolution", "modules", "largest", "smallest", "modularity", "nested in the level before");
        for (int l = 0; l < modules.Levels; l++)
            levels.Row(TableCell.Number(modules.Resolutions[l], 2), modules.Sizes[l].Length, modules.Sizes[l].Max(), modules.Sizes[l].Min(), TableCell.Fixed(modules.Modularity[l], 3), l == 0 ? "" : TableCell.Percent(modules.Nesting[l - 1]));
        section.Table(levels);
        section.Paragraph("*Nested* is the share of genes that lie in the coarse module which holds most of their fine module. Levels are found independently, so nesting is a finding.");
        AddGenes(section, modules);
    }

    private static void AddGenes(ReportSection section, ModuleHierarchy modules)
    {
        int last = modules.Levels - 1;
        string[] coarse = [.. Enumerable.Range(0, last).Select(l => $"in, at {Numbers.Short(modules.Resolutions[l])}")];
        TableBlock table = new("Modules at the finest level, the modules they lie in, and their genes", [$"at {Numbers.Short(modules.Resolutions[last])}", .. coarse, "genes", "names"]);
        foreach (int module in modules.BlockOrder().Select(g => modules.Module[last][g]).Distinct())
        {
            int[] members = modules.Members(last, module);
            TableCell[] parents = [.. Enumerable.Range(0, last).Select(l => (TableCell)GwMapGeneReport.Module(members.GroupBy(g => modules.Module[l][g]).MaxBy(g => g.Count())!.Key))];
            table.Row([GwMapGeneReport.Module(module), .. parents, members.Length, string.Join(' ', members.Select(g => modules.Genes[g]))]);
        }
        section.Table(table);
    }
}
