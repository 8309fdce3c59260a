using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>When a latent differs between two groups.</summary>
public sealed record LatentDifferenceOptions
{
    /// <summary>The adjusted p-value has to be smaller.</summary>
    public double MaxAdjustedP { get; init; } = 0.05;

    /// <summary>Smallest |log2 fold change|.</summary>
    public double MinLog2FoldChange { get; init; } = 0.58;

    /// <summary>Of those that differ, only so many with the largest |log2 fold change|; null for all.</summary>
    public int? Most { get; init; }
}

/// <summary>Latents of two groups of cells, each by itself.</summary>
/// <param name="Log2FoldChange">log2((mean of the cases + 1e-10) / (mean of the controls + 1e-10)); NaN where a mean is negative.</param>
/// <param name="Log10Q">Decimal logarithm of the p-value of the two-sided Mann–Whitney test, adjusted over all latents after Benjamini and Hochberg.</param>
/// <param name="Differs">Whether the latent passes <see cref="LatentDifferenceOptions"/>.</param>
public sealed record LatentComparison(double[] Log2FoldChange, double[] Log10Q, bool[] Differs);

/// <summary>
/// The paper's test for latents that differ between a mutation and the control, on unit-length rows that are not logarithms. It is
/// <see cref="GeneTest.MannWhitney"/>: exact for small groups, and a latent that is constant in both groups has P = 1.
/// </summary>
public static class LatentDifference
{
    /// <param name="latents">Cells × latents in host memory.</param>
    /// <param name="controls">Rows of the controls.</param>
    /// <param name="cases">Rows of the cases.</param>
    /// <param name="options">Bounds.</param>
    /// <exception cref="UsageException">A side is empty.</exception>
    public static LatentComparison Compare(Matrix<float> latents, int[] controls, int[] cases, LatentDifferenceOptions options, CancellationToken cancellation = default)
    {
        int[] codes = new int[latents.Rows];
        Array.Fill(codes, -1);
        foreach (int i in controls) codes[i] = 0;
        foreach (int i in cases) codes[i] = 1;
        return Compare(latents, codes, 2, options, cancellation)[0];
    }

    /// <summary>The paper's union: latents that differ in any mutation, and those that all mutations together have less of.</summary>
    /// <param name="latents">Cells × latents in host memory.</param>
    /// <param name="labels">Class of every cell.</param>
    /// <param name="control">Class of the controls; every other class is a mutation.</param>
    /// <param name="options">Bounds; <see cref="LatentDifferenceOptions.Most"/> holds for each mutation, not for all together.</param>
    public static bool[] Union(Matrix<float> latents, IReadOnlyList<string> labels, string control, LatentDifferenceOptions options, CancellationToken cancellation = default)
    {
        int[] controls = Rows(labels, l => l == control), cases = Rows(labels, l => l != control);
        LatentComparison pooled = Compare(latents, controls, cases, options with { Most = null }, cancellation);
        bool[] union = [.. pooled.Differs.Select((d, j) => d && pooled.Log2FoldChange[j] < 0)];
        foreach ((_, LatentComparison comparison) in PerMutation(latents, labels, control, options, cancellation))
            for (int j = 0; j < union.Length; j++) union[j] |= comparison.Differs[j];
        return union;
    }

    /// <summary>Every class other than the control against it, in ordinal order.</summary>
    public static IReadOnlyList<(string Mutation, LatentComparison Comparison)> PerMutation(Matrix<float> latents, IReadOnlyList<string> labels, string control, LatentDifferenceOptions options, CancellationToken cancellation = default)
    {
        string[] mutations = [.. labels.Where(l => l != control).Distinct().Order(StringComparer.Ordinal)];
        if (mutations.Length == 0) return [];
        int[] codes = [.. labels.Select(l => l == control ? 0 : Array.BinarySearch(mutations, l, StringComparer.Ordinal) + 1)];
        return [.. mutations.Zip(Compare(latents, codes, mutations.Length + 1, options, cancellation))];
    }

    internal static int[] Rows(IReadOnlyList<string> labels, Func<string, bool> wanted) => [.. Enumerable.Range(0, labels.Count).Where(i => wanted(labels[i]))];

    /// <summary>Every group from 1 on against group 0.</summary>
    private static IReadOnlyList<LatentComparison> Compare(Matrix<float> latents, int[] codes, int groups, LatentDifferenceOptions options, CancellationToken cancellation)
    {
        RankGenesOptions test = new() { Test = GeneTest.MannWhitney, Reference = 0, FoldChange = FoldChangeFormula.Paper };
        return [.. RankGenes.Compute(latents, codes, groups, test, "latents", cancellation).Select(group => Judge(group, options))];
    }

    private static LatentComparison Judge(RankedGroup group, LatentDifferenceOptions options)
    {
        (double[] change, double[] log10Q) = (group.LogFoldChanges, group.Log10Adjusted);
        double bound = Math.Log10(options.MaxAdjustedP);
        bool[] differs = [.. change.Select((c, j) => log10Q[j] < bound && Math.Abs(c) >= options.MinLog2FoldChange)];
        if (options.Most is { } most)
            foreach (int j in Enumerable.Range(0, differs.Length).Where(j => differs[j]).OrderByDescending(j => Math.Abs(change[j])).Skip(most).ToArray()) differs[j] = false;
        return new LatentComparison(change, log10Q, differs);
    }
}
