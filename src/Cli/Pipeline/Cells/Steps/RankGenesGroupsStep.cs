using System.Globalization;
using BioSup.Analysis.SingleCell;
using BioSup.Cli.Pipeline.Cells.Reporting;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary><c>rank_genes_groups</c>: genes by how differently groups of cells express them, under scanpy's keys.</summary>
internal sealed class RankGenesGroupsStep : ICellStep
{
    private static readonly (string Name, GeneTest Test)[] s_methods =
        [("t-test", GeneTest.Welch), ("t-test_overestim_var", GeneTest.WelchOverestimated), ("wilcoxon", GeneTest.Wilcoxon), ("mannwhitneyu", GeneTest.MannWhitney)];

    private sealed record Settings(string Groupby, string[] Groups, string Reference, string Method, string Correction, bool TieCorrect, string FoldChange, int Genes, string UseRaw, string Layer, string Key);

    public string Name => "rank_genes_groups";

    public string Summary => "genes by how differently groups of cells express them: wilcoxon, mannwhitneyu, t-test";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        new("groupby", "leiden", "column of obs with the groups of cells"),
        new("groups", "", "groups to test, separated by semicolons; empty for all"),
        new("reference", "rest", "group that the others are compared with; rest: all other cells"),
        new("method", "t-test", "t-test, t-test_overestim_var, wilcoxon (scanpy's) or mannwhitneyu (SciPy's, the paper's)"),
        new("corr_method", "benjamini-hochberg", "benjamini-hochberg or bonferroni"),
        new("tie_correct", "false", "corrects the variance of wilcoxon for ties"),
        new("fold_change", "scanpy", "formula of the log2 fold change: scanpy, seurat or paper"),
        new("n_genes", "0", "genes to keep per group, those with the largest scores; 0 for all"),
        new("use_raw", "auto", "true: values of raw; auto: where there is raw and no layer is given"),
        GeneTests.Layer,
        new("key_added", "rank_genes_groups", "key of uns, and beginning of the file names"),
    ];

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        Settings s = Read(settings);
        bool layered = s.Layer is not ("" or "X");
        if (s.UseRaw == "true" && layered) throw new UsageException($"use_raw=true:layer={s.Layer}; one of the two was expected.");
        bool raw = s.UseRaw == "true" || (s.UseRaw == "auto" && !layered && context.Cells.Raw is not null);
        GeneTests tests = GeneTests.Read(context, s.Groupby, s.Layer, raw);
        RankGenesOptions options = new()
        {
            Test = s_methods.First(m => m.Name == s.Method).Test,
            Reference = s.Reference == "rest" ? null : tests.Group(s.Groupby, s.Reference),
            Groups = s.Groups.Length == 0 ? null : [.. s.Groups.Select(g => tests.Group(s.Groupby, g))],
            TieCorrect = s.TieCorrect,
            FoldChange = s.FoldChange switch { "scanpy" => FoldChangeFormula.Scanpy, "seurat" => FoldChangeFormula.Seurat, _ => FoldChangeFormula.Paper },
            Correction = s.Correction == "bonferroni" ? MultipleTesting.Bonferroni : MultipleTesting.BenjaminiHochberg,
            LogBase = context.Cells.Uns.GetValueOrDefault("log1p") is AnnDictionary log && log.GetValueOrDefault("base") is NdArray { Length: 1, Type: not ElementType.Text } b ? b.ToDoubles()[0] : Math.E,
        };
        IReadOnlyList<RankedGroup> ranked = tests.Compare(context, options);
        context.Cells.Uns[s.Key] = Kept(tests, ranked, s, raw);
        double bound = Math.Log10(0.05);
        return new StepOutcome(string.Create(CultureInfo.InvariantCulture,
            $"{tests.Genes.Length} genes of {tests.Key} in {ranked.Count} groups of {s.Groupby} against {s.Reference}, {s.Method}; adjusted p < 0.05: {string.Join(", ", ranked.Select(g => $"{tests.Groups[g.Group]} {g.Log10Adjusted.Count(q => q < bound)}"))}"))
        {
            Tables = GeneTests.Tables(GeneTests.FileName(s.Key), ranked.Select(g => (tests.Groups[g.Group], Table(tests, g, s)))),
            Report = MarkerReport.Ranked(tests, ranked, s.Groupby, s.Reference, $"{s.Method}, {s.Correction}"),
            Warnings = GeneTests.Warnings(ranked),
        };
    }

    /// <summary>What scanpy writes: records with a field per group, best genes first; beside them decimal logarithms of the p-values.</summary>
    private static AnnDictionary Kept(GeneTests tests, IReadOnlyList<RankedGroup> ranked, Settings s, bool raw)
    {
        RecordArray Records(Func<RankedGroup, int[], NdArray> values) => new([.. ranked.Select(g => (tests.Groups[g.Group], values(g, Best(g, s))))]);
        NdArray Take(double[] values, int[] genes) => NdArray.Vector(Array.ConvertAll(genes, gene => values[gene]));
        NdArray TakeSingle(double[] values, int[] genes) => NdArray.Vector(Array.ConvertAll(genes, gene => (float)values[gene]));
        AnnDictionary kept = new()
        {
            ["params"] = new AnnDictionary
            {
                ["groupby"] = NdArray.Scalar(s.Groupby),
                ["reference"] = NdArray.Scalar(s.Reference),
                ["method"] = NdArray.Scalar(s.Method),
                ["use_raw"] = NdArray.Scalar(raw),
                ["layer"] = tests.Key.StartsWith("layers/", StringComparison.Ordinal) ? NdArray.Scalar(s.Layer) : null,
                ["corr_method"] = NdArray.Scalar(s.Correction),
                ["tie_correct"] = NdArray.Scalar(s.TieCorrect),
                ["fold_change"] = NdArray.Scalar(s.FoldChange),
            },
            ["pts"] = Shares(tests, ranked, s),
            ["names"] = Records((g, best) => NdArray.Vector(Array.ConvertAll(best, gene => tests.Genes[gene]))),
            ["scores"] = Records((g, best) => TakeSingle(g.Scores, best)),
            ["pvals"] = Records((g, best) => Take(GeneTests.Powers(g.Log10P), best)),
            ["pvals_adj"] = Records((g, best) => Take(GeneTests.Powers(g.Log10Adjusted), best)),
            ["logfoldchanges"] = Records((g, best) => TakeSingle(g.LogFoldChanges, best)),
            ["log10_pvals"] = Records((g, best) => Take(g.Log10P, best)),
            ["log10_pvals_adj"] = Records((g, best) => Take(g.Log10Adjusted, best)),
        };
        if (s.Reference != "rest") return kept;
        DataFrame rest = new(tests.Genes);
        foreach (RankedGroup group in ranked) rest.Add(Key(tests.Groups[group.Group]), group.ReferencePts);
        kept["pts_rest"] = rest;
        return kept;
    }

    /// <summary>A group as the name of a column: HDF5 takes "/" for a folder, which the fields of records need not mind.</summary>
    private static string Key(string group) => group.Replace('/', '_');

    private static DataFrame Shares(GeneTests tests, IReadOnlyList<RankedGroup> ranked, Settings s)
    {
        DataFrame shares = new(tests.Genes);
        foreach (RankedGroup group in ranked) shares.Add(Key(tests.Groups[group.Group]), group.Pts);
        if (s.Reference != "rest") shares.Add(Key(s.Reference), ranked[0].ReferencePts);
        return shares;
    }

    private static Table Table(GeneTests tests, RankedGroup group, Settings s)
    {
        int[] best = Best(group, s);
        Column Of(string name, double[] values) => new(name, Array.ConvertAll(best, gene => values[gene]));
        return new Table([
            new Column("names", Array.ConvertAll(best, gene => tests.Genes[gene])),
            Of("scores", group.Scores),
            Of($"log2fc_{s.FoldChange}", group.LogFoldChanges),
            Of("pvals", GeneTests.Powers(group.Log10P)),
            Of("pvals_adj", GeneTests.Powers(group.Log10Adjusted)),
            Of("log10_pvals", group.Log10P),
            Of("log10_pvals_adj", group.Log10Adjusted),
            Of("mean", group.Means),
            Of("mean_reference", group.ReferenceMeans),
            Of("pct", group.Pts),
            Of("pct_reference", group.ReferencePts),
        ]);
    }

    private static int[] Best(RankedGroup group, Settings s) => s.Genes == 0 || s.Genes >= group.Order.Length ? group.Order : group.Order[..s.Genes];

    private static Settings Read(StepSettings settings) => new(settings.Text("groupby"), settings.List("groups"), settings.Text("reference"), settings.Choice("method", [.. s_methods.Select(m => m.Name)]),
        settings.Choice("corr_method", "benjamini-hochberg", "bonferroni"), settings.Flag("tie_correct"), settings.Choice("fold_change", "scanpy", "seurat", "paper"), settings.Integer("n_genes", 0),
        settings.Choice("use_raw", "auto", "true", "false"), settings.Text("layer"), settings.Text("key_added"));
}
