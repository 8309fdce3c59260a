using System.Globalization;
using BioSup.Analysis.SingleCell;
using BioSup.Cli.Pipeline.Cells.Reporting;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary><c>select_concepts</c>: the paper's differential latents, with the tables behind its volcano plots.</summary>
internal sealed class SelectConceptsStep : ICellStep
{
    private sealed record Settings(string Groupby, string Control, double MinLog2Fc, double MaxGini, string Layer);

    public string Name => "select_concepts";

    public string Summary => "latents that stand for a group, as the paper selects them: fold change against a control and Gini impurity, with mannwhitneyu beside";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        new("groupby", "superclass", "column of obs with the groups of cells"),
        new("control", "Control", "group that all others are compared with"),
        new("min_log2fc", "0.58", "smallest |log2((mean + 1e-10) / (mean of the control + 1e-10))|, 0 or larger"),
        new("max_gini", "0.5", "largest Gini impurity of the groups' means, 0 to 1"),
        GeneTests.Layer,
    ];

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        Settings s = Read(settings);
        GeneTests tests = GeneTests.Read(context, s.Groupby, s.Layer, raw: false);
        int control = tests.Group(s.Groupby, s.Control);
        if (tests.Groups.Length < 2) throw new UsageException($"all cells have {s.Groupby} = {s.Control}; there is nothing to compare.");
        IReadOnlyList<RankedGroup> ranked = tests.Compare(context, new RankGenesOptions { Test = GeneTest.MannWhitney, Reference = control, FoldChange = FoldChangeFormula.Paper });
        ConceptSelection selected = ConceptSelection.Select(ranked, tests.Groups, control, s.MinLog2Fc, s.MaxGini);
        context.Cells.Var.Set(FrameColumn.Of("gini", selected.Gini));
        context.Cells.Var.Set(FrameColumn.Categorical("concept", selected.Concept));
        context.Cells.Uns["select_concepts"] = new AnnDictionary { ["params"] = settings.Used };
        string groups = string.Join(", ", selected.Concept.Where(c => c.Length > 0).GroupBy(c => c).OrderBy(g => g.Key, StringComparer.Ordinal).Select(g => $"{g.Key} {g.Count()}"));
        return new StepOutcome($"{selected.Concept.Count(c => c.Length > 0)} of {tests.Genes.Length} variables are concepts{(groups.Length > 0 ? ": " : "")}{groups}")
        {
            Tables =
            [
                .. GeneTests.Tables("volcano", ranked.Select(g => (tests.Groups[g.Group], Volcano(tests, g, s)))),
                ("de_summary.csv", CsvFile.ToText(Summarise(tests, ranked, selected, s))),
                ("select_concepts.csv", CsvFile.ToText(Concepts(tests, ranked, selected, s))),
            ],
            Report = MarkerReport.Volcanoes(
                [.. ranked.Select(g => new MarkerComparison(tests.Groups[g.Group], s.Control, g.Cells, g.ReferenceCells, g.LogFoldChanges, g.Log10Adjusted))], tests.Genes,
                "Mann–Whitney, p corrected by Benjamini and Hochberg; variables stand out by their fold change alone", s.MinLog2Fc, mostP: 1),
            Warnings = GeneTests.Warnings(ranked),
        };
    }

    private static Table Volcano(GeneTests tests, RankedGroup group, Settings s) => new([
        new Column("concept_id", tests.Genes),
        new Column("log2fc_paper", group.LogFoldChanges),
        new Column("U", group.Scores),
        new Column("p", GeneTests.Powers(group.Log10P)),
        new Column("adj_p", GeneTests.Powers(group.Log10Adjusted)),
        new Column("log10_p", group.Log10P),
        new Column("log10_adj_p", group.Log10Adjusted),
        new Column($"mean_{tests.Groups[group.Group]}", group.Means),
        new Column($"mean_{s.Control}", group.ReferenceMeans),
        new Column("significant_by_fold_change", Array.ConvertAll(group.LogFoldChanges, f => Math.Abs(f) >= s.MinLog2Fc ? 1 : 0)),
    ]);

    private static Table Summarise(GeneTests tests, IReadOnlyList<RankedGroup> ranked, ConceptSelection selected, Settings s) => new([
        new Column("group", [.. ranked.Select(g => tests.Groups[g.Group])]),
        new Column("control", [.. ranked.Select(_ => s.Control)]),
        new Column("n_group", [.. ranked.Select(g => g.Cells)]),
        new Column("n_control", [.. ranked.Select(g => g.ReferenceCells)]),
        new Column("up", selected.Up),
        new Column("down", selected.Down),
        new Column("adj_p_below_0.05", [.. ranked.Select(g => g.Log10Adjusted.Count(q => q < Math.Log10(0.05)))]),
        new Column("untested", [.. ranked.Select(g => g.Untested)]),
        new Column("without_fold_change", [.. ranked.Select(g => g.LogFoldChanges.Count(double.IsNaN))]),
    ]);

    private static Table Concepts(GeneTests tests, IReadOnlyList<RankedGroup> ranked, ConceptSelection selected, Settings s) => new([
        new Column("concept_id", tests.Genes),
        new Column(s.Control, ranked[0].ReferenceMeans),
        .. ranked.Select(g => new Column(tests.Groups[g.Group], g.Means)),
        new Column("gini", selected.Gini),
        .. ranked.Select(g => new Column($"log2fc_{tests.Groups[g.Group]}", g.LogFoldChanges)),
        new Column("concept", selected.Concept),
    ]);

    private static Settings Read(StepSettings settings) => new(settings.Text("groupby"), settings.Text("control"), settings.Number("min_log2fc", 0), settings.Number("max_gini", 0, 1), settings.Text("layer"));
}
