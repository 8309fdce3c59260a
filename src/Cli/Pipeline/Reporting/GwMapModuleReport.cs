using BioSup.Analysis.Modules;
using BioSup.Report;
using BioSup.Report.Figures;

namespace BioSup.Cli.Pipeline.Reporting;

/// <summary>The most predictable genes in modules at several resolutions: their flow, their names and the evidence, and how planted programmes came back.</summary>
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
        if (modules.Levels > 1)
            section.Figure(Flow(outcome, modules), $"How the {modules.Genes.Count} genes move between the modules of successive resolutions (Leiden, {modules.Neighbours} neighbours); a module is as thick as it has genes.", "map_modules");
        section.Figure(HeatMap(outcome, modules), $"Soft targets of the {modules.Genes.Count} genes, each standardised over the {Numbers.Integer(outcome.Sample.Images.Length)} images and cut off at 2.5 deviations. "
            + $"Images of every label stand in the order of their first principal component, averaged in {outcome.Profiles!.PerLabel} bins; genes stand by module at resolution {Numbers.Short(modules.Resolutions[^1])}.", "map_module_profiles");
        TableBlock levels = new("Levels", "resolution", "modules", "largest", "smallest", "modularity", "nested in the level before");
        for (int l = 0; l < modules.Levels; l++)
            levels.Row(modules.Resolutions[l], modules.Sizes[l].Length, modules.Sizes[l].Max(), modules.Sizes[l].Min(), TableCell.Fixed(modules.Modularity[l], 3), l == 0 ? "" : TableCell.Percent(modules.Nesting[l - 1]));
        section.Table(levels);
        section.Paragraph("*Nested* is the share of genes that lie in the coarse module which holds most of their fine module. Levels are found independently, so nesting is a finding.");
        AddGenes(section, outcome, modules);
        if (outcome.Enrichment is { } enrichment) AddNames(section, enrichment, modules);
        else section.Paragraph("No gene sets were given (modules.gene_sets), so modules have numbers and no names.");
        if (outcome.Recovery is { } recovery) AddRecovery(report, recovery, modules);
    }

    private static Heatmap HeatMap(GwMapOutcome outcome, ModuleHierarchy modules)
    {
        int[] order = modules.BlockOrder();
        int columns = outcome.Profiles!.Values.GetLength(1), finest = modules.Levels - 1;
        double[,] values = new double[order.Length, columns];
        List<RowGroup> groups = [];
        for (int r = 0; r < order.Length; r++)
        {
            int module = modules.Module[finest][order[r]];
            for (int c = 0; c < columns; c++) values[r, c] = outcome.Profiles.Values[order[r], c];
            // A fine module that straddles coarse ones stands in several places.
            if (r > 0 && modules.Module[finest][order[r - 1]] == module) groups[^1] = groups[^1] with { Rows = groups[^1].Rows + 1 };
            else groups.Add(new RowGroup(outcome.ModuleName(finest, module), 1, module));
        }
        return new Heatmap
        {
            Values = values, RowGroups = groups, Scale = ColorScale.BlueOrange, Min = -2.5, Max = 2.5, ValueLabel = "soft target, deviations", YLabel = "",
            XLabel = $"images, from left to right: {string.Join(", ", outcome.Sample.Labels)}", Width = 900, Height = 520,
        };
    }

    private static SankeyDiagram Flow(GwMapOutcome outcome, ModuleHierarchy modules)
    {
        List<double[,]> flows = [];
        for (int l = 0; l + 1 < modules.Levels; l++)
        {
            int[,] genes = modules.Flow(l, l + 1);
            double[,] flow = new double[genes.GetLength(0), genes.GetLength(1)];
            Array.Copy(genes, flow, genes.Length);
            flows.Add(flow);
        }
        return new SankeyDiagram
        {
            Levels = [.. modules.Resolutions.Select((r, l) => new SankeyLevel($"resolution {Numbers.Short(r)}", [.. Enumerable.Range(0, modules.Sizes[l].Length).Select(m => outcome.ModuleName(l, m))]))],
            Flows = flows,
        };
    }

    private static void AddGenes(ReportSection section, GwMapOutcome outcome, ModuleHierarchy modules)
    {
        int last = modules.Levels - 1;
        string[] coarse = [.. Enumerable.Range(0, last).Select(l => $"in, at {Numbers.Short(modules.Resolutions[l])}")];
        TableBlock table = new("Modules at the finest level, the modules they lie in, and their genes", [$"at {Numbers.Short(modules.Resolutions[last])}", .. coarse, "genes", "symbols"]);
        foreach (int module in modules.BlockOrder().Select(g => modules.Module[last][g]).Distinct())
        {
            int[] members = modules.Members(last, module);
            TableCell[] parents = [.. Enumerable.Range(0, last).Select(l => (TableCell)$"{members.GroupBy(g => modules.Module[l][g]).MaxBy(g => g.Count())!.Key + 1}")];
            table.Row([outcome.ModuleName(last, module), .. parents, members.Length, string.Join(' ', members.Select(g => modules.Genes[g]))]);
        }
        section.Table(table);
    }

    private static void AddNames(ReportSection section, EnrichmentTable enrichment, ModuleHierarchy modules)
    {
        section.Heading("Names by evidence");
        section.Paragraph($"Over-representation of gene sets in modules: hypergeometric upper tail, adjusted over all modules and sets of a level (Benjamini and Hochberg). {enrichment.Describe()}");
        TableBlock table = new("Best gene set of every module", "resolution", "module", "genes", "best set", "common", "fold", "q");
        foreach (ModuleName name in enrichment.Names.SelectMany(level => level))
        {
            TableCell[] evidence = name.Best is { } best ? [best.Set, best.Overlap, TableCell.Number(best.Fold, 3), TableCell.Number(best.Q, 2, name.IsNamed ? Tone.Good : Tone.Neutral)] : ["", "", "", ""];
            table.Row([modules.Resolutions[name.Level], name.Module + 1, modules.Sizes[name.Level][name.Module], .. evidence]);
        }
        section.Table(table);
    }

    private static void AddRecovery(ReportDocument report, RecoveryTable recovery, ModuleHierarchy modules)
    {
        ReportSection section = report.AddSection("Do planted programmes come back?", ProgrammeRecovery.Describe(recovery, modules));
        section.Paragraph("Every programme is matched with its best module by Jaccard index. *Precision* is the share of the module's genes that belong to the programme, *recall* the share of the programme's genes, of those that "
            + "are predictable enough to be grouped, that are in the module. Soft targets are means over many cells: programmes that rise and fall together along the courses of the classes are hard to tell apart there, and their modules hold more than one.");
        RecoveredProgramme[] rows = [.. recovery.Programmes.Where(p => p.Level == recovery.Best.Level && p.Present > 0).OrderByDescending(p => p.F1)];
        section.Figure(new BarChart
        {
            Categories = [.. rows.Select(p => p.Programme)], Series = [new BarSeries("precision", [.. rows.Select(p => p.Precision)]), new BarSeries("recall", [.. rows.Select(p => p.Recall)])],
            Horizontal = true, XLabel = "share of genes", Min = 0, Max = 1, Width = 900, Height = 320,
        }, $"Precision and recall of the {rows.Length} planted programmes with a gene among the {modules.Genes.Count}, each matched with its best module (Jaccard) at resolution {Numbers.Short(modules.Resolutions[recovery.Best.Level])}. Chance is given in the table: genes dealt at random to modules of the same sizes, {Numbers.Integer(recovery.Permutations)} times.", "map_recovery");
        TableBlock levels = new("Recovery by level", "resolution", "programmes", "precision", "recall", "F1", "F1 by chance", "p");
        foreach (LevelRecovery level in recovery.Levels)
            levels.Row(modules.Resolutions[level.Level], level.Programmes, TableCell.Fixed(level.Precision, 2), TableCell.Fixed(level.Recall, 2), TableCell.Fixed(level.F1, 2), TableCell.Fixed(level.ChanceF1, 2), TableCell.Number(level.PValue, 2));
        section.Table(levels);
        TableBlock table = new("Recovery by programme", "programme", "planted", "grouped", "module", "genes", "common", "precision", "recall", "p");
        foreach (RecoveredProgramme p in rows)
            table.Row(p.Programme, p.Planted, p.Present, p.Module + 1, p.ModuleSize, p.Overlap, TableCell.Fixed(p.Precision, 2), TableCell.Fixed(p.Recall, 2), TableCell.Number(p.PValue, 2));
        section.Table(table);
    }
}
