using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>
/// Which genes or latents stand for a group of cells, by the paper's rule: the means of all groups are concentrated on few of them (Gini impurity), and the mean changes by a factor against the
/// control. The tests' p-values take no part.
/// </summary>
/// <param name="Gini">[genes] 1 − Σp² over the groups' shares p of the sum of their means: 0 for one group alone, 1 − 1 / groups for equal means; NaN where all means are 0.</param>
/// <param name="Concept">[genes] the groups that it stands for, in ordinal order and joined by "_"; empty for none.</param>
/// <param name="Up">By comparison: genes with a fold change of at least the bound.</param>
/// <param name="Down">By comparison: genes with one of at most minus the bound.</param>
public sealed record ConceptSelection(double[] Gini, string[] Concept, int[] Up, int[] Down)
{
    /// <summary>Selects from comparisons with one control.</summary>
    /// <param name="comparisons">Of <see cref="RankGenes"/> against one reference, with the paper's fold change, as many as there are groups besides the control.</param>
    /// <param name="names">Names of the groups by their codes.</param>
    /// <param name="control">Code of the control.</param>
    /// <param name="minLog2FoldChange">Smallest |log2 fold change|; 0.58 is a factor of 1.5.</param>
    /// <param name="maxGini">Largest impurity.</param>
    /// <exception cref="UsageException">A mean is negative: shares of the sum have no meaning.</exception>
    public static ConceptSelection Select(IReadOnlyList<RankedGroup> comparisons, IReadOnlyList<string> names, int control, double minLog2FoldChange, double maxGini)
    {
        int genes = comparisons[0].Means.Length;
        double[] gini = new double[genes];
        string[] concept = new string[genes];
        for (int gene = 0; gene < genes; gene++)
        {
            gini[gene] = Impurity([comparisons[0].ReferenceMeans[gene], .. comparisons.Select(c => c.Means[gene])], gene);
            IEnumerable<string> found = comparisons.Where(c => gini[gene] <= maxGini && Math.Abs(c.LogFoldChanges[gene]) >= minLog2FoldChange)
                .Select(c => names[c.LogFoldChanges[gene] > 0 ? c.Group : control]);
            concept[gene] = string.Join('_', found.Distinct().Order(StringComparer.Ordinal));
        }
        return new ConceptSelection(gini, concept, [.. comparisons.Select(c => c.LogFoldChanges.Count(f => f >= minLog2FoldChange))], [.. comparisons.Select(c => c.LogFoldChanges.Count(f => f <= -minLog2FoldChange))]);
    }

    private static double Impurity(double[] means, int gene)
    {
        double total = 0, squares = 0;
        foreach (double mean in means)
        {
            if (mean < 0) throw new UsageException($"Column {gene} has a negative mean ({mean}) in a group: the Gini impurity needs values that are 0 or larger.");
            total += mean;
            squares += mean * mean;
        }
        return 1 - squares / (total * total);
    }
}
