using BioSup.Analysis.Geometry;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>What all threads share while genes are compared: the columns, who belongs where, and where results go.</summary>
internal sealed class GeneComparison
{
    /// <summary>Largest side that SciPy's <c>mannwhitneyu</c> treats exactly.</summary>
    private const int LargestExact = 8;

    private readonly double _logBase;
    private readonly ExactRankSum?[] _exact;
    private readonly int[] _untested;

    /// <param name="columns">The matrix.</param>
    /// <param name="codes">[cells] 0 … <paramref name="groups"/> − 1, or negative for cells without a group.</param>
    /// <param name="groups">Number of groups.</param>
    /// <param name="options">What is compared, and how.</param>
    /// <exception cref="UsageException">Codes and cells do not fit, or a comparison has too few cells.</exception>
    public GeneComparison(GeneColumns columns, ReadOnlySpan<int> codes, int groups, RankGenesOptions options)
    {
        (Columns, Options, Reference, _logBase) = (columns, options, options.Reference ?? -1, Math.Log(options.LogBase));
        if (!(_logBase > 0)) throw new UsageException($"The base {options.LogBase} of the logarithm is not larger than 1.");
        if (codes.Length != columns.Cells) throw new UsageException($"There are groups for {codes.Length} cells; the matrix has {columns.Cells}.");
        if (options.Reference is { } reference && (uint)reference >= (uint)groups) throw new UsageException($"The reference is group {reference}; groups are numbered 0 to {groups - 1}.");
        int[] tested = [.. (options.Groups ?? [.. Enumerable.Range(0, groups)]).Where(g => g != Reference)];
        foreach (int g in tested) if ((uint)g >= (uint)groups) throw new UsageException($"Group {g} is to be tested; groups are numbered 0 to {groups - 1}.");
        if (tested.Distinct().Count() != tested.Length) throw new UsageException("A group is to be tested twice; each was expected once.");
        LabelOfCell = Labels(codes, groups, tested, Reference);
        // Cells without a group are compared with, but have no comparison: they get a label of their own behind the groups.
        Size = new long[groups + 1];
        foreach (int label in LabelOfCell) if (label >= 0) Size[label]++;
        long all = Size.Sum(), least = IsRankTest ? 1 : 2;
        Groups = [.. tested.Select(g => NewGroup(g, Reference < 0 ? all - Size[g] : Size[Reference]))];
        if (Groups.Count == 0) throw new UsageException("There is no group to compare with the reference.");
        foreach (RankedGroup group in Groups)
        {
            if (group.Cells < least) throw new UsageException($"Group {group.Group} has {group.Cells} cells; the test needs {least}.");
            if (group.ReferenceCells < least) throw new UsageException($"Group {group.Group} is compared with {group.ReferenceCells} cells; the test needs {least}.");
        }
        _untested = new int[Size.Length];
        _exact = new ExactRankSum?[Size.Length];
        if (options.Test != GeneTest.MannWhitney) return;
        foreach (RankedGroup group in Groups)
            if (Math.Min(group.Cells, group.ReferenceCells) <= LargestExact) _exact[group.Group] = new ExactRankSum(group.Cells, group.ReferenceCells);
    }

    public GeneColumns Columns { get; }

    public RankGenesOptions Options { get; }

    /// <summary>Label that the others are compared with; −1 for all other cells.</summary>
    public int Reference { get; }

    /// <summary>[cells] label of each, −1 for those that take no part.</summary>
    public int[] LabelOfCell { get; }

    /// <summary>Cells of each label.</summary>
    public long[] Size { get; }

    /// <summary>Results, filled gene by gene.</summary>
    public IReadOnlyList<RankedGroup> Groups { get; }

    /// <summary>Whether the test needs to know which groups hold one value alone.</summary>
    public bool AsksForConstants => Options.Test is not (GeneTest.Wilcoxon or GeneTest.MannWhitneyAsymptotic);

    public bool IsRankTest => Options.Test is GeneTest.Wilcoxon or GeneTest.MannWhitney or GeneTest.MannWhitneyAsymptotic;

    /// <summary>The exact distribution where one side is small enough for it.</summary>
    public ExactRankSum? Exact(int group) => _exact[group];

    public double ExpMinusOne(double value) => NearOne.ExpMinusOne(value * _logBase);

    public double LogFoldChange(in GroupMoments own, in GroupMoments other) => Options.FoldChange switch
    {
        FoldChangeFormula.Scanpy => Math.Log2((ExpMinusOne(own.Mean) + 1e-9) / (ExpMinusOne(other.Mean) + 1e-9)),
        FoldChangeFormula.Seurat => Math.Log2((own.ExpSum / own.Count + 1) / (other.ExpSum / other.Count + 1)),
        _ => Math.Log2((own.Mean + 1e-10) / (other.Mean + 1e-10)),
    };

    /// <summary>Notes that a gene had no test; several threads may call it.</summary>
    public void CountUntested(int group) => Interlocked.Increment(ref _untested[group]);

    /// <summary>The groups with p-values corrected and genes put in order.</summary>
    public IReadOnlyList<RankedGroup> Finish() => [.. Groups.Select(group => group with
    {
        Log10Adjusted = Options.Correction == MultipleTesting.BenjaminiHochberg
            ? BenjaminiHochberg.AdjustLog10(group.Log10P)
            : Array.ConvertAll(group.Log10P, p => Math.Min(0, p + Math.Log10(Columns.Genes))),
        Order = [.. Enumerable.Range(0, Columns.Genes).OrderByDescending(gene => group.Scores[gene])],
        Untested = _untested[group.Group],
    })];

    private RankedGroup NewGroup(int group, long others) => new()
    {
        Group = group,
        Cells = (int)Size[group],
        ReferenceCells = (int)others,
        Scores = new double[Columns.Genes],
        Log10P = new double[Columns.Genes],
        Log10Adjusted = [],
        LogFoldChanges = new double[Columns.Genes],
        Means = new double[Columns.Genes],
        ReferenceMeans = new double[Columns.Genes],
        Pts = new double[Columns.Genes],
        ReferencePts = new double[Columns.Genes],
        Order = [],
        Untested = 0,
    };

    private static int[] Labels(ReadOnlySpan<int> codes, int groups, int[] tested, int reference)
    {
        int[] labels = new int[codes.Length];
        for (int i = 0; i < labels.Length; i++)
        {
            if (codes[i] >= groups) throw new UsageException($"Cell {i} is in group {codes[i]}; groups are numbered 0 to {groups - 1}.");
            labels[i] = reference < 0 ? codes[i] < 0 ? groups : codes[i] : codes[i] >= 0 && (codes[i] == reference || tested.Contains(codes[i])) ? codes[i] : -1;
        }
        return labels;
    }
}
