namespace BioSup.Analysis.SingleCell;

/// <summary>Test of one gene between a group of cells and those it is compared with.</summary>
public enum GeneTest
{
    /// <summary>scanpy's <c>t-test</c>: Welch's, variances with divisor n − 1.</summary>
    Welch,

    /// <summary>scanpy's <c>t-test_overestim_var</c>: Welch's, with the size of the group in place of the size of what it is compared with.</summary>
    WelchOverestimated,

    /// <summary>scanpy's <c>wilcoxon</c>: rank sum with the normal distribution, without continuity correction, corrected for ties only on request.</summary>
    Wilcoxon,

    /// <summary>
    /// SciPy's <c>mannwhitneyu</c>, which the paper uses: tie and continuity correction, the exact distribution where one side has 8 cells or fewer and no value is tied. As in the
    /// paper, p = 1 without a test where neither side varies.
    /// </summary>
    MannWhitney,

    /// <summary>SciPy's <c>mannwhitneyu(method="asymptotic")</c>: the normal distribution with tie and continuity correction for any size, and a test also where neither side varies.</summary>
    MannWhitneyAsymptotic,
}

/// <summary>What "log fold change" means; all are logarithms to base 2, of the group over what it is compared with.</summary>
public enum FoldChangeFormula
{
    /// <summary>scanpy's: log2((expm1(mean) + 1e-9) / (expm1(mean of the others) + 1e-9)), means of values on the log scale.</summary>
    Scanpy,

    /// <summary>Seurat's (version 4): log2((mean of expm1 + 1) / (mean of expm1 of the others + 1)).</summary>
    Seurat,

    /// <summary>The paper's: log2((mean + 1e-10) / (mean of the others + 1e-10)) of values as they are.</summary>
    Paper,
}

/// <summary>How p-values are corrected for the number of genes.</summary>
public enum MultipleTesting
{
    /// <summary>False-discovery rate (Benjamini and Hochberg 1995).</summary>
    BenjaminiHochberg,

    /// <summary>p times the number of genes, at most 1.</summary>
    Bonferroni,
}

/// <summary>Settings of <see cref="RankGenes"/>; the defaults are scanpy's.</summary>
public sealed record RankGenesOptions
{
    public GeneTest Test { get; init; } = GeneTest.Welch;

    /// <summary>Code of the group that the others are compared with; null compares each group with all other cells, those without a group included.</summary>
    public int? Reference { get; init; }

    /// <summary>Codes of the groups to test, each once; null for all.</summary>
    public IReadOnlyList<int>? Groups { get; init; }

    /// <summary>Corrects the variance of <see cref="GeneTest.Wilcoxon"/> for ties; the other tests do not read it.</summary>
    public bool TieCorrect { get; init; }

    public FoldChangeFormula FoldChange { get; init; } = FoldChangeFormula.Scanpy;

    public MultipleTesting Correction { get; init; } = MultipleTesting.BenjaminiHochberg;

    /// <summary>Base of the logarithm that the values went through (<c>uns/log1p/base</c>): expm1(x) is base^x − 1.</summary>
    public double LogBase { get; init; } = Math.E;
}

/// <summary>Every gene in one comparison. Arrays are [genes] in the order of the matrix.</summary>
public sealed record RankedGroup
{
    /// <summary>Code of the group.</summary>
    public required int Group { get; init; }

    public required int Cells { get; init; }

    /// <summary>Cells that it is compared with.</summary>
    public required int ReferenceCells { get; init; }

    /// <summary>z of the rank tests, U of Mann–Whitney's, t of Welch's test; 0 where it is undefined, which has p = 1.</summary>
    public required double[] Scores { get; init; }

    /// <summary>Decimal logarithm of the two-sided p-value; −∞ only where two constant groups differ under Welch's test, which has an infinite t.</summary>
    public required double[] Log10P { get; init; }

    /// <summary>The same corrected for the number of genes.</summary>
    public required double[] Log10Adjusted { get; init; }

    /// <summary>NaN where the formula has no value, as for a negative mean.</summary>
    public required double[] LogFoldChanges { get; init; }

    public required double[] Means { get; init; }

    public required double[] ReferenceMeans { get; init; }

    /// <summary>Share of the cells in which the gene is not 0.</summary>
    public required double[] Pts { get; init; }

    /// <summary>The same among the cells that it is compared with.</summary>
    public required double[] ReferencePts { get; init; }

    /// <summary>Genes by falling score, of equal ones the earlier first.</summary>
    public required int[] Order { get; init; }

    /// <summary>Genes without a test, because neither side varies (p = 1).</summary>
    public required int Untested { get; init; }
}
